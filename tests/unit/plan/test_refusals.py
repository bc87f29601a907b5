"""docs/refusals.md is what the rules say, and no strategy refuses a method where it fits."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from launcher.recipe.source import Static

PARTS = ("BitFit", "TopLayers", "IA3", "VeRA", "PromptTuning", "PrefixTuning", "NewTokens")
"""They change parts of a pretrained model that static vectors do not have."""
STEPPED = ("AdaLoRA",)
"""So do these, and they act within each step."""
CLASSIFIER = "FastTextClassifier"
"""Of whole texts, trained in full."""
HEADLESS = ("HeadOnly", "TextEmbedding")
"""Nothing with weights is put on a model whose vectors are compared."""
SPECIAL = {"four bits": ("QLoRA",), "parts": PARTS, "stepped": STEPPED}
PATH = Path(__file__).parents[3] / "docs" / "refusals.py"


@pytest.fixture(scope="module")
def refusals():
    spec = importlib.util.spec_from_file_location("refusals", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["refusals"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["refusals"]


def statics(refusals):
    """Names of the sources of static vectors that need no file of the user's own."""
    return {one.__name__ for one in refusals.closed(refusals.Embedding) if issubclass(one, Static)} - {CLASSIFIER}


def by_rules(refusals):
    """All but those of a task and a source that never go together, however a run is launched."""
    static = statics(refusals)
    never = {task.__name__ for task in refusals.closed(refusals.Task) if "static" not in task.bodies}
    images = {task.__name__ for task in refusals.closed(refusals.Task) if "image" in task.bodies}
    judged = refusals.combinations()
    apart = [one for one in judged if one.task in never and one.source in static]
    apart += [one for one in judged if one.task not in images and one.source == "FromConfig"]
    apart += [one for one in judged if one.source == CLASSIFIER]
    headless = [one for one in judged if (one.method, one.task) == HEADLESS]
    assert headless and all(one.reasons for one in headless)
    apart += headless
    assert never > images == {"ImageClassification"} and all(one.reasons for one in apart if one.source != CLASSIFIER)
    alone = set(apart)
    return [one for one in judged if one not in alone]


def test_the_page_is_what_the_rules_say(refusals) -> None:
    assert refusals.FILE.read_text(encoding="utf-8") == refusals.page(), "run: python docs/refusals.py"


def test_the_page_of_methods_is_what_rules_and_tests_say(refusals, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(PATH.parent))
    import shelf

    page = shelf.page()
    assert shelf.FILE.read_text(encoding="utf-8") == page, "run: python docs/refusals.py"
    rows = {cells[1].strip(): cells[2:] for cells in (line.split("|") for line in page.splitlines()) if len(cells) > 9}
    assert set(rows) >= {one.__name__ for one in refusals.closed(refusals.Peft)}
    assert all(cell.strip().isdigit() for cell in rows["AdaLoRA"][-5:-1]), "DeepSpeed makes the whole step"
    assert "●" in rows["LoRA"][0] and "●" in "".join(rows["IA3"])


def test_the_page_of_exports_is_what_the_rules_say(refusals, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(PATH.parent))
    import exports

    page = exports.page()
    assert exports.FILE.read_text(encoding="utf-8") == page, "run: python docs/exports.py"
    tasks = {one.__name__ for one in refusals.closed(refusals.Task)}
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ") and "task" not in line]
    assert tasks <= {row[0].strip() for row in rows} and all(cell.strip() for row in rows for cell in row)


def test_what_is_refused_is_counted(refusals) -> None:
    every, suited = refusals.combinations(), by_rules(refusals)
    methods, tasks, sources = (
        len(refusals.closed(union)) for union in (refusals.Peft, refusals.Task, refusals.Embedding)
    )
    assert len(every) == len(set(every)) == 7 * 2 * methods * tasks * sources
    drawn = {one.method for one in suited if one.source == "FromConfig" and not one.reasons}
    assert drawn == {"Full", "Freeze"}, "what is drawn at random must train"
    judged = [one for one in suited if one.source != "FromConfig"]
    pairs = len({(one.task, one.source) for one in judged})
    pretrained_only = sum("static" not in task.bodies for task in refusals.closed(refusals.Task))
    assert pairs == tasks * (sources - 2) - len(statics(refusals)) * pretrained_only, "no such task on static vectors"
    refused = [one for one in judged if one.reasons]
    of = {name: [one for one in refused if one.method in told] for name, told in SPECIAL.items()}
    offload = [one for one in refused if not any(one.method in told for told in SPECIAL.values())]
    assert len(offload) == (methods - 1 - len(PARTS + STEPPED)) * pairs - 1  # the one of HEADLESS
    assert {(one.strategy, one.device) for one in offload} == {("zero3_offload", "cpu")}
    # QLoRA: nothing on a CPU (7 strategies), on a GPU pretrained models under the four that do not shard weights
    runs = {(one.strategy, one.device, one.source) for one in judged if one.method == "QLoRA" and not one.reasons}
    assert runs == {(name, "cuda", "Pretrained") for name in ("single", "ddp", "zero1", "zero2")}
    assert len(of["four bits"]) == 7 * 2 * pairs - len(runs) * tasks
    # no static vectors, and of pretrained models what all are refused
    texts = [one for one in of["parts"] if one.task != "ImageClassification"]
    static = {one.source for one in texts if one.strategy != "zero3_offload"}
    assert static == statics(refusals)
    prompts = 3 * 13  # of images all that would fit are refused too
    assert len(of["parts"]) == len(PARTS) * (7 * 2 * (pairs - tasks) + tasks) + prompts
    runs = {(one.strategy, one.source) for one in judged if one.method in STEPPED and not one.reasons}
    assert runs == {(name, "Pretrained") for name in ("single", "ddp", "fsdp2")}
    assert len(of["stepped"]) == len(STEPPED) * 2 * (7 * pairs - 3 * tasks)
    assert len(refused) == len(offload) + sum(map(len, of.values()))


def test_the_classifier_answers_whole_texts_in_full(refusals) -> None:
    fits = {(one.task, one.method) for one in refusals.combinations() if one.source == CLASSIFIER and not one.reasons}
    assert fits == {(task, "Full") for task in ("TextClassification", "MultiLabelClassification", "Regression")}


@pytest.mark.parametrize("method", ["Full", "LoRA", "Adapter", "OFT", "HeadOnly", "Freeze"])
def test_the_other_methods_are_refused_nowhere_that_fits(refusals, method: str) -> None:
    mine = [one for one in by_rules(refusals) if one.method == method and one.source != "FromConfig"]
    fitting = [one for one in mine if (one.strategy, one.device) != ("zero3_offload", "cpu")]
    assert len(fitting) == 13 * len({(one.task, one.source) for one in mine}) > 200
    assert [one for one in fitting if one.reasons] == []


def test_the_open_members_alone_are_left_out(refusals) -> None:
    for union, name in (
        (refusals.Peft, "CustomMethod"),
        (refusals.Task, "CustomTask"),
        (refusals.Embedding, "CustomEmbedding"),
    ):
        assert {one.__name__ for one in set(refusals.members(union)) - set(refusals.closed(union))} == {name}
