"""Packed rows have the states and the gradients of padded ones, in every family that is accepted."""

import families
import pytest
import torch
from torch import nn

from launcher.errors import PlanError
from launcher.training.model_parts.packed_layout import Layout
from launcher.training.model_parts.packing import SPARE, pack
from launcher.training.model_parts.recompute import recompute

LENGTHS = torch.tensor([20, 3, 7, 12, 1])
MASK = (torch.arange(20)[None] < LENGTHS[:, None]).long()
PLACES = torch.zeros(5, int((MASK == 0).sum()) // 5, dtype=torch.int8)
"""57 of 100 hold no token, 11 of each row."""
PACKED = (
    *("BERT", "RoBERTa", "ALBERT", "ELECTRA", "DistilBERT", "ModernBERT", "MobileBERT", "ERNIE", "CamemBERT", "XLM-R"),
    *("GPT-2", "Llama", "Qwen2", "OPT", "GPT-NeoX", "GPT-J", "CTRL", "Gemma", "Phi", "Mistral"),
)
"""Those that can; the others are refused."""
HEADLESS = ("CTRL", "OPT", "GPT-J")
OTHERS = sorted(families.FAMILIES.keys() - set(PACKED) - {"LED", "T5", "mT5"})


def made(family, **settings):
    """A token classifier of the family without dropout."""
    import transformers

    name, sizes, tokenizer_of = families.FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, name + "Config")(vocab_size=len(tokenizer_of()), **{**sizes, **settings})
    config.pad_token_id = config.pad_token_id or 0
    model = transformers.AutoModelForTokenClassification.from_config(config)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    ids = torch.randint(5, config.vocab_size, MASK.shape) * MASK + config.pad_token_id * (1 - MASK)
    return model.train(), {"input_ids": ids, "attention_mask": MASK}


def passed(model, inputs):
    """Outputs of the tokens, and every gradient."""
    model.zero_grad()
    logits = model(**inputs).logits
    (logits**3 * MASK[..., None]).sum().backward()
    return logits.detach()[MASK.bool()], {
        name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad
    }


@pytest.mark.parametrize("family", [name for name in PACKED if name not in HEADLESS])
def test_outputs_and_gradients_are_those_of_padded_rows(family):
    model, inputs = made(family)
    logits, gradients = passed(model, inputs)
    packing = pack(model)
    lengths = []
    first = next(part for part in packing.layers.modules() if isinstance(part, nn.ModuleList))
    first[0].register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[:2]))
    for _ in range(2):
        packed, own = passed(model, {**inputs, SPARE: PLACES})
        assert (packed - logits).abs().max() < 1e-5
        largest = max(float(one.abs().max()) for one in gradients.values())
        for name, gradient in gradients.items():
            assert (own[name] - gradient).abs().max() <= 1e-5 * largest, name
        if model.supports_gradient_checkpointing:
            recompute(model)  # the second time with what is computed again in the backward pass
    assert set(lengths) == {(1, 45)}, "the layers see one sequence of all tokens and less than one place a row more"
    again, _ = passed(model, inputs)
    assert torch.equal(again, logits), "without the spare places everything is as it was"


@pytest.mark.parametrize("family", HEADLESS)
def test_bodies_without_a_head_for_tokens(family):
    import transformers

    name, sizes, tokenizer_of = families.FAMILIES[family]
    config = getattr(transformers, name + "Config")(vocab_size=len(tokenizer_of()), **sizes)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    inputs = {"input_ids": 3 + torch.arange(100).view(5, 20) % 20, "attention_mask": MASK}
    with torch.no_grad():
        padded = model(**inputs).logits
        pack(model)
        packed = model(**inputs, **{SPARE: PLACES}).logits
    assert (packed - padded)[MASK.bool()].abs().max() < 1e-5


