"""Token accounting: a batch, the same packed, and its rows one at a time have one loss for each token that is learnt.

Of every task of language models, in each kind of body that can do it, from what the task itself collates.
"""

from collections import Counter

import chatting
import families
import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy

from launcher import CausalLanguageModel, Dialogue, MaskedLanguageModel
from launcher.training.data import Row
from launcher.training.data.messages import ASSISTANT, USER, Message, Talk
from launcher.training.model_parts.packing import SPARE, pack
from launcher.training.model_parts.word_places import LOSSES, read_at_words
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Draw, Reader
from launcher.training.tasks.collate import Batches

TASKS = {
    "causal": (CausalLanguageModel(), "CausalLM", ("Llama", "GPT-2", "Qwen2", "Mistral", "Gemma", "Phi", "GPT-NeoX")),
    "dialogue": (Dialogue(), "CausalLM", ("Llama", "GPT-2", "Qwen2")),
    "masked": (MaskedLanguageModel(), "MaskedLM", ("BERT", "RoBERTa", "ModernBERT", "ALBERT", "ELECTRA")),
    "next": (MaskedLanguageModel(next_sentence=True), "PreTraining", ("BERT", "ERNIE")),
}
CASES = [(task, family) for task, (_, _, bodies) in TASKS.items() for family in bodies]
SHAPES = ((9, 1), (3, 2), (1, 1), (6, 2), (4, 3))
"""Words of a sentence, and how many sentences or exchanges, of each row."""


def rows_of_data():
    """Documents and conversations of different lengths."""
    draw = np.random.default_rng(0)
    rows = []
    for words, count in SHAPES:
        texts = [" ".join(draw.choice(families.WORDS, words)) for _ in range(2 * count)]
        roles = (USER, ASSISTANT) * count
        talk = Talk(tuple(Message(role, text) for role, text in zip(roles, texts, strict=True)))
        rows.append(Row(". ".join(texts), "", "", talk=talk))
    return rows


def made(task, family):
    """The task at work, its split, a model of the family that is read at words, and the library's own."""
    noun, auto, _ = TASKS[task]
    name, sizes, tokenizer_of = families.FAMILIES[family]
    tokenizer = chatting.tokenizer(chatting.TRIMS) if task == "dialogue" else tokenizer_of()
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    numbers = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    longer = dict.fromkeys(({"max_position_embeddings", "n_positions"}) & sizes.keys(), 300)
    torch.manual_seed(0)
    config = getattr(transformers, name + "Config")(vocab_size=len(tokenizer), **{**sizes, **longer, **numbers})
    model = getattr(transformers, f"AutoModelFor{auto}").from_config(config).eval()
    work = work_for(noun, Reader((), tokenizer, 256))
    return work, work.encode(rows_of_data()).split, read_at_words(model)


def losses_of(model, work, split, groups, packing=False):
    """Losses of all rows, a group of them at a time, and how many words were asked for: summed, by name."""
    batches, sums, asked, one_by_one = Batches(work, torch.device("cpu"), packing), Counter(), Counter(), []
    for rows in groups:
        inputs, wanted = batches(split, rows, Draw(0, 0))
        assert (SPARE in inputs) == packing
        with torch.no_grad():
            outputs = model(**inputs)
        sums.update({name: float(value) for name, value in work.loss(outputs, wanted).items()})
        asked.update(work.targets(split, rows, Draw(0, 0)))
        one_by_one += [words[weights > 0] for words, weights in zip(outputs[LOSSES], wanted["weights"], strict=True)]
    return {name: sums[name] / asked[name] for name in sums}, asked, torch.cat(one_by_one)


@pytest.mark.parametrize(("task", "family"), CASES)
def test_packed_rows_padded_ones_and_one_at_a_time(task, family):
    work, split, model = made(task, family)
    rows = np.arange(split.rows)
    padded, asked, words = losses_of(model, work, split, [rows])
    alone, asked_alone, words_alone = losses_of(model, work, split, np.split(rows, split.rows))
    pack(model)
    packed, asked_packed, words_packed = losses_of(model, work, split, [rows], packing=True)
    assert asked == asked_alone == asked_packed and len(words) == asked["loss"] > split.rows
    assert padded == pytest.approx(alone, abs=1e-5) and padded == pytest.approx(packed, abs=1e-5)
    assert (words - words_alone).abs().max() < 1e-5 and (words - words_packed).abs().max() < 1e-5
    assert words.std() > 1e-3, "all words have one loss, so that nothing is compared"


@pytest.mark.parametrize(("task", "family"), CASES)
def test_the_library_s_own_loss_of_each_row(task, family):
    """From the logits of the class as transformers has it, unpadded, with labels that are written out here."""
    work, split, model = made(task, family)
    (_, _, words), (rows, library) = losses_of(model, work, split, [np.arange(split.rows)]), (split.rows, type(model))
    told = []
    for row in range(rows):
        inputs, _ = Batches(work, torch.device("cpu"))(split, np.array([row]), Draw(0, 0))
        places, right = inputs.pop("answer_at")[0], inputs.pop("answers")[0]
        with torch.no_grad():
            output = library.forward(model, **inputs)
        logits = (output.prediction_logits if task == "next" else output.logits)[0]
        told.append(cross_entropy(logits[places], right, reduction="none"))
    assert (torch.cat(told) - words).abs().max() < 1e-5
