"""Figures: functions that take plain values and return a matplotlib Figure; what to do with it is up to the caller.

    labels_figure     rows of each label, by split
    lengths_figure    how long the rows are, by split, and where they are cut
    examples_figure   rows as the model sees them, token by token

Made without pyplot, so nothing is kept alive and any thread may draw. matplotlib is imported when the first figure
is drawn. A new figure begins with `drawing(texts)`, which finds fonts for all texts that will be shown in it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.errors import DataError, Problem
from launcher.training.report.fonts import Fonts, fonts_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Paul Tol's bright scheme, which colour-blind readers can tell apart too."""
MOST_LABELS = 60
"""Further labels are counted together: a figure of thousands cannot be read."""
LONGEST_LABEL = 30
"""Character cells."""
DPI = 150
LINE = 96
"""Width of one line of tokens, in characters."""


@contextmanager
def drawing(texts: Iterable[str]) -> Iterator[Fonts]:
    """Settings under which a figure is made; `texts` are all that will be shown in it."""
    import matplotlib

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # a font of one weight is good enough
    fonts = fonts_for(texts)
    with matplotlib.rc_context(
        {
            "font.family": list(fonts.families),
            "font.size": 9,
            "text.parse_math": False,
            "axes.unicode_minus": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        yield fonts


def labels_figure(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Horizontal bars: the share of each label in every split; `counts` is split to label to rows."""
    from matplotlib.figure import Figure

    total = {
        label: sum(split.get(label, 0) for split in counts.values()) for split in counts.values() for label in split
    }
    names = list(total)
    if len(names) > MOST_LABELS:
        names = sorted(names, key=lambda label: -total[label])[:MOST_LABELS]
    with drawing([*names, "…"]) as fonts:
        figure = Figure(figsize=(7, 1.2 + len(names) * max(0.22, 0.11 * len(counts))), layout="constrained")
        axes = figure.add_subplot()
        height = 0.8 / max(1, len(counts))
        for number, (split, rows) in enumerate(counts.items()):
            whole = sum(rows.values()) or 1
            shares = [100 * rows.get(label, 0) / whole for label in names]
            offsets = np.arange(len(names)) + number * height
            axes.barh(offsets, shares, height, color=COLORS[number % len(COLORS)], label=f"{split} ({whole:,})")
        axes.set_yticks(np.arange(len(names)) + 0.4 - height / 2, [short(fonts.text(label)) for label in names])
        axes.invert_yaxis()
        axes.margins(y=0.01)
        axes.set_xlabel("% of the split")
        left_out = len(total) - len(names)
        axes.set_title("share of each label" + (f" ({left_out:,} rarer ones left out)" if left_out else ""), loc="left")
        figure.legend(loc="outside lower center", ncols=len(counts), frameon=False)
    return figure


def lengths_figure(lengths: Mapping[str, np.ndarray], cut_at: int, of: str = "row") -> Figure:
    """Histograms over each other: the share of rows, or of the texts in them, by their number of tokens; a line where
    they are cut.
    """
    from matplotlib.figure import Figure

    longest = max((int(values.max(initial=1)) for values in lengths.values()), default=1)
    width = -(-longest // 40)
    edges = np.arange(0, longest + 2 * width, width) - 0.5
    with drawing(()):
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.add_subplot()
        for number, (split, values) in enumerate(lengths.items()):
            share = np.histogram(values, bins=edges)[0] * 100 / max(1, len(values))
            color = COLORS[number % len(COLORS)]
            median = f", median {np.median(values):g}" if len(values) else ""
            axes.stairs(
                share, edges, color=color, label=f"{split}{median}", fill=number == 0, alpha=0.5 if number == 0 else 1
            )
        if longest >= cut_at:
            axes.axvline(cut_at, color="#333333", linestyle=":", label=f"cut at {cut_at}")
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", integer=True)
        axes.set_xlabel(f"tokens in a {of}")
        axes.set_ylabel("% of the split")
        axes.set_title(f"tokens in a {of}", loc="left")
        axes.legend(frameon=False)
    return figure


def examples_figure(examples: Sequence[Mapping[str, Any]]) -> Figure:
    """Rows as the model sees them (see `data_view.as_seen`): a box a token, its label below, coloured by type."""
    from matplotlib.figure import Figure

    with drawing(text for example in examples for text in texts_of(example)) as fonts:
        laid_out = [(_heading(example, fonts), list(_lines(example, fonts))) for example in examples]
        height = sum(1.0 + 1.6 * len(lines) for _, lines in laid_out) + 1
        figure = Figure(figsize=(11, 0.3 * height))
        axes = figure.add_axes((0.01, 0.0, 0.98, 1.0), frameon=False)
        axes.set(xlim=(0, LINE), ylim=(height, 0), xticks=[], yticks=[])
        kinds: dict[str, str] = {}
        y = 0.5
        for heading, lines in laid_out:
            axes.text(0, y + 0.4, heading, color="#555555", va="center", fontsize=8)
            y += 1.0
            for line in lines:
                for x, wide, token in line:
                    _box(axes, x, y, wide, token, kinds, fonts)
                y += 1.6
    return figure


def _box(
    axes: Any, x: float, y: float, wide: float, token: Mapping[str, Any], kinds: dict[str, str], fonts: Fonts
) -> None:
    from matplotlib.patches import Rectangle

    label = token["label"] or ""
    color = "white"
    if label not in ("", "O"):
        color = kinds.setdefault(label[2:] or label, COLORS[len(kinds) % len(COLORS)])
    edge, width, line = ("#cc0000", 1.5, "--") if token["unknown"] else ("#cccccc", 0.6, "-")
    axes.add_patch(
        Rectangle((x, y), wide - 0.2, 1.45, facecolor="none", edgecolor=edge, linewidth=width, linestyle=line)
    )
    axes.add_patch(Rectangle((x, y), wide - 0.2, 1.45, facecolor=color, edgecolor="none", alpha=0.25))
    middle = x + (wide - 0.2) / 2
    axes.text(middle, y + 0.48, fonts.text(_shown(token)), ha="center", va="center", fontsize=8.5,
              color="#999999" if token["special"] else "#cc0000" if token["unknown"] else "black")  # fmt: skip
    axes.text(middle, y + 1.1, fonts.text(label), ha="center", va="center", fontsize=6.5, color="#333333")


def _lines(example: Mapping[str, Any], fonts: Fonts) -> Iterator[list[tuple[float, float, Mapping[str, Any]]]]:
    """The boxes of an example, line by line: position, width, token."""
    line: list[tuple[float, float, Mapping[str, Any]]] = []
    x = 0.0
    for token in example["tokens"]:
        wide = max(cells(fonts.text(_shown(token))), 0.8 * cells(fonts.text(token["label"] or "")), 1) + 1.0
        if line and x + wide > LINE:
            yield line
            line, x = [], 0.0
        line.append((x, wide, token))
        x += wide
    if line:
        yield line


def _shown(token: Mapping[str, Any]) -> str:
    """What is shown for a token: its name in the vocabulary, and for an unknown one also its text."""
    return f"{token['token']} {token['text']}" if token["unknown"] else str(token["token"])


def _heading(example: Mapping[str, Any], fonts: Fonts) -> str:
    label = f"   label: {example['label']}" if example["label"] is not None else ""
    count = example["cut"]["tokens"]
    cut = f"   cut: {count:,} token{'s' * (count > 1)}, {example['cut']['text'][:40]}…" if count else ""
    lost = f"   without a token: {len(example['swallowed'])}" if example.get("swallowed") else ""
    return fonts.text(f"{example['where']}{label}{cut}{lost}")


def texts_of(example: Mapping[str, Any]) -> Iterator[str]:
    """All texts in the figure of an example."""
    yield from (example["where"], str(example["label"]), example["cut"]["text"], "…")
    for token in example["tokens"]:
        yield from (token["token"], token["text"], token["label"] or "")


def short(text: str) -> str:
    """A label, shortened where there is no room for it."""
    ends = list(itertools.accumulate(map(cells, text)))
    return text if sum(ends[-1:]) <= LONGEST_LABEL else text[: sum(end < LONGEST_LABEL for end in ends)] + "…"


def cells(text: str) -> int:
    """The width of a text in character cells: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def save(figure: Figure, path: Path) -> None:
    """Write it as PNG, whole or not at all. Raises DataError where it cannot be written."""
    scratch, drawn = path.with_name(f".{path.name}.part"), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)  # it takes long: a rank that is killed meanwhile leaves no half file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(drawn.getvalue())
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise DataError(Problem(f"the figure cannot be written: {error.strerror or error}", str(path))) from None
