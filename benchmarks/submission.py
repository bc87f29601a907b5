"""From submission to the first step: `launcher submit` beside srun and torchrun by hand, in turns, on a lab of Slurm.

    python benchmarks/submission.py [ROUNDS]        root on Debian; brings the lab of the tests up and takes it down

Both run the same small recipe on 2 nodes x 1 process. The clock starts when the command is typed and stops when the
first step is logged; the data is prepared before. Prints each round and the ratio of the medians.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "slurm"))

from lab import Lab, wait_until, why_not
from work import ON_CPU, Work

TORCHRUN = (
    "exec python -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d "
    "--rdzv-endpoint node1:29511 tiny.py --name by-hand-{} --device cpu"
)


def first_step(work: Work, name: str, began: float) -> float:
    def logged() -> bool:
        return any(path.stat().st_size for path in (work.runs / name).rglob("events.jsonl"))

    wait_until(logged, f"the first step of {name}", pause=0.02)
    return time.time() - began


def submitted(work: Work, count: int) -> float:
    began = time.time()
    job = work.submit(f"ours-{count}", "--nodes", 2, "--processes-per-node", 1)
    seconds = first_step(work, f"ours-{count}", began)
    work.lab.wait_for_job(job)
    return seconds


def by_hand(work: Work, count: int) -> float:
    """What a person would type: sbatch of a line of srun and torchrun."""
    began = time.time()
    line = f"srun bash -c '{TORCHRUN.format(count)}'"
    words = ["sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--wrap", line]
    job = work.lab.run(*words, cwd=work.folder, **work.environment).stdout.strip()
    seconds = first_step(work, f"by-hand-{count}", began)
    work.lab.wait_for_job(job)
    return seconds


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    reason = why_not()
    if reason:
        sys.exit(f"no lab here: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="submission-"))
    lab = Lab(nodes=2)
    try:
        work = Work(lab, folder, folder / "cache")
        work.launch("run", "tiny.py", "--name", "warm", "--device", "cpu")
        told = []
        for count in range(rounds):
            told.append({"submit": submitted(work, count), "by_hand": by_hand(work, count)})
            print(json.dumps({"round": count + 1, **{name: round(s, 2) for name, s in told[-1].items()}}), flush=True)
        ours, theirs = (statistics.median(one[name] for one in told) for name in ("submit", "by_hand"))
        ratio = {"options": ON_CPU, "submit": round(ours, 2), "by_hand": round(theirs, 2)}
        print(json.dumps({**ratio, "ratio": round(ours / theirs, 2)}))
    finally:
        lab.down()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
