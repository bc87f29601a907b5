"""`launcher data`: statistics of every split, and rows as the model will see them, in the width of the terminal.

Whatever comes from the data is printed as text: no control character, no markup of rich in it counts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.child import heavy
from launcher.cli.display import print_json, stream_lines
from launcher.printing import one_line
from launcher.recipe.recipe import document, load

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MOST_LABELS = 30
BLOCKS = " ▁▂▃▄▅▆▇█"
LONGEST_COPY = 80
"""Characters that are shown of a changed copy."""
WIDTH_ELSEWHERE = 120
"""Columns where the output is no terminal."""


def show_data(path: Path, overrides: dict[str, str], rows: int, png: Path | None, as_json: bool) -> None:
    """Prepare and inspect the data in a heavy process, and print its report."""
    loaded = load(path, overrides)
    folder = None if png is None else str(png.resolve())
    report = heavy("data", {"recipe": document(loaded.recipe), "rows": rows, "figures": folder})
    if as_json:
        print_json(report)
        return
    from rich.console import Console

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE, highlight=False)
    _print_splits(console, report)
    if report["balance"]:
        _print_labels(console, report)
    for name, examples in report["examples"].items():
        for example in examples:
            _print_example(console, name, example)
    for line in [*_remarks(report), *(f"figure: {path}" for path in report.get("figures", []))]:
        print(one_line(line))


def _print_splits(console: Console, report: dict[str, Any]) -> None:
    from rich.table import Table

    splits = report["splits"]
    table = Table("", *splits, box=None, pad_edge=False, header_style="bold")

    def add(name: str, cells: list[str]) -> None:
        if any(cell not in ("", "0", "-") for cell in cells):
            table.add_row(name, *map(_plain, cells))

    about = list(splits.values())
    add("rows", [f"{split['rows']:,}" for split in about])
    add("empty rows", [f"{split['empty_rows']:,}" for split in about])
    add("repeated rows", [f"{split['repeated']:,}" for split in about])
    of = report.get("of", "text")
    add(f"{of}s under different labels", [f"{split['conflicting']:,}" for split in about])
    encoded = [split.get("encoded", split["rows"]) for split in about]
    if encoded != [split["rows"] for split in about]:
        add("which the model sees as", [f"{rows:,}" for rows in encoded])
    add("format", [", ".join(split.get("formats", {})) for split in about])
    add("replies", [f"{split.get('replies', 0):,}" for split in about])
    if "answers" in about[0]:
        add("questions without an answer", [_share(s["answers"]["without"], s["rows"]) for s in about])
    for name in ("least", "mean", "most"):
        if "numbers" in about[0]:  # a least one of 0 is worth a row
            table.add_row(f"numbers, {name}", *(f"{split['numbers'][name]:.6g}" for split in about))
    for side in ("width", "height") if of == "image" else ():
        add(f"{side}, least", [f"{split['images'][side]['least']:,}" for split in about])
        add(f"{side}, median", [f"{split['images'][side]['median']:,}" for split in about])
        add(f"{side}, most", [f"{split['images'][side]['longest']:,}" for split in about])
    if of == "image":
        add("formats", [_formats(split["images"]["formats"]) for split in about])
        console.print(table)
        return console.print("width, height: pixels of the files; the model takes " + report["size"], style="dim")
    for quantile in ("5", "50", "95", "99"):
        add(f"tokens, {quantile} %", [str(split["tokens"]["quantiles"].get(quantile, "-")) for split in about])
    add("tokens, longest", [f"{split['tokens']['longest']:,}" for split in about])
    add("lengths", [_bars(split["tokens"]["histogram"]["counts"]) for split in about])
    add(f"cut at {report['max_length']:,} tokens", [_share(split["truncated"], split["rows"]) for split in about])
    for name in dict.fromkeys(name for split in about for name in split["lost"]):
        add(name.replace("_", " "), [f"{split['lost'].get(name, 0):,}" for split in about])
    add("tokens known", [f"{100 * split['vocabulary']['coverage']:.2f} %" for split in about])
    add("tokens unknown", [f"{split['vocabulary']['unknown']:,}" for split in about])
    add("of the vocabulary used", [_share(s["vocabulary"]["used"], s["vocabulary"]["size"]) for s in about])
    add("encoding", [", ".join(sorted(set(split["encoding"].values()))) or "-" for split in about])
    add("tags", [report["tags"].get(name, {}).get("scheme", "-") for name in splits])
    console.print(table)
    width = about[0]["tokens"]["histogram"]["width"]
    console.print(f"lengths: a column is {width:,} token{'s' if width > 1 else ''} wide, from 0 upwards", style="dim")


def _formats(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def _print_labels(console: Console, report: dict[str, Any]) -> None:
    from rich.table import Table

    balance = report["balance"]
    names = list(next(iter(balance.values()), {}))
    totals = {name: sum(counts.values()) for name, counts in balance.items()}
    shown = sorted(names, key=lambda label: -balance["train"][label])[:MOST_LABELS]
    table = Table(report["balance_of"], *balance, "in train", box=None, pad_edge=False)
    largest = max((balance["train"][label] for label in names), default=0) or 1
    for label in shown:
        cells = [_share(counts[label], totals[name]) for name, counts in balance.items()]
        table.add_row(_plain(label), *cells, "█" * round(24 * balance["train"][label] / largest))
    console.print()
    console.print(table)
    if len(names) > len(shown):
        console.print(f"and {len(names) - len(shown):,} rarer ones")


def _print_example(console: Console, split: str, example: dict[str, Any]) -> None:
    """Tokens with their labels below, in columns, as many as fit into a line; Chinese counts twice."""
    from rich.text import Text

    label = "" if example["label"] is None else f"  label: {one_line(example['label'])}"
    console.print()
    console.print(Text(f"{split}, {one_line(example['where'])}{label}", style="bold"))
    if "image" in example:
        return console.print(Text(example["image"], style="dim"))
    lines = (
        _running(example["tokens"], console) if example.get("running") else _glossed(example["tokens"], console.width)
    )
    for tokens, labels in lines:
        console.print(tokens, no_wrap=True, crop=False, soft_wrap=True)
        if labels.plain.strip():
            console.print(labels, no_wrap=True, crop=False, soft_wrap=True)
    cut = example["cut"]
    if cut["tokens"]:
        several = "s" * (cut["tokens"] > 1)
        console.print(Text(f"cut: {cut['tokens']:,} token{several}: {one_line(cut['text'])}", style="yellow"))
    if example.get("swallowed"):
        words = " ".join(one_line(ascii(word)) for word in example["swallowed"])
        console.print(Text(f"words without a token: {words}", style="yellow"))


def _glossed(tokens: list[dict[str, Any]], width: int) -> list[tuple[Text, Text]]:
    from rich.cells import cell_len
    from rich.text import Text

    lines = [(Text(), Text())]
    for token in tokens:
        shown, label = one_line(token["token"]), one_line(token["label"] or "")
        shown += f"={one_line(token['text'])}" if token["unknown"] else ""
        wide = max(cell_len(shown), cell_len(label)) + 1
        if lines[-1][0].cell_len and lines[-1][0].cell_len + wide > width:
            lines.append((Text(), Text()))
        style = "red" if token["unknown"] else "dim" if token["special"] else ""
        above, below = lines[-1]
        above.append(shown, style)
        above.append(" " * (wide - cell_len(shown)))
        below.append(label, "" if label == "O" else "cyan")
        below.append(" " * (wide - cell_len(label)))
    return lines


def _running(tokens: list[dict[str, Any]], console: Console) -> list[tuple[Text, Text]]:
    """A text as it reads: what is learnt in colour, or with marks below it where there is none."""
    from rich.cells import cell_len
    from rich.text import Text

    lines = [(Text(), Text())]
    for token in tokens:
        learnt = bool(token["label"])
        style = "red" if token["unknown"] else "bold green" if learnt else "dim" if token["special"] else ""
        for number, part in enumerate(token["text"].split("\n")):
            shown = one_line(part)
            if number or (lines[-1][0].cell_len and lines[-1][0].cell_len + cell_len(shown) > console.width):
                lines.append((Text(), Text()))
            lines[-1][0].append(shown, style)
            lines[-1][1].append(("^" if learnt and console.color_system is None else " ") * cell_len(shown))
    return lines


def _remarks(report: dict[str, Any]) -> list[str]:
    """The sentences below the tables: leaks, dropped rows, converted tags, warnings."""
    of = report.get("of", "text")
    shared = [f"{pair} share {count:,} {of}{'s' * (count > 1)}" for pair, count in report["shared"].items() if count]
    dropped = [f"{count:,} {why.replace('_', ' ')}" for why, count in report["dropped"].items() if count]
    tags = [
        f"{name}: {about['converted']:,} sentences were written in {about['scheme']} and are BIO now"
        for name, about in report["tags"].items()
        if about["converted"]
    ]
    source = [f"{count:,} {what.replace('_', ' ')}" for what, count in report["source"].items() if count]
    cut = [report["cut"]["line"]] if report.get("cut") and report["cut"]["line"] else []
    lines = ["", *([f"vectors: {', '.join(source)}"] if source else []), *report.get("vectors", []), *cut]
    if report.get("stream"):
        lines += [
            *stream_lines(report["stream"]),
            f"train is a sample: {report['stream']['sampled']:,} documents of it",
        ]
    lines += [f"leaks: {'; '.join(shared) or f'no {of} stands in two splits'}"]
    lines += [f"rows dropped from train: {', '.join(dropped)}"] if dropped else []
    lines += _augmented(report["augmented"]) if report.get("augmented") else []
    return lines + tags + [f"warning: {warning}" for warning in [*report["warnings"], *report.get("notes", [])]]


def _augmented(about: dict[str, Any]) -> list[str]:
    """How many copies were added to train, some of them, and why others were not."""
    by_operation = ", ".join(f"{count:,} by {name}" for name, count in about["by_operation"].items())
    lines = [f"changed copies added to train: {about['added']:,}" + (f" ({by_operation})" if by_operation else "")]
    lines += [f"  {copy['where']}: {copy['text'][:LONGEST_COPY]}" for copy in about["shown"]]
    if about["left_out"]:
        lines.append(f"copies left out, as there is such a text already: {about['left_out']:,}")
    if about["not_copied"]:
        lines.append(f"rows of train not copied, as another split has their text: {about['not_copied']:,}")
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.1f} %)" if part and whole else f"{part:,}"


def _bars(counts: list[int]) -> str:
    """A histogram of one character a column; whatever is not empty can be seen."""
    largest = max(counts, default=0) or 1
    return "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // largest)] for count in counts)


def _plain(text: str) -> Text:
    from rich.text import Text

    return Text(one_line(text))
