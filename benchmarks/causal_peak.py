"""Peak memory of one causal step at a vocabulary of 150,000: packed rows, losses without all logits; and the Trainer.

A Llama of two layers with random weights, tied to its table; 8 rows of a quarter to all of `--length` tokens. The peak
is that of a third step, from torch's CPU allocator as its profiler tells it: weights, gradients, optimiser and
activations. The Trainer packs with its own collator. Each side is a process of its own.

    python benchmarks/causal_peak.py --json /tmp/peaks.json
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import save, say, say_machine
from memory_rank import count_every_thread, peaks
from packing import settings
from torch.profiler import ProfilerActivity, profile
from transformers import DataCollatorWithFlattening, LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback

from launcher.training.model_parts.packing import pack
from launcher.training.model_parts.word_places import read_at_words
from launcher.training.tasks.collate import spare_places
from launcher.training.tasks.words_said import asked as side_by_side

GOAL = 0.5
SIZES = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 352}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=150_000)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=384, help="tokens of the longest row")
    parser.add_argument("--side", choices=("launcher", "trainer"), help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    return parser.parse_args()


def peak_of(asked: argparse.Namespace, scratch: Path) -> int:
    """Bytes that torch's allocator held at most in a third step of this side, weights and optimiser included."""
    count_every_thread()
    generator = np.random.default_rng(0)
    lengths = generator.integers(asked.length // 4, asked.length, asked.rows)
    lengths[0] = asked.length
    rows = [generator.integers(10, asked.vocabulary, length).tolist() for length in lengths]
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, vocab_size=asked.vocabulary, tie_word_embeddings=True))
    told = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    if asked.side == "trainer":
        model.config.use_cache = False
        features = [{"input_ids": ids, "attention_mask": [1] * len(ids), "labels": ids} for ids in rows]

        class Measured(TrainerCallback):
            def on_step_begin(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
                if state.global_step == 2:
                    told.__enter__()

            def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
                if state.global_step == 3:
                    told.__exit__(None, None, None)

        flat = settings(scratch, 3, asked.rows)
        Trainer(model, flat, DataCollatorWithFlattening(), features * 3, callbacks=[Measured()]).train()
    else:
        _our_steps(model, rows, told)
    return peaks(told)[1]


def _our_steps(model: Any, rows: list[list[int]], told: Any) -> None:
    """Three steps of a packed batch through the head that gives losses; the last one is profiled."""
    width = max(map(len, rows))
    mask = np.array([[1] * len(ids) + [0] * (width - len(ids)) for ids in rows])
    padded = np.array([ids + [0] * (width - len(ids)) for ids in rows])
    places = [np.arange(1, len(ids)) for ids in rows]
    words = [np.array(ids)[1:] for ids in rows]
    columns = side_by_side([place - 1 - width for place in places], words, [np.ones(len(one)) for one in words])
    arrays = {"input_ids": padded, "attention_mask": mask, **spare_places(mask), **columns}
    inputs = {name: torch.from_numpy(values) for name, values in arrays.items() if name != "weights"}
    pack(read_at_words(model))
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True)
    for number in range(3):
        with told if number == 2 else contextlib.nullcontext():
            losses = model(**inputs).token_losses
            (losses.sum() / sum(map(len, words))).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)


def compare_peaks(asked: argparse.Namespace) -> dict[str, int]:
    """Each side in a process of its own."""
    peaks = {}
    for side in ("launcher", "trainer"):
        words = [sys.executable, __file__, "--side", side]
        for name in ("vocabulary", "rows", "length"):
            words += [f"--{name}", str(getattr(asked, name))]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        peaks[side] = int(done.stdout.split()[-1])
        say(f"{side}: {peaks[side] / 1e6:,.0f} MB")
    return peaks


def main() -> None:
    asked = arguments()
    if asked.side:
        with tempfile.TemporaryDirectory() as scratch:
            print(peak_of(asked, Path(scratch)))
        return
    facts, told = say_machine(), compare_peaks(asked)
    ratio = told["launcher"] / told["trainer"]
    say(f"the launcher's peak is {ratio:.2f} of the Trainer's, goal {GOAL}")
    save(asked.json, facts, vars(asked), told)
    sys.exit(ratio > GOAL)


if __name__ == "__main__":
    main()
