"""Figures of a result: functions of plain values that return a matplotlib Figure, as those of `figures` do.

confusion_figure         what was taken for what
transitions_figure       what a CRF prefers to follow what
classes_figure           precision, recall and F1 of each class
precision_recall_figure  what is gained and lost where the threshold moves
bars_figure              a mean for each of some groups
sheet_figure             images, each with a line
curves_figure            loss and main metric of several runs
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.recipe.metrics import finite_number
from launcher.training.report.figures import COLORS, MOST_LABELS, cells, drawing, short
from launcher.training.tasks.views import Bars, Confusion, Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHERS = "(others)"
MOST_NUMBERED = 40
"""Larger matrices are shown by colours alone, without numbers."""
MOST_CURVES = len(COLORS) - 1
MOST_POINTS = 500
CHARACTER = 0.09
"""Inches that a character of a label takes."""
ACROSS, LONGEST_LINE = 8, 72
"""Images side by side on a sheet, and characters below one."""
DASHES = ("-", "--", ":", "-.")


def confusion_figure(confusion: Confusion) -> Figure:
    """A matrix: each row is one gold class, coloured by its shares, with counts."""
    from matplotlib.figure import Figure

    names, counts = _most_frequent(confusion)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = max(3.0, 0.32 * len(names))
    with drawing(names) as fonts:
        shown = [short(fonts.text(name)) for name in names]
        figure = Figure(figsize=(side + 2.2, side + 1.6), layout="constrained")
        axes = figure.add_subplot()
        picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        beside = max(map(cells, shown)) * CHARACTER < side / len(names)
        axes.set_xticks(range(len(names)), shown, rotation=0 if beside else 90)
        axes.set_yticks(range(len(names)), shown)
        axes.set_xlabel("predicted")
        axes.set_ylabel("gold")
        axes.set_title(f"confusion matrix of {confusion.of}", loc="left")
        if len(names) <= MOST_NUMBERED:
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    color = "white" if shares[row, column] > 0.6 else "black"
                    size = 9 if len(names) <= 8 else 6.5 - 1.5 * (count >= 1000)
                    axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=size)
        figure.colorbar(picture, ax=axes, shrink=0.6, label="share of the row")
    return figure


def transitions_figure(rows: Sequence[str], columns: Sequence[str], values: np.ndarray) -> Figure:
    """A matrix: what is added to a path's score for a step from a row's tag to a column's; blue is preferred to red."""
    from matplotlib.figure import Figure

    shown = min(len(columns), MOST_LABELS)
    values = values[:shown, :shown] if shown < len(columns) else values
    furthest = max(1e-6, float(np.nanmax(np.abs(values))))
    side = max(3.0, 0.32 * shown)
    with drawing([*rows, *columns]) as fonts:
        names = [[short(fonts.text(name)) for name in axis[:shown]] for axis in (columns, rows)]
        figure = Figure(figsize=(side + 2.2, side + 1.6), layout="constrained")
        axes = figure.add_subplot()
        picture = axes.imshow(values, cmap="RdBu", vmin=-furthest, vmax=furthest)
        axes.set_xticks(range(shown), names[0], rotation=90)
        axes.set_yticks(range(shown), names[1])
        axes.set_xlabel("to")
        axes.set_ylabel("from")
        left_out = f" (the first {shown} of {len(columns)})" if shown < len(columns) else ""
        axes.set_title(f"transitions from tag to tag{left_out}", loc="left")
        figure.colorbar(picture, ax=axes, shrink=0.6, label="added to the score")
    return figure


def _most_frequent(confusion: Confusion) -> tuple[list[str], np.ndarray]:
    """The matrix with the rarest classes counted as one, where there are too many to read."""
    counts, size = confusion.counts, len(confusion.names)
    if size <= MOST_LABELS:
        return confusion.names, counts
    often = np.argsort(-(counts.sum(axis=1) + counts.sum(axis=0)), kind="stable")
    kept, rest = np.sort(often[: MOST_LABELS - 1]), often[MOST_LABELS - 1 :]
    merged = np.zeros((MOST_LABELS, size), dtype=counts.dtype)
    merged[:-1], merged[-1] = counts[kept], counts[rest].sum(axis=0)
    whole = np.column_stack([merged[:, kept], merged[:, rest].sum(axis=1)])
    return [*(confusion.names[index] for index in kept), OTHERS], whole


