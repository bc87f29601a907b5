"""`launcher serve` measured: what a request costs beside its model, batches, equal answers, ends, hostility, overload.

    python benchmarks/serving.py --part overhead|ends|hostile|overload                  (a stand-in model)
    python benchmarks/serving.py --part models --run RUN [--export FOLDER] --texts FILE (a text a line)

CPU times are of the server's process, all threads; one thread computes (OMP_NUM_THREADS=1).
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "training" / "serving"
sys.path.insert(0, str(TESTS))
BODY = b'{"texts": ["a"]}'
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
OVER = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A server: its address, its CPU seconds, its resident memory."""

    def __init__(self, words):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        line = self.server.stdout.readline()
        self.url = json.loads(line)["url"] if line.startswith("{") else f"http://127.0.0.1:{int(line)}"

    def cpu(self):
        told = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(told[11]) + int(told[12])) / TICKS

    def megabytes(self):
        return int(Path(f"/proc/{self.server.pid}/statm").read_text().split()[1]) * 4096 / 2**20

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.send_signal(signal.SIGTERM)
        self.status = self.server.wait(60)
        self.server.stdout.close()


def stand_in(seconds, **limits):
    return [sys.executable, str(TESTS / "hosting.py"), str(seconds), json.dumps(limits)]


def served(*models, **options):
    words = [sys.executable, "-m", "launcher", "serve", *models, "--port", "0", "--json"]
    return [*words, *(f"--{name.replace('_', '-')}={value}" for name, value in options.items())]


async def ask(url, requests, clients):
    """So many clients ask one request after another; the answers and how long each took."""
    queue, told = list(enumerate(requests))[::-1], [None] * len(requests)
    async with httpx.AsyncClient(timeout=120, verify=False, limits=httpx.Limits(max_connections=clients)) as client:

        async def one():
            while queue:
                number, texts = queue.pop()
                began = time.perf_counter()
                answer = await client.post(f"{url}/v1/predict", json={"texts": texts})
                told[number] = (answer.json()["answers"], time.perf_counter() - began)

        await asyncio.gather(*(one() for _ in range(clients)))
    return told


def asked(process, requests, clients):
    """CPU milliseconds of the server a request, requests a second (wall), p50 and p95 in milliseconds; answers."""
    asyncio.run(ask(process.url, requests[:20], clients))
    cpu, began = process.cpu(), time.perf_counter()
    told = asyncio.run(ask(process.url, requests, clients))
    seconds, spent = time.perf_counter() - began, process.cpu() - cpu
    times = sorted(each[1] * 1000 for each in told)
    figures = {"cpu_ms": 1000 * spent / len(requests), "per_second": len(requests) / seconds}
    figures |= {"p50": statistics.median(times), "p95": times[int(0.95 * len(times))]}
    return {name: round(value, 2) for name, value in figures.items()}, [each[0] for each in told]


def overhead(given):
    """Of a model that costs nothing: HTTP, JSON, checks, queue, thread, metrics."""
    with Process(stand_in(0)) as process:
        requests = [[f"a film of {n} words , and not a bad one"] for n in range(given.count)]
        return {f"{clients} clients": asked(process, requests, clients)[0] for clients in (1, 16)}


def ends(given):
    from storm import end_under_load

    counts, statuses, left = Counter(), Counter(), 0
    for seed in range(given.count):
        told = end_under_load(seed=given.seed + seed)
        statuses[told["status"]] += 1
        left += told["left"] or told["open"]
        counts.update({name: told.get(name, 0) for name in ("answered", "refused", "lost")})
    return {**counts, "ends": given.count, "statuses": dict(statuses), "left": left}


