"""A user without a home directory or a name: nothing asks for them in vain, and one line says what to set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.cli.runs import tunnel
from launcher.cluster import profile
from launcher.errors import BackendError
from launcher.host import this_user
from launcher.launch.doctor import Finding, _disk

NOBODY = 12345


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a user whom the system does not know."""
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "RECIPE_LAUNCHER_CACHE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)


def test_nobody_has_neither_home_nor_name(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (this_user.home(), this_user.user_name()) == (None, "12345")
    assert this_user.expanded("~/models/a") == Path("~/models/a")
    with pytest.raises(BackendError, match="set RECIPE_LAUNCHER_CACHE to a folder that can be written"):
        this_user.cache_folder()
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", "/somewhere")
    assert this_user.cache_folder() == Path("/somewhere")


def test_who_has_one_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/a")
    monkeypatch.delenv("RECIPE_LAUNCHER_CACHE", raising=False)
    assert this_user.cache_folder() == Path("/home/a/.cache/recipe-launcher")
    assert this_user.expanded("~/b") == Path("/home/a/b")


def test_profiles_doctor_and_the_tunnel_do_without(nobody: None) -> None:
    assert profile.locations()[0].name == "launcher.toml"
    assert Finding("cache", "bad", "this user has no home directory, so there is no folder for prepared data",
                   "set RECIPE_LAUNCHER_CACHE to a folder that can be written") in list(_disk(Path()))  # fmt: skip
    assert "12345@" in (tunnel(6006, {"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}) or "")
