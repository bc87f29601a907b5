"""What readers of exports work out for themselves is what the tasks do: paths of tags, marked texts, templates."""

import json

import numpy as np
import pytest
import torch
from numbered import WORDS
from transformers import PreTrainedTokenizerFast

from launcher.exported.readers import paths, prompt, relation
from launcher.training.data import Row, marks
from launcher.training.model_parts.crf import Chain, best_path, bio_steps, log_marginals
from launcher.training.sources import entity_marks
from launcher.training.tasks.marked_texts import seen_of
from launcher.training.tasks.prompt import Prompt

TAGS = ["O", "I-A", "B-A", "B-B", "I-B", "I-C"]


def reader_of(kind, tokenizer, **about):
    """One without a graph."""
    made = kind.Reader.__new__(kind.Reader)
    made.about, made.tokenizer = {"words": [], "empty": [0], **about}, tokenizer and tokenizer.backend_tokenizer
    return made


@pytest.fixture
def tokenizer(bert):
    return PreTrainedTokenizerFast.from_pretrained(bert)


@pytest.mark.parametrize("seed", range(20))
def test_the_likeliest_path_and_its_shares(seed):
    draw = torch.Generator().manual_seed(seed)
    tokens, tags = seed % 7 + 1, len(TAGS)
    logits = torch.randn(tokens, tags, generator=draw)
    chain = Chain(*(3 * torch.randn(shape, generator=draw) for shape in ((tags, tags), tags, tags)))
    allowed, mask = chain.only(bio_steps(TAGS, torch.device("cpu"))), torch.ones(1, tokens, dtype=torch.bool)
    path = best_path(logits[None], mask, allowed)[0]
    shares = log_marginals(logits[None], mask, allowed)[0].exp().gather(1, path[:, None])[:, 0]
    told, sure = reader_of(paths, None, labels=TAGS)._chosen(logits.numpy(), *(part.numpy() for part in chain))
    assert list(told) == path.tolist()
    assert np.allclose(sure, shares.numpy(), atol=1e-5)


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("max_length", [6, 9, 14, 30, 200])
def test_a_text_around_two_entities(tokenizer, max_length, marked):
    if marked:
        tokenizer.add_tokens(["@", "#"])
        entity_marks.choose(tokenizer, "the model")
    around = marks.marks_of(tokenizer)
    about = {"marks": ["", ""] if around is None else [mark for mark, _ in around]}
    reader = reader_of(relation, tokenizer, unknown=tokenizer.unk_token_id, max_length=max_length, **about)
    draw, cut = np.random.Generator(np.random.Philox(3)), 0
    for _ in range(200):
        words = draw.choice([*WORDS, "unheard", "🙂", "\u200b"], size=draw.integers(1, 25))
        text = draw.choice(["", " ", "  "]) + str(draw.choice([" ", "  "])).join(words)
        spans = sorted(draw.integers(0, len(text) + 1, size=(2, 2)).tolist())
        try:
            given = marks.natural(text, [marks.Span(*sorted(span), "") for span in spans])
            plain, pair = marks.parsed(given)
        except ValueError:
            continue
        (ours,) = seen_of([Row(plain, "", "", None, pair)], tokenizer, max_length)
        theirs = reader._seen(*reader._parsed(given, 1))
        assert (list(theirs.ids), tuple(theirs.places.tolist()), theirs.cut) == (
            ours.tokens,
            ours.places,
            ours.truncated,
        )
        cut += ours.truncated
    assert (cut > 20) == (max_length < 30)


@pytest.mark.parametrize(
    "text",
    [
        "word1",
        "<e1>word1</e1>",
        "<e1>a</e1> <e1>b</e1> <e2>c</e2>",
        "<e1> </e1> <e2>c</e2>",
        "</e1>a<e1> <e2>c</e2>",
        "<e1>a <e2>b</e1> c</e2>",
        "<e1><e2>a</e2></e1>",
    ],
)
def test_a_text_that_is_not_marked_right_is_refused(text):
    with pytest.raises(ValueError, match="text 3: mark each entity once"):
        reader_of(relation, None)._parsed(text, 3)
    with pytest.raises(ValueError):
        marks.parsed(text)


@pytest.mark.parametrize("max_length", [12, 16, 40])
@pytest.mark.parametrize(
    "template", ["{text} word2 {mask} .", "[MASK] {text} word3 {text_pair}: {mask}", "{text} word2 "]
)
def test_a_filled_template(tokenizer, template, max_length):
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    whole = Prompt(template, tokenizer, max_length)
    about = {"parts": whole.parts, "gap": whole.gap, "mask": "[MASK]", "mask_token": tokenizer.mask_token_id}
    about, draw, cut = json.loads(json.dumps(about)), np.random.Generator(np.random.Philox(4)), 0
    reader = reader_of(prompt, tokenizer, max_length=max_length)
    for _ in range(50):
        text, pair = (" ".join(draw.choice([*WORDS, "unheard"], size=draw.integers(0, 20))) for _ in range(2))
        (ours,) = whole.fill([(text, pair)])
        theirs = reader._filled(text, pair, about)
        assert (theirs.ids, theirs.place, theirs.cut) == tuple(ours)
        cut += ours.cut
    assert (cut > 5) == (max_length < 40)
