"""Streamed runs as a user starts them: one curve on any number of processes, and the same bits after a kill -9."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from command_line import Lent
from families import _bytes
from made_corpora import texts

import launcher
from launcher import CausalLanguageModel, DataError, Texts
from launcher.cli import run
from launcher.training.data import read_corpus

RECIPE = """import os, pathlib, signal, time
from launcher import *

recipe = Recipe(
    task=CausalLanguageModel(),
    data=Texts(train={{"lines": {folder!r} + "/*.txt", "objects": {folder!r} + "/c.jsonl"}},
               weights={{"lines": 3, "objects": 1}}, streaming=True, validation_size=10, test_size=10),
    embedding=Pretrained(model={folder!r} + "/model", max_length=24),
    peft=Full(),
    training=Training(max_steps=9, batch_size=8, dropout=0, learning_rate=1e-3, log_every=1, checkpoint_every=4),
)

victim = pathlib.Path({folder!r}, "victim")
if os.environ.get("RANK") == "1" and victim.exists():
    from launcher.training.loop import Loop

    step = Loop._step
    def killed(self, rows):
        if self.state.step == 6 and victim.exists():
            victim.unlink()
            run = pathlib.Path({folder!r}, "killed")
            while not any(run.rglob("step-00000004/manifest.json")):  # it is written while training goes on
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, rows)
    Loop._step = killed
