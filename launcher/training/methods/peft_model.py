"""What the methods with a frozen base share: wrapping a model with peft, and loading what peft saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from launcher.errors import PlanError, Problem, did_you_mean
from launcher.recipe.method import FrozenBase
from launcher.training.methods import layers
from launcher.training.methods.base import MethodWork

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


class PeftMethod(MethodWork):
    """A method that peft wraps, saves and loads. peft is imported by the two `config` methods only."""

    @property
    @abstractmethod
    def noun(self) -> FrozenBase:
        """What the recipe says."""

    @abstractmethod
    def config_values(self) -> Mapping[str, object]:
        """The recipe's values under the names that peft's configuration has for them."""

    def saved_values(self) -> Mapping[str, object]:
        """The same of a saved adapter."""
        return self.config_values()

    @abstractmethod
    def config_class(self) -> type[PeftConfig]:
        """The class of peft's configuration, known to peft once this returns."""

    @abstractmethod
    def config(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PeftConfig:
        """The configuration for this model. Raises PlanError where the model lacks what is needed."""

    def base(self, model: PreTrainedModel, new_modules: Sequence[str]) -> PreTrainedModel:
        """The frozen base as the method keeps it."""
        return model

    def apply(self, model: PreTrainedModel, new_modules: Sequence[str]) -> nn.Module:
        """A `peft.PeftModel` around the model, which is changed in place.

        Raises PlanError also where peft would train more than `new_modules`.
        """
        whole = train_whole(model, self.noun, new_modules)
        return wrap(self.base(model, new_modules), self, whole)

    def save(self, model: nn.Module, folder: Path) -> None:
        """As peft does; it would query the hub whether embedding layers are new, and ours never are."""
        model.save_pretrained(folder, save_embedding_layers=False)  # type: ignore[operator]  # a PeftModel

    def load_saved(self, model: PreTrainedModel, new_modules: Sequence[str], folder: Path) -> nn.Module:
        """What peft saved, around the base."""
        return load(self.base(model, new_modules), self, folder)


def train_whole(model: PreTrainedModel, method: FrozenBase, new_modules: Sequence[str]) -> list[str]:
    """Full names of the modules that train whole: the new ones, and the pretrained ones in `method.also_train`.

    Raises PlanError for each name that the model lacks, or that cannot train by itself.
    """
    pretrained = {
        name: module
        for name, module in model.named_modules()
        if name and not layers.is_inside(name, new_modules) and next(module.parameters(), None) is not None
    }
    new = [name for name, _ in model.named_modules() if layers.is_inside(name, new_modules)]
    chosen: set[str] = set()
    problems = []
    for pattern in method.also_train:
        matches = [name for name in pretrained if layers.is_named(name, pattern)]
        lists = [name for name in matches if isinstance(pretrained[name], nn.ModuleList | nn.ModuleDict)]
        if lists:
            do = f"name what is in it: {pattern + '.*'!r}"
            problems.append(Problem(f"also_train {pattern!r} names {lists[0]!r}, a list of layers", do=do))
        elif not matches and any(layers.is_named(name, pattern) for name in new):
            what = f"also_train {pattern!r} names new layers only"
            problems.append(Problem(what, do="they train under every method"))
        elif not matches:
            what = f"also_train {pattern!r} names no pretrained layer of this {model.config.model_type!r} model"
            problems.append(Problem(what, do=layers.nearest_name(pattern, pretrained)))
        chosen.update(matches)
    if problems:
        raise PlanError(problems)
    return [*new_modules, *sorted(name for name in chosen if not layers.is_inside(name, chosen - {name}))]


def wrap(model: PreTrainedModel, method: PeftMethod, new_modules: Sequence[str]) -> PeftModel:
    """Freeze all but `new_modules` of `model`, put the trainable parts in, and return the PeftModel around it."""
    _check_new_modules(model, new_modules)
    config = method.config(model, new_modules)
    from peft import get_peft_model

    # The dtype is the base model's: peft would silently raise bf16 to fp32, and two dtypes in one layer
    # cannot be sharded together. Mixed precision is the training loop's business.
    return get_peft_model(model, config, autocast_adapter_dtype=False)


def load(model: PreTrainedModel, method: PeftMethod, folder: Path) -> PeftModel:
    """The saved weights of `folder` in `model`, every tensor accounted for."""
    _check_files(folder)
    expected = method.config_class()
    from peft import PeftConfig, PeftModel
    from safetensors import SafetensorError, safe_open

    try:
        config = PeftConfig.from_pretrained(str(folder))
        _check_method(config, expected, method.saved_values(), folder)
        with safe_open(folder / WEIGHTS, "pt") as file:
            saved = set(file.keys())
        # Onto the CPU first: peft's own choice would start CUDA wherever there is a device.
        loaded = PeftModel.from_pretrained(
            model, str(folder), config=config, autocast_adapter_dtype=False, torch_device="cpu"
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise PlanError(
            Problem(
                f"the saved weights cannot be put into this {type(model).__name__}: {reason}",
                where=str(folder),
                do="load them with the model and the labels they were trained with",
            )
        ) from error
    _check_tensors(loaded, saved, folder)
    return loaded


def _check_new_modules(model: PreTrainedModel, new_modules: Sequence[str]) -> None:
    # peft trains every module whose name *ends* with a given one: "classifier" takes DistilBERT's
    # "pre_classifier" along. What trains must not depend on such coincidences.
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    parts = [name for name, _ in model.named_children()]
    problems = [
        Problem(f"there is no module {new!r} in {type(model).__name__}", do=did_you_mean(new, parts))
        for new in new_modules
        if new not in names
    ]
    for name in names:
        if name not in new_modules and (new := next(filter(name.endswith, new_modules), None)):
            problems.append(
                Problem(
                    f"training {new!r} would train {name!r} too, because its name ends alike",
                    do=f"name {name!r} among the new modules, or rename one of them",
                )
            )
    if problems:
        raise PlanError(problems)


def _check_files(folder: Path) -> None:
    # peft looks on the hub for what a folder lacks; a local run must not.
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise PlanError(Problem(f"no saved adapter: {' and '.join(missing)} missing", where=str(folder)))


def _check_method(config: PeftConfig, expected: type[Any], said: Mapping[str, object], folder: Path) -> None:
    if not isinstance(config, expected):
        what = f"the weights were saved by {type(config).__name__}, and the recipe says {expected.__name__}"
        raise PlanError(Problem(what, where=str(folder / CONFIG)))
    differing = [
        f"{name} is {getattr(config, name)!r} in the folder and {value!r} in the recipe"
        for name, value in said.items()
        if getattr(config, name) != value
    ]
    if differing:
        raise PlanError(Problem(what, where=str(folder / CONFIG)) for what in differing)


def _check_tensors(loaded: PeftModel, saved: set[str], folder: Path) -> None:
    # peft only warns about tensors that the file lacks, and drops those that the model does not have.
    from peft import get_peft_model_state_dict

    wanted = set(get_peft_model_state_dict(loaded, save_embedding_layers=False))
    problems = [
        *(Problem(f"no saved weights for {name}", where=str(folder / WEIGHTS)) for name in wanted - saved),
        *(Problem(f"no tensor in the model for {name}", where=str(folder / WEIGHTS)) for name in saved - wanted),
    ]
    if problems:
        raise PlanError(sorted(problems, key=lambda problem: problem.what))
