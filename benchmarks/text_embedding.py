"""Text embeddings against sentence-transformers: the losses of the same steps, and examples a second.

Questions with the paragraph that answers them (DRCD, one question a paragraph, so that no batch has a false negative),
in-batch negatives at temperature 0.05, which is its MultipleNegativesRankingLoss with scale 20. With `--every-question`
all of them, as one would train: then its loss takes a passage for a negative of its other questions, ours does not.
One process; sides take turns, so that a ratio compares neighbours in time. The steps of a turn are spread evenly over
an epoch's batches as these are ordered by their tokens, since ours are of rows of like length:

  ours             the launcher's loop
  ours packed      the same with training.packing
  theirs           SentenceTransformerTrainer on the same batches
  theirs mixed     the same on batches as its own sampler draws them

    pip install --no-deps --target /tmp/st sentence-transformers
    python benchmarks/text_embedding.py --data /tmp/td --model /tmp/weights/m3e-small --peer /tmp/st
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from launcher.launch.fork_server import MEMORY, THREADS

if "GOMP_SPINCOUNT" not in os.environ or "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **THREADS, **MEMORY})

import numpy as np
from measure import save, say, say_machine, spread, table

CPU_TIME = "--cpu-time" in sys.argv
CLOCK = time.process_time if CPU_TIME else time.perf_counter
RATE = 2e-5
RECIPE = """from launcher import *

recipe = Recipe(
    task=TextEmbedding(pooling="mean"),
    data=Pairs(train={data!r}, validation_size=4, test_size=4),
    embedding=Pretrained(model={model!r}, max_length={longest}),
    peft=Full(),
    training=Training(
        epochs=20, batch_size={batch}, learning_rate={rate}, dropout=0.0, schedule="constant", warmup=0.0,
        weight_decay=0.0, clip_norm=1.0, packing={packing},
    ),
)
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with drcd/")
    parser.add_argument("--model", required=True, help="folder of a pretrained encoder")
    parser.add_argument("--peer", required=True, help="folder that sentence-transformers is installed in")
    parser.add_argument("--longest", type=int, default=256, help="tokens of a text at most (default 256)")
    parser.add_argument("--batch", type=int, default=32, help="pairs of a batch (default 32)")
    parser.add_argument("--every-question", action="store_true", help="not one of each paragraph alone")
    parser.add_argument("--turns", type=int, default=3, help="turns of each side (default 3)")
    parser.add_argument("--steps", type=int, default=6, help="timed steps of a turn (default 6)")
    parser.add_argument("--cpu-time", action="store_true", help="on a busy machine: one thread, and its own seconds")
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    return parser.parse_args()


