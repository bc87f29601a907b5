"""Nothing that looks like a secret is shown by a dry run, or stored in a run's folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from launcher import secret
from launcher.errors import PlanError
from launcher.launch import run_request
from launcher.launch.request import Request
from launcher.recipe.recipe import LoadedRecipe

TOKEN = "hf_" + "aB3" * 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words, a=b, https://host:8080/x@y", "plain words, a=b, https://host:8080/x@y"),
        ("https://mia:pa55@host/x", "https://(hidden)@host/x"),
        ("ALL,HF_TOKEN=abc,MY_KEY=d,PATH=/bin", "ALL,HF_TOKEN=(hidden),MY_KEY=(hidden),PATH=/bin"),
        ("https://host/x?access_token=abc&row=1", "https://host/x?access_token=(hidden)&row=1"),
        (f"with {TOKEN}.", "with (hidden)."),
        ("AKIA" + "A1" * 8, "(hidden)"),
        ("hf_short and sk-ip", "hf_short and sk-ip"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert secret.without(text) == shown


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password", "X_CREDENTIALS", "API_KEY"])
def test_a_variable_is_hidden_by_its_name(name: str) -> None:
    assert secret.shown({name: "abc", "A": "b"}, ["A", name]) == {"A": "b", name: "(hidden)"}


def test_a_dry_run_shows_of_the_environment_what_steers_the_job_alone(
    tmp_path: Path, write: Callable[..., Path]
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, told in (("sinfo", "debug*|infinite|2|8|64000|(null)"), ("sacctmgr", ""), ("sbatch", "")):
        (commands / name).write_text(f"#!/bin/sh\necho '{told}'\n")
        (commands / name).chmod(0o755)
    environment = {
        **{
            "PATH": f"{commands}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "HF_TOKEN": "tell-1",
            "MY_THING": "tell-2",
        },
        **{"SBATCH_EXPORT": "ALL,WANDB_API_KEY=tell-3", "SBATCH_QOS": "long", "https_proxy": "http://u:tell-4@h"},
        **{"RECIPE_LAUNCHER_CACHE": str(tmp_path / "cache"), "RECIPE_LAUNCHER_TOKEN": "tell-5", "SLURM_JWT": "tell-6"},
    }
    words = [sys.executable, "-m", "launcher", "submit", str(write()), "--name", "s", "--dry-run"]
    for more in ([], ["--json"]):
        done = subprocess.run(
            [*words, *more], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert "tell-" not in done.stdout + done.stderr
    told = json.loads(done.stdout)["environment"]
    assert {name: told[name] for name in told if name != "PATH"} == {
        "RECIPE_LAUNCHER_CACHE": str(tmp_path / "cache"),
        "RECIPE_LAUNCHER_TOKEN": "(hidden)",
        "SBATCH_EXPORT": "ALL,WANDB_API_KEY=(hidden)",
        "SBATCH_QOS": "long",
    }


def test_what_would_be_stored_is_refused_and_not_repeated(
    loaded: LoadedRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"import os\nos.environ['HF_TOKEN'] = '{TOKEN}'\n"
    sets = {"embedding.model": "https://mia:pa55@host/model", "training.seed": "1"}
    monkeypatch.setattr(run_request, "recipe_of", lambda request: replace(loaded, source=text, overrides=sets))
    with pytest.raises(PlanError) as told:
        run_request.gates(Request(loaded.path))
    found = {problem.where: problem.what for problem in told.value.problems}
    assert set(found) >= {f"{loaded.path}:2", "--set embedding.model"}
    assert "a password or a token" in found[f"{loaded.path}:2"]
    assert TOKEN not in str(told.value) and "pa55" not in str(told.value)