"""

COUNTED = {"streaming": True, "validation_size": 1, "test_size": 1}


@pytest.fixture(scope="module")
def folder(warm, tmp_path_factory):
    """A tiny model, a mixture of two sources, and a recipe."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("streamed")
    for name, count in (("a", 120), ("b", 200)):
        (folder / f"{name}.txt").write_text("\n".join(texts(count)) + "\n")
    (folder / "c.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts(90, 1)))
    torch.manual_seed(0)
    tokenizer = _bytes(["<s>", "</s>", "<pad>"], bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    numbers = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = LlamaConfig(**sizes, **numbers, num_key_value_heads=2, max_position_embeddings=64)
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    (folder / "recipe.py").write_text(RECIPE.format(folder=str(folder)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPE_LAUNCHER_CACHE", str(folder / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(run.Node, "open", lambda *_: Lent(warm.open()))  # which has imported all that they need
        yield folder


def trained(folder: Path, name: str, processes: int, **changes: object) -> SimpleNamespace:
    outcome = launcher.run(folder / "recipe.py", name, runs=folder, processes=processes, set=changes)
    events = [json.loads(line) for line in Path(outcome["run"], "events.jsonl").read_text().splitlines()]
    losses = {event["step"]: event["loss"] for event in events if "learning_rate" in event}
    return SimpleNamespace(outcome=outcome, losses=losses, run=Path(outcome["run"]))


def test_a_killed_rank_goes_on_bit_for_bit_and_one_process_gives_the_same_curve(folder):
    whole = trained(folder, "whole", 2)
    (folder / "victim").touch()
    killed = trained(folder, "killed", 2)
    assert len(list((killed.run / "attempts").iterdir())) == 2
    assert "resumed at step 4" in (killed.run / "attempts/2/rank-0.log").read_text()
    assert killed.losses == whole.losses and sorted(whole.losses) == list(range(1, 10))
    assert killed.outcome["metrics"] == whole.outcome["metrics"]
    assert killed.outcome["stream"] == whole.outcome["stream"]

    one = trained(folder, "one", 1)
    assert max(abs(one.losses[step] - whole.losses[step]) for step in one.losses) < 1e-5
    assert one.outcome["stream"] == whole.outcome["stream"]
    assert one.outcome["stream"]["lines"]["documents"] > one.outcome["stream"]["objects"]["documents"] > 0


def test_a_stream_that_ends_early_ends_the_run_and_says_so(folder):
    short = {"data.train": str(folder / "a.txt"), "data.weights": None, "training.max_steps": 400}
    once = {"training.epochs": 1, "training.batch_size": 32, "training.log_every": 99}
    ended = trained(folder, "short", 1, **short, **once)
    steps = ended.outcome["steps"]
    assert ended.outcome["status"] == "finished" and 10 < steps < 400
    assert ended.outcome["stream"] == {"train": {"documents": 100, "skipped": 0, "passes": 1}}
    told = (ended.run / "attempts/1/rank-0.log").read_text()
    assert f"the stream ended after step {steps}: the corpus was read once, as training.epochs says" in told
    assert ended.outcome["selected_step"] == steps


def test_what_is_wrong_with_a_corpus_is_told_at_once_before_anything_starts(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": 5}\n')
    (tmp_path / "other.jsonl").write_text('{"body": "x"}\n')
    (tmp_path / "table.csv").write_text("text\nx\n")
    (tmp_path / "wide.txt").write_text("a\nb\n", encoding="utf-16")
    (tmp_path / "list.json").write_text('[{"text": "x"}]')
    (tmp_path / "one.txt").write_text("one line\n")
    names = ("bad.jsonl", "other.jsonl", "table.csv", "wide.txt", "list.json", "mising.txt")
    files = tuple(str(tmp_path / name) for name in names)
    with pytest.raises(DataError) as told:
        read_corpus(Texts(train=files, **COUNTED), CausalLanguageModel())
    assert [(problem.what.replace(str(tmp_path), ""), problem.where) for problem in told.value.problems] == [
        ("a .csv file cannot be streamed: a cell may hold line ends", "table.csv"),
        ("a file in utf-16 cannot be entered in its middle", "wide.txt"),
        ("a JSON list cannot be streamed", "list.json"),
        ("there is no file /mising.txt", ""),
        ("the text is 5, not a string", "bad.jsonl byte 0"),
        ("the row has no 'text'", "other.jsonl byte 0"),
    ]
    with pytest.raises(DataError) as told:
        read_corpus(Texts(train=str(tmp_path / "one.txt"), **COUNTED), CausalLanguageModel())
    few = "the stream has too few documents: of the 1 for validation it has 0"
    assert [problem.what for problem in told.value.problems] == [few]


def test_what_is_faulty_at_the_beginning_of_a_file_may_be_left_out_too(tmp_path):
    lines = [f'{{"text": "{n} good"}}'.encode() for n in range(40)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([b'{"text": "a\xff"}', b'{"text": "b\0"}', *lines]))
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("\n".join(texts(400, 3)).encode())[:-9])
    for name in ("a.jsonl", "b.txt.gz"):
        with pytest.raises(DataError, match=r"0xff does not fit|is cut short"):
            read_corpus(Texts(train=str(tmp_path / name), **COUNTED), CausalLanguageModel())
        corpus = read_corpus(Texts(train=str(tmp_path / name), faulty="skip", **COUNTED), CausalLanguageModel())
        assert len(corpus.splits["train"]) >= 38
    (tmp_path / "c.txt").write_bytes(b"\xff\xfb\n" * 60 + b"good\n")
    with pytest.raises(DataError, match="neither UTF-8 nor Chinese"):
        read_corpus(Texts(train=str(tmp_path / "c.txt"), faulty="skip", **COUNTED), CausalLanguageModel())


def test_tables_without_rows(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    empty, full = str(tmp_path / "empty.parquet"), tmp_path / "a.txt"
    with pq.ParquetWriter(empty, pa.schema([("text", pa.string())])):
        pass
    full.write_text("\n".join(texts(50)))
    with pytest.raises(DataError, match="there are no rows in it"):
        read_corpus(Texts(train=empty, **COUNTED), CausalLanguageModel())
    corpus = read_corpus(Texts(train=(empty, str(full)), **COUNTED), CausalLanguageModel())
    assert len(corpus.splits["train"]) == 48


def test_sources_of_unknown_size_are_mixed_by_weights_alone(tmp_path):
    from datasets import Dataset

    Dataset.from_dict({"text": texts(50)}).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "a.txt").write_text("\n".join(texts(50, 1)))
    both = {"a": str(tmp_path / "a.txt"), "saved": str(tmp_path / "saved")}
    with pytest.raises(DataError, match="nobody knows how many bytes 'saved' has"):
        read_corpus(Texts(train=both, **COUNTED), CausalLanguageModel())
    corpus = read_corpus(Texts(train=both, weights={"a": 1, "saved": 0}, **COUNTED), CausalLanguageModel())
    assert [source.name for source in corpus.stream] == ["a"]
    assert {row.text for rows in corpus.splits.values() for row in rows} == set(texts(50, 1))
    seen = [row.text for name in ("validation", "test") for row in corpus.splits[name]]
    assert len(seen) == 2 and not set(seen) & {row.text for row in corpus.splits["train"]}
