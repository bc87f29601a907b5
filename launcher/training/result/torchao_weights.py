"""The linear layers of a whole model in 8 or 4 bits a weight, by torchao through transformers.

What is saved are safetensors with torchao's metadata beside config.json's `quantization_config`: no pickle, and
transformers alone reads it back, where torchao is installed. Tables of tokens stay as they are, as do heads that share
theirs.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from launcher.errors import DataError, PlanError, Problem, RecipeError, WorkerError
from launcher.recipe.export_rules import Torchao
from launcher.training import sources
from launcher.training.model_parts.outputs import outputs_at
from launcher.training.result.model_folder import SavedModel
from launcher.training.sources.border import quiet

NEWEST_OF_INT4 = (8, 0)
"""The compute capability that torch's own kernels of 4 bits need."""


def refuse_here(kind: Torchao) -> None:
    """Raise PlanError where this machine cannot compute with such weights, and so cannot compare them."""
    if kind != "int4":
        return
    do = "export where there is one, or take int8 or fp8, which a CPU computes too"
    if not torch.cuda.is_available():
        raise PlanError(Problem("--torchao int4 needs a GPU, and this machine has none that torch can use", do=do))
    if torch.cuda.get_device_capability() < NEWEST_OF_INT4:
        what = f"--torchao int4 needs a GPU of NVIDIA's Ampere or newer, and this is a {torch.cuda.get_device_name()}"
        raise PlanError(Problem(what, do=do))


def quantised(folder: Path, saved: SavedModel, kind: Torchao) -> tuple[Any, dict[str, Any]]:
    """Put the weights of the whole model in `folder` into so many bits; the model read back, and how that was done.

    Raises WorkerError where torchao fails, or what was read back cannot be computed (torchao lacks some operations),
    RecipeError where the model has no layer that it takes.
    """
    from torchao.utils import TorchAOBaseTensor
    from transformers import TorchAoConfig

    given = {"dtype": torch.bfloat16, "device_map": "cuda"} if kind == "int4" else {}
    try:
        task = saved.recipe.task
        model: Any = sources.load_model(folder, task, quantization_config=TorchAoConfig(_config(kind)), **given)
        layers = sum(isinstance(weight, TorchAOBaseTensor) for weight in model.parameters())
        if not layers:
            what = f"no layer of this model is one that torchao puts into {kind}"
            raise RecipeError(Problem(what, do="leave --torchao out"))
        _replace_weights(folder, model)
        read_back: Any = sources.load_model(folder, task, **given).eval()
        inputs, _ = saved.work.sample(2, 8)
        with torch.inference_mode():
            outputs_at(read_back, inputs, saved.work.outputs)
    except (RuntimeError, ValueError, NotImplementedError, ImportError, AssertionError, DataError) as error:
        first = str(error).strip().partition("\n")[0]
        what = f"torchao cannot put the model into {kind}: {type(error).__name__}: {first}"
        raise WorkerError(Problem(what, do="leave --torchao out, or take another one; nothing was written")) from None
    return read_back, {"weights": kind, "version": importlib.metadata.version("torchao"), "layers": layers}


def _config(kind: Torchao) -> Any:
    from torchao.quantization import Float8WeightOnlyConfig, Int4WeightOnlyConfig, Int8WeightOnlyConfig

    match kind:
        case "int8":
            return Int8WeightOnlyConfig()
        case "fp8":
            return Float8WeightOnlyConfig()
        case "int4":  # of its formats the one that torch's own kernels read
            return Int4WeightOnlyConfig(int4_packing_format="tile_packed_to_4d")


def _replace_weights(folder: Path, model: Any) -> None:
    """Put the model's files in the place of those in the folder."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        with quiet():
            model.save_pretrained(scratch)
        for old in folder.glob("*.safetensors*"):
            old.unlink()
        for made in Path(scratch).iterdir():
            shutil.move(made, folder / made.name)
