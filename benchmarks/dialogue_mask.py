"""Of 1,000 conversations in four formats: do the tokens that are learnt decode to the replies, and nothing else?

    python benchmarks/dialogue_mask.py TOKENIZER [FORMAT=FILE …]

A format is a name for the table. The replies are read from the files by the few lines below, which know each format by
its columns, and not by the launcher; the tokens are those of the prepared rows. Each conversation that fits into 4,096
tokens is judged: the runs of learnt tokens, decoded, must be the replies with the end of a turn behind each, in order,
and all other tokens none of them. The ids are also compared with those of `apply_chat_template`.
"""

import json
import sys
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from transformers import AutoTokenizer

from launcher import Conversations, Dialogue
from launcher.training.batches.split import TOKENS
from launcher.training.data import read_corpus
from launcher.training.sources import chat_template
from launcher.training.tasks.base import Reader, encoded
from launcher.training.tasks.dialogue import Work
from launcher.training.tasks.words_said import SAID

MOST, LONGEST = 1000, 4096
SAYS = {"assistant", "gpt", "function_call"}


def replies_of(row):
    """The replies of one row of a file, by its columns."""
    if "output" in row:
        return [row["output"]]
    if "response" in row:
        return [row["response"]]
    turns = row.get("messages") or row["conversations"]
    return [turn.get("content", turn.get("value")) for turn in turns if turn.get("role", turn.get("from")) in SAYS]


def rows_in(path):
    """The objects of a JSON file."""
    text = Path(path).read_text(encoding="utf-8")
    return json.loads(text) if text.startswith("[") else list(map(json.loads, text.splitlines()))


def judged(path, tokenizer):
    """How many conversations of a file were compared, and of how many all replies were right; likewise their ids."""
    task, whole = Dialogue(broken="skip", too_long="skip"), Conversations(train=path, test_size=1, validation_size=1)
    rows, objects = read_corpus(whole, task).splits["train"], rows_in(path)
    work = Work(task, Reader((), tokenizer, LONGEST))
    counts = dict.fromkeys(("conversations", "right", "replies", "tokens", "learnt", "same ids", "too long"), 0)
    for row in rows[:MOST]:
        split = encoded(work, [row]).split
        if not split.rows:
            counts["too long"] += 1
            continue
        ids, said = split.ragged(TOKENS).row(0).tolist(), (split.ragged(SAID).row(0) > 0).tolist()
        wanted = replies_of(objects[int(row.where.rsplit(" ", 1)[1].replace(",", "")) - 1])
        runs = [
            [token for token, _ in run]
            for learnt, run in groupby(zip(ids, said, strict=True), key=itemgetter(1))
            if learnt
        ]
        found = [tokenizer.decode(run[:-1]) for run in runs]
        messages = [{"role": message.role, "content": message.said} for message in row.talk.messages]
        counts["conversations"] += 1
        counts["right"] += list(map(same, found)) == list(map(same, wanted)) and ends(runs, tokenizer)
        counts["replies"] += len(wanted)
        counts["tokens"] += len(ids)
        counts["learnt"] += sum(said)
        counts["same ids"] += tokenizer.apply_chat_template(messages, return_dict=False) == ids
    return counts


def same(reply):
    """A reply without the white space around it; of a call what its JSON says, whatever its spaces."""
    return json.dumps(json.loads(reply)) if reply.startswith('{"name"') else reply.strip()


def ends(runs, tokenizer):
    """Whether each ends with the template's token for the end of a turn."""
    return {tokenizer.convert_ids_to_tokens(run[-1]) for run in runs} == {"<|im_end|>"}


if __name__ == "__main__":
    own = AutoTokenizer.from_pretrained(sys.argv[1])
    chat_template.choose(own, None)
    for about in sys.argv[2:]:
        name, _, path = about.partition("=")
        print(name, json.dumps(judged(path, own)), flush=True)
