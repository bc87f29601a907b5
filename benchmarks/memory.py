"""Predicted peak memory of a rank beside the measured one: method x strategy x length of the rows, in real ranks.

A BERT of 4.9 M parameters from a configuration, random texts; or a Llama of 5.7 M that learns to say the next token
(`--model llama`), also with packed rows (`--packing`). The peak is that of one steady training step, from
torch's CPU allocator as its profiler tells it (`memory_rank.py`); the prediction is what `launcher plan` shows.
Sharded strategies run in two processes. Example:

  python benchmarks/memory.py --json /tmp/memory.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import save, say, say_machine, table

from launcher.host import machine_facts
from launcher.launch import run_request
from launcher.plan import plan as planning
from launcher.plan.memory import Setting, predict
from launcher.plan.model_facts import facts_from
from launcher.plan.placement import Placement
from launcher.recipe.recipe import load

EVERYWHERE = "targets=('q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj')"
METHODS = {
    "full": "Full()",
    "LoRA": "LoRA(rank=8)",
    "LoRA-all": f"LoRA(rank=8, dropout=0.05, {EVERYWHERE})",
    "Adapter": "Adapter()",
}
"""`LoRA-all` is for a Llama alone: all its linear layers, and dropout of what goes into them."""
STRATEGIES = ("single", "ddp", "fsdp2", "zero2", "zero3")
GOAL = 0.10
WORDS = 6000
TASKS = {"bert": "TextClassification(), data=Table", "llama": "CausalLanguageModel(), data=Texts"}
RECIPE = """from launcher import *

recipe = Recipe(
    task={task}(train={data!r}),
    embedding=Pretrained(model={model!r}),
    peft={peft},
    training=Training(batch_size={batch}, micro_batch_size={micro}, learning_rate=1e-3, dropout=0.1, {more}),
)
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=tuple(TASKS), default="bert")
    parser.add_argument("--packing", action="store_true", help="rows are packed; one of them is a little shorter")
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128], help="tokens of the longest rows")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["full", "LoRA", "Adapter"])
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--batch", type=int, default=16, help="rows of a step (default 16)")
    parser.add_argument("--micro", type=int, default=None, help="rows of a micro-batch (default the whole share)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--r-drop", type=float, default=0.0, help="its weight: each row is computed twice at a time")
    parser.add_argument("--recompute", action="store_true", help="activations are computed again in the backward pass")
    parser.add_argument("--vocabulary", type=int, default=WORDS, help=f"of the Llama (default {WORDS})")
    parser.add_argument("--json", type=Path, help="write all raw figures there")
    return parser.parse_args()


def make_model(folder: str, kind: str, vocabulary: int = WORDS) -> None:
    """In a process of its own: what is measured must not share this one's libraries."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        BertConfig,
        BertModel,
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
        set_seed,
    )

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(WORDS - 4))]
    cutter = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    cutter.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    cutter.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    if kind == "llama":
        names = {"bos_token": "[CLS]", "eos_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
        PreTrainedTokenizerFast(tokenizer_object=cutter, **names).save_pretrained(folder)
        set_seed(0)
        sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 704}
        numbers = {"num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
        LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **sizes, **numbers)).save_pretrained(folder)
        return
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=cutter, **special).save_pretrained(folder)
    set_seed(0)
    sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
    BertModel(BertConfig(vocab_size=WORDS, **sizes)).save_pretrained(folder)


def make_texts(path: Path, longest: int) -> None:
    """400 rows of half to all of that length, every eighth of all; half of the words are used."""
    chosen = random.Random(1)
    lines = ["text\tlabel"]
    for row in range(400):
        length = longest - 2 if row % 8 == 0 else chosen.randint(longest // 2, longest - 2)
        words = " ".join(f"w{chosen.randrange(WORDS // 2)}" for _ in range(length))
        lines.append(f"{words}\t{chosen.choice(['good', 'bad'])}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def compare(recipe: Path, strategy: str, folder: Path) -> dict[str, Any]:
    """One line of the table."""
    processes = 1 if strategy == "single" else 2
    loaded = load(recipe)
    prepared = run_request.prepare(loaded)
    if prepared.get("model") is None:
        prepared |= run_request.model_facts(loaded, prepared)
    placement = Placement(processes=processes, strategy=strategy)
    plan = planning.make(loaded, machine_facts.facts(), placement, prepared, machine_facts.versions())
    facts = facts_from(prepared["model"])
    training = loaded.recipe.training
    rows = plan.micro_batch_size * training.passes
    way = (plan.strategy, processes, rows, plan.accumulation * training.turns, facts.longest, training.optimizer)
    told = predict(facts, Setting(*way))
    measured = run_ranks(plan.document(), processes, folder)
    peak = max(rank["peak"] for rank in measured)
    return {"predicted": told.document(), "measured": measured, "error": told.total / peak - 1}


def run_ranks(plan: dict[str, Any], processes: int, folder: Path) -> list[dict[str, int]]:
    """What each rank measured. Exits with a rank's last words where one fails."""
    scratch = Path(tempfile.mkdtemp(dir=folder))
    (scratch / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    script = Path(__file__).with_name("memory_rank.py")
    ranks = []
    for rank in range(processes):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}  # accelerate asks whether they are set
        words = [sys.executable, script, scratch / "plan.json", scratch / "store", scratch / f"{rank}.json"]
        log = (scratch / f"{rank}.log").open("w")
        ranks.append(subprocess.Popen(words, env={**os.environ, **place}, stdout=log, stderr=log))
    for rank, process in enumerate(ranks):
        if process.wait() != 0:
            sys.exit((scratch / f"{rank}.log").read_text()[-2000:])
    return [json.loads((scratch / f"{rank}.json").read_text()) for rank in range(processes)]


def main() -> None:
    asked = arguments()
    machine = say_machine()
    figures: dict[str, Any] = {}
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = (str(folder / "model"), asked.model, asked.vocabulary)
        words = [sys.executable, "-c", f"import memory; memory.make_model(*{made!r})"]
        subprocess.run(words, check=True, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)
        for length in asked.lengths:
            make_texts(folder / f"texts{length}.tsv", length)
            for method in asked.methods:
                recipe = folder / f"{method.lower()}{length}.py"
                nouns = {
                    "data": str(folder / f"texts{length}.tsv"),
                    "model": str(folder / "model"),
                    "task": TASKS[asked.model],
                }
                more = f"precision={asked.precision!r}, r_drop={asked.r_drop}, packing={asked.packing}"
                more += f", recompute={asked.recompute}"
                text = RECIPE.format(**nouns, peft=METHODS[method], batch=asked.batch, micro=asked.micro, more=more)
                recipe.write_text(text, encoding="utf-8")
                for strategy in asked.strategies:
                    told = compare(recipe, strategy, folder)
                    figures[f"{method} {strategy} {length}"] = told
                    peak, predicted = max(rank["peak"] for rank in told["measured"]), told["predicted"]["total"]
                    cells = [f"{predicted / 1e6:.1f}", f"{peak / 1e6:.1f}", f"{told['error']:+.1%}"]
                    lines.append([method, strategy, str(length), *cells])
                    say(f"{method:<8} {strategy:<7} {length:>4} {' '.join(cells)}")
    table(["method", "strategy", "tokens", "predicted MB", "measured MB", "error"], lines)
    worst = max(abs(told["error"]) for told in figures.values())
    say(f"largest error {worst:.1%}, goal {GOAL:.0%}")
    save(asked.json, machine, vars(asked), figures)
    sys.exit(worst > GOAL)


if __name__ == "__main__":
    main()