def classes_figure(classes: Mapping[str, Mapping[str, float]]) -> Figure:
    """Horizontal bars: precision, recall and F1 of each class; in brackets how often it occurs."""
    from matplotlib.figure import Figure

    names = list(classes)
    often = {name: int(finite_number(row.get("support")) or 0) for name, row in classes.items()}
    if len(names) > MOST_LABELS:
        names = sorted(names, key=lambda name: -often[name])[:MOST_LABELS]
    with drawing(names) as fonts:
        figure = Figure(figsize=(7, 1.4 + len(names) * 0.36), layout="constrained")
        axes = figure.add_subplot()
        for number, measure in enumerate(("precision", "recall", "f1")):
            values = [finite_number(classes[name].get(measure)) or 0.0 for name in names]
            axes.barh(np.arange(len(names)) + 0.27 * number, values, 0.27, color=COLORS[number], label=measure)
        shown = [
            f"{short(fonts.text(name))} ({int(finite_number(classes[name].get('support')) or 0):,})" for name in names
        ]
        axes.set_yticks(np.arange(len(names)) + 0.27, shown)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        axes.set_xlim(0, 1)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        left_out = len(classes) - len(names)
        rarer = f" ({left_out:,} rarer ones left out)" if left_out else ""
        axes.set_title(f"precision, recall and F1 of each class{rarer}", loc="left")
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def precision_recall_figure(of: str, classes: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """One curve a class against the rest: for each, whether a target is of it (bool), and the probability it was given.

    `of` is what the targets are. Of many classes those with the least area are named, and the others are grey.
    """
    from matplotlib.figure import Figure
    from sklearn.metrics import average_precision_score, precision_recall_curve

    areas = {name: float(average_precision_score(*of)) for name, of in classes.items() if of[0].any()}
    worst_first = sorted(areas, key=lambda name: areas[name])
    named = worst_first[:MOST_CURVES]
    with drawing(named) as fonts:
        figure = Figure(figsize=(8, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for name in reversed(worst_first):
            precision, recall, _ = precision_recall_curve(*classes[name])
            style: dict[str, Any] = {"color": "#cccccc", "linewidth": 0.7}
            if name in named:
                style = {"color": COLORS[named.index(name)], "linewidth": 1.5}
                style["label"] = f"{short(fonts.text(name))}  {areas[name]:.3f}"
            # recall falls from 1 to 0; of many equal ones the first is drawn
            drawn = np.unique(np.searchsorted(-recall, -np.linspace(1, 0, MOST_POINTS)).clip(max=len(recall) - 1))
            axes.step(recall[drawn], precision[drawn], where="post", **style)
        axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
        grey = len(areas) - len(named)
        title = f"{of}: each class against the rest"
        axes.set_title(title + (f" (in grey: {grey:,} better)" if grey else ""), loc="left")
        figure.legend(loc="outside right upper", frameon=False, title="area below", reverse=True)
    return figure


def bars_figure(bars: Bars) -> Figure:
    """Horizontal bars from 0 to 1; in brackets how many each is the mean of."""
    from matplotlib.figure import Figure

    with drawing([bars.title, *(bar.name for bar in bars.bars)]) as fonts:
        figure = Figure(figsize=(7, 1.2 + len(bars.bars) * 0.36), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(range(len(bars.bars)), [bar.mean for bar in bars.bars], 0.7, color=COLORS[0])
        axes.set_yticks(
            range(len(bars.bars)), [f"{short(fonts.text(bar.name))} ({bar.support:,})" for bar in bars.bars]
        )
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_title(fonts.text(bars.title), loc="left")
    return figure


def sheet_figure(sheet: Sheet) -> Figure:
    """Images side by side, each below its line."""
    from matplotlib.figure import Figure

    lines = [line for _, line in sheet.images]
    with drawing([sheet.title, *lines]) as fonts:
        across = min(ACROSS, max(1, len(lines)))
        down = max(1, -(-len(lines) // across))
        title = textwrap.fill(fonts.text(sheet.title), 20 * across)
        figure = Figure(figsize=(1.3 * across, 0.3 + 0.15 * title.count("\n") + 1.6 * down), layout="constrained")
        figure.suptitle(title, fontsize=9)
        panels = figure.subplots(down, across, squeeze=False).reshape(-1)
        for axes in panels:
            axes.set_axis_off()
        for axes, (image, line) in zip(panels, sheet.images, strict=False):
            axes.imshow(image)
            axes.set_title(textwrap.fill(fonts.text(line)[:LONGEST_LINE], 24), fontsize=6, pad=2)
    return figure


def curves_figure(runs: Mapping[str, Mapping[str, Sequence[Any]]], metric: str) -> Figure:
    """Two panels over steps: the training loss, and `metric` on the validation split, a curve a run.

    A run is `{"steps", "loss", "evaluated", "metric"}`; it may lack either.
    """
    from matplotlib.figure import Figure

    with drawing([*runs, metric]) as fonts:
        rows = -(-len(runs) // 3)
        figure = Figure(figsize=(9, 3.6 + 0.18 * rows), layout="constrained")
        panels = figure.subplots(1, 2)
        for number, (name, run) in enumerate(runs.items()):
            style = {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number // len(COLORS) % len(DASHES)]}
            panels[0].plot(run["steps"], run["loss"], linewidth=1.1, label=short(fonts.text(name)), **style)
            panels[1].plot(run["evaluated"], run["metric"], linewidth=1.1, marker=".", **style)
        for axes, title in zip(panels, ("training loss", f"validation {fonts.text(metric)}"), strict=True):
            axes.set_title(title, loc="left")
            axes.set_xlabel("step")
            axes.grid(color="#dddddd", linewidth=0.6)
            axes.xaxis.get_major_locator().set_params(integer=True)
            if not any(len(line.get_xdata()) for line in axes.lines):
                axes.set(xticks=[], yticks=[], xlabel="nothing is logged yet")
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure
