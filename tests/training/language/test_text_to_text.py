"""Texts for texts: the loss of each family's own class, what targets are, one curve under every strategy, scores."""

import json
from pathlib import Path
from types import SimpleNamespace

import families
import numpy as np
import pytest
import torch
import two_stacks
from numbered import WORDS
from small_bert import make_bert

from launcher import (
    Full,
    Generation,
    LoRA,
    Pretrained,
    Recipe,
    RecipeError,
    Summarisation,
    Table,
    Training,
    Translation,
)
from launcher.errors import LauncherError
from launcher.recipe.recipe import resolve
from launcher.training import suitable
from launcher.training.batches.split import Split
from launcher.training.data import Row
from launcher.training.initial_model import initial_model
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.prepare import prepare, reader_of
from launcher.training.tasks import continued_text, work_for
from launcher.training.tasks.base import Reader
from launcher.training.tasks.collate import Batches

LANGUAGES = {"source_language": "en_XX", "target_language": "zh_CN"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder for each kind, made when it is asked for, and the reversed texts."""
    folder = tmp_path_factory.mktemp("two-stacks")
    made = {"data": two_stacks.write_reversed(folder, 60, 1)}

    def of(kind):
        if kind not in made:
            if kind in ("bert", "another bert"):
                made[kind] = str(make_bert(folder / kind, WORDS if kind == "bert" else WORDS[::-1]))
            else:
                made[kind] = two_stacks.make(kind, folder / kind)
        return made[kind]

    return of


def prepared_of(task, embedding, data, method=None):
    """Task at work, training split and model, as a rank has them."""
    nouns = {"task": task, "data": Table(train=data), "embedding": embedding, "peft": method or Full()}
    recipe = resolve(Recipe(**nouns, training=Training(batch_size=8, dropout=0.0)), Path("r.py"), "", {}).recipe
    facts = prepare(recipe)
    suitable.look(recipe, facts)
    place = Path(facts["folder"])
    work = work_for(recipe.task, reader_of(facts["labels"], facts["max_length"], place))
    model = initial_model(recipe, facts["labels"], place)
    return SimpleNamespace(work=work, split=Split.load(place / "train.safetensors"), model=model, facts=facts)


def ours(made, rows):
    """The mean loss of a token, and the batch."""
    inputs, wanted = Batches(made.work, torch.device("cpu"))(made.split, rows)
    with torch.no_grad():
        loss = made.work.loss(outputs_of(made.model.eval(), inputs, made.work.outputs), wanted)["loss"]
    return float(loss) / int(made.split.targets["loss"][rows].sum()), inputs


@pytest.mark.parametrize("kind", ["t5", "bart", "marian", "pegasus", "mbart"])
def test_the_loss_is_that_of_the_familys_own_class(tiny, kind):
    from transformers import AutoModelForSeq2SeqLM

    task = Translation(**(LANGUAGES if kind == "mbart" else {}))
    made = prepared_of(task, Pretrained(model=tiny(kind)), tiny("data"))
    loss, inputs = ours(made, np.arange(8))
    plain = AutoModelForSeq2SeqLM.from_pretrained(tiny(kind), dtype=torch.float32).eval()
    given = {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}
    with torch.no_grad():
        theirs = plain(**given, labels=inputs["answers"]).loss
    assert loss == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "before", "behind", "told"),
    [
        ("t5", [], ["</s>"], {}),
        ("bart", ["<s>"], ["</s>"], {"forced_bos_token_id": 1}),
        ("mbart", [], ["</s>", "zh_CN"], {"decoder_start_token_id": 90}),
    ],
)
def test_a_target_stands_between_its_familys_own_tokens(tiny, kind, before, behind, told):
    task = Summarisation(max_target_length=4) if kind != "mbart" else Translation(max_target_length=4, **LANGUAGES)
    made = prepared_of(task, Pretrained(model=tiny(kind)), tiny("data"))
    (ids,), cut = made.work.target_ids(["word1 word2"])
    assert made.work.tokenizer.convert_ids_to_tokens(ids)[: len(before)] == before and cut == 0
    assert made.work.tokenizer.convert_ids_to_tokens(ids)[-len(behind) :] == behind
    assert made.work.written(np.array(ids)) == "word1 word2"
    (ids,), cut = made.work.target_ids(["word1 word2 word3 word4"])
    assert len(ids) == 4 and cut == 1 and made.work.tokenizer.convert_ids_to_tokens(ids)[-len(behind) :] == behind
    limits = made.work.limits()
    assert {name: limits[name] for name in told} == told and not {*told} ^ (limits.keys() & FAMILYS)
    assert made.facts["lost"]["train"]["targets_cut"] > 0


FAMILYS = {"forced_bos_token_id", "decoder_start_token_id"}


def test_targets_beyond_the_decoders_positions_are_refused_or_cut(tiny, tmp_path):
    long = tmp_path / "long.tsv"
    long.write_text("text\ttarget\n" + "".join(f"word1\t{'word2 ' * 70}{n}\n" for n in range(20)))
    with pytest.raises(LauncherError, match="the longest target has 73 tokens, and the model's decoder 64 positions"):
        prepared_of(Translation(), Pretrained(model=tiny("bart")), str(long))
    made = prepared_of(Translation(max_target_length=64), Pretrained(model=tiny("bart")), str(long))
    loss, _ = ours(made, np.arange(4))
    assert 1 < loss < 9
    with pytest.raises(LauncherError, match="a target has 65 tokens"):
        made.model(answers=torch.ones((1, 65), dtype=torch.int64), input_ids=torch.ones((1, 3), dtype=torch.int64))


def test_signs_of_the_tokenizer_in_a_target_are_text(tiny):
    made = prepared_of(Translation(), Pretrained(model=tiny("t5")), tiny("data"))
    (ids,), _ = made.work.target_ids(["word1 </s> word2"])
    assert ids.count(2) == 1 and ids[-1] == 2


def test_references_are_kept_as_they_are_written(tiny, tmp_path):
    """Chinese and several of them, from the file to the score."""
    rows = [{"text": "word1", "target": "我们很好。"}, {"text": "word2", "target": ["今天", "今日"]}] * 6
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    made = prepared_of(Translation(), Pretrained(model=tiny("t5")), str(path))
    all_rows = np.arange(made.split.rows)
    right = made.work.references(made.split, all_rows)
    assert set(right) == {"我们很好。", "今天"}
    said = ["今日" if one == "今天" else one for one in right]
    scores = made.work.score_texts(made.split, all_rows, said)
    assert scores["bleu"] == pytest.approx(100) and "tok:zh" in scores["bleu_signature"]


def test_label_smoothing_is_part_of_the_training_loss_only(tiny):
    made = prepared_of(Translation(label_smoothing=0.2), Pretrained(model=tiny("t5")), tiny("data"))
    plain, inputs = ours(made, np.arange(8))
    made.work = made.work.for_training(made.split)
    smooth, _ = ours(made, np.arange(8))
    from transformers import AutoModelForSeq2SeqLM
    from transformers.trainer_pt_utils import LabelSmoother

    model = AutoModelForSeq2SeqLM.from_pretrained(tiny("t5"), dtype=torch.float32).eval()
    given = {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}
    with torch.no_grad():
        theirs = LabelSmoother(0.2)(model(**given, labels=inputs["answers"]), inputs["answers"])
    assert smooth == pytest.approx(float(theirs), abs=1e-6) and abs(plain - smooth) > 1e-4


def test_a_model_of_several_languages_is_told_which(tiny):
    for languages, said in (({}, "the model knows several languages"), ({"source_language": "xx"}, "no language 'xx'")):
        with pytest.raises(RecipeError, match=said):
            prepared_of(Translation(**languages), Pretrained(model=tiny("mbart")), tiny("data"))


def test_an_encoder_alone_writes_nothing(tiny):
    with pytest.raises(LauncherError, match="is of the kind 'bert', for which there is no head for a text for a text"):
        prepared_of(Translation(), Pretrained(model=tiny("bert")), tiny("data"))


def test_a_model_that_continues_texts_learns_what_follows_the_template(tiny, tiny_llama):
    task = Translation(template="{text} = ", max_target_length=20, generation=Generation(max_new_tokens=20))
    made = prepared_of(task, Pretrained(model=tiny_llama, max_length=40), tiny("data"))
    tokenizer, split = made.work.tokenizer, made.split
    for row in range(split.rows):
        ids, said = split.ragged("input_ids").row(row), split.ragged("said").row(row).astype(bool)
        whole = tokenizer.decode(ids[~said]) + tokenizer.decode(ids[said])
        right = made.work.references(split, np.array([row]))[0]
        assert made.work.written(ids[said]) == right[: len(made.work.written(ids[said]))]
        assert ids[said][-1] == tokenizer.eos_token_id and said.sum() <= 20
        assert " = " in whole and ids[0] != tokenizer.eos_token_id
    prompts = made.work.prompts(split, np.arange(3))
    assert (prompts["input_ids"][:, -1] == tokenizer.encode("=", add_special_tokens=False)[0]).all()
    loss, inputs = ours(made, np.arange(8))
    from transformers import AutoModelForCausalLM

    labels = torch.full_like(inputs["input_ids"], -100)
    for row in range(8):
        said = torch.from_numpy(split.ragged("said").row(row).astype(bool))
        labels[row, : len(said)][said] = inputs["input_ids"][row, : len(said)][said]
    plain = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = plain(input_ids=inputs["input_ids"], attention_mask=inputs.get("attention_mask"), labels=labels).loss
    assert loss == pytest.approx(float(theirs), abs=1e-6)


def test_what_ends_a_text_stands_behind_the_target_alone():
    """Also where the tokenizer puts it behind each text, as those of BERT, with which Chinese models write, too."""
    tokenizer = families.bert()
    work = continued_text.Work(Translation(template="word3 {text} word5"), Reader((), tokenizer, 512))
    (ids,) = [work.encode([Row("word1", "word4", "")]).split.ragged("input_ids").row(0).tolist()]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "word3", "word1", "word5", "word4", "[SEP]"]


@pytest.mark.parametrize("template", ["{text} :", "so: {text} :"])
def test_a_beginning_that_is_also_an_end_is_a_beginning(template):
    tokenizer = families._bytes(["</s>"], "</s> $A", bos_token="</s>", eos_token="</s>")  # as OPT has it
    work = continued_text.Work(Translation(template=template), Reader((), tokenizer, 512))
    (ids,) = [work.encode([Row("a", "b", "")]).split.ragged("input_ids").row(0).tolist()]
    assert tokenizer.decode(ids) == f"</s>{template.format(text='a')}b</s>"


def test_a_template_that_leaves_no_room_is_refused(tiny, tiny_llama):
    with pytest.raises(RecipeError, match="the template takes 4 tokens and the longest target 128, of an input's 64"):
        prepared_of(Summarisation(template="{text}\nso:"), Pretrained(model=tiny_llama), tiny("data"))


def test_two_encoders_become_one_model(tiny):
    """Their own weights are taken, what is new is drawn and trains under a method that freezes the rest."""
    from transformers import AutoModel

    embedding = Pretrained(model=tiny("bert"), decoder=tiny("bert"))
    made = prepared_of(Translation(), embedding, tiny("data"), LoRA(rank=2))
    own = AutoModel.from_pretrained(tiny("bert")).state_dict()
    base = made.model.get_base_model()
    for part in (base.encoder, base.decoder.bert):
        assert torch.equal(part.embeddings.word_embeddings.weight, own["embeddings.word_embeddings.weight"])
    trained = {name for name, one in made.model.named_parameters() if one.requires_grad}
    assert any("crossattention.self.query.modules_to_save" in name for name in trained)
    assert any("encoder.encoder.layer.0.attention.self.query.lora_A" in name for name in trained)
    assert base.config.decoder_start_token_id == 2 and made.work.limits()["eos_token_id"] == [3]
    loss, _ = ours(made, np.arange(8))
    assert 2.0 < loss < 8.0
    with pytest.raises(LauncherError, match="has another tokenizer than"):
        prepared_of(Translation(), Pretrained(model=tiny("bert"), decoder=tiny("another bert")), tiny("data"))
