"""A server in a thread of this process, and a model for it that takes no torch: what it is asked it remembers."""

import asyncio
import json
import socket
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial

import httpx

from launcher.errors import DataError, Problem
from launcher.serving.gate import Gate
from launcher.serving.limits import Limits
from launcher.serving.served import About
from launcher.serving.server import Server

PREDICT, VECTORS, CHAT = "/v1/predict", "/v1/embeddings", "/v1/chat/completions"

get, post = partial(httpx.get, verify=False, timeout=20), partial(httpx.post, verify=False, timeout=20)
"""Certificates take longer to read than all that is asked."""


def wait_until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@dataclass
class Words:
    text: str
    cost: int


class Echo:
    """Answers with what it was asked. `seconds` a row; a text `broken` breaks it, one that is `bad` is refused."""

    def __init__(self, seconds=0.0, endpoints=(PREDICT,), takes="texts", whole=False):
        self.seconds, self.batches, self.turns = seconds, [], []
        self.about = About("Echo", ("a", "b"), takes, endpoints, sizes=(2, 3), whole=whole)
        self.go = threading.Event()
        self.go.set()

    def read(self, texts):
        for number, text in enumerate(texts, 1):
            if text == "bad":
                raise DataError(Problem("the text is bad", f"text {number}", "write a good one"))
        return [Words(text, len(str(text).split()) + 2) for text in texts]

    def answer(self, rows):
        self.go.wait(20)
        self.batches.append([row.text for row in rows])
        time.sleep(self.seconds * len(rows))
        if any(row.text == "broken" for row in rows):
            raise ValueError("this text breaks it")
        return [
            {"label": row.text, "vector": [3.0, 4.0, 12.0], "probabilities": {"a": 0.25, "b": 0.75}} for row in rows
        ]

    def likeliest(self, answer, top):
        return {**answer, "probabilities": dict(sorted(answer["probabilities"].items(), key=lambda e: -e[1])[:top])}

    def reply(self, messages, settings, say, stopped):
        """Its last message, a word a piece; `bad` as above."""
        self.turns.append((messages, settings))
        self.read([messages[-1]["content"]])
        said = []
        for word in messages[-1]["content"].split():
            if stopped():
                break
            time.sleep(self.seconds)
            said.append(f"{word} ")
            say(said[-1])
        unfinished = {"unfinished": True} if "max_new_tokens" in settings else {}
        return {"text": "".join(said), "left_out": 0, "stopped": stopped(), "tokens": [7, len(said)], **unfinished}


def listening():
    made = socket.create_server(("127.0.0.1", 0), backlog=1024)
    made.setblocking(False)
    return made


async def serve(models, limits, token, listener, started=lambda gate, server: None):
    gate = Gate(limits, "0")
    server = Server(gate, token)
    gate.open(models)
    started(gate, server)
    await server.serve(sockets=[listener])
    return server


class Hosted:
    """`with Hosted(a=Echo()) as here: httpx.get(here.url)`."""

    def __init__(self, limits=None, token=None, **models):
        self.models, self.limits, self.token = models, limits or Limits(), token

    def __enter__(self):
        listener, up = listening(), threading.Event()
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

        def started(gate, server):
            self.gate, self.server = gate, server
            up.set()

        def run():
            asyncio.run(serve(self.models, self.limits, self.token, listener, started))

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert up.wait(20)
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive(), "the server did not end"

    def raw(self, *parts, pause=0.0, seconds=5.0):
        """What comes back for these bytes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as line:
            told = b""
            try:
                for part in parts:
                    line.sendall(part)
                    time.sleep(pause)
                while piece := line.recv(65536):
                    told += piece
            except (ConnectionError, TimeoutError):
                pass
            return told


if __name__ == "__main__":  # a process that is told to end while it is asked (test_ending, benchmarks/serving.py)

    async def be_server():
        listener = listening()
        print(listener.getsockname()[1], flush=True)
        await serve(
            {"a": Echo(float(sys.argv[1]))}, Limits(**json.loads("".join(sys.argv[2:]) or "{}")), None, listener
        )

    asyncio.run(be_server())
