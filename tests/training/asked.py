"""Questions at work without a run: a small tokenizer, rows made by hand, what was kept or computed of their windows."""

import numpy as np
import torch
from at_work import work_of

from launcher import QuestionAnswering
from launcher.training.data import Row
from launcher.training.data.spans import Span
from launcher.training.tasks.base import Kept, encoded

ENDS = ("start", "end")


def tokenizer_of(kind):
    """A small tokenizer of this kind that knows some of the characters: the others are pieces, bytes, or unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    if kind == "bytes":
        made = Tokenizer(
            models.BPE({c: n for n, c in enumerate(["<s>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}, [])
        )
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<s>", bos_token="<s>")
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"天地玄黄宇宙abcxyz,.", *(f"##{c}" for c in "abcxyz1"), "ab"]
    made = Tokenizer(models.WordPiece({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def asking(tokenizer=None, max_length=24, **options):
    return work_of(QuestionAnswering(**options), ENDS, tokenizer or tokenizer_of("pieces"), max_length)


def row(question, context, *answers):
    """A question whose answers stand in the context."""
    spans = tuple(Span(context.index(text), context.index(text) + len(text), "answer") for text in answers)
    return Row(question, answers, "", context, spans)


def kept_of(split, *windows):
    """What was kept of windows: the characters of the best answer (None: no token), its score, and that of none."""
    spans = []
    for number, (place, _, _) in enumerate(windows):
        begins, ends = split.ragged("begins").row(number).tolist(), split.ragged("ends").row(number).tolist()
        spans.append(
            [-1, -1]
            if place is None
            else [max(i for i, b in enumerate(begins) if b == place[0] and ends[i]), ends.index(place[1])]
        )
    score, none = (np.array([each[at] for each in windows], np.float32) for at in (1, 2))
    return Kept({"span": np.array(spans, np.int32), "score": score, "none": none})


def told(work, text, **logits):
    """The answer to one text from logits by character of the context; all else is unlikely."""
    made = encoded(work, [work.example(text)])
    split, outputs = made.split, {}
    for name in ("start", "end"):
        values = np.full((split.rows, int(split.cost.max())), -9.0, dtype=np.float32)
        values[:, 0] = logits.get("none", -9.0)
        for window in range(split.rows):
            for token, (begin, end) in enumerate(
                zip(split.ragged("begins").row(window), split.ragged("ends").row(window), strict=True)
            ):
                place = begin if name == "start" else end
                if end and place in logits[name]:
                    values[window, token] = logits[name][place]
        outputs[f"{name}_logits"] = torch.from_numpy(values)
    wanted = {
        name: torch.from_numpy(values) for name, values in work.collate(split, np.arange(split.rows), None).items()
    }
    values = {**work.keep(outputs, wanted), **work.detail(outputs, wanted)}
    return work.tell(text, split, np.arange(split.rows), Kept(values, values, np.arange(split.rows)))
