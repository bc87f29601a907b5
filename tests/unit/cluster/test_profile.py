"""launcher.toml: which profile is meant, and everything that is wrong in it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cluster import profile
from launcher.cluster.job import Profile
from launcher.errors import BackendError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and a user's folder of settings beside it."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "config" / "recipe-launcher").mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return work


def write(folder: Path, text: str) -> Path:
    path = folder / "launcher.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_there_is_an_empty_profile_and_no_named_one(here: Path) -> None:
    assert profile.find(None) == Profile()
    with pytest.raises(BackendError, match="there is no profile 'gpu'") as told:
        profile.find("gpu")
    assert str(here / "launcher.toml") in str(told.value)
    assert "write [profile.gpu]" in str(told.value)


def test_the_nearer_file_wins_profile_by_profile(here: Path) -> None:
    user = here.parent / "config" / "recipe-launcher"
    write(user, '[profile.gpu]\npartition = "far"\n[profile.mine]\naccount = "me"\n[profile.default]\nnodes = 3\n')
    write(here, '[profile.gpu]\npartition = "near"\n')
    assert profile.find("gpu") == Profile(partition="near")
    assert profile.find("mine") == Profile(account="me")
    assert profile.find(None) == Profile(nodes=3)


def test_a_set_up_file_lies_beside_the_file_that_names_it(here: Path) -> None:
    (here / "site.sh").write_text("module load python\n")
    write(here, '[profile.gpu]\nsetup = "site.sh"\nscratch = "~/s"\n')
    found = profile.find("gpu")
    assert found.setup == str(here / "site.sh")
    assert found.scratch == str(Path("~/s").expanduser())


def test_all_that_is_wrong_is_told_at_once_with_its_table(here: Path) -> None:
    path = write(
        here,
        'profiles = 1\n[profile.a]\npartiton = "gpu"\nnodes = "2"\n[profile.b]\ntime = "soon"\n'
        'setup = "none.sh"\n[profile.c]\nsetup = "none.sh"\nscratch = "here"\n[profile]\nd = 3\n',
    )
    with pytest.raises(BackendError) as told:
        profile.find(None)
    lines = [problem.what for problem in told.value.problems]
    assert lines == [
        "profiles: there is no such table",
        "profile.a.nodes: input should be a valid integer (got '2')",
        "profile.a.partiton: there is no such field",
        "profile.b.time: it must be minutes, HH:MM:SS or D-HH:MM:SS (got 'soon')",
        f"profile.c.setup: there is no file {here / 'none.sh'}",
        "profile.c.scratch: here is relative",
        "profile.d: this is not a table",
    ]
    assert told.value.problems[0].do == "did you mean 'profile'?"
    assert told.value.problems[2].do == "did you mean 'partition'?"
    assert told.value.problems[2].where == f"{path} [profile.a]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[profile.a\n", "not valid TOML.*line 1"),
        ("profile = 3\n", "profile: this is not a table"),
        ('[profile.a]\nx = "\udcff"\n', "not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(here: Path, text: str, expected: str) -> None:
    (here / "launcher.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BackendError, match=expected):
        profile.find(None)


def test_a_near_name_is_suggested(here: Path) -> None:
    write(here, "[profile.gpu]\n[profile.cpu_long]\n")
    with pytest.raises(BackendError, match="did you mean 'cpu_long'"):
        profile.find("cpu_lon")
