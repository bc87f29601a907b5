"""What a model of static vectors needs to be loaded by transformers: `import launcher`, before or after it.

`AutoModelForSequenceClassification.from_pretrained(run / "model")` must know our class. transformers has no
registry that packages could announce theirs in, and importing it here would cost the command seconds: so the class is
registered when, and only if, this process imports transformers' table of models.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

THEIRS = ("transformers.models.auto.configuration_auto", "transformers.models.auto.modeling_auto")
"""The first is executed before any `Auto…` class can be used; if the second imports it, and is itself only half
imported, ours has to wait for the second."""
OURS = "launcher.training.sources.static.static_model"
"""Registers itself as it is imported."""


def offer() -> None:
    """Register the class now, if transformers is here already, or as soon as it comes."""
    if THEIRS[0] in sys.modules:
        _register()
    if OURS not in sys.modules:
        sys.meta_path.insert(0, _Watch())


def _register() -> None:
    with contextlib.suppress(ImportError):  # a process that loads transformers alone must not miss a library of ours
        importlib.import_module(OURS)


class _Watch(MetaPathFinder):
    """Finds nothing; sees these modules come."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, with our registration after its code."""
        if fullname not in THEIRS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _register()

        # replaced on this one loader object on purpose
        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
