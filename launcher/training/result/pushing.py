"""A finished model, or an export, as a repository of the Hugging Face hub: one commit, whole or not there at all.

The token comes from huggingface_hub's own places (HF_TOKEN, `hf auth login`); nothing here reads, keeps or shows it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from launcher import secret
from launcher.errors import BackendError, Problem
from launcher.exported import contract
from launcher.json_files import read_json
from launcher.model import ABOUT
from launcher.training import hub
from launcher.training.sealed_model import CARD, SEAL, card_state, checked

if TYPE_CHECKING:
    from huggingface_hub import HfApi

OURS = (ABOUT, contract.FILE, SEAL)
"""By one of these a folder, and a repository that a push has made, is recognised."""
OF_THE_HUB = ".gitattributes"
LOG_IN = "log in once: `hf auth login`, or set HF_TOKEN"
IN_WORDS = {
    401: ("does not know who asks: the token is not valid, or not any more", LOG_IN),
    403: ("does not let this token write there", "take a token that may write, or a repository of your own"),
    404: ("knows no such user, organisation or repository", "look at its name"),
    413: ("finds it too large", "see the limits of the hub"),
    429: ("was asked too often", "wait some minutes"),
}
"""What a status of the hub's means, and what to do."""


def files_of(folder: Path) -> list[Path]:
    """What goes along, in order. Raises BackendError where it shows a secret, or has a card that cannot be read."""
    _read_card(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _hidden(path.relative_to(folder)))
    shown = [path for path in files if path.suffix in (".json", ".md", ".py") and path.stat().st_size < 1 << 20]
    for path in shown:
        for number in secret.lines_with(path.read_text(encoding="utf-8", errors="replace")):
            do = "take it out" if path.name == CARD else "take it out of the recipe and train again"
            do += "; it may have been read already: have a new one made"
            raise BackendError(Problem("this line holds a password or a token", f"{path}:{number}", do))
    return files


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _state_of_the_card(folder: Path) -> str | None:
    """As `card_state`; None of a graph, whose notes have no digest. Raises BackendError where the folder is damaged."""
    if contract.is_export(folder):
        contract.read(folder)
        return None
    return card_state(folder, checked(folder))


def _read_card(folder: Path) -> None:
    """What the hub reads of the card, which its owner may have edited. Raises BackendError where it cannot be read."""
    from huggingface_hub import metadata_load

    path = folder / CARD
    if not path.is_file():
        return
    try:
        metadata_load(path)
    except UnicodeDecodeError as error:
        fault, do = f"is not UTF-8: {error.reason} at byte {error.start:,}", "save it as UTF-8"
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 2}"  # the first one is '---'
        fault = f"begins with what is no list of names and values in YAML{where}"
        do = "mend what stands between the two lines '---', or take it out"
    else:
        return
    raise BackendError(Problem(f"the card {fault}", str(path), do))


def paths_in(folder: Path) -> list[str]:
    """The paths of this machine that the model's recipe names: who fetches the repository reads them."""
    return sorted({value for value in _texts((read_json(folder / ABOUT) or {}).get("recipe")) if value[:1] in "/~"})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and 1 < len(value) < 300:
        yield value
    elif isinstance(value, dict | list):
        for below in value.values() if isinstance(value, dict) else value:
            yield from _texts(below)


def push(folder: Path, repository: str, public: bool, message: str, dry_run: bool) -> dict[str, Any]:
    """Put the folder there: `{"repository", "private", "address", "commit", "files", "card", "paths"}`.

    What an earlier push put there and this folder lacks is removed by the same commit. Raises BackendError where the
    hub refuses or cannot be reached, or the repository holds what no push has made.
    """
    told: dict[str, Any] = {"repository": repository, "private": not public, "address": None, "commit": None}
    told["card"] = _state_of_the_card(folder)
    files = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    told["files"] = [{"name": name, "bytes": path.stat().st_size} for name, path in files.items()]
    told["paths"] = paths_in(folder)
    if dry_run:
        return told
    if why := hub.unreachable():
        do = "unset it" if "HF_HUB_OFFLINE" in why else "look at the network; HF_ENDPOINT may name a mirror"
        raise BackendError(Problem(f"nothing was pushed: {why}", repository, do))
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    api, made = HfApi(), False
    try:
        told["repository"], there, private = _repository(api, repository, public)
        if there is None:
            api.create_repo(told["repository"], private=not public)
            made = True
        stale = [CommitOperationDelete(name) for name in sorted((there or set()) - files.keys())]
        additions = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        commit = api.create_commit(told["repository"], [*stale, *additions], commit_message=message)
    except BackendError:
        raise
    except Exception as error:  # the border: what the library and its HTTP client raise
        raise BackendError(_in_our_words(error, told["repository"], made)) from None
    return {**told, "private": private, "address": commit.commit_url, "commit": commit.oid}


def _repository(api: HfApi, name: str, public: bool) -> tuple[str, set[str] | None, bool]:
    """Its whole name, the files that may be replaced there (None where there is no such repository yet), and whether
    it is private."""
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.utils import validate_repo_id

    validate_repo_id(name)
    user = api.whoami()["name"]
    whole = name if "/" in name else f"{user}/{name}"
    try:
        info = api.model_info(whole)
    except RepositoryNotFoundError:
        return whole, None, not public
    there = {str(sibling.rfilename) for sibling in info.siblings or []} - {OF_THE_HUB}
    if not info.private and not public:
        do = "give --public if all may read it, or choose another name"
        raise BackendError(Problem("this repository is public", whole, do))
    if there and not there & set(OURS):
        first = ", ".join(sorted(there, key=lambda file: (len(PurePosixPath(file).parts), file))[:3])
        what = f"the repository holds files that no push of ours has made: {first}"
        raise BackendError(Problem(what, whole, "choose another name"))
    return whole, there, bool(info.private)


def _in_our_words(error: Exception, repository: str, made: bool) -> Problem:
    """What the library says, in one sentence."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    left = "; the repository was made and is empty" if made else ""
    causes = list(_causes(error))
    if isinstance(error, HFValidationError):
        do = "write NAME or OWNER/NAME: letters, digits, '-', '_' and '.', at most 96"
        return Problem(f"{repository!r} cannot name a repository of the hub", do=do)
    if any(isinstance(cause, LocalTokenNotFoundError) for cause in causes):
        return Problem("nothing was pushed: there is no token of the hub's on this machine", repository, LOG_IN)
    answers = (one.response for one in causes if isinstance(one, HfHubHTTPError))
    answer = next((one for one in answers if one is not None), None)
    if answer is None:
        what = f"the push broke: {_first_line(causes[-1])}{left}"
        return Problem(what, repository, "push again: what has arrived is not sent twice")
    status = int(answer.status_code)
    what, do = IN_WORDS.get(status, (f"answered {status}: {_first_line(error)}", "push again later"))
    return Problem(f"nothing was pushed: {constants.ENDPOINT} {what}{left}", repository, do)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return secret.without(lines[0] if lines else type(error).__name__)
