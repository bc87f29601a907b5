"""Texts in templates: scores as computed by hand, the text cut and never the template, words that are one token."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from at_work import work_of
from matrix import METHODS, outcome
from speaking import make, word_level

import launcher
from launcher import (
    Full,
    HeadOnly,
    LauncherError,
    LoRA,
    PlanError,
    PrefixTuning,
    Pretrained,
    Prompted,
    PromptTuning,
    Recipe,
    Table,
    Training,
)
from launcher.launch.request import Request
from launcher.launch.verify import verify
from launcher.plan.placement import Placement
from launcher.recipe.recipe import resolve
from launcher.training import suitable
from launcher.training.data import Row
from launcher.training.data.corpus import read_corpus
from launcher.training.data.splitting import few
from launcher.training.initial_model import initial_model
from launcher.training.methods import method_work
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.model_parts.word_place import read_at_word
from launcher.training.prepare import prepare
from launcher.training.report.data_view import inspect
from launcher.training.tasks.collate import Batches

MASKED, CAUSAL = "{text} word2 {mask} .", "{text} word2 "
WORDS = {"good": "word0", "bad": ("word1", "word3")}


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speaking")
    torch.set_num_threads(1)
    return functools.cache(lambda kind: make(kind, folder / kind))


@pytest.fixture(autouse=True)
def here(cache, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def recipe_of(data, model, template, words=WORDS, peft=None, task=None, embedding=None, **rows):
    recipe = Recipe(
        task=Prompted(template=template, words=words, **(task or {})),
        data=Table(train=str(data / "texts.tsv"), **rows),
        embedding=Pretrained(model=model, **(embedding or {})),
        peft=peft or Full(),
        training=Training(batch_size=8, dropout=0.0),
    )
    return resolve(recipe, Path("recipe.py"), "", {}).recipe


def whats(recipe):
    """All that is said against it."""
    with pytest.raises(LauncherError) as caught:
        suitable.look(recipe, prepare(recipe))
    return [(problem.what, problem.where, problem.do) for problem in caught.value.problems]


@pytest.mark.parametrize("nothing", [None, "word7 word9"])
@pytest.mark.parametrize(("kind", "template"), [("bert", MASKED), ("gpt2", CAUSAL), ("llama", CAUSAL)])
def test_scores_and_loss_are_those_of_the_plain_model(data, model_of, kind, template, nothing):
    """Computed by hand: each filled template alone through transformers' class, at the mask or the last token."""
    recipe = recipe_of(data, model_of(kind), template, task={"calibrate_by": nothing})
    tokenizer = word_level(kind)
    auto = transformers.AutoModelForMaskedLM if kind == "bert" else transformers.AutoModelForCausalLM
    plain = auto.from_pretrained(model_of(kind)).eval()

    def by_hand(text):
        ids = tokenizer(template.format(text=text, mask="[MASK]")).input_ids
        at = ids.index(tokenizer.mask_token_id) if kind == "bert" else -1
        with torch.no_grad():
            scores = plain(torch.tensor([ids])).logits[0, at].log_softmax(-1)
        good, bad, other = (scores[tokenizer.convert_tokens_to_ids(word)] for word in ("word0", "word1", "word3"))
        return torch.stack([good, (bad + other) / 2])

    texts = ["word5 word6 word8", "word4", "word10 word11 word12 word13 word14"]
    expected = torch.stack([by_hand(text) for text in texts]).log_softmax(-1)
    if nothing is not None:
        expected = (expected - by_hand(nothing).log_softmax(-1)).log_softmax(-1)
    prepared = prepare(recipe)
    model = initial_model(recipe, prepared["labels"], Path(prepared["folder"])).eval()
    seen = []
    model.get_output_embeddings().register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    work = work_of(recipe.task, prepared["labels"], prepared_tokenizer(prepared))
    split = work.encode([Row(text, label, "") for text, label in zip(texts, ["bad", "good", "bad"], strict=True)]).split
    inputs, wanted = Batches(work, torch.device("cpu"))(split, np.arange(3))
    with torch.no_grad():
        outputs = outputs_of(model, inputs, work.outputs)
    assert seen == [(3 + (nothing is not None), 1, 32)], "the head computes at one place of each row"
    assert prepared["labels"] == ["good", "bad"] and wanted["labels"].tolist() == [1, 0, 1]
    assert torch.allclose(work.logits(outputs).log_softmax(-1), expected, atol=1e-5)
    assert float(work.loss(outputs, wanted)["loss"]) == pytest.approx(-float(expected[[0, 1, 2], [1, 0, 1]].sum()))
    assert np.allclose(work.detail(outputs, wanted)["probabilities"], expected.exp(), atol=1e-5)