def hostile(given):
    """Noise of all kinds, while a good client asks all the time."""
    import socket

    from hostile import requests

    told, good, over = Counter(), Counter(), threading.Event()
    with Process(stand_in(0)) as process:
        port = int(process.url.rpartition(":")[2])

        def ask_well():
            with httpx.Client(timeout=20) as client:
                while not over.is_set():
                    answer = client.post(f"{process.url}/v1/predict", json={"texts": ["good"]})
                    good[answer.status_code] += 1
                    time.sleep(0.02)

        thread = threading.Thread(target=ask_well)
        thread.start()
        lines, memory = [], []
        for number, parts in enumerate(requests(given.count, seed=1)):
            line = socket.create_connection(("127.0.0.1", port), timeout=5)
            try:
                for part in parts:
                    line.sendall(part)
                line.settimeout(0.02)
                answer = line.recv(65536)
                told[answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else "no answer"] += 1
            except OSError as error:
                told[type(error).__name__] += 1
            lines.append(line)  # kept open: slow clients, too
            if len(lines) > 60:
                lines.pop(0).close()
            if number % (given.count // 4) == given.count // 8:
                memory.append(round(process.megabytes(), 1))
        over.set()
        thread.join()
        for line in lines:
            line.close()
    return {"answers": dict(told), "good": dict(good), "megabytes": memory, "status": process.status}


def overload(given):
    """Ten times what it can do (0.1 s a row: 10 a second), 30 s, open loop."""
    rate, seconds, deadline = 100, given.seconds, 2.0

    async def one(port, told):
        """A bare connection: httpx takes more of the processor than the server does."""
        began, status = time.perf_counter(), "lost"
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(OVER)
            status = (await asyncio.wait_for(reader.read(), 30))[9:12].decode() or "lost"
            writer.close()
        except OSError as error:
            status = type(error).__name__
        told.append((status, time.perf_counter() - began))

    async def storm(url):
        told, tasks, port, began = [], [], int(url.rpartition(":")[2]), time.perf_counter()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            tasks.append(asyncio.ensure_future(one(port, told)))
        sent = time.perf_counter() - began
        await asyncio.gather(*tasks)
        return told, sent

    with Process(stand_in(0.1, deadline=deadline)) as process:
        asyncio.run(ask(process.url, [["a"]] * 20, 2))
        before = process.megabytes()
        told, sent = asyncio.run(storm(process.url))
        after = process.megabytes()
        page = httpx.get(f"{process.url}/metrics", verify=False).text
    times = {status: sorted(t for s, t in told if s == status) for status, _ in told}
    quantiles = {}
    for status, each in times.items():
        p50, p99, longest = (round(each[int(part * (len(each) - 1))], 3) for part in (0.5, 0.99, 1))
        quantiles[str(status)] = {"count": len(each), "p50": p50, "p99": p99, "longest": longest}
    begin = 'launcher_request_seconds_bucket{le="'  # as the server sees it: from the request to the whole answer
    lines = [line.removeprefix(begin) for line in page.splitlines() if line.startswith(begin) and "predict" in line]
    quantiles["within seconds, as the server sees it"] = {
        line.partition('"')[0]: int(float(line.rpartition(" ")[2])) for line in lines
    }
    late = sum(t > deadline for t in times.get("200", []))
    return {
        **quantiles,
        "accepted_late": late,
        "seconds in which they were sent": round(sent, 1),
        "megabytes": [round(before, 1), round(after, 1)],
    }


def models(given):
    """A real model, a text a request, 16 clients: batched and not; its answers beside those of `predict`."""
    import torch

    from launcher.worker.verbs import load

    torch.set_num_threads(1)
    texts = [line.strip() for line in Path(given.texts).read_text(encoding="utf-8").splitlines() if line.strip()]
    texts = texts[: given.count]
    requests, figures = [[text] for text in texts], {}
    model = load(given.run, "")
    expected = model.predict(texts)
    bare = []
    for text in texts[:200]:
        began = time.process_time()
        model.predict([text])
        bare.append(time.process_time() - began)
    figures["predict one by one, CPU ms"] = round(1000 * statistics.mean(bare[5:]), 2)
    ways = {"one by one": {"batch_rows": 1}, "batched": {}}
    if given.batched:
        del ways["one by one"]
    for name, folder in (("run", given.run), *((f"export {e.name}", e) for e in given.export)):
        for way, options in ways.items():
            with Process(served(f"m={folder}", **options)) as process:
                figures[f"{name}, {way}"], told = asked(process, requests, 16)
                figures[f"{name}, {way}"]["megabytes"] = round(process.megabytes())
            told = [each[0] for each in told]
            equal = sum(one["label"] == other["label"] for one, other in zip(told, expected, strict=True))
            apart = max(
                abs(one["probabilities"][label] - value)
                for one, other in zip(told, expected, strict=True)
                for label, value in other["probabilities"].items()
            )
            figures[f"{name}, {way}"] |= {"equal_labels": f"{equal}/{len(texts)}", "largest_difference": f"{apart:.1e}"}
    return figures


PARTS = {part.__name__: part for part in (overhead, ends, hostile, overload, models)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--export", type=Path, action="append", default=[])
    parser.add_argument("--batched", action="store_true", help="that way alone")
    parser.add_argument("--texts")
    told = parser.parse_args()
    print(json.dumps(PARTS[told.part](told), indent=1))
