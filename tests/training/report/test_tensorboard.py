"""What a run shows in TensorBoard and as PNG: its data, its model, its result; what breaks costs only itself."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from at_work import work_of

from launcher import Full, MeanPooling, RandomVectors, Recipe, Table, TextClassification
from launcher import Training as Settings
from launcher.runs.run_folder import RunFolder
from launcher.training.prepare import prepare
from launcher.training.report import gallery as galleries
from launcher.training.report import tensorboard as boards
from launcher.training.report.report import Report
from launcher.training.sources import load_tokenizer

DATA = ["data-labels", "data-lengths"]
LEARNT = ["what it learns from/share of each label", "what it learns from/tokens in a row"]
TESTED = ["when tested/precision and recall at every threshold", "when tested/precision, recall and F1 of each class"]
MATRIX = "when tested/confusion matrix of "
SHORT = {"max_steps": 2}


def seen(run: RunFolder) -> dict[str, Any]:
    """What TensorBoard finds of the run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.tensorboard))
    found.Reload()
    sizes = {tag: (i.width, i.height) for tag in found.Tags()["images"] for i in found.Images(tag)}
    texts = [tag for tag in found.Tags()["tensors"] if tag.endswith("/text_summary")]
    told = {tag: found.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in texts}
    hparams = found.summary_metadata.get("_hparams_/session_start_info")
    return {**found.Tags(), "sizes": sizes, "texts": told, "hparams": hparams}


def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run's folder after a report has described the data and logged one step."""
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    rows = [f"{'好' * (n % 9 + 1)},{'好评' if n % 2 else '差评'}" for n in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    recipe = Recipe(
        task=TextClassification(),
        data=Table(train=str(tmp_path / "t.csv")),
        embedding=RandomVectors(dimension=4, tokens="characters", encoder=MeanPooling(hidden=4)),
        peft=Full(),
        training=Settings(learning_rate=0.1),
    )
    run = RunFolder(tmp_path / "run")
    attempt = run.new_attempt()
    made = Report(run, attempt.number, 0, 1, "")
    facts = prepare(recipe)
    work = work_of(recipe.task, facts["labels"], load_tokenizer(Path(facts["folder"])))
    made.describe(Path(facts["folder"]), work, "| tensor |\n|---|")
    made.logged(1, {"loss": 1.0, "learning_rate": 0.1, "examples_per_second": 5.0})
    made.close()
    return run


def test_labels_and_lengths_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = described(tmp_path, monkeypatch)
    found = seen(run)
    assert found["images"] == ["what it learns from/share of each label", "what it learns from/tokens in a row"]
    assert all(width > 500 and height > 100 for width, height in found["sizes"].values())
    assert "train/loss" in found["scalars"]
    assert sorted(path.stem for path in run.figures.iterdir()) == DATA
    told = found["texts"]["data/text_summary"].splitlines()
    assert told[0].startswith("| split | rows | tokens | of these unknown | rows cut |")
    counts = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in told[2:5]}
    assert {name: int(row[0]) for name, row in counts.items()} == {"train": 32, "validation": 4, "test": 4}
    assert sum(int(row[1]) for row in counts.values()) == sum(n % 9 + 1 for n in range(40))
    assert [row[2] for row in counts.values()] == ["0", "0", "0"]
    assert sum("share" in line for line in told) >= 1
    examples = [line.strip() for line in told if line.startswith("    ")]
    assert len(examples) == 3 and all(set(line[4:].split()) == {"好"} for line in examples)
    assert {line[:3] for line in examples} <= {"好评:", "差评:"}


def test_a_figure_that_breaks_costs_no_curve_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "labels_figure", lambda counts: 1 / 0)
    run = described(tmp_path, monkeypatch)
    found = seen(run)
    assert found["images"] == ["what it learns from/tokens in a row"]
    assert "train/loss" in found["scalars"]
    told = run.attempts()[-1].notes.read_text()
    assert "the figure data/labels was not drawn: ZeroDivisionError" in told


