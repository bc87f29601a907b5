"""`launcher list` and `compare` over runs of different tasks: a group each, in its own order; all fits the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import finished, made

from launcher.cli import compare
from launcher.cli.columns import cells_of
from launcher.json_files import write_json
from launcher.runs import run_folder


def test_runs_that_tell_other_metrics_are_groups_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path, "a", 1, {}, finished(0.8, 0.9))
    made(tmp_path, "b", 2, {}, finished(0.7, 0.6))
    told = {"validation": {"micro_f1": 0.99}, "test": {"micro_f1": 0.98}}
    made(tmp_path, "c", 3, {"training.select_by": "micro_f1"}, {"status": "finished", "steps": 100, "metrics": told})
    compare.show_comparison([], tmp_path, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line] == ["a", "run", "a", "b", "a", "run", "c"]
    assert "validation accuracy, the best first" in lines[0] and lines[5].endswith("by validation micro_f1")
    assert "0.8000" in lines[2] and "0.9000" in lines[2]
    assert "0.9900" in lines[7] and "0.9800" in lines[7]


def test_each_task_is_ranked_by_its_own_metric_and_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `max` and `min` a user's own task declares is in recipe.json alone."""
    kinds: dict[str, dict[str, Any]] = {
        "tags": {"recipe": {"kind": "TokenClassification"}, "metric": "entity_f1"},
        "own": {"recipe": {"kind": "CustomTask", "like": {"kind": "TextClassification"}}, "metric": "spearman"},
        "least": {"recipe": {"kind": "CustomTask", "like": {"kind": "TextClassification"}}, "metric": "accuracy"},
    }
    declared = {"own": {"spearman": "max"}, "least": {"accuracy": "min"}}
    for kind, about in kinds.items():
        for number, value in enumerate((0.2, 0.9, None)):
            told = {split: {about["metric"]: value, "loss": 0.5} for split in ("validation", "test")}
            outcome = {"status": "finished", "steps": 100, "metrics": told, "selected_step": 40}
            values = {"training.select_by": about["metric"], "training.seed": number}
            values |= {"task.file": f"{kind}.py", "task.metrics": declared[kind]} if kind in declared else {}
            folder = made(tmp_path, f"{kind}{number}", number, values, outcome)
            write_json(folder.recipe, {**json.loads(folder.recipe.read_text()), "recipe": {"task": about["recipe"]}})
    groups = {group.task: [run.run for run in group.runs] for group in compare.compared(run_folder.all_runs(tmp_path))}
    assert groups == {
        "TokenClassification": ["tags1", "tags0", "tags2"],
        "CustomTask own.py": ["own1", "own0", "own2"],
        "CustomTask least.py": ["least0", "least1", "least2"],
    }
    compare.show_comparison([], tmp_path, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert {group["task"]: group["metric"] for group in told["groups"]} == {
        "TokenClassification": "entity_f1",
        "CustomTask own.py": "spearman",
        "CustomTask least.py": "accuracy",
    }
    compare.show_comparison([], tmp_path, as_json=False)
    assert capsys.readouterr().out.count("entity_f1") == 1


@pytest.mark.parametrize("columns", [80, 100])
def test_lists_and_comparisons_fit_the_terminal(
    columns: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    figures = {"seconds": {"total": 4000.0}, "examples_per_second": 12345.6, "peak_memory_bytes": [9_000_000_000]}
    names = ["a", "评论" * 14, "reviews_zh-20260101-120000"]
    for number, name in enumerate(names):
        values = {f"embedding.field{n}": f"数据/{'长' * n}/{number}.tsv" for n in range(12)}
        kind = {"kind": "FastText" if number else "Pretrained", "model": "bert"}
        folder = made(tmp_path, name, number, values, finished(0.1 * number, 0.5, **figures, selected_step=40))
        write_json(folder.recipe, {**json.loads(folder.recipe.read_text()), "recipe": {"embedding": kind}})
    for show in (compare.show_list, compare.show_comparison):
        show(*((tmp_path, False) if show is compare.show_list else ([], tmp_path, False)))  # type: ignore[operator]
        told = capsys.readouterr().out
        lines = told.splitlines()
        assert max(map(cells_of, lines)) <= columns
        everything = told.replace("\n", "").replace(" ", "")
        assert all(name in everything for name in names), "a name goes on below and is never cut"
        assert "40" in told and "0.2000" in told
    assert "12,345.6 examples/s" in told and "9,000 MB of memory" in told and "embedding Pretrained" in told
