"""The server without a real model: what is computed together, what is refused and how, who is not waited for."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hosting import CHAT, PREDICT, VECTORS, Echo, Hosted, get, post, wait_until

from launcher.serving.limits import Limits
from launcher.serving.pool import Pool

LIMITS = Limits(deadline=5, queue=12, max_rows=8, max_characters=200, max_body=4000, patience=0.6, connections=40)
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def here():
    echo, talker = Echo(), Echo(endpoints=(PREDICT, VECTORS, CHAT))
    with Hosted(LIMITS, echo=echo, talker=talker) as hosted:
        hosted.echo, hosted.talker = echo, talker
        yield hosted


def asked(here, body, path=PREDICT, **more):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post(here.url + path, content=content, headers={**HEADERS, **more.pop("headers", {})}, **more)


def test_answers_come_in_the_order_of_the_texts(here):
    told = asked(here, {"texts": ["one two three", "one", "one two"], "model": "echo", "top": 1}).json()
    assert told["model"] == "echo"
    assert [answer["label"] for answer in told["answers"]] == ["one two three", "one", "one two"]
    assert told["answers"][0]["probabilities"] == {"b": 0.75}
    assert asked(here, {"texts": "alone", "model": "echo"}).json()["answers"][0]["label"] == "alone"


def rows_of(*costs):
    work = type("Work", (), {"dropped": lambda self: False, "why_dropped": ""})()
    pool = Pool(4, 40)
    for place, cost in enumerate(costs):
        pool.add(work, place, type("Row", (), {"cost": cost})())
    return pool


def test_neighbours_in_length_are_computed_together_and_the_oldest_first():
    pool = rows_of(9, 3, 30, 8, 9, 4, 11, 50, 3)
    taken = []
    while batch := pool.take():
        taken.append(sorted(waiting.cost for waiting in batch))
    assert taken == [[8, 9, 9], [3, 3, 4], [30], [11], [50]], "four rows or forty tokens, padding included"


def test_requests_that_wait_are_computed_together(here):
    here.echo.batches.clear()
    here.echo.go.clear()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(8))
        first = pool.submit(asked, here, {"texts": ["first"], "model": "echo"})
        wait_until(lambda: here.gate.models["echo"].waiting == 1)
        others = [pool.submit(asked, here, {"texts": [f"text {n}"], "model": "echo"}) for n in range(6)]
        wait_until(lambda: here.gate.models["echo"].waiting == 7)
        here.echo.go.set()
        labels = [future.result().json()["answers"][0]["label"] for future in [first, *others]]
    assert labels == ["first", *(f"text {n}" for n in range(6))]
    assert [len(batch) for batch in here.echo.batches] == [1, 6]


WRONG = [
    (b"{", 400, "invalid_json", "the body is no JSON"),
    (b"\xff\xfe{}", 400, "invalid_json", "the body is no JSON"),
    (b"[" * 3000, 400, "invalid_json", "recursion limit"),
    (b'{"texts":' + b"[" * 300 + b"]" * 300 + b"}", 400, "invalid_json", "recursion limit"),
    (b'["a"]', 400, "invalid_json", "no object"),
    (b'{"texts": ["\\ud800"]}', 400, "invalid_json", "hex escape"),
    ({"text": ["a"]}, 400, "invalid_request", "there is no 'text'"),
    ({"texts": [], "model": "echo"}, 400, "invalid_value", "nothing to answer"),
    ({"texts": [1, None], "model": "echo"}, 400, "invalid_request", "texts[0]"),
    ({"texts": [["a", "b", "c"]], "model": "echo"}, 400, "invalid_value", "a pair has two texts"),
    ({"texts": ["a"], "top": 0}, 400, "invalid_request", "greater than or equal to 1"),
    ({"images": ["a"], "model": "echo"}, 400, "invalid_request", "and no images"),
    ({"model": "echo"}, 400, "invalid_request", "the model takes texts"),
    ({"texts": ["a"]}, 400, "invalid_request", "several models"),
    ({"texts": ["a"], "model": "ecko"}, 404, "model_not_found", "no model of that name"),
    ({"texts": ["a"] * 9, "model": "echo"}, 413, "too_many_rows", "9 rows"),
    ({"texts": ["a" * 201], "model": "echo"}, 413, "text_too_long", "201 characters"),
    ({"texts": ["a" * 5000], "model": "echo"}, 413, "body_too_large", "4,000 bytes"),
    ({"texts": ["fine", "bad"], "model": "echo"}, 400, "invalid_value", "the text is bad (text 2)"),
]


@pytest.mark.parametrize(("body", "status", "code", "says"), WRONG)
def test_what_is_wrong_is_told_in_one_shape(here, body, status, code, says):
    answer = asked(here, body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert error["code"] == code and says in error["message"]


def test_a_hint_stands_beside_it(here):
    assert "did you mean 'texts'?" in asked(here, {"text": ["a"]}).json()["error"]["message"]
    assert "did you mean 'echo'?" in asked(here, {"texts": ["a"], "model": "ecko"}).json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", PREDICT, 405), ("POST", "/", 405), ("GET", "/v1/models/none", 404)],
)
def test_paths_and_methods_that_there_are_not(here, method, path, status):
    answer = httpx.request(method, here.url + path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_only_json_is_taken_and_only_by_our_own_name(here):
    told = post(here.url + PREDICT, content=b'{"texts": ["a"]}', headers={"Content-Type": "text/plain"})
    assert (told.status_code, told.json()["error"]["code"]) == (415, "not_json")
    for host, status in (
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("127.0.0.2", 200),
        (f"localhost:{here.port}", 200),
        (f"[::1]:{here.port}", 200),
    ):
        told = get(f"{here.url}/v1/models", headers={"Host": host})
        assert told.status_code == status, host


def test_a_row_that_breaks_the_model_breaks_nobody_elses_request(here):
    here.echo.go.clear()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(8))
        first = pool.submit(asked, here, {"texts": ["first"], "model": "echo"})
        wait_until(lambda: here.gate.models["echo"].waiting == 1)
        others = [pool.submit(asked, here, {"texts": [text], "model": "echo"}) for text in ("good", "broken", "fine")]
        wait_until(lambda: here.gate.models["echo"].waiting == 4)
        here.echo.go.set()
        told = [future.result() for future in [first, *others]]
    assert [answer.status_code for answer in told] == [200, 200, 500, 200]
    assert told[2].json()["error"]["code"] == "broken" and "Traceback" not in told[2].text
    assert here.gate.models["echo"].waiting == 0


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(here):
    here.echo.go.clear()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(8))
        waiting = [pool.submit(asked, here, {"texts": ["a"] * 6, "model": "echo"}) for _ in range(2)]
        wait_until(lambda: here.gate.models["echo"].waiting == 12)
        began = time.monotonic()
        told = asked(here, {"texts": ["a"], "model": "echo"})
        assert time.monotonic() - began < 1
        assert (told.status_code, told.json()["error"]["code"]) == (503, "too_busy")
        assert int(told.headers["Retry-After"]) >= 1
        assert get(f"{here.url}/health/ready").status_code == 200
        here.echo.go.set()
        assert {future.result().status_code for future in waiting} == {200}


def test_who_has_gone_is_not_computed_for(here):
    here.echo.batches.clear()
    here.echo.go.clear()
    model = here.gate.models["echo"]
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(8))
        first = pool.submit(asked, here, {"texts": ["first"], "model": "echo"})
        wait_until(lambda: model.waiting == 1)
        gone = socket.create_connection(("127.0.0.1", here.port))
        body = json.dumps({"texts": ["gone", "gone too"], "model": "echo"})
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        gone.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        wait_until(lambda: model.waiting == 3)
        gone.close()
        wait_until(lambda: model.waiting == 1)
        here.echo.go.set()
        assert first.result().status_code == 200
        assert asked(here, {"texts": ["next"], "model": "echo"}).status_code == 200
    assert here.echo.batches == [["first"], ["next"]]
    assert 'launcher_dropped_rows_total{model="echo",reason="cancelled"} 2.0' in get(f"{here.url}/metrics").text


def test_what_cannot_be_answered_in_time_is_told_so_and_not_computed():
    slow = Echo()
    with Hosted(Limits(deadline=0.3), a=slow) as here:
        slow.go.clear()
        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(4))
            told = [pool.submit(asked, here, {"texts": ["one"]})]
            wait_until(lambda: here.gate.models["a"].waiting == 1)
            time.sleep(0.05)
            told.append(pool.submit(asked, here, {"texts": ["two"]}))
            statuses = [future.result().status_code for future in told]
        assert statuses == [504, 504]
        slow.go.set()
        assert asked(here, {"texts": ["three"]}).status_code == 200
    assert slow.batches == [["one"], ["three"]]


def test_where_the_wait_would_be_too_long_it_is_refused_at_once():
    with Hosted(Limits(deadline=0.5, batch_rows=4), a=Echo(seconds=0.05)) as here:
        assert asked(here, {"texts": ["a"]}).status_code == 200

        async def storm():
            async with httpx.AsyncClient(limits=httpx.Limits(max_connections=100), timeout=20, verify=False) as client:

                async def one():
                    return (await client.post(here.url + PREDICT, json={"texts": ["a"]})).status_code

                return await asyncio.gather(*(one() for _ in range(60)))

        statuses = asyncio.run(storm())
    assert set(statuses) == {200, 503}, statuses
    assert 3 <= statuses.count(200) <= 12


def test_a_token_opens_everything_but_the_page_and_the_health():
    token = "0123456789abcdef"
    with Hosted(token=token, a=Echo()) as here:
        for path, status in (("/", 200), ("/health/live", 200), ("/v1/models", 401), ("/metrics", 401)):
            assert get(here.url + path, headers={"Host": "elsewhere.example"}).status_code == status
        for given in ("", "Bearer", "Bearer wrong", f"Basic {token}", f"Bearer {token}x", "Bearer \xff"):
            told = get(f"{here.url}/v1/models", headers={"Authorization": given.encode("latin-1")})
            assert (told.status_code, told.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert get(f"{here.url}/v1/models", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_metrics_count_requests_rows_and_seconds(here):
    asked(here, {"texts": ["a", "b"], "model": "echo"})
    page = get(f"{here.url}/metrics").text
    for line in (
        f'launcher_requests_total{{route="{PREDICT}",status="200"}}',
        'launcher_rows_total{model="echo"}',
        'launcher_batch_rows_bucket{le="1.0",model="echo"}',
        f'launcher_request_seconds_count{{route="{PREDICT}"}}',
        'launcher_waiting_rows{model="echo"} 0.0',
        "process_resident_memory_bytes",
    ):
        assert line in page


def test_the_description_is_openapi_and_the_page_needs_nothing_from_elsewhere(here):
    told = get(f"{here.url}/openapi.json").json()
    assert {PREDICT, VECTORS, CHAT, "/v1/models", "/health/live"} <= set(told["paths"])
    schema = told["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"texts", "images", "top", "model"}
    for path in ("/", "/page.js", "/page.css"):
        answer = get(here.url + path)
        assert answer.status_code == 200 and "default-src 'none'" in answer.headers["content-security-policy"]
        assert "//" not in answer.text.replace("<!doctype html>", "") and "http" not in answer.text


def test_who_sends_slowly_or_nothing_is_not_kept(here):
    began = time.monotonic()
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for parts, says in (
        ([b""], b""),
        ([head[:40]], b"408"),
        ([head, b"Content-Length: 100\r\n\r\n", b'{"te'], b"too_slow"),
    ):
        assert says in here.raw(*parts, pause=0.05)
    assert time.monotonic() - began < 4 * LIMITS.patience + 2


def test_who_does_not_take_an_answer_does_not_hold_the_others():
    big = Echo()
    big.answer = lambda rows: [{"label": "x" * 3_000_000} for _ in rows]
    with Hosted(Limits(patience=0.5), a=big) as here, socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", here.port))
        body = b'{"texts": ["a", "b", "c"]}'
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        line.sendall(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        wait_until(lambda: len(here.server.server_state.connections) == 1)
        assert len(asked(here, {"texts": ["a"]}).content) > 3_000_000
        wait_until(lambda: not [c for c in here.server.server_state.connections if c._busy()])


def test_too_many_connections_are_refused(here):
    lines = []
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.connections):
            lines.append(stack.enter_context(socket.create_connection(("127.0.0.1", here.port))))
        told = here.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert told == b"" or b"too_busy" in told
    wait_until(lambda: len(here.server.server_state.connections) < LIMITS.connections)
    assert get(f"{here.url}/health/live").status_code == 200


def test_a_model_that_writes_computes_each_request_by_itself():
    echo = Echo(whole=True)
    with Hosted(a=echo) as here:
        assert asked(here, {"texts": ["a b c", "a"]}).status_code == 200
        assert asked(here, {"texts": ["bad"]}).status_code == 400
    assert echo.batches == [["a b c", "a"]]


def test_many_hostile_requests_do_no_harm(here):
    from hostile import requests

    threads = threading.active_count()
    for number, parts in enumerate(requests(300, seed=3)):
        told = here.raw(*parts, seconds=0.05 if number % 10 else 0.3)
        assert told == b"" or told.startswith(b"HTTP/1.1 "), told[:200]
        assert b"Traceback" not in told
        for answer in told.split(b"HTTP/1.1 ")[1:]:
            assert answer[:1] in b"124" or answer[:3] in (b"503", b"500"), answer[:100]
    assert asked(here, {"texts": ["still here"], "model": "echo"}).status_code == 200
    wait_until(lambda: here.gate.models["echo"].waiting == 0)
    assert threading.active_count() <= threads + 1


def test_an_answer_does_not_wait_for_the_clients_acknowledgement(here):
    with socket.create_connection(("127.0.0.1", here.port)) as line:
        line.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(1000)
        ours = [c.transport.get_extra_info("socket") for c in here.server.server_state.connections]
        assert ours and all(each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in ours)
