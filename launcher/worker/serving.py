"""`launcher serve`, once it is a process of its own: reads the models and is the server until it is told to end.

python -m launcher.worker.serving PIPE SOCKET        (the request is read from the pipe, the socket listens)
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from launcher import errors, streams
from launcher.errors import LauncherError
from launcher.exported import contract
from launcher.launch.serving import STOPS
from launcher.printing import json_line
from launcher.serving.gate import Gate
from launcher.serving.limits import Limits
from launcher.serving.served import Served
from launcher.serving.server import Server


def served(request: dict[str, Any]) -> dict[str, Served]:
    """The models of `{"models": {name: folder}, "set": {…}}`. Raises LauncherError."""
    return {name: _served(Path(folder), request["set"]) for name, folder in request["models"].items()}


def _served(folder: Path, sets: dict[str, str]) -> Served:
    if contract.is_export(folder):
        from launcher.serving.served_export import ServedExport

        return ServedExport(folder)
    from launcher.worker.rank import hush_libraries

    hush_libraries()
    from launcher.serving.served_run import ServedRun
    from launcher.worker.verbs import saved_model

    return ServedRun(saved_model(folder, sets))


async def be_server(request: dict[str, Any], listening: socket.socket, token: str | None) -> int:
    """Until it is told to end; the exit status."""
    gate = Gate(Limits(**request["limits"]), metadata.version("recipe-launcher"))
    server = Server(gate, token)
    answering = asyncio.ensure_future(server.serve(sockets=[listening]))
    loading = asyncio.ensure_future(asyncio.to_thread(served, request))
    await asyncio.wait({answering, loading}, return_when=asyncio.FIRST_COMPLETED)
    if loading.done() and not server.should_exit:
        try:
            gate.open(loading.result())
        except Exception as error:
            told = errors.refused_by_the_system(error)
            if told is None:
                traceback.print_exception(error)
            server.should_exit = server.force_exit = True
            await answering
            return _refused(told, request["json"]) if told else 5
        _say_where(request, gate)
    await answering
    if server.cut:
        print(f"launcher: {server.cut} requests had no answer yet and were cut off", file=sys.stderr)
    return 0


async def to_its_end(request: dict[str, Any], listening: socket.socket) -> NoReturn:
    """And nothing after it: a model that is still read, or still writes, would be waited for."""
    code = await be_server(request, listening, request["token"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _refused(error: LauncherError, as_json: bool) -> int:
    if as_json:
        print(json_line(error.document()))
    print(f"launcher: {error}", file=sys.stderr)
    return error.exit_code


def _say_where(request: dict[str, Any], gate: Gate) -> None:
    abouts = {name: model.about for name, model in gate.models.items()}
    if request["json"]:
        told = [{"name": name, "task": a.task, "endpoints": a.endpoints} for name, a in abouts.items()]
        print(json_line({"url": request["url"], "models": told}), flush=True)
        return
    for name, about in abouts.items():
        print(f"{name}: {about.task} at {', '.join(about.endpoints)}", flush=True)
    print(f"ready: {request['url']} (Ctrl-C ends it)", flush=True)


def main() -> None:
    """The command has become this process: its words are gone, and what is secret came through the pipe."""
    for number in STOPS:  # until the server is there
        signal.signal(number, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # one that came while Python began
    streams.be_patient()
    with os.fdopen(int(sys.argv[1]), "rb") as pipe:
        request = json.loads(pipe.read())
    listening = socket.socket(fileno=int(sys.argv[2]))
    listening.setblocking(False)
    asyncio.run(to_its_end(request, listening))


if __name__ == "__main__":
    main()
