"""`launcher serve`: finished models behind HTTP. What can be wrong is told first; then this process is the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launcher.cli import completion
from launcher.cli.asking import Settings
from launcher.cli.options import Json, Runs, examples
from launcher.cli.overrides import parse_sets

LOOPBACK = "127.0.0.1"


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN...",
            help="Runs under --runs, or paths; each is called by its own name, or by NAME.",
            autocompletion=completion.runs,
        ),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; any but this machine's own needs a token.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its line is the token; so is the variable RECIPE_LAUNCHER_TOKEN."),
    ] = None,
    set_: Settings = None,
    deadline: Annotated[
        float, typer.Option(min=0.05, max=86_400, metavar="SECONDS", help="In which a request is answered or refused.")
    ] = 30.0,
    queue: Annotated[int, typer.Option(min=1, metavar="ROWS", help="May wait for each model; more get 503.")] = 1024,
    batch_rows: Annotated[int, typer.Option(min=1, max=4096, metavar="ROWS", help="Computed together at most.")] = 16,
    batch_tokens: Annotated[
        int, typer.Option(min=1, metavar="TOKENS", help="Computed together at most, padding included.")
    ] = 4096,
    max_rows: Annotated[int, typer.Option(min=1, metavar="ROWS", help="Of a request.")] = 256,
    max_characters: Annotated[int, typer.Option(min=1, metavar="N", help="Of a text.")] = 100_000,
    max_body: Annotated[int, typer.Option(min=64, metavar="BYTES", help="Of a request.")] = 4 * 2**20,
    grace: Annotated[
        int, typer.Option(min=1, metavar="SECONDS", help="For what is in flight when the server is told to end.")
    ] = 60,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Answer over HTTP with the models of finished runs, until Ctrl-C or SIGTERM.

    POST /v1/predict takes {"texts": […]} and answers as `launcher predict` does; /v1/chat/completions and
    /v1/embeddings are OpenAI's; a page to try the models is at /. One process; what is in flight at its end is
    answered. Of this machine alone, unless --host and a token say otherwise.
    """
    from launcher.launch import serving

    named = serving.named_models(models, runs, parse_sets(set_))
    limits = {
        **{"deadline": deadline, "queue": queue, "batch_rows": batch_rows, "batch_tokens": batch_tokens},
        **{"max_rows": max_rows, "max_characters": max_characters, "max_body": max_body, "grace": grace},
    }
    token = serving.token(token_file)
    serving.become_server(named, parse_sets(set_), (host, port), token, limits, as_json)


def add_to(app: typer.Typer) -> None:
    """Make it a verb of the command."""
    app.command(
        epilog=examples(
            "launcher serve a",
            "launcher serve reviews=runs/a names=runs/b --port 9000",
            "launcher serve a --host 0.0.0.0 --token-file token.txt",
            "curl localhost:8000/v1/predict -H 'Content-Type: application/json' -d '{\"texts\": [\"房间很干净\"]}'",
        )
    )(serve)
