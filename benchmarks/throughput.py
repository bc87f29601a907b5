"""Examples per second of full fine-tuning on the CPU: the launcher against the Hugging Face Trainer.

Roads, each run a process of its own, in turn (A B C D A B C D ...):

  launcher             `launcher run` with default settings; rate from its own events.jsonl
  trainer              the Trainer at its best settings: grouped by length, padded to the longest of a batch
  trainer_pad8         the same, padded to a multiple of 8 (whichever of the two is faster is its best)
  trainer_same_batches the Trainer fed with exactly the launcher's batches: the loops alone are compared

The first 10 steps are left out. A ratio is one of the same round, and each round has another seed: with few steps
chance gives one side longer sentences than the other, so look at the padded tokens a step, too. Example:

  python benchmarks/throughput.py --data /tmp/data --task sst2 --precision fp32 --rounds 3 --json /tmp/sst2.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from corpora import TASKS, cut
from measure import ratios, save, say, say_machine, spread, table
from roads import WARM_STEPS, Bench, Rate, launcher_rate, prepared_folder, trainer_rate

ROADS: dict[str, Callable[[Bench, str, int], Rate]] = {
    "launcher": lambda bench, name, seed: launcher_rate(bench, name, seed),
    "trainer": lambda bench, name, seed: trainer_rate(bench, name, seed),
    "trainer_pad8": lambda bench, name, seed: trainer_rate(bench, name, seed, pad_multiple=8),
    "trainer_same_batches": lambda bench, name, seed: trainer_rate(bench, name, seed, order="launcher"),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2_alps/ and conll2003/")
    parser.add_argument("--task", choices=TASKS, action="append", help="repeatable; default both")
    parser.add_argument("--precision", choices=("fp32", "bf16"), action="append", help="repeatable; default both")
    parser.add_argument("--road", choices=tuple(ROADS), action="append", help="repeatable; default all")
    parser.add_argument("--steps", type=int, default=200, help="optimiser steps of a run (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each road (default 3)")
    parser.add_argument("--batch-size", type=int, default=16, help="rows of a step (default 16)")
    parser.add_argument("--rows", type=int, help="use only so many training rows (for a trial)")
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    args = parser.parse_args()
    if args.steps <= WARM_STEPS:
        parser.error(f"--steps must be above {WARM_STEPS}, the steps that are left out")
    return args


def compare(args: argparse.Namespace, bench: Bench, roads: list[str]) -> dict[str, list[Rate]]:
    """All rounds of one task and precision."""
    rates: dict[str, list[Rate]] = {road: [] for road in roads}
    for number in range(1, args.rounds + 1):
        for road in roads:
            rate = ROADS[road](bench, f"{road}-{number}", number)
            rates[road].append(rate)
            say(
                f"{bench.task} {bench.precision} round {number} of {args.rounds}, {road}: "
                f"{rate.examples_per_second:.2f} examples/s, {rate.padded_tokens_per_step:.0f} padded tokens a step"
            )
    check_same_batches(rates)
    return rates


def check_same_batches(rates: dict[str, list[Rate]]) -> None:
    """Equal padded tokens are the sign that both loops really computed the same batches."""
    for one, other in zip(rates.get("launcher", []), rates.get("trainer_same_batches", []), strict=False):
        if one.padded_tokens_per_step != other.padded_tokens_per_step:
            raise SystemExit(f"the batches were not the same: {one} {other}")


def tell(rates: dict[str, list[Rate]]) -> None:
    """The table: rates, and the launcher's as a multiple of each."""
    ours = [rate.examples_per_second for rate in rates.get("launcher", [])]
    rows = []
    for road, runs in rates.items():
        speeds = [rate.examples_per_second for rate in runs]
        memory = statistics.median(rate.peak_memory_mib for rate in runs)
        tokens = statistics.mean(rate.padded_tokens_per_step for rate in runs)
        rows.append(
            [
                road,
                spread(speeds, 1),
                spread(ratios(ours, speeds)) if ours and road != "launcher" else "",
                f"{tokens:.0f}",
                f"{memory:,.0f}",
            ]
        )
    table(("road", "examples/s", "launcher is x times that", "mean padded tokens a step", "peak MiB"), rows)


def main() -> None:
    args = arguments()
    facts, figures = say_machine(), {}
    roads = args.road or list(ROADS)
    for task in args.task or TASKS:
        for precision in args.precision or ("fp32", "bf16"):
            with tempfile.TemporaryDirectory(prefix="throughput-") as scratch:
                bench = Bench(Path(scratch), task, args.batch_size, args.steps, precision)
                rows = cut(task, args.data, bench.folder, args.batch_size, args.rows)
                if rows < args.steps * args.batch_size:
                    raise SystemExit(f"{args.steps} steps need more than {rows:,} training rows")
                prepared_folder(bench)
                rates = compare(args, bench, roads)
            say(f"\n{task}, {precision}, {rows:,} rows, batch {args.batch_size}, {args.steps} steps:\n")
            tell(rates)
            say("")
            figures[f"{task} {precision}"] = {road: [rate.document() for rate in runs] for road, runs in rates.items()}
    save(args.json, facts, vars(args), figures)


if __name__ == "__main__":
    main()
