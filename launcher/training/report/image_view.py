"""A recipe's images as `launcher data` shows them: how many of each label, how large, and a sheet of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launcher.recipe.recipe import Recipe
from launcher.recipe.task import plain
from launcher.training.data import Row, read_corpus
from launcher.training.data.checks import label_counts
from launcher.training.prepare import SPLITS, reader_of
from launcher.training.report import figures
from launcher.training.report.fonts import fonts_for
from launcher.training.report.gallery import first_images
from launcher.training.report.result_figures import sheet_figure
from launcher.training.tasks import work_for


def inspect(recipe: Recipe, facts: dict[str, Any], rows: int, folder: str | None) -> dict[str, Any]:
    """As `data_view.inspect`, of what `prepare` gave for a task of images."""
    prepared, data_report = Path(facts["folder"]), facts["report"]
    duplicates, work = (
        data_report["duplicates"],
        work_for(recipe.task, reader_of(facts["labels"], facts["max_length"], prepared)),
    )
    preparation = work.reader.images
    assert preparation is not None
    view: dict[str, Any] = {
        "of": "image",
        "labels": facts["labels"],
        "size": f"{preparation.width} x {preparation.height}",
        "splits": {
            name: {
                **data_report["splits"][name],
                "repeated": duplicates["repeated"][name],
                "conflicting": duplicates["conflicting"][name],
            }
            for name in SPLITS
        },
        "shared": duplicates["shared"],
        "dropped": duplicates["dropped"],
        "tags": {},
        "warnings": data_report["warnings"],
        "source": {},
        "cut": None,
        "examples": _examples(recipe, rows) if rows else {},
        "folder": facts["folder"],
        "balance": label_counts(facts["labels"], data_report),
        "balance_of": "label",
    }
    if folder is not None:
        drawn = {"labels": figures.labels_figure(view["balance"])}
        drawn["images"] = sheet_figure(first_images(work, prepared))
        for name, figure in drawn.items():
            figures.save(figure, Path(folder) / f"{name}.png")
        view["figures"] = [str(Path(folder) / f"{name}.png") for name in drawn]
        view["notes"] = [note for note in [fonts_for(facts["labels"]).note()] if note]
    return view


def _examples(recipe: Recipe, count: int) -> dict[str, list[dict[str, Any]]]:
    splits = read_corpus(recipe.data, plain(recipe.task)).splits
    return {name: [_shown(row) for row in rows[:: max(1, len(rows) // count)][:count]] for name, rows in splits.items()}


def _shown(row: Row) -> dict[str, Any]:
    image = row.image
    assert image is not None
    return {"where": row.where, "label": row.label, "image": f"{image.kind}, {image.width} x {image.height} pixels"}