def prepared_tokenizer(prepared):
    return transformers.PreTrainedTokenizerFast.from_pretrained(f"{prepared['folder']}/tokenizer")


@pytest.mark.parametrize("kind", ["bert", "llama"])
@pytest.mark.parametrize(
    "method", [LoRA(), PromptTuning(tokens=3), PromptTuning(tokens=3, hidden=4), PrefixTuning(tokens=2)]
)
def test_a_word_is_read_at_its_place_whatever_a_method_puts_before_the_text(model_of, kind, method):
    auto = transformers.AutoModelForMaskedLM if kind == "bert" else transformers.AutoModelForCausalLM
    applied = method_work(method).apply(read_at_word(auto.from_pretrained(model_of(kind))), []).eval()
    ids, place = torch.arange(5, 26).view(3, 7), torch.tensor([-1, -3, -5])
    with torch.no_grad():
        everywhere, there = applied(input_ids=ids).logits, applied(input_ids=ids, answer_at=place).logits
    assert everywhere.shape[:2] == (3, 7)
    torch.testing.assert_close(there, everywhere[torch.arange(3), 7 + place], atol=1e-6, rtol=0)


class TestTheTextIsCut:
    def filled(self, kind, template, rows, longest):
        task = Prompted(template=template, words={"a": "word0", "b": "word1"})
        work = work_of(task, ["a", "b"], word_level(kind), longest)
        made = work.encode([Row(text, "a", "", pair) for text, pair in rows])
        split = made.split
        return [work.tokens_of(split, n) for n in range(split.rows)], split.columns["answer_at"].tolist(), made

    def test_and_never_the_template(self):
        rows = [("word4 word5 word6 word7", None), ("word4", None), ("[MASK] word5 [MASK]", None)]
        tokens, places, made = self.filled("bert", "word8 {text} word2 {mask} .", rows, 8)
        assert tokens[0] == ["[CLS]", "word8", "word4", "word5", "word2", "[MASK]", ".", "[SEP]"]
        assert tokens[1] == ["[CLS]", "word8", "word4", "word2", "[MASK]", ".", "[SEP]"]
        assert tokens[2] == ["[CLS]", "word8", "[MASK]", "word5", "word2", "[MASK]", ".", "[SEP]"]
        assert places == [5, 4, 5] and made.truncated.tolist() == [True, False, True]

    def test_of_a_pair_the_longer_one_first(self):
        rows = [("word4 word5", "word6 word7 word8 word9"), ("word4 word5 word6 word9", "")]
        tokens, places, made = self.filled("gpt2", "{text} : {text_pair} word2", rows, 6)
        assert list(map(" ".join, tokens)) == ["word4 word5 : word6 word7 word2", "word4 word5 word6 word9 : word2"]
        assert places == [5, 5] and made.truncated.tolist() == [True, False]

    def test_and_shown_so(self, data, model_of):
        view = inspect(recipe_of(data, model_of("bert"), MASKED, embedding={"max_length": 8}), 1, None)
        shown = [one["token"] for one in view["examples"]["train"][0]["tokens"]]
        assert shown[-4:] == ["word2", "[MASK]", ".", "[SEP]"] and len(shown) <= 8
        assert view["splits"]["train"]["truncated"] > 0


