"""Heads of spans: the bodies of language models under them, trained ones as they are, and static vectors' marks."""

from pathlib import Path

import pytest
import torch
import transformers
from families import FAMILIES
from safetensors import safe_open

from launcher.recipe.declared import SPAN_ENDS
from launcher.recipe.source import BiLSTM, Pretrained, RandomVectors, Transformer
from launcher.recipe.task import QuestionAnswering
from launcher.training.memory.meta_model import build_hollow
from launcher.training.sources import build_model, build_tokenizer, load_model, new_modules, said_of

TASK = QuestionAnswering()


def saved(family, head, folder):
    """A model of this family with that head, and its tokenizer; the model itself."""
    name, settings, tokenizer_of = FAMILIES[family]
    tokenizer = tokenizer_of()
    torch.manual_seed(0)
    model = getattr(transformers, name + head)(
        getattr(transformers, name + "Config")(vocab_size=len(tokenizer), **settings)
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("family", "head"),
    [("Llama", "ForCausalLM"), ("Qwen2", "ForCausalLM"), ("Qwen2", "Model"), ("GPT-2", "LMHeadModel")],
)
def test_a_language_models_body_is_loaded_under_a_head_of_spans(tmp_path, family, head):
    source = saved(family, head, tmp_path / "model")
    embedding = Pretrained(model=str(tmp_path / "model"))
    build_tokenizer(embedding, TASK, [], tmp_path)
    model = build_model(embedding, TASK, SPAN_ENDS, tmp_path, None)
    body, same = getattr(source, "base_model", source).state_dict(), model.base_model.state_dict()
    assert body.keys() == same.keys() and all(torch.equal(value, same[name]) for name, value in body.items())
    assert new_modules(model) == ["qa_outputs"] == new_modules(build_hollow(embedding, TASK, SPAN_ENDS, tmp_path, None))
    model.save_pretrained(tmp_path / "saved")
    with safe_open(tmp_path / "saved/model.safetensors", "np") as file:
        assert {name.split(".")[0] for name in file.keys()} == {model.base_model_prefix, "qa_outputs"}  # noqa: SIM118
    for again in (
        load_model(tmp_path / "saved", TASK),
        transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "saved"),
    ):
        assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_t5s_body_is_not_taken_for_its_head(tmp_path):
    saved("T5", "Model", tmp_path / "model")
    embedding = Pretrained(model=str(tmp_path / "model"))
    build_tokenizer(embedding, TASK, [], tmp_path)
    assert new_modules(build_model(embedding, TASK, SPAN_ENDS, tmp_path, None)) == ["qa_outputs"]
    assert new_modules(build_hollow(embedding, TASK, SPAN_ENDS, tmp_path, None)) == ["qa_outputs"]


def test_a_trained_head_of_spans_is_kept_whatever_it_calls_its_rows(tmp_path):
    source = saved("BERT", "ForQuestionAnswering", tmp_path / "model")
    embedding = Pretrained(model=str(tmp_path / "model"))
    build_tokenizer(embedding, TASK, [], tmp_path)
    model = build_model(embedding, TASK, SPAN_ENDS, tmp_path, None)
    assert torch.equal(model.qa_outputs.weight, source.qa_outputs.weight)
    assert said_of(model) == "the head is the checkpoint's, its rows taken by name: start, end"


@pytest.mark.parametrize(
    "encoder", [BiLSTM(hidden=8), Transformer(hidden=8, heads=2)], ids=lambda encoder: encoder.kind
)
def test_static_vectors_read_question_and_context_as_one_and_see_what_both_have(tmp_path: Path, encoder):
    embedding = RandomVectors(dimension=6, tokens="words", encoder=encoder)
    build_tokenizer(embedding, TASK, [("one two", "three one four two five")], tmp_path)
    torch.manual_seed(0)
    model = build_model(embedding, TASK, SPAN_ENDS, tmp_path, None).eval()
    assert "marks" in new_modules(model)
    ids, types = torch.tensor([[2, 3, 4, 2, 5]]), torch.tensor([[0, 0, 1, 1, 1]])
    seen = []
    model.marks.vectors.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    padded = torch.nn.functional.pad(torch.stack([ids, types]), (0, 2))
    mask = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    with torch.no_grad():
        alone = model(input_ids=ids, token_type_ids=types)
        beside = model(input_ids=padded[0], token_type_ids=padded[1], attention_mask=mask)
        other = model(input_ids=ids, token_type_ids=torch.zeros_like(types))
    assert seen[0][0].tolist() == [[0, 1], [0, 0], [1, 0], [1, 1], [1, 0]]  # whose a token is; whether both have it
    assert (alone.start_logits - beside.start_logits[:, :5]).abs().max() < 1e-6
    assert (alone.end_logits - other.end_logits).abs().max() > 1e-4
    model.save_pretrained(tmp_path / "saved")
    again = load_model(tmp_path / "saved", TASK).eval()
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids, token_type_ids=types).start_logits, alone.start_logits)
