"""Tiny models of many families, and rows for them."""

import pytest
import torch
import transformers
from families import make
from matrix import write_data


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    write_data(folder)
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    return folder


@pytest.fixture(autouse=True)
def here(data, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(data / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def model_of(data):
    """The folder of a family's tiny model, made once."""
    made = {}

    def of(family):
        if family not in made:
            made[family] = make(family, data / family)
        return made[family]

    return of
