"""`launcher push`: a finished run's model, or an export, on the Hugging Face hub."""

from __future__ import annotations

import sys
from pathlib import Path

from launcher.child import heavy
from launcher.cli.display import print_json
from launcher.errors import BackendError, Problem
from launcher.model import ABOUT, called, model_folder

OF_EXPORTS = ("export.json", "seal.json")
"""By one of these files the folder of an export is recognised (`launcher.exported.contract`, `sealed_model`)."""

CARDS = {
    "edited": "README.md was edited since it was written; it goes along as it is",
    "missing": "there is no README.md: the repository has no card",
}


def push_model(
    run: str, repository: str, runs: Path, public: bool, message: str | None, dry_run: bool, as_json: bool
) -> None:
    """Push, and say where it is; with `dry_run` what would go along."""
    exported = any((Path(run) / name).is_file() for name in OF_EXPORTS)
    folder = Path(run).resolve() if exported else _model_of(run, runs)
    request = {"folder": str(folder), "repository": repository, "public": public, "dry_run": dry_run}
    told = heavy("push", {**request, "message": message or f"Push {called(folder)}"})
    if as_json:
        print_json(told)
        return
    whole = sum(file["bytes"] for file in told["files"])
    if dry_run:
        for file in told["files"]:
            print(f"{file['bytes']:>15,}  {file['name']}")
    count, where = f"{len(told['files'])} files, {whole:,} bytes", told["repository"]
    print(f"{'would push' if dry_run else 'pushed'} {count}, to {where}")
    print(": ".join(["private" if told["private"] else "public", *([told["address"]] if told["address"] else [])]))
    if told["card"] in CARDS:
        print(CARDS[told["card"]], file=sys.stderr)
    if told["paths"]:
        print(f"launcher.json and the card, which go along, name {', '.join(told['paths'])}", file=sys.stderr)


def _model_of(run: str, runs: Path) -> Path:
    """The folder of the run's model. Raises BackendError where there is none."""
    here = Path(run)
    if (here / "config.json").is_file() and not (here / ABOUT).is_file():
        do = "push the run, its model or an export; any folder goes there by `hf upload REPO FOLDER`"
        raise BackendError(Problem("nothing in this folder says what was proven of it", str(here.resolve()), do))
    return model_folder(run, runs)
