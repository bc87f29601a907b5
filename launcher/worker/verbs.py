"""The verbs that need torch, in a process of their own: preparing, evaluating, predicting, comparing.

python -m launcher.worker.verbs VERB PARENT PIPE < request.json
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from launcher import errors, streams
from launcher.errors import LauncherError, Problem, RecipeError, WorkerError
from launcher.host.processes import die_with_parent
from launcher.model import Model, model_folder
from launcher.plan import plan as planning
from launcher.recipe.recipe import Recipe, from_document
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.worker.rank import hush_libraries, import_heavy

if TYPE_CHECKING:
    from launcher.training.result.model_folder import SavedModel


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """`{"recipe": document}` -> the facts of its data; with `slice`, of a folder with few rows to evaluate."""
    from launcher.training.memory.model_bound import sizes
    from launcher.training.onward.weights import refuse_another_base
    from launcher.training.prepare import cut_evaluation, prepare
    from launcher.training.sources import bases
    from launcher.training.suitable import look

    recipe = from_document(request["recipe"])
    base = bases.of_recipe(recipe)
    refuse_another_base(recipe)
    facts = prepare(recipe)
    look(recipe, facts)
    facts |= {"base": {**facts["base"], **base}, **sizes(recipe, facts)}
    if facts["bound"] is None and facts.get("model") is None and "unknown" not in facts:
        with suppress(LauncherError):  # the plan asks for them, and then they come in a process of their own
            facts |= _model_facts(recipe, facts)
    cut = request.get("slice")
    return cut_evaluation(recipe, facts, cut["rows"], Path(cut["folder"])) if cut else facts


def _model_facts(recipe: Recipe, prepared: dict[str, Any]) -> dict[str, Any]:
    """What no bound is known for will be asked for; here the libraries are imported already."""
    from launcher.training.memory.facts import model_facts
    from launcher.training.memory.model_bound import as_told

    return as_told(model_facts(recipe, prepared))


def facts(request: dict[str, Any]) -> dict[str, Any]:
    """`{"recipe": document, "prepared": what `prepare` returned}` -> the facts of its model, without its weights."""
    import_heavy()
    from launcher.training.memory.facts import model_facts

    return model_facts(from_document(request["recipe"]), request["prepared"])


def compare(runs: list[str]) -> list[dict[str, float]]:
    """How far the trained weights of each further run's model lie from those of the first run's."""
    from launcher.training.result.comparison import compare

    plan = planning.from_document(read_json(RunFolder(Path(runs[0])).plan))
    return compare(Path(plan.prepared), [model_folder(run, "") for run in runs])


def load(run: str | Path, runs: str | Path = "runs", sets: Mapping[str, str] | None = None) -> Model:
    """See `launcher.api.load`."""
    hush_libraries()
    from launcher.training.result import inference

    folder = model_folder(run, runs)
    saved = saved_model(folder, sets or {})
    work = {name: partial(getattr(inference, name), saved) for name in ("predict", "evaluate", "answers")}
    return Model(folder, tuple(saved.labels), work)


def saved_model(folder: Path, sets: Mapping[str, str]) -> SavedModel:
    """The model of a folder, which writes with these settings, as typed."""
    from launcher.recipe.generation_rules import with_settings
    from launcher.training.result.model_folder import load_saved_model

    saved = load_saved_model(folder)
    saved.recipe = with_settings(saved.recipe, sets)
    if sets and (problems := list(saved.work.problems())):
        raise RecipeError(problems)
    return saved


def chat(request: dict[str, Any], answer_to: IO[str]) -> dict[str, Any]:
    """A conversation with the model of `{"model": folder, "set": {…}}`: requests come as lines on stdin, and what is
    said goes out as lines (`training.result.writing.hold_conversation`). SIGINT ends a turn.
    """
    stops: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: stops.append(number))
    from launcher.training.result.writing import hold_conversation

    def say(what: dict[str, Any]) -> None:
        print(json.dumps(what, ensure_ascii=False), file=answer_to, flush=True)

    def requests() -> Iterator[dict[str, Any]]:
        for line in sys.stdin:
            stops.clear()
            yield json.loads(line)

    hold_conversation(saved_model(Path(request["model"]), request["set"]), requests(), say, lambda: bool(stops))
    return {}


def mine(request: dict[str, Any], answer_to: IO[str]) -> dict[str, Any]:
    """Negatives for the rows of the model of `{"model": folder, "data", "output", "count", …}`, written to a file; how
    far it is goes out as lines (`training.result.mining.mine`).
    """
    hush_libraries()
    from launcher.training.result.mining import Choice, mine

    def told(done: int, of: int) -> None:
        print(json.dumps({"done": done, "of": of}), file=answer_to, flush=True)

    choice = Choice(**{name: request[name] for name in ("count", "skip", "margin", "percent")})
    return mine(saved_model(Path(request["model"]), {}), request["data"], Path(request["output"]), choice, told)


def merge(request: dict[str, Any]) -> Any:
    """The adapters of `{"models": folders, "output", "by", "weights", "density"}` in one whole model."""
    hush_libraries()
    from launcher.training.result.merging import Mix, merge

    mix = Mix(tuple(request["weights"]), request["by"], request["density"])
    return merge([Path(folder) for folder in request["models"]], Path(request["output"]), mix)


def export(request: dict[str, Any]) -> Any:
    """The model of `{"model": folder, "format", "output", …}` for other programs."""
    from launcher.training.result import exports

    texts = request["texts"] and Path(request["texts"])
    given = {name: request[name] for name in ("int8", "torchao", "check", "floor")}
    say = partial(print, file=sys.stderr, flush=True) if request["said"] else exports.Wanted.say
    wanted = exports.Wanted(request["format"], Path(request["output"]), texts, **given, say=say)
    folder = Path(request["model"])
    return exports.export(saved_model(folder, {}), wanted, folder)


def push(request: dict[str, Any]) -> dict[str, Any]:
    """The folder of `{"folder", "repository", "public", "message", "dry_run"}` on the hub."""
    from launcher.training.result.pushing import push

    return push(Path(request.pop("folder")), **request)


def track(request: dict[str, Any]) -> dict[str, Any]:
    """What the run of `{"folder", "tracker"}` has reported and the tracker was not told yet: it is told now."""
    from launcher.training.tracking.catching_up import catch_up

    return catch_up(RunFolder(Path(request["folder"])), request["tracker"])


def embeddings(request: dict[str, Any]) -> dict[str, Any]:
    """Word vectors out of a model, a run or a file, and what is near to what."""
    from launcher.training.report import embeddings as asked

    return asked.embeddings(request)


def answer(verb: str, request: dict[str, Any], answer_to: IO[str]) -> Any:
    """What this verb answers; `chat` and `mine` write lines to `answer_to` meanwhile."""
    match verb:
        case "prepare":
            return prepare(request)
        case "facts":
            return facts(request)
        case "diagnose":
            from launcher.training.self_check import diagnose

            return diagnose(**request)
        case "curves":
            from launcher.training.report.run_curves import draw_curves

            return draw_curves(**request)
        case "data":
            from launcher.training.report.data_view import inspect

            return inspect(from_document(request["recipe"]), request["rows"], request["figures"])
        case "predict":
            return load(request["model"], sets=request.get("set")).answers(request)
        case "chat" | "mine":
            return {"chat": chat, "mine": mine}[verb](request, answer_to)
        case "evaluate":
            return load(request["model"], sets=request.get("set")).evaluate(request["data"])
        case "compare":
            return compare(**request)
        case "export" | "embeddings" | "push" | "track" | "merge" as verb:
            work = {"export": export, "embeddings": embeddings, "push": push, "track": track, "merge": merge}
            return work[verb](request)
        case _:
            raise WorkerError(Problem(f"there is no verb {verb!r}"))


def main() -> None:
    """A heavy verb in a child process: a JSON request on stdin, a JSON answer into a pipe."""
    streams.be_patient()
    answer_to = os.fdopen(int(sys.argv[3]), "w", encoding="utf-8")
    os.set_inheritable(answer_to.fileno(), False)  # a process of a library's must not keep the pipe open
    request = json.loads(sys.stdin.readline())
    die_with_parent(int(sys.argv[2]))
    hush_libraries()
    try:
        answered, code = answer(sys.argv[1], request, answer_to), 0
    except (LauncherError, OSError) as error:
        if (refusal := errors.refused_by_the_system(error)) is None:
            raise
        answered, code = refusal.document(), refusal.exit_code
    json.dump(answered, answer_to, ensure_ascii=False)
    answer_to.close()
    sys.stderr.flush()
    os._exit(code)  # the answer is out; interpreter teardown costs seconds


if __name__ == "__main__":
    main()
