"""Seconds from the command to the end of the first optimiser step: `launcher run` against accelerate + Trainer.

64 rows of SST-2, MiniLM, global batch 16. The launcher gets an empty cache each time, so it reads, checks and
tokenises the data again. Both sides' moment of the first step is taken on the same clock, as is the start of the
command; the launcher's own figure (outcome.json, seconds.to_first_step) is shown beside it. Example:

  python benchmarks/startup.py --data /tmp/data --rounds 5 --json /tmp/startup.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from corpora import RECIPES, cut
from measure import ratios, run, save, say, say_machine, spread, table
from roads import HERE, MODEL

from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.sources.reference import source_folder

ROWS, BATCH = 64, 16
QUIET = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Start:
    """One start: seconds to the first step on our clock, and as the launcher itself tells (None: the Trainer)."""

    seconds: float
    told: float | None = None


def launcher_start(folder: Path, name: str, processes: int) -> Start:
    """`launcher run` in an empty cache; its line in events.jsonl tells when the first step had ended."""
    command = [sys.executable, "-m", "launcher", "run", RECIPES["sst2"], "--device", "cpu", "--name", name]
    command += ["--processes", str(processes), "--set", "training.max_steps=1", "--set", "training.log_every=1"]
    environment = QUIET | {"RECIPE_LAUNCHER_CACHE": str(folder / f"cache-{name}")}
    began = run(command, folder / f"{name}.log", folder, environment)
    made = RunFolder(folder / "runs" / name)
    outcome = read_json(made.outcome)
    _same_world(name, outcome["world_size"], processes)
    return Start(made.events_so_far()[0]["time"] - began, outcome["seconds"]["to_first_step"])


def trainer_start(folder: Path, name: str, processes: int) -> Start:
    """`accelerate launch` of a Trainer script, as its documentation says for CPUs."""
    answer, environment = folder / f"{name}.json", dict(QUIET)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(processes)]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["--num_cpu_threads_per_process", str(2 // processes)]
    if processes == 1:
        command += ["--cpu"]
    else:
        command += ["--multi_gpu"]  # the only way to several CPU processes: see findings on accelerate
        environment["ACCELERATE_USE_CPU"] = "true"
    command += [HERE / "trainer_script.py", "--train", "sst2/train.tsv", "--model", source_folder(MODEL)]
    command += ["--batch-size", str(BATCH // processes), "--scratch", folder / name, "--json", answer]
    began = run(command, folder / f"{name}.log", folder, environment)
    told = read_json(answer)
    _same_world(name, told["world_size"], processes)
    return Start(told["time"] - began)


def _same_world(name: str, got: int, wanted: int) -> None:
    if got != wanted:
        sys.exit(f"{name}: {got} processes trained, not {wanted}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2_alps/")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind (default 5)")
    parser.add_argument("--processes", type=int, choices=(1, 2), action="append", help="repeatable; default both")
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    facts = say_machine()
    roads = {"launcher": launcher_start, "accelerate + Trainer": trainer_start}
    counts = args.processes or [1, 2]
    starts: dict[tuple[str, int], list[Start]] = {(road, count): [] for count in counts for road in roads}
    with tempfile.TemporaryDirectory(prefix="startup-") as scratch:
        folder = Path(scratch)
        cut("sst2", args.data, folder, BATCH, ROWS)
        for number in range(1, args.rounds + 1):
            for (road, count), made in starts.items():
                start = roads[road](folder, f"{road.split()[0]}-{count}-{number}", count)
                made.append(start)
                told = f" (its own figure {start.told:.2f} s)" if start.told is not None else ""
                say(f"round {number} of {args.rounds}, {road}, {count} process(es): {start.seconds:.2f} s{told}")
    rows = []
    for (road, count), made in starts.items():
        seconds = [start.seconds for start in made]
        own = [start.told for start in made if start.told is not None]
        peers = [start.seconds for start in starts["accelerate + Trainer", count]]
        share = spread(ratios(seconds, peers)) if own else ""
        rows.append([road, str(count), spread(seconds), share, spread(own) if own else ""])
    say(f"\nSST-2, {ROWS} rows, seconds from the command to the end of the first step:\n")
    table(("road", "processes", "seconds", "share of accelerate + Trainer", "launcher's own figure"), rows)
    figures = {f"{road} {count}": [vars(start) for start in made] for (road, count), made in starts.items()}
    save(args.json, facts, vars(args), figures)


if __name__ == "__main__":
    main()
