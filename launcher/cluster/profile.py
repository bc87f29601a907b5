"""Cluster profiles: `[profile.NAME]` in `launcher.toml`, of the working directory or of the user.

    [profile.gpu]
    partition = "gpu"
    account = "nlp"
    time = "24:00:00"
    processes_per_node = 4
    setup = "site.sh"            # beside this file
    scratch = "/scratch/me"

Where both files hold a profile of one name, the working directory's is used. The one called `default` is used
when none is named.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.cluster.job import Profile
from launcher.errors import BackendError, Problem, RecipeError, did_you_mean
from launcher.host import this_user

FILE = "launcher.toml"
DEFAULT = "default"


def locations() -> tuple[Path, Path]:
    """The files in which profiles are looked for, the nearest first."""
    home = os.environ.get("XDG_CONFIG_HOME") or (this_user.home() or Path("~")) / ".config"
    return Path.cwd() / FILE, Path(home) / "recipe-launcher" / FILE


def find(name: str | None) -> Profile:
    """The profile of that name; without a name the one called `default`, or an empty one.

    Raises BackendError with everything that is wrong in the files that were read, or when there is no such profile.
    """
    profiles: dict[str, Profile] = {}
    problems: list[Problem] = []
    for path in reversed(locations()):
        valid, wrong = _read(path)
        profiles |= valid
        problems += wrong
    if problems:
        raise BackendError(problems)
    if name is None:
        return profiles.get(DEFAULT, Profile())
    if name not in profiles:
        written = " or ".join(str(path) for path in locations())
        do = did_you_mean(name, profiles) or f"write [profile.{name}] into {written}"
        raise BackendError(Problem(f"there is no profile {name!r}", written, do))
    return profiles[name]


def _read(path: Path) -> tuple[dict[str, Profile], list[Problem]]:
    """The good profiles of one file, and what is wrong with the others."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except OSError as error:
        return {}, [Problem(f"the file cannot be read: {error.strerror}", str(path))]
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are such
        return {}, [Problem(f"the file is not valid TOML: {error}", str(path))]
    problems = [
        Problem(f"{key}: there is no such table", str(path), did_you_mean(key, ["profile"]))
        for key in document
        if key != "profile"
    ]
    tables = document.get("profile", {})
    if not isinstance(tables, dict):
        return {}, [*problems, Problem("profile: this is not a table", str(path), "write [profile.NAME]")]
    profiles = {}
    for name, values in tables.items():
        made = _make(path, name, values)
        if isinstance(made, Profile):
            profiles[name] = made
        else:
            problems += made
    return profiles, problems


def _make(path: Path, name: str, values: Any) -> Profile | list[Problem]:
    table = f"[profile.{name}]"
    if not isinstance(values, dict):
        return [Problem(f"profile.{name}: this is not a table", str(path), f"write {table} on a line of its own")]
    try:
        profile = Profile(**values)
    except RecipeError as error:
        return [
            Problem(problem.what.replace("Profile.", f"profile.{name}.", 1), f"{path} {table}", problem.do)
            for problem in error.problems
        ]
    problems = []
    if profile.setup is not None:
        # a relative one lies beside the file that names it
        setup = path.parent / this_user.expanded(profile.setup)
        profile = replace(profile, setup=str(setup))
        if not setup.is_file():
            problems.append(Problem(f"profile.{name}.setup: there is no file {setup}", f"{path} {table}"))
    if profile.scratch is not None:
        scratch = this_user.expanded(profile.scratch)
        profile = replace(profile, scratch=str(scratch))
        if not scratch.is_absolute():
            do = "name the folder by its whole path: every node must find it"
            problems.append(Problem(f"profile.{name}.scratch: {scratch} is relative", f"{path} {table}", do))
    return problems or profile