def test_a_finished_run_shows_data_model_and_result(warm: Any) -> None:
    ended = warm.finished("ner", "Full", **SHORT)
    run, found = ended.folder, seen(ended.folder)
    assert sorted(found["images"]) == sorted([*LEARNT, *TESTED, MATRIX + "entities", MATRIX + "tokens"])
    result = ["test-classes", "test-confusion-entities", "test-confusion-tokens", "test-precision-recall"]
    assert sorted(path.stem for path in run.figures.iterdir()) == [*DATA, *result]
    groups = sorted({tag.partition("/")[0] for tag in [*found["images"], *found["scalars"]]})
    assert groups[:2] == ["train", "validation"], "TensorBoard opens these two: the curves"
    parameters = ended.outcome["parameters"]
    model = found["texts"]["model/text_summary"]
    assert f"| {parameters['total']:,} | {parameters['trainable']:,} |" in model
    assert "| `embeddings.weight` | 1 |" in model
    test = ended.outcome["metrics"]["test"]
    numbers = {name for name, value in test.items() if isinstance(value, float)}
    assert {f"weights chosen/test_{name}" for name in numbers} <= set(found["scalars"])

    from tensorboard.plugins.hparams import metadata

    told = metadata.parse_session_start_info_plugin_data(found["hparams"].plugin_data.content).hparams
    assert told["training.max_steps"].number_value == 2 and told["peft"].string_value == "Full"
    assert (told["strategy"].string_value, told["world_size"].number_value) == ("single", 1)


def test_the_last_room_on_a_disk_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "SPARED", 1 << 60)
    run = described(tmp_path, monkeypatch)
    found = seen(run)
    assert found["images"] == [] and not run.figures.exists()
    assert "train/loss" in found["scalars"]
    told = run.attempts()[-1].notes.read_text()
    assert "the figure data/labels was not drawn: OSError: only " in told and "of the disk are free" in told


@pytest.mark.parametrize("kind", ["several", "pairs", "focal"])
def test_every_task_shows_its_result_and_nothing_breaks(warm: Any, kind: str) -> None:
    run = warm.finished(kind, "Full", **SHORT).folder
    matrix = [] if kind == "several" else [MATRIX + "texts"]
    assert sorted(seen(run)["images"]) == sorted([*LEARNT, *TESTED, *matrix])
    assert (run.tensorboard / "00002/tokens/metadata.tsv").is_file()
    notes = run.attempt(1).notes
    assert not notes.is_file() or " not " not in notes.read_text()


def test_the_projector_has_the_vectors_of_the_trained_model(warm: Any) -> None:
    from safetensors.numpy import load_file

    ended = warm.finished("ner", "Full", **SHORT)
    folder = ended.folder.tensorboard
    assert 'tensor_path: "00002/tokens/tensors.tsv"' in (folder / "projector_config.pbtxt").read_text()
    with (folder / "00002/tokens/metadata.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    with (folder / "00002/tokens/tensors.tsv").open(encoding="utf-8") as file:
        vectors = [[float(value) for value in line] for line in csv.reader(file, delimiter="\t")]
    assert len(rows) == len(vectors) > 30
    assert {row["label"] for row in rows if row["token"] in ("word10", "word20")} == {"B-TEN"}
    assert {row["label"] for row in rows if row["token"] in ("word11", "word21")} == {"O"}
    counts = [int(row["count"]) for row in rows]
    assert counts == sorted(counts, reverse=True) and counts[-1] > 0
    table = load_file(ended.folder.model / "model.safetensors")["embeddings.weight"]
    assert all(abs(table - vector).sum(axis=1).min() < 1e-4 for vector in vectors[:5])


@pytest.mark.parametrize(
    ("name", "kind", "method"),
    [("fsdp2", "ner", "Full"), ("fsdp2", "mean", "LoRA"), ("zero3", "mean", "Adapter"), ("zero2", "mean", "Full")],
)
def test_every_strategy_draws_what_one_process_draws(warm: Any, name: str, kind: str, method: str) -> None:
    one = warm.finished(kind, method, **SHORT).folder.figures
    many = warm.finished(kind, method, name, 2, **SHORT).folder.figures
    assert {path.name for path in one.iterdir()} == {path.name for path in many.iterdir()}
    same = [path for path in one.iterdir() if "confusion" in path.name or "classes" in path.name]
    assert len(same) == (3 if kind == "ner" else 2)
    assert all(path.read_bytes() == (many / path.name).read_bytes() for path in same)
