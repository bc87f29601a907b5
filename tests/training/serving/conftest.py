"""Real models behind one server: of texts, of entities, of pairs' vectors, of conversations."""

import json
import random
from pathlib import Path

import chatting
import pytest
from hosting import Hosted

from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.serving.limits import Limits
from launcher.serving.served_run import ServedRun
from launcher.worker.verbs import saved_model

DIALOGUE = """from launcher import *

recipe = Recipe(
    task=Dialogue(generation=Generation(max_new_tokens=12)),
    data=Conversations(train={talks!r}, test_size=8),
    embedding=Pretrained(model={model!r}, max_length=64),
    peft=Full(),
    training=Training(max_steps=2, batch_size=8, dropout=0, learning_rate=1e-2, log_every=1),
)
"""


@pytest.fixture(scope="session")
def dialogue_run(warm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("talks")
    draw = random.Random(7)
    lines = []
    for _ in range(40):
        letter = draw.choice("abc好很")
        talk = [{"role": "user", "content": letter}, {"role": "assistant", "content": letter * 2}]
        lines.append(json.dumps({"messages": talk}, ensure_ascii=False))
    (folder / "talks.jsonl").write_text("\n".join(lines), encoding="utf-8")
    model = chatting.make(folder / "model", chatting.TRIMS)
    (folder / "recipe.py").write_text(DIALOGUE.format(talks=str(folder / "talks.jsonl"), model=model))
    ended = warm.carry_out(Request(folder / "recipe.py", {}, Placement(1, "single", "cpu"), "talks", folder / "runs"))
    assert ended.status == {0: 0}, ended.failures()
    return ended


@pytest.fixture(scope="session")
def finished(warm, dialogue_run):
    """A finished run of each."""
    steps = {"mean": 20, "ner": 120, "search": 20, "questions": 20}
    made = {name: warm.finished(name, "Full", max_steps=count) for name, count in steps.items()}
    return {**made, "talks": dialogue_run}


@pytest.fixture(scope="session")
def folders(finished):
    return {name: Path(run.folder.path) / "model" for name, run in finished.items()}


@pytest.fixture(scope="session")
def hosted(folders):
    models = {name: ServedRun(saved_model(folder, {})) for name, folder in folders.items()}
    with Hosted(Limits(deadline=60), **models) as here:
        yield here