class TestWhatIsRefused:
    def test_words_that_are_no_token_are_named_together(self, data, model_of):
        words = {"good": ("word", "很好", "word5"), "bad": ("word0x", "word6")}
        told = whats(recipe_of(data, model_of("bert"), MASKED, words=words))
        assert [what for what, _, _ in told] == [
            "the model's tokenizer does not know 'word', the word of 'good'",
            "the model's tokenizer cuts '很好', the word of 'good', into '很', '好'",
            "the model's tokenizer does not know 'word0x', the word of 'bad'",
        ]
        assert {where for _, where, _ in told} == {"task.words"}
        assert "such as '很', '好'" in told[1][2] and "'word0'" in told[2][2]

    def test_two_words_that_are_one_token(self, data, model_of):
        told = whats(recipe_of(data, model_of("bert"), MASKED, words={"good": "word5", "bad": "word5 "}))
        assert told[0][0] == "'word5 ' of 'bad' and 'word5' of 'good' are one token to the model"

    def test_words_are_told_with_what_is_wrong_in_the_data(self, data, model_of, tmp_path):
        bad = tmp_path / "bad.tsv"
        bad.write_text((data / "texts.tsv").read_text() + "word1\tneither\n")
        recipe = recipe_of(data, model_of("bert"), MASKED, words={"good": "word0x", "bad": "word1"})
        for train in (bad, tmp_path / "missing.tsv"):
            with pytest.raises(LauncherError) as caught:
                prepare(replace(recipe, data=Table(train=str(train))))
            first, second = caught.value.problems
            assert "neither" in first.what or "missing.tsv" in str(first)
            assert (second.what, second.where) == (
                "the model's tokenizer does not know 'word0x', the word of 'good'",
                "task.words",
            )

    @pytest.mark.parametrize(
        ("kind", "template", "what", "do"),
        [
            ("gpt2", MASKED, "the template has {mask}, and the model has no mask", "end where the word is to come"),
            ("bert", CAUSAL, "is of the kind 'bert', which fills masks and continues no text", "write {mask}"),
            (
                "bert",
                "word2 " * 70 + MASKED,
                "the template takes 75 tokens alone, and the longest input has 64",
                "shorter",
            ),
        ],
    )
    def test_a_template_that_the_model_cannot_read(self, data, model_of, kind, template, what, do):
        ((told, where, cure),) = whats(recipe_of(data, model_of(kind), template, embedding={"max_length": 64}))
        assert what in told and where == "task.template" and do in cure

    def test_a_model_without_its_head(self, data, model_of, tmp_path):
        transformers.BertModel(transformers.AutoConfig.from_pretrained(model_of("bert"))).save_pretrained(tmp_path)
        word_level("bert").save_pretrained(tmp_path)
        ((what, where, do),) = whats(recipe_of(data, str(tmp_path), MASKED))
        assert "holds no head for words" in what and where == "embedding.model" and "as a BertForMaskedLM" in do

    def test_a_missing_space_is_warned_of(self, data, model_of):
        prepared = prepare(recipe_of(data, model_of("gpt2"), "{text} word2 :"))
        assert "read 'word2 :word0': is there a space missing?" in prepared["report"]["warnings"][-1]
        assert not any(
            "space" in said for said in prepare(recipe_of(data, model_of("gpt2"), CAUSAL))["report"]["warnings"]
        )


