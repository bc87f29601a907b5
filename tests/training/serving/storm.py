"""SIGTERM under load: a server of a stand-in model, clients that ask without a pause, and what became of it all."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

HERE = Path(__file__).parent


def end_under_load(clients=8, seed=0, seconds=0.002):
    """How many requests were `answered`, `refused` (503, or no connection), and `lost` (neither, or half an answer);
    and `status`, the server's exit status.
    """
    draw = random.Random(seed)
    words = [sys.executable, str(HERE / "hosting.py"), str(seconds)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    counts, lock, over = Counter(), threading.Lock(), threading.Event()

    def ask(number):
        client = httpx.Client(timeout=20, verify=False)  # certificates take longer to read than all of this
        while not over.is_set():
            texts = [f"{number} {n}" for n in range(draw.randint(1, 4))]
            try:
                answer = client.post(f"http://127.0.0.1:{port}/v1/predict", json={"texts": texts})
                whole = [each["label"] for each in answer.json().get("answers", [])] == texts
                kind = "answered" if whole else "refused" if answer.status_code == 503 else "lost"
            except httpx.ConnectError:
                kind = "refused"
                over.set()
            except (httpx.HTTPError, ValueError) as error:
                kind = f"lost: {error!r}"
            with lock:
                counts[kind] += 1
        client.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    while counts["answered"] < 3 * clients and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 0.2))
    os.kill(server.pid, signal.SIGTERM)
    try:
        status = server.wait(30)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        server.stdout.close()
    lost = sum(count for kind, count in counts.items() if kind.startswith("lost"))
    return {**counts, "lost": lost, "status": status, "left": _group_lives(server.pid), "open": _is_open(port)}


def _group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
