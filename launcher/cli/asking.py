"""The verbs that take the model of a finished run: `evaluate`, `predict`, `chat`, `mine`, `merge` and more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from launcher.cli import completion
from launcher.cli.options import Json, RunName, Runs, examples
from launcher.cli.overrides import parse_sets
from launcher.recipe.export_rules import Format, Torchao

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="WORD=VALUE", help="How a model that writes does it, e.g. num_beams=4. Repeatable."),
]


def add_to(app: typer.Typer) -> None:
    """Give the command these verbs."""
    app.command(epilog=examples("launcher evaluate a --data more_reviews.tsv --json"))(evaluate)
    app.command(
        epilog=examples(
            'launcher predict a "房间很干净，服务也好"',
            "launcher predict a --file reviews.csv --text review --top 3 --output out.jsonl",
            "cut -f 2 reviews.tsv | launcher predict a --file -",
            'launcher predict answers "Who wrote it?" "It was written by Ada." --top 3',
        )
    )(predict)
    app.command(
        epilog=examples(
            "launcher chat a",
            'launcher chat a --system "你是一位有耐心的老师。" --set do_sample=true --set temperature=0.7',
            "launcher chat a < questions.txt > answers.txt",
        )
    )(chat)
    app.command(
        epilog=examples(
            "launcher export a --format onnx --int8 --floor 0.9 --output a_onnx",
            "launcher export a --format safetensors --torchao int8 --output a_int8",
            "launcher export a --format fasttext --output a.bin --texts test.txt",
            "launcher export a --format vec --output a.vec --json",
        )
    )(export)
    app.command(
        epilog=examples(
            "launcher push a reviews-zh",
            "launcher push a my-group/reviews-zh --public --json",
            "launcher push exported_a reviews-zh-onnx --dry-run",
        )
    )(push)
    app.command(
        epilog=examples(
            "launcher merge a --output a_whole",
            "launcher merge a b --weights 0.7,0.3 --output both",
            "launcher merge a b c --by ties --density 0.2 --output all --json",
        )
    )(merge)
    app.command(
        epilog=examples(
            "launcher mine a --output triplets.jsonl",
            "launcher mine a --data more_pairs.jsonl --count 8 --percent 90 --output triplets.jsonl",
        )
    )(mine)


def evaluate(
    run: RunName,
    data: Annotated[Path | None, typer.Option(help="A file of the recipe's kind; default its test split.")] = None,
    runs: Runs = Path("runs"),
    set_: Settings = None,
    as_json: Json = False,
) -> None:
    """Print the metrics of a finished run's model."""
    from launcher.cli.predict import show_evaluation

    show_evaluation(run, runs, data, parse_sets(set_), as_json)


def predict(
    run: RunName,
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts.")] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="A table (CSV, TSV, JSON, Parquet) or a text a line; - is stdin.")
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="COLUMN", help="Its texts; default the recipe's column.")] = None,
    text_pair: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The second texts of pairs; the contexts of questions.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Show the K most probable labels or answers.")
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="The texts are pairs: how alike are they? Of a model that gives vectors.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Write there: CSV if it ends in .csv, else JSON lines.")] = None,
    set_: Settings = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Ask a finished run's model about texts.

    It answers with labels, entities, numbers, with what answers a question in a text, with a text of its own, or with
    a vector. The answers keep all columns of the file.
    """
    from launcher.cli.predict import Question, show_predictions

    question = Question(texts or [], file, text, text_pair, top, pairs, parse_sets(set_))
    show_predictions(run, runs, question, output, as_json)


def chat(
    run: RunName,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="What the model is told before it all.")] = None,
    set_: Settings = None,
    runs: Runs = Path("runs"),
) -> None:
    """Talk with the model of a finished run: of dialogue, or one that goes on with a text.

    /reset begins anew, /system TEXT tells it how to be, /exit ends. Ctrl-C ends an answer. Where the input is no
    terminal each line is a message.
    """
    from launcher.cli.chat import hold_chat

    hold_chat(run, runs, system, parse_sets(set_))


def export(
    run: RunName,
    format_: Annotated[
        Format,
        typer.Option(
            "--format", help="onnx, safetensors: a folder. fasttext is its .bin; vec a word and its numbers a line."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="PATH", help="What to write, not there yet; default RUN-onnx, RUN.bin, ….")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Of onnx: weights of 8 bits, for CPUs.")] = False,
    torchao: Annotated[
        Torchao | None, typer.Option(help="Of safetensors: linear layers in so many bits a weight, for GPUs.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Answer the whole test split with what was written.")] = True,
    floor: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Write nothing where the run's metric is worse than that.")
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the test split there, as fastText's test reads it.")
    ] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Write a finished run's model for other programs, compared with the model before it counts.

    A folder answers the whole test split: its size, metric, equal answers and times are printed beside the model's.
    """
    from launcher.cli.exporting import write_export

    options = {"int8": int8, "torchao": torchao, "check": check, "floor": floor}
    write_export(run, runs, format_, output, options, texts, as_json)


def push(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or the folder of an export.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="NAME, or OWNER/NAME.")],
    public: Annotated[bool, typer.Option("--public", help="All may read it; default private.")] = False,
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="Of the commit.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go along; push nothing.")] = False,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Put a finished run's model, with its card, on the Hugging Face hub.

    One commit: all of it or nothing. The token is that of `hf auth login` or HF_TOKEN.
    """
    from launcher.cli.pushing import push_model

    push_model(run, repository, runs, public, message, dry_run, as_json)


def merge(
    run: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="One finished run, or several of one base.", autocompletion=completion.runs),
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="What to write, not there yet; default RUN-merged.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="W,W", help="By how much each run counts; default all alike.")
    ] = None,
    by: Annotated[
        Literal["linear", "ties"],
        typer.Option(help="How several runs' changes of the base come together: added up, or by TIES."),
    ] = "linear",
    density: Annotated[
        float | None,
        typer.Option(min=0.0001, max=1, help="TIES: the part of each tensor's changes that is kept; default 0.2."),
    ] = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Put the adapter of a finished run, or of several, into the weights of its base: one whole model."""
    from launcher.cli.merging import write_merged

    write_merged(run, runs, output, weights, by, density, as_json)


def mine(
    run: RunName,
    output: Annotated[Path, typer.Option(metavar="FILE", help="Write the rows there, as JSON lines.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Pairs of the recipe's kind; default its training split.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Negatives a query, at most.")] = 5,
    skip: Annotated[int, typer.Option(min=0, metavar="N", help="Leave out the N nearest.")] = 0,
    percent: Annotated[
        float, typer.Option(min=0, max=100, metavar="NUMBER", help="Highest cosine, as a part of the right passage's.")
    ] = 95.0,
    margin: Annotated[float, typer.Option(min=0, max=2, metavar="NUMBER", help="And how far below it at least.")] = 0.0,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Find hard negatives: passages that the model of a finished run puts near a query and that are not its own.

    The rows are what Pairs(train=FILE, negatives="negatives") reads: for TextEmbedding again, or for a Reranker.
    """
    from launcher.cli.mine import show_mining

    request = {"count": count, "skip": skip, "percent": percent, "margin": margin}
    show_mining(run, runs, data, output, request, as_json)
