"""`launcher chat`: a conversation with a run's model, in the terminal or line by line."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from launcher.child import Heavy
from launcher.cli.predict import check_settings
from launcher.errors import LauncherError, did_you_mean, from_document, printable
from launcher.model import model_folder

COMMANDS = ("/exit", "/reset", "/system")
YOU, MODEL = "you> ", "model> "


def hold_chat(run: str, runs: Path, system: str | None, sets: Mapping[str, str]) -> None:
    """Talk until the input ends or says /exit. Raises BackendError for a run that holds no conversation."""
    folder = model_folder(run, runs)
    check_settings(folder, sets)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with Heavy("chat") as child:
        child.ask({"model": str(folder), "set": dict(sets)})
        child.line()  # it is ready, or has raised
        if terminal:
            print("/reset begins anew, /exit ends, Ctrl-C ends an answer", file=sys.stderr)
        Conversation(child, system, terminal).hold()


class Conversation:
    """The messages so far, and how they are shown."""

    def __init__(self, child: Heavy, system: str | None, terminal: bool):
        self.child, self.terminal = child, terminal
        self.messages: list[dict[str, str]] = []
        self.begin(system)

    def begin(self, system: str | None) -> None:
        """Forget what was said; `system` stands before all that comes."""
        self.system = system
        self.messages = [{"role": "system", "content": system}] if system else []

    def hold(self) -> None:
        """Take one message after another."""
        for typed in lines_of(self.terminal):
            if typed.startswith("/") and not typed.startswith("//"):
                if self.obey(typed):
                    return
            elif typed.strip():
                self.say(typed.removeprefix("/") if typed.startswith("//") else typed)

    def obey(self, typed: str) -> bool:
        """Carry out a command; whether it ends the conversation."""
        word, _, rest = typed.partition(" ")
        match word:
            case "/exit" | "/quit":
                return True
            case "/reset":
                self.begin(self.system)
            case "/system":
                self.begin(rest.strip() or None)
            case _:
                hint = did_you_mean(word, COMMANDS)
                self.note(f"there is no {printable(word)}; {hint} (a text that begins so is written //…)")
        return False

    def say(self, text: str) -> None:
        """One message and its answer. A message that cannot be answered is forgotten."""
        self.messages.append({"role": "user", "content": text})
        if self.terminal:
            print(MODEL, end="", flush=True)
        self.child.ask({"messages": self.messages})
        try:
            done = self.answer()
        except LauncherError as error:
            self.messages.pop()
            self.end_of_line()
            self.note(str(error))
            return
        self.end_of_line()
        if done["left_out"]:
            turns = "1 message" if done["left_out"] == 1 else f"{done['left_out']} messages"
            self.note(f"the conversation is longer than the model takes: the oldest {turns} were left out")
        if done.get("unfinished"):
            self.note("the answer was cut at max_new_tokens; --set max_new_tokens=… makes it longer")
        self.messages.append({"role": "assistant", "content": done["text"]})

    def answer(self) -> dict[str, Any]:
        """Show the pieces of an answer as they come; what is said of the whole. Ctrl-C ends it. Raises its error."""
        while True:
            try:
                line = self.child.line()
            except KeyboardInterrupt:
                self.child.process.send_signal(signal.SIGINT)
                continue
            if "error" in line:
                raise from_document(line["error"])
            if "done" in line:
                done: dict[str, Any] = line["done"]
                return done
            print(printable(line["piece"]), end="", flush=True)

    def end_of_line(self) -> None:
        """What was shown is whole."""
        print(flush=True)

    def note(self, text: str) -> None:
        """What is no part of the conversation."""
        print(f"({text})" if self.terminal else text, file=sys.stderr, flush=True)


def lines_of(terminal: bool) -> Iterator[str]:
    """What is typed, or the lines of the input. Ctrl-C gives up a line, and twice in a row the conversation."""
    if not terminal:
        yield from (line.rstrip("\r\n") for line in sys.stdin)
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (lines can be edited from now on)
    given_up = False
    while True:
        try:
            typed = input(YOU)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            if given_up:
                return
            given_up = True
            continue
        given_up = False
        yield typed
