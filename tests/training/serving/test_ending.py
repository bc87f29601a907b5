"""The end of a server: what is in flight is answered, the status is 0, nothing is left."""

import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hosting import CHAT, PREDICT, Echo, Hosted, get, post, wait_until
from storm import end_under_load

from launcher.serving.limits import Limits


@pytest.mark.parametrize("seed", range(4))
def test_sigterm_under_load_loses_nothing(seed):
    told = end_under_load(seed=seed)
    assert told["lost"] == 0, told
    assert (told["status"], told["left"], told["open"]) == (0, False, False)
    assert told["answered"] > 20


def test_readiness_goes_before_the_port_and_what_waits_is_answered():
    slow = Echo()
    slow.go.clear()
    with ThreadPoolExecutor(4) as pool, Hosted(Limits(notice=3), a=slow) as here:
        waits = pool.submit(post, here.url + PREDICT, json={"texts": ["a", "b"]}, timeout=20)
        wait_until(lambda: here.gate.models["a"].waiting == 2)
        assert get(f"{here.url}/health/ready").status_code == 200
        here.server.should_exit = True
        wait_until(lambda: here.gate.draining)
        ready = get(f"{here.url}/health/ready")
        assert (ready.status_code, ready.headers["connection"]) == (503, "close")
        assert get(f"{here.url}/health/live").status_code == 200
        late = pool.submit(post, here.url + PREDICT, json={"texts": ["late"]}, timeout=20)
        wait_until(lambda: here.gate.models["a"].waiting == 3)

        def closed():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", here.port)) != 0

        wait_until(closed)
        assert here.thread.is_alive()
        slow.go.set()
        assert [len(answer.result().json()["answers"]) for answer in (waits, late)] == [2, 1]
        here.thread.join(10)
        assert not here.thread.is_alive()


def test_a_stream_that_has_begun_is_told_to_its_end():
    with Hosted(a=Echo(seconds=0.05, endpoints=(CHAT,))) as here:
        asked = {
            "messages": [{"role": "user", "content": "one two three four five six seven eight nine"}],
            "stream": True,
        }
        with httpx.stream("POST", here.url + CHAT, json=asked, timeout=20) as answer:
            lines = answer.iter_lines()
            first = next(lines)
            here.server.should_exit = True
            events = [first, *lines]
    assert events[-2] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in events if line.startswith("data: {")]
    told = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert told.split() == asked["messages"][0]["content"].split()


def test_who_has_connected_before_the_end_may_still_ask():
    with (
        Hosted(Limits(notice=0.1), a=Echo()) as here,
        contextlib.closing(socket.create_connection(("127.0.0.1", here.port), timeout=5)) as line,
    ):
        wait_until(lambda: len(here.server.server_state.connections) == 1)
        here.server.should_exit = True
        time.sleep(0.35)
        line.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_model_that_never_ends_is_not_waited_for_longer_than_the_grace():
    stuck = Echo()
    stuck.go.clear()
    gone = []
    with Hosted(Limits(grace=1, notice=0.05), a=stuck) as here:

        def ask():
            with contextlib.suppress(httpx.HTTPError):
                gone.append(post(here.url + PREDICT, json={"texts": ["a"]}, timeout=20).status_code)

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: here.gate.models["a"].waiting == 1)
        began = time.monotonic()
        here.server.should_exit = True
        here.thread.join(10)
        assert 0.9 < time.monotonic() - began < 4
        assert here.server.cut == 1
    stuck.go.set()
    thread.join()
    assert gone != [200]
