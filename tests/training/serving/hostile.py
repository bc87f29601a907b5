"""Requests that nobody should send, made at random: sizes, encodings, depth, halves, headers, and noise."""

import json
import random

PATHS = (
    "/v1/predict",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/models",
    "/",
    "/metrics",
    "/../../etc/passwd",
    "/%00",
)


def requests(count, seed):
    """For each a list of pieces that are sent one after another."""
    draw = random.Random(seed)
    for number in range(count):
        yield KINDS[number % len(KINDS)](draw)


def request(body, path="/v1/predict", length=None, method="POST", more=""):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
    told = len(body) if length is None else length
    return f"{head}Content-Length: {told}\r\n\r\n".encode("latin-1", "replace") + body


def _noise(draw):
    return [draw.randbytes(draw.randint(1, 3000))]


def _cut(draw):
    whole = request(json.dumps({"texts": ["a"], "model": "echo"}).encode())
    return [whole[: draw.randint(1, len(whole) - 1)]]


def _flipped(draw):
    whole = bytearray(request(json.dumps({"texts": ["a", "b"], "model": "echo"}).encode()))
    for _ in range(draw.randint(1, 8)):
        whole[draw.randrange(len(whole))] = draw.randrange(256)
    return [bytes(whole)]


def _deep(draw):
    depth = draw.choice((10, 100, 1000, 1900))
    inner = draw.choice((b'{"a":', b"[")) * depth
    return [request(b'{"texts":' + inner)]


def _length_lies(draw):
    body = b'{"texts": ["a"], "model": "echo"}'
    told = draw.choice((-1, 0, 5, 10**6, 10**30, "x", "1, 1", "0x10", "1\r\nContent-Length: 2"))
    return [request(body, length=told)]


def _chunks(draw):
    head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
    size = draw.choice(("5", "ffffffffffffffff", "-1", "zz", "0"))
    return [f"{head}chunked\r\n\r\n{size}\r\nhello\r\n".encode(), draw.choice((b"0\r\n\r\n", b"", b"9"))]


def _values(draw):
    values = (
        None,
        True,
        -1,
        1e400,
        10**400,
        "x" * 3000,
        {},
        [],
        [[]],
        [["a"]],
        {"a": "b"},
        "\u0000",
        "\u202e",
        "😀" * 50,
    )
    fields = ("texts", "model", "top", "images", "input", "messages", "stream", "temperature", "n", "__proto__")
    body = {name: draw.choice(values) for name in draw.sample(fields, draw.randint(1, 5))}
    return [request(json.dumps(body).encode(), path=draw.choice(PATHS))]


def _encodings(draw):
    text = json.dumps({"texts": ["中文 é"], "model": "echo"}, ensure_ascii=False)
    return [request(text.encode(draw.choice(("utf-16", "utf-32", "gbk", "utf-8-sig", "utf-7"))))]


def _headers(draw):
    more = draw.choice(
        (
            "X: " + "y" * draw.choice((10, 70_000)) + "\r\n",
            "".join(f"X{n}: y\r\n" for n in range(draw.choice((5, 2000)))),
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n",
            "Expect: 100-continue\r\n",
            "Host: evil.example\r\n",
            "Connection: close\r\n",
            "Bad Header: x\r\n",
            "X: \x00\r\n",
        )
    )
    return [request(b'{"texts": ["a"], "model": "echo"}', more=more)]


def _methods(draw):
    method = draw.choice(("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "é", "X" * 100))
    return [request(b"", path=draw.choice(PATHS), method=method)]


def _many_at_once(draw):
    return [request(b'{"texts": ["a"], "model": "echo"}') * draw.randint(2, 9)]


KINDS = (
    *(_noise, _cut, _flipped, _deep, _length_lies, _chunks, _values, _encodings, _headers, _methods, _many_at_once),
)
