"""`launcher tensorboard` on a machine that is reached by ssh says how its port is brought home."""

from __future__ import annotations

import pytest

from launcher.cli import runs


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "mia")
    monkeypatch.setattr("socket.getfqdn", lambda: "login1.cluster.org")


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, ""),
        ({"SSH_CONNECTION": "broken"}, ""),
        (
            {"SSH_CONNECTION": "10.0.0.9 51234 10.0.0.1 22"},
            "ssh -N -L 6006:127.0.0.1:6006 mia@login1.cluster.org",
        ),
        (
            {"SSH_CONNECTION": "10.0.0.9 51234 10.0.0.1 2222"},
            "ssh -N -L 6006:127.0.0.1:6006 -p 2222 mia@login1.cluster.org",
        ),
        (
            {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_HOST": "login2; touch x"},
            "ssh -N -L 6006:127.0.0.1:6006 -J 'login2; touch x' mia@login1.cluster.org",
        ),
    ],
)
def test_the_line_that_is_typed_at_home(environment: dict[str, str], line: str) -> None:
    assert runs.tunnel(6006, environment) == line
