"""What one request, or one client, can do to a server at worst: seconds, memory, a model that breaks."""

import json
import math
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hosting import CHAT, PREDICT, VECTORS, Echo, Hosted, get, post, wait_until

from launcher.serving.limits import Limits

MEGABYTE = 2**20
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def here():
    with Hosted(Limits(deadline=5), a=Echo(endpoints=(PREDICT, VECTORS, CHAT))) as hosted:
        yield hosted


def asked(here, content, path=PREDICT, **more):
    return post(here.url + path, content=content, headers=HEADERS, **more)


@pytest.mark.parametrize(
    ("path", "before", "each", "after", "status", "code"),
    [
        (PREDICT, b'{"texts":[', b"1,", b"1]}", 400, "invalid_request"),
        (PREDICT, b'{"texts":[', b"[1,1],", b"1]}", 400, "invalid_request"),
        (PREDICT, b'{"texts":[', b'"",', b'""]}', 413, "too_many_rows"),
        (PREDICT, b'{"images":[', b"1,", b"1]}", 400, "invalid_request"),
        (VECTORS, b'{"input":[', b"1,", b"1]}", 400, "invalid_request"),
        (CHAT, b'{"messages":[', b"{},", b"{}]}", 400, "invalid_request"),
        (CHAT, b'{"messages":[{"role":"user","content":[', b"{},", b"{}]}]}", 400, "invalid_request"),
    ],
)
def test_a_million_wrong_items_are_refused_in_no_time(here, path, before, each, after, status, code):
    body = before + each * (2 * MEGABYTE // len(each)) + after
    began = time.monotonic()
    told = asked(here, body, path, timeout=120)
    assert time.monotonic() - began < 8, "nobody else was answered for as long"
    assert (told.status_code, told.json()["error"]["code"]) == (status, code)
    assert len(told.content) < 1000


def test_a_hundred_thousand_unknown_fields_are_refused_in_no_time(here):
    body = b"{" + b",".join(b'"text%d":1' % number for number in range(100_000)) + b"}"
    began = time.monotonic()
    told = asked(here, body, timeout=120)
    assert time.monotonic() - began < 3
    assert told.status_code == 400 and "100,000 things" in told.json()["error"]["message"]


def test_what_is_wrong_is_said_of_the_place_where_it_is(here):
    told = asked(here, b'{"texts": ["a", ["b", 1]]}').json()["error"]
    assert told["param"] == "texts[1][1]" and "(texts)" not in told["message"]


def test_a_long_conversation_is_no_matter_of_rows():
    with Hosted(Limits(max_rows=8), a=Echo(endpoints=(CHAT,))) as here:
        messages = [{"role": ("user", "assistant")[n % 2], "content": str(n)} for n in range(41)]
        told = asked(here, json.dumps({"messages": messages}).encode(), CHAT)
        assert told.status_code == 200 and told.json()["choices"][0]["message"]["content"] == "40 "
        assert 'launcher_tokens_total{model="a"} 8.0' in get(f"{here.url}/metrics").text


def test_requests_that_are_answered_at_the_same_time_fill_no_more_memory_than_they_may():
    slow = Echo()
    slow.go.clear()
    limits = Limits(held=3 * MEGABYTE, max_body=2 * MEGABYTE, max_characters=2 * MEGABYTE)
    body = json.dumps({"texts": ["x" * int(1.2 * MEGABYTE)]}).encode()
    with ThreadPoolExecutor(3) as pool, Hosted(limits, a=slow) as here:
        waiting = [pool.submit(asked, here, body) for _ in range(2)]
        end = time.monotonic() + 10
        while here.gate.models["a"].waiting < 2 and time.monotonic() < end:
            time.sleep(0.01)
        told = asked(here, body)
        assert (told.status_code, told.headers["Retry-After"]) == (503, "1")
        wait_until(lambda: here.gate.held == 2 * len(body))  # what was refused is let go after its answer
        slow.go.set()
        assert {each.result().status_code for each in waiting} == {200}
        assert asked(here, body).status_code == 200
        wait_until(lambda: not here.gate.held)


def test_who_leaves_in_the_middle_of_a_body_holds_nothing(here):
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", here.port)) as line:
        line.sendall(head + b"Content-Length: 9000\r\n\r\n" + b"x" * 5000)
        wait_until(lambda: here.gate.held == 5000)
    wait_until(lambda: not here.gate.held)


def test_numbers_that_are_none_are_null_as_predict_has_them():
    echo = Echo()
    echo.answer = lambda rows: [{"label": "a", "probabilities": {"a": math.nan, "b": math.inf}} for _ in rows]
    with Hosted(a=echo) as here:
        told = asked(here, b'{"texts": ["a"]}')
        assert told.status_code == 200 and told.json()["answers"][0]["probabilities"] == {"a": None, "b": None}


def test_a_model_that_forgets_a_row_is_told_of_and_goes_on():
    echo = Echo()
    whole = echo.answer
    echo.answer = lambda rows: whole(rows)[1:] if rows[0].text == "forget" else whole(rows)
    with Hosted(Limits(deadline=5), a=echo) as here:
        assert asked(here, b'{"texts": ["forget"]}').json()["error"]["code"] == "broken"
        assert asked(here, b'{"texts": ["fine"]}').status_code == 200


def test_a_server_whose_model_is_dead_does_not_say_that_it_lives(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    echo = Echo()

    def end(rows):
        raise SystemExit

    with Hosted(Limits(deadline=1), a=echo) as here:
        assert get(f"{here.url}/health/live").status_code == 200
        echo.answer = end
        assert asked(here, b'{"texts": ["a"]}').status_code == 504
        told = get(f"{here.url}/health/live")
        assert (told.status_code, told.json()["error"]["code"]) == (503, "broken")


def test_while_models_are_read_nobody_is_told_that_there_are_none(here):
    here.gate.ready = False
    try:
        for path in ("/v1/models", "/v1/models/a", "/health/ready"):
            told = get(here.url + path)
            assert (told.status_code, told.json()["error"]["code"]) == (503, "too_busy"), path
    finally:
        here.gate.ready = True
    assert get(f"{here.url}/v1/models").json()["data"][0]["id"] == "a"
