"""`launcher doctor`: this machine, looked at before a run."""

from __future__ import annotations

from pathlib import Path

import typer

from launcher.cli.options import Json, Runs, examples


def doctor(runs: Runs = Path("runs"), as_json: Json = False) -> None:
    """Say whether this machine is fit to train.

    And what to do where it is not; exit 0 if nothing is bad.
    """
    from launcher.cli.display import print_json
    from launcher.errors import PlanError
    from launcher.launch import doctor as checks

    findings = checks.examine(runs, lambda finding: None if as_json else print(finding.line(), flush=True))
    if as_json:
        print_json(checks.document(findings))
    else:
        grades = [finding.grade for finding in findings]
        warnings = grades.count("warn")
        print(f"{grades.count('ok')} ok, {warnings} warning{'' if warnings == 1 else 's'}, {grades.count('bad')} bad")
    raise typer.Exit(PlanError.exit_code if any(finding.grade == "bad" for finding in findings) else 0)


def add_to(app: typer.Typer) -> None:
    """Make it a verb of the command."""
    app.command(epilog=examples("launcher doctor", "launcher doctor --runs /scratch/me/runs --json"))(doctor)