@pytest.mark.parametrize("family", ["Mistral", "ModernBERT"])
def test_windows_are_looked_through_within_each_row(family):
    model, inputs = made(family, **({"sliding_window": 4} if family == "Mistral" else {"local_attention": 4}))
    wide, _ = made(family, **({"sliding_window": 40} if family == "Mistral" else {"local_attention": 80}))
    logits, gradients = passed(model, inputs)
    assert (passed(wide, inputs)[0] - logits).abs().max() > 1e-3, "the window hides nothing here"
    pack(model)
    packed, own = passed(model, {**inputs, SPARE: PLACES})
    assert (packed - logits).abs().max() < 1e-5
    assert all(gradient.isfinite().all() for gradient in own.values())
    largest = max(float(one.abs().max()) for one in gradients.values())
    assert max(float((own[name] - one).abs().max()) for name, one in gradients.items()) <= 1e-5 * largest


@pytest.mark.parametrize("family", OTHERS)
def test_bodies_that_cannot_are_refused(family):
    import transformers

    name, sizes, tokenizer_of = families.FAMILIES[family]
    config = getattr(transformers, name + "Config")(vocab_size=len(tokenizer_of()), **sizes)
    with torch.device("meta"):
        model = getattr(transformers, name + "Model")(config)
    with pytest.raises(PlanError, match="rows cannot be packed: it ") as refused:
        pack(model)
    assert refused.value.problems[0].where == "training.packing"


def test_rows_become_a_sequence_and_rows_again():
    layout = Layout.of(torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]]), 3)
    assert layout.places.tolist() == [0, 1, 2, 3, 6, 7]
    values = torch.arange(18.0).view(3, 3, 2).requires_grad_()
    sequence = layout.packed(values)
    assert sequence[0, :, 0].tolist() == [0, 2, 4, 6, 12, 14]
    assert layout.positions().tolist() == [[0, 1, 2, 0, 0, 1]]
    rows = layout.apart(sequence)
    assert torch.equal(rows, values * layout.mask[..., None])
    (rows * torch.arange(18.0).view(3, 3, 2)).sum().backward()
    assert torch.equal(values.grad, torch.arange(18.0).view(3, 3, 2) * layout.mask[..., None])
    read = Layout.read(layout.as_mask(), 3)
    assert torch.equal(read.mask, layout.mask)
    assert torch.equal(read.places, layout.places)


def test_places_that_are_left_over_take_no_part():
    layout = Layout.of(torch.tensor([[1, 1, 1], [1, 1, 0]]), 0)
    assert layout.places.tolist() == [0, 1, 2, 3, 4, 6]
    values = torch.rand(2, 3, 2, requires_grad=True)
    rows = layout.apart(layout.packed(values))
    assert torch.equal(rows, values * layout.mask[..., None])
    rows.sum().backward()
    assert torch.equal(values.grad, layout.mask[..., None].expand(2, 3, 2).float())


@pytest.mark.parametrize(("family", "auto"), [("Llama", "CausalLM"), ("GPT-2", "CausalLM"), ("BERT", "PreTraining")])
def test_losses_of_words_are_the_same_token_for_token(family, auto):
    import transformers

    from launcher.training.model_parts.word_places import read_at_words

    name, sizes, tokenizer_of = families.FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, name + "Config")(vocab_size=len(tokenizer_of()), **sizes)
    model = read_at_words(getattr(transformers, f"AutoModelFor{auto}").from_config(config)).eval()
    ids = 5 + torch.arange(100).view(5, 20) % 23
    words = torch.where(MASK[:, 1:].bool(), ids[:, 1:], -100)
    inputs = {"input_ids": ids * MASK, "attention_mask": MASK, "answers": words}
    inputs["answer_at"] = torch.arange(-20, -1).expand(5, 19)
    padded = model(**inputs)
    padded.token_losses.sum().backward()
    gradients = {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    pack(model)
    packed = model(**inputs, **{SPARE: PLACES})
    packed.token_losses.sum().backward()
    assert int((padded.token_losses > 0).sum()) == 43 - 5
    for key, values in padded.items():
        assert (packed[key] - values).abs().max() < 1e-5, key
    largest = max(float(one.abs().max()) for one in gradients.values())
    for key, parameter in model.named_parameters():
        if key in gradients:
            assert (parameter.grad - gradients[key]).abs().max() <= 1e-5 * largest, key