def test_the_space_before_a_word_counts_to_the_word():
    """With byte-level tokens, as GPT-2 has them, ` b` and `b` are two different tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = {token: n for n, token in enumerate([*sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġb", "ad", "Ġbad"])}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[("Ġ", "b"), ("a", "d"), ("Ġb", "ad")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="!")
    asked = {
        ("x{text}:", " bad"): ("Ġbad", ":"),
        ("x{text}: ", "bad"): ("Ġbad", ":"),
        ("x{text}:", "b"): ("b", ":"),
        ("{text}", " b"): ("Ġb", "y"),
        ("{{x}} {text}: ", "bad"): ("Ġbad", ":"),
    }
    for (template, word), (token, last) in asked.items():
        work = work_of(Prompted(template=template, words={"one": word, "two": "z"}), ["one", "two"], fast)
        assert fast.convert_ids_to_tokens(work.tokens[0]) == [token] and not list(work.problems())
        split = work.encode([Row("y", "one", "")]).split
        assert work.tokens_of(split, 0)[-1] == last and split.columns["answer_at"].tolist() == [split.cost[0] - 1]
    work = work_of(Prompted(template="{text}:", words={"one": "bad", "two": "z"}), ["one", "two"], fast)
    (problem,) = work.problems()
    assert problem.what == "the model's tokenizer cuts 'bad', the word of 'one', into 'b', 'ad'"
    assert "'ad'" in problem.do


class TestWhatTrains:
    def test_every_method_that_has_something_to_train(self, data, model_of, tmp_path):
        for kind, template, names in (("bert", MASKED, [*METHODS]), ("llama", CAUSAL, ["LoRA", "Adapter"])):
            for name in names:
                assert (
                    outcome(recipe_of(data, model_of(kind), template, peft=METHODS[name]), tmp_path / "model")
                    == "trains"
                )

    def test_head_only_is_the_head_that_the_model_came_with(self, data, model_of):
        def trained(kind, template):
            recipe = recipe_of(data, model_of(kind), template, peft=HeadOnly())
            prepared = prepare(recipe)
            model = initial_model(recipe, prepared["labels"], Path(prepared["folder"]))
            return [name for name, parameter in model.named_parameters() if parameter.requires_grad]

        transform = ["dense.weight", "dense.bias", "LayerNorm.weight", "LayerNorm.bias"]
        masked = ["cls.predictions.bias", *(f"cls.predictions.transform.{name}" for name in transform)]
        assert trained("bert", MASKED) == masked and trained("llama", CAUSAL) == ["lm_head.weight"]
        ((what, where, _),) = whats(recipe_of(data, model_of("gpt2"), CAUSAL, peft=HeadOnly()))
        assert (
            what == "HeadOnly trains the head, and that of this 'gpt2' model is its table of tokens" and where == "peft"
        )


def test_shots_are_a_function_of_the_seed(data):
    def kept(seed, shots=5):
        table = Table(train=str(data / "texts.tsv"), shots=shots, split_seed=seed)
        corpus = read_corpus(table, launcher.TextClassification())
        return corpus, [row.where for row in corpus.splits["train"]]

    (corpus, one), (_, same), (_, other) = kept(0), kept(0), kept(1)
    assert one == same != other and len(one) == 10
    assert {label: sum(row.label == label for row in corpus.splits["train"]) for label in ("good", "bad")} == {
        "good": 5,
        "bad": 5,
    }
    assert len(corpus.splits["test"]) == 20, "the other splits are cut from all rows"
    assert set(kept(0, 3)[1]) < set(one), "fewer shots are among more"
    assert few(Table(train="x"), corpus.splits["train"]) == corpus.splits["train"]
    many, _ = kept(0, 80)
    assert many.report["warnings"][-1].startswith("train holds fewer than data.shots=80 rows of ")


def test_without_training_a_model_is_tested_saved_and_asked(warm, data):
    run = warm.finished("masked", "Full", "fsdp2", 2, epochs=0)
    metrics = run.outcome["metrics"]
    assert run.outcome["steps"] == 0 == len(run.losses) and metrics["before"] == metrics["test"]
    assert run.outcome["proof"]["largest_logit_difference_from_training"] <= 1e-5
    assert run.outcome["selected_step"] == 0 and metrics["validation"]["accuracy"] >= 0
    alone = warm.finished("masked", "Full", epochs=0)
    assert alone.outcome["metrics"]["test"]["loss"] == pytest.approx(metrics["test"]["loss"], abs=1e-6)
    folder = run.folder.path
    (answer,) = launcher.predict(folder.name, ["word4 word6"], folder.parent)
    assert set(answer["probabilities"]) == {"good", "bad"} and sum(answer["probabilities"].values()) == pytest.approx(1)
    given = launcher.evaluate(str(folder), data=str(data / "texts.tsv"))
    assert given["examples"] == 203 and 0 < given["loss"] < 2
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder / "model")
    assert torch.equal(model.cls.predictions.decoder.weight, model.bert.embeddings.word_embeddings.weight)
    assert "id2label" not in json.loads((folder / "model/config.json").read_text())
    card = (folder / "model/README.md").read_text()
    assert "pipeline_tag: fill-mask" in card and "AutoModelForMaskedLM" in card
    assert json.loads((folder / "model/launcher.json").read_text())["recipe"]["task"]["template"].endswith("{mask} .")


def test_a_trained_one_learns_and_answers(warm):
    run = warm.finished("causal", "Full", "single", 1, max_steps=50)
    metrics = run.outcome["metrics"]
    assert metrics["test"]["accuracy"] >= 0.7 and metrics["test"]["loss"] < metrics["before"]["loss"] - 0.05
    told = launcher.predict(run.folder.name, ["word2 word4 word8", "word1 word5"], run.folder.path.parent)
    assert [one["label"] for one in told] == ["good", "bad"]


def test_verify_has_no_losses_to_compare_without_training(write_recipe, tmp_path):
    path = write_recipe("Pretrained(model='a/model')", kind="masked")
    path.write_text(path.read_text().replace("epochs=5", "epochs=0"))
    request = Request(path, {}, Placement(), "x", tmp_path / "runs")
    with pytest.raises(PlanError) as caught:
        verify(request, ["ddp"], [2], 3, print)
    (problem,) = caught.value.problems
    assert "trains nothing" in problem.what and problem.where.endswith("small.py:8")
