"""Two processes with one core each against one process with two cores: what splitting a CPU costs.

Both do the same global batches, so the loss curves are the same; the ratio is 1 where nothing is lost.
With --trainer also the Hugging Face Trainer, alone and under torchrun. Runs in turn (A B A B ...), the first
10 steps left out. Example:

  python benchmarks/processes.py --data /tmp/data --steps 150 --rounds 3 --trainer --json /tmp/processes.json
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from corpora import TASKS, cut
from measure import ratios, save, say, say_machine, spread, table
from roads import WARM_STEPS, Bench, Rate, launcher_rate, prepared_folder, trainer_rate

PEERS: dict[str, Callable[[Bench, str, int, int], Rate]] = {
    "launcher": lambda bench, name, seed, processes: launcher_rate(bench, name, seed, processes),
    "trainer": lambda bench, name, seed, processes: trainer_rate(bench, name, seed, processes=processes),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2_alps/ and conll2003/")
    parser.add_argument("--task", choices=TASKS, default="sst2", help="default sst2")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="default fp32")
    parser.add_argument("--trainer", action="store_true", help="measure the Trainer under torchrun, too")
    parser.add_argument("--steps", type=int, default=150, help="optimiser steps of a run (default 150)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind (default 3)")
    parser.add_argument("--batch-size", type=int, default=16, help="rows of a step over all processes (default 16)")
    parser.add_argument("--rows", type=int, help="use only so many training rows (for a trial)")
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    args = parser.parse_args()
    if args.steps <= WARM_STEPS:
        parser.error(f"--steps must be above {WARM_STEPS}, the steps that are left out")
    return args


def main() -> None:
    args = arguments()
    facts = say_machine()
    peers = ("launcher", "trainer") if args.trainer else ("launcher",)
    rates: dict[tuple[str, int], list[Rate]] = {(peer, count): [] for peer in peers for count in (1, 2)}
    with tempfile.TemporaryDirectory(prefix="processes-") as scratch:
        bench = Bench(Path(scratch), args.task, args.batch_size, args.steps, args.precision)
        cut(args.task, args.data, bench.folder, args.batch_size, args.rows)
        prepared_folder(bench)
        for number in range(1, args.rounds + 1):
            for (peer, count), runs in rates.items():
                rate = PEERS[peer](bench, f"{peer}-{count}-{number}", number, count)
                if rate.world_size != count:
                    raise SystemExit(f"{peer}: {rate.world_size} processes trained, not {count}")
                runs.append(rate)
                speed = f"{rate.examples_per_second:.2f} examples/s"
                say(f"round {number} of {args.rounds}, {peer}, {count} process(es): {speed}")
    rows = []
    for peer in peers:
        speeds = {count: [rate.examples_per_second for rate in rates[peer, count]] for count in (1, 2)}
        both = [spread(speeds[count], 1) for count in (1, 2)]
        rows.append([peer, *both, spread(ratios(speeds[2], speeds[1]))])
    say(f"\n{args.task}, {args.precision}, global batch {args.batch_size}, {args.steps} steps, examples/s:\n")
    table(("peer", "1 process x 2 cores", "2 processes x 1 core", "ratio"), rows)
    figures = {f"{peer} {count}": [rate.document() for rate in runs] for (peer, count), runs in rates.items()}
    save(args.json, facts, vars(args), figures)


if __name__ == "__main__":
    main()
