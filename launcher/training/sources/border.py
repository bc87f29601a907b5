"""Calls of transformers and the hub: their errors are reported in our own words, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launcher.errors import DataError, LauncherError, Problem, more_threads, ran_out_of_memory
from launcher.training import hub


@contextmanager
def at_the_border(model: str) -> Iterator[None]:
    """Report errors of the hub, transformers, tokenizers or safetensors in our own words, whatever they raise."""
    from safetensors import SafetensorError

    local = Path(model).exists() or model.startswith("package:")
    if not local:
        hub.unreachable()  # checked first: the libraries would try for a minute
    try:
        yield
    except LauncherError:
        raise
    except Exception as error:  # the border: each library has its own, and tokenizers raises Exception itself
        if ran_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if not local:
            what = f"the model {model} was not found"
            if not isinstance(error, OSError | ValueError):
                what = f"the model {model} cannot be loaded"
            raise DataError(hub.not_here(what, "", "--set embedding.model=FOLDER", reason)) from error
        do = "it must be a folder that save_pretrained wrote, of a model transformers knows without extra code"
        do = more_threads(error) or do  # transformers reads weights with several
        if isinstance(error, SafetensorError):
            do = "its weights are damaged or were not fetched; in a clone of a repository: git lfs pull"
        elif isinstance(error, ImportError):
            do = "install what is missing, or take a model that needs nothing more"
        raise DataError(Problem(f"the model {model} cannot be loaded: {reason}", do=do)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' report on new heads and its progress bar: both are expected here."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