def pairs(folder: Path, most: int | None) -> Iterator[dict[str, str]]:
    """So many questions of each paragraph at most."""
    for article in json.loads((folder / "drcd" / "train.json").read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"][:most]:
                yield {"query": asked["question"], "positive": paragraph["context"]}


def loop_for(asked: argparse.Namespace, scratch: Path, packing: bool) -> Any:
    """A loop as `training/rank.py` makes it, without its observer: only steps are taken."""
    import packing as of_packing

    recipe = scratch / f"packing_{packing}.py"
    about = {"data": str(scratch / "pairs.jsonl"), "model": asked.model, "longest": asked.longest}
    recipe.write_text(RECIPE.format(**about, batch=asked.batch, rate=RATE, packing=packing))
    loop, folder = of_packing.loop_for(recipe, packing)
    return loop, folder


class Peer:
    """Its trainer on given batches, or on those that its own sampler draws."""

    def __init__(self, asked: argparse.Namespace, rows: list[dict[str, str]], scratch: Path):
        from datasets import Dataset
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

        body = Transformer(asked.model, max_seq_length=asked.longest)
        for module in body.modules():
            if hasattr(module, "p"):
                module.p = 0.0  # dropout
        pooling = Pooling(body.get_embedding_dimension(), pooling_mode="mean")
        self.model = SentenceTransformer(modules=[body, pooling, Normalize()], device="cpu")
        self.loss = MultipleNegativesRankingLoss(self.model, scale=20.0)
        self.rows, self.scratch, self.batch = Dataset.from_list(rows), scratch, asked.batch

    def train(self, steps: int, batches: list[list[int]] | None) -> tuple[list[float], float]:
        """The loss of each step, and the seconds of all but the first."""
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from transformers import TrainerCallback

        class Watch(TrainerCallback):
            def __init__(self) -> None:
                self.ends: list[float] = []
                self.losses: list[float] = []

            def on_step_end(self, *_: Any, **__: Any) -> None:
                self.ends.append(CLOCK())

            def on_log(self, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
                self.losses += [logs["loss"]] if logs and "loss" in logs else []

        watch = Watch()
        settings = SentenceTransformerTrainingArguments(
            output_dir=str(self.scratch / "peer"), max_steps=steps, per_device_train_batch_size=self.batch,
            learning_rate=RATE, lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=1.0, use_cpu=True,
            optim="adamw_torch_fused", logging_steps=1, logging_first_step=True, save_strategy="no",
            eval_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
        )  # fmt: skip

        class Given(SentenceTransformerTrainer):
            def get_batch_sampler(self, *some: Any, **given: Any) -> Any:
                return batches if batches is not None else super().get_batch_sampler(*some, **given)

        trainer = Given(self.model, args=settings, train_dataset=self.rows, loss=self.loss, callbacks=[watch])
        if trainer.callback_handler is not None:
            from transformers import PrinterCallback

            trainer.remove_callback(PrinterCallback)
        trainer.train()
        return watch.losses, watch.ends[-1] - watch.ends[0]


def texts_of(folder: Path, work: Any, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows in the order of the prepared split, told by their keys."""
    from launcher.training.batches.split import Split
    from launcher.training.tasks.texts_apart import keys_of

    keys = Split.load(folder / "train.safetensors").ragged("keys")
    by_key = {keys_of([row["query"]])[0]: row for row in rows}
    return [by_key[int(keys.row(number)[0])] for number in range(len(keys.lengths))]


def costs_of(step: Any) -> int:
    """The tokens of its rows."""
    return int(step.split.cost[step.rows].sum())


def main() -> None:
    asked = arguments()
    sys.path.append(asked.peer)
    import torch

    if CPU_TIME:
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.environ["RECIPE_LAUNCHER_CACHE"] = str(scratch / "cache")
        rows = list(pairs(asked.data, None if asked.every_question else 1))
        (scratch / "pairs.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
        (loop, folder), (packed, _) = loop_for(asked, scratch, False), loop_for(asked, scratch, True)
        rows = texts_of(folder, loop.work, rows)
        peer = Peer(asked, rows, scratch)

        made = [loop.rows.step(step) for step in range(loop.rows.steps_per_epoch)]
        made = sorted((step for step in made if len(step.rows) == asked.batch), key=costs_of)

        def steps_of(number: int) -> list[Any]:
            """The turn's, after one that is not timed."""
            places = (np.arange(asked.steps) + ((number - 0.5) / asked.turns) % 1) / asked.steps
            timed = [made[int(place * len(made))] for place in places]
            return [timed[0], *timed]

        def ours(side: Any) -> Callable[[int], tuple[list[float], float]]:
            def turn(number: int) -> tuple[list[float], float]:
                losses, began = [], 0.0
                for place, step in enumerate(steps_of(number)):
                    losses.append(float(side._step(step)[0]))
                    began = CLOCK() if place == 0 else began
                return losses, CLOCK() - began

            return turn

        def theirs(number: int, mixed: bool = False) -> tuple[list[float], float]:
            return peer.train(asked.steps + 1, None if mixed else [step.rows.tolist() for step in steps_of(number)])

        one, other = ours(loop)(0)[0], theirs(0)[0]
        difference = max(abs(a - b) for a, b in zip(one, other, strict=True))
        sides = {"ours": ours(loop), "ours packed": ours(packed), "theirs": theirs}
        sides["theirs mixed"] = lambda number: theirs(number, mixed=True)
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(1, asked.turns + 1):
            for side, turn in sides.items():
                seconds[side].append(turn(number)[1])
        rates = {side: [asked.steps * asked.batch / each for each in of] for side, of in seconds.items()}
        facts = say_machine()
        say(f"losses of {len(one)} steps: from {one[0]:.4f} to {one[-1]:.4f}, largest difference {difference:.1e}")
        mean = {side: asked.turns * asked.steps * asked.batch / sum(of) for side, of in seconds.items()}
        lines = [(side, f"{mean[side]:.1f}", spread(of), f"{mean[side] / mean['theirs']:.2f}",
                  f"{mean[side] / mean['theirs mixed']:.2f}") for side, of in rates.items()]  # fmt: skip
        table(("side", "examples/s", "spread", "to theirs", "to theirs mixed"), lines)
        if asked.json:
            figures = {"losses": {"ours": one, "theirs": other}, "examples_per_second": rates}
            save(asked.json, facts, vars(asked), figures)


if __name__ == "__main__":
    main()
