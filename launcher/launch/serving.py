"""What `launcher serve` checks before anything heavy starts; then the command becomes the server, process and all.

It is replaced (`exec`) rather than started beside: one process, whose signals and exit status are the server's own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from launcher import child
from launcher.errors import BackendError, LauncherError, Problem, short
from launcher.model import ABOUT, model_folder
from launcher.recipe.generation_rules import with_settings
from launcher.recipe.recipe import from_document
from launcher.runs.run_files import read_json

EXPORT = "export.json"
"""What the folder of an export has (`launcher.exported.contract`)."""
VARIABLE = "RECIPE_LAUNCHER_TOKEN"
NEEDED = ("fastapi", "uvicorn", "prometheus_client")
SHORTEST = 16
LONGEST = 4096
"""Characters of a token."""
BACKLOG = 1024
STOPS = (signal.SIGTERM, signal.SIGINT)


def named_models(models: Sequence[str], runs: Path, sets: Mapping[str, str]) -> dict[str, str]:
    """The folder of each model, by name. Raises LauncherError with all that is wrong with any of them."""
    problems: list[Problem] = []
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        what = f"serving needs {', '.join(lacking)}, which {'are' if len(lacking) > 1 else 'is'} not installed"
        problems.append(Problem(what, do="pip install 'recipe-launcher[serve]'"))
    named: dict[str, str] = {}
    for given in models:
        try:
            name, folder = _named(given, runs)
            if sets and is_export(folder):
                do = "leave it out, or serve the run"
                problems.append(Problem("an export answers as it was exported", "--set", do))
            elif sets:
                with_settings(from_document(read_json(folder / ABOUT)["recipe"]), sets)
        except LauncherError as error:
            problems += error.problems
            continue
        if name in named:
            do = f"give one of them another name: other={short(given.partition('=')[2] or given)}"
            problems.append(Problem(f"two models are called {name!r}", do=do))
        elif not name.isprintable() or "/" in name:
            problems.append(Problem(f"{name!r} is no name for a model", do="leave out / and control characters"))
        named[name] = str(folder)
    if any(map(is_export, named.values())) and importlib.util.find_spec("onnxruntime") is None:
        problems.append(Problem("an export is read by onnxruntime", do="pip install 'recipe-launcher[onnx]'"))
    if problems:
        raise BackendError(problems)
    return named


def _named(given: str, runs: Path) -> tuple[str, Path]:
    """`NAME=RUN`, or a run by its own name. A run whose name has a = in it is that run."""
    name, equals, rest = given.partition("=")
    if equals and name and rest:
        whole = None
        with contextlib.suppress(LauncherError):
            whole = model_folder(given, runs)
        if whole is None and not is_export(given):
            return name, Path(rest).resolve() if is_export(rest) else model_folder(rest, runs)
    if is_export(given):
        return Path(given).resolve().name, Path(given).resolve()
    folder = model_folder(given, runs)
    return (folder.parent.name if (folder.parent / "plan.json").is_file() else folder.name), folder


def is_export(path: str | Path) -> bool:
    """Whether it is a folder that `launcher export` wrote."""
    with contextlib.suppress(OSError):  # too long for a name
        return (Path(path) / EXPORT).is_file()
    return False


def token(file: Path | None) -> str | None:
    """What clients must show, out of a file or a variable; None where neither is there. Raises BackendError."""
    text = os.environ.get(VARIABLE) or None
    where = VARIABLE
    if file is not None:
        where = str(file)
        try:
            with file.open("rb") as opened:
                text = opened.read(LONGEST + 2).decode("utf-8", errors="replace").strip()
        except OSError as error:
            raise BackendError(Problem(f"the token cannot be read: {error.strerror}", where)) from None
    if text is None:
        return None
    if not SHORTEST <= len(text) <= LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        what = f"a token is one word of {SHORTEST} characters or more, of ASCII, and this is none"
        raise BackendError(Problem(what, where, "write a new one: openssl rand -hex 32 > FILE"))
    return text


def become_server(
    named: Mapping[str, str],
    sets: Mapping[str, str],
    address: tuple[str, int],
    secret: str | None,
    limits: Mapping[str, float],
    as_json: bool,
) -> NoReturn:
    """Take the port and turn into `launcher.worker.serving`. Raises BackendError where the port cannot be had."""
    listening, url = _port(*address, secret is not None)
    request = {"models": dict(named), "set": dict(sets), "limits": dict(limits), "url": url, "token": secret}
    text = json.dumps({**request, "json": as_json}).encode()
    read_end, write_end = os.pipe()
    for kept in (read_end, listening.fileno()):
        os.set_inheritable(kept, True)
    if len(text) > 1 << 15:  # of a pipe that nobody reads yet
        raise BackendError(Problem("these are too many models for one server", do="start several"))
    os.write(write_end, text)
    os.close(write_end)
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    words = child.words("launcher.worker.serving", str(read_end), str(listening.fileno()))
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until the server is there to take them: its `main`
    try:
        os.execve(words[0], words, environment)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def _port(host: str, port: int, has_token: bool) -> tuple[socket.socket, str]:
    """A socket that listens, and the address to type."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BackendError(Problem(f"there is no address {host!r}: {error.strerror}", "--host")) from None
    family, _, _, _, address = found[0]
    own = ipaddress.ip_address(str(address[0]).partition("%")[0])
    if not own.is_loopback and not has_token:
        what = f"{host} can be reached from other machines, and there is no token"
        do = f"give --token-file FILE or set {VARIABLE}, or leave --host out"
        raise BackendError(Problem(what, "--host", do))
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        do = "choose another with --port; 0 takes one that is free"
        raise BackendError(Problem(f"port {port} cannot be used: {error.strerror}", host, do)) from None
    shown = f"[{own}]" if own.version == 6 else str(own)
    return listening, f"http://{shown}:{listening.getsockname()[1]}"
