"""Runs plain_loop.py, which imports nothing of ours, from the initial weights of a run."""

import json
import subprocess
import sys
from pathlib import Path

from safetensors.torch import save_file
from warm import RATES

from launcher.recipe.recipe import load
from launcher.training.initial_model import initial_model

SETTINGS = {"batch_size": 16, "warmup": 0.1, "weight_decay": 0.01, "learning_rate": 1e-2, "clip_norm": 1.0, "seed": 0}
LORA_ALPHA, LORA_RANK = 16, 4
EXTRA = {"mean": {"encoder": "mean"}, "ner": {"encoder": "bilstm"}, "bert": {"learning_rate": RATES["bert"]}}


def plain_losses(run, kind, steps, folder):
    """The losses of that loop for this kind of model and the run's method."""
    plan = run.plan
    loaded = load(Path(plan["recipe"]), plan["overrides"])
    labels = json.loads(Path(plan["prepared"], "facts.json").read_text())["labels"]
    model = initial_model(loaded.recipe, labels, Path(plan["prepared"]))
    settings = {**SETTINGS, **EXTRA[kind], "steps": steps, "scale": LORA_ALPHA / LORA_RANK}
    if kind == "bert":
        config = model.config.to_dict()
        names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        settings["bert"] = {name: config[name] for name in names}
        settings["bert"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "initial.safetensors")
    (folder / "settings.json").write_text(json.dumps(settings))
    words = [Path(__file__).with_name("plain_loop.py"), plan["prepared"], folder / "initial.safetensors"]
    words += [folder / "settings.json", folder / "losses.json"]
    subprocess.run([sys.executable, *map(str, words)], check=True)
    return json.loads((folder / "losses.json").read_text())
