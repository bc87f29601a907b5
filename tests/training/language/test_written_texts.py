"""Texts written while a run goes on, by its saved model, and in a conversation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from launcher import DataError
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.evaluation import Stopped
from launcher.training.result import writing
from launcher.training.result.model_folder import load_saved_model
from launcher.training.tasks.writing import writer
from launcher.training.written import write
from launcher.worker.verbs import load

RECIPE = """from launcher import *

recipe = Recipe(
    task=CustomTask(
        file='vowels.py', metrics={{'vowels': 'max'}}, like=CausalLanguageModel(generation=Generation(max_new_tokens=9))
    ),
    data=Texts(train={texts!r}),
    embedding=Pretrained(model={model!r}, max_length=24),
    peft={peft},
    training=Training(
        max_steps=4, batch_size=8, dropout=0, learning_rate=3e-3, evaluate_every=1, generate_every=2, generate_rows=5,
    ),
)
"""
SAYINGS = ["the cat", "a dog", "今天天气", "ran", "sat on it"]


@pytest.fixture(scope="module")
def runs(warm, tiny_llama, tmp_path_factory):
    """The same recipe on one process, on two that hold the whole model, and on two that hold half of it each."""
    from launcher.launch.request import Request
    from launcher.plan.placement import Placement

    folder = warm.folder / "vowels"
    folder.mkdir()
    (folder / "vowels.py").write_bytes((warm.folder / "vowels.py").read_bytes())
    random = np.random.default_rng(0)
    lines = [" ".join(random.choice(SAYINGS, random.integers(1, 9))) for _ in range(60)]
    (folder / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    made = {}
    for name, strategy, size, peft in (
        ("alone", "single", 1, "Full()"),
        ("ddp", "ddp", 2, "Full()"),
        ("fsdp2", "fsdp2", 2, "Full()"),
        ("prompt", "single", 1, "PromptTuning(tokens=3)"),
    ):
        path = folder / f"{name}.py"
        path.write_text(RECIPE.format(texts=str(folder / "texts.txt"), model=tiny_llama, peft=peft))
        request = Request(path, {}, Placement(size, strategy, "cpu"), name, folder / "runs")
        made[name] = warm.carry_out(request)
        assert set(made[name].status.values()) == {0}, made[name].failures()
    return made


@pytest.fixture(scope="module")
def saved(runs):
    return load_saved_model(runs["alone"].folder.model)


def evaluations(run):
    return [json.loads(line) for line in Path(run.folder.evaluations).read_text().splitlines()]


def test_texts_are_written_at_every_second_evaluation(runs):
    lines = evaluations(runs["alone"])
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert ["vowels" in line for line in lines] == [False, True, False, True], "none is undefined"
    for line in (lines[1], lines[3]):
        assert line["written"] == 5, "generate_rows"
        assert all(text["prompt"] and text["reference"] for text in line["texts"])
    assert runs["alone"].outcome["selected_step"] in (2, 4), "selected by what was written"
    for when in ("test", "before"):
        assert runs["alone"].outcome["metrics"][when]["written"] == 5


@pytest.mark.parametrize("other", ["ddp", "fsdp2"])
def test_the_texts_do_not_depend_on_how_many_processes_there_are(runs, other):
    for one, two in zip(evaluations(runs["alone"]), evaluations(runs[other]), strict=True):
        assert one.get("texts") == two.get("texts")
        assert one.get("vowels") == two.get("vowels")
    assert runs["alone"].losses == pytest.approx(runs[other].losses, abs=1e-5)


def test_tensorboard_shows_them_beside_their_references(runs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(runs["alone"].folder.tensorboard), size_guidance={"tensors": 0})
    board.Reload()
    shown = board.Tensors("texts written/validation/text_summary")
    assert [event.step for event in shown] == [2, 4]
    (table,) = shown[-1].tensor_proto.string_val
    assert table.decode().startswith("| prompt | reference | written |")
    assert len(table.decode().splitlines()) == 2 + 5
    assert "texts written/test/text_summary" in board.Tags()["tensors"]


def greedy(saved, prompt):
    """The likeliest token after all before it, again and again; no cache, no padding."""
    tokens = []
    with torch.no_grad():
        while len(tokens) < 9:
            ids = torch.tensor([[*prompt, *tokens]], dtype=torch.int64)
            tokens.append(int(saved.model(input_ids=ids, use_cache=False).logits[0, -1].argmax()))
            if tokens[-1] == 1:
                return tokens[:-1]
    return tokens


@pytest.mark.parametrize("run", ["alone", "prompt"])
def test_predict_goes_on_with_a_text_whatever_stands_beside_it(runs, run):
    saved = load_saved_model(runs[run].folder.model)
    model, texts = load(runs[run].folder.path), ["the cat", "今天天气 a dog", "a" * 60]
    together = model.predict(texts)
    assert [answer["text"] for answer in together] == [model.predict([text])[0]["text"] for text in texts]
    for text, answer in zip(texts, together, strict=True):
        prompt = saved.work.opening([{"role": "user", "content": text}])[-(24 - 9) :]
        tokens = greedy(saved, prompt.tolist())
        assert answer["text"] == saved.work.written(np.array(tokens))
        assert answer.get("unfinished", False) == (len(tokens) == 9)
        assert answer["perplexity"] > 1


def test_settings_of_the_moment(runs):
    folder = runs["alone"].folder.path
    assert load(folder, sets={"max_new_tokens": "2"}).predict("the cat")[0]["text"] != ""
    drawn = [
        [answer["text"] for answer in load(folder, sets={"do_sample": "true", "seed": str(seed)}).predict(["the", "a"])]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    model = load(folder, sets={"do_sample": "true", "seed": "1"})
    assert model.predict(["the"])[0]["text"] == drawn[0][0], "a text draws by its own number"
    assert model.predict(["a" * 60, "a"])[1]["text"] == drawn[0][1], "also behind one that is read in parts"


def test_evaluate_writes_for_all_rows(runs):
    metrics = load(runs["alone"].folder.path).evaluate()
    assert metrics["written"] == Split.load(Path(runs["alone"].plan["prepared"]) / "test.safetensors").rows > 5
    assert 0 <= metrics["vowels"] <= 1


def test_a_stop_request_is_obeyed_between_two_groups(saved, runs):
    split = Split.load(Path(runs["alone"].plan["prepared"]) / "train.safetensors")
    calls = []

    def generate(inputs, words, numbers):
        calls.append(numbers)
        return torch.full((len(numbers), 1), words["pad_token_id"])

    rows, alone = np.arange(split.rows), World(0, 0, 1, torch.device("cpu"))
    with pytest.raises(Stopped):
        write(generate, writer(saved.work), split, rows, alone, 64, stop_asked=lambda: len(calls) == 2)
    assert len(calls) == 3
    calls.clear()
    tokens = write(generate, writer(saved.work), split, rows, alone, 64)
    assert sorted(number for numbers in calls for number in numbers) == split.example.tolist()
    assert tokens.lengths.tolist() == [1] * split.rows


def conversation(saved, *requests, stopped=lambda: False):
    """What is said to these conversations."""
    said = []
    writing.hold_conversation(saved, [{"messages": messages} for messages in requests], said.append, stopped)
    return said[1:]


def message(content, role="user"):
    return {"role": role, "content": content}


def test_an_answer_comes_in_pieces(saved):
    *pieces, done = conversation(saved, [message("the cat")])
    assert "".join(piece["piece"] for piece in pieces) == done["done"]["text"]
    assert done["done"]["left_out"] == 0
    assert not done["done"]["stopped"]
    assert writing.HALF not in "".join(piece["piece"] for piece in pieces[:-1]), "half a character is not shown"


def test_the_oldest_turns_are_left_out_and_the_system_stays(saved):
    turns = [message("be brief", "system"), *(message("a cat", role) for role in ("user", "assistant") * 3)]
    prompt, left_out = writing.fitted(writer(saved.work), [*turns, message("dog")])
    assert left_out == 6
    assert saved.work.written(prompt) == "be briefdog"
    too_long = [message("be brief", "system"), message("a dog that is long")]
    with pytest.raises(DataError, match=r"the message has 26 tokens .* and there is room for 15"):
        writing.fitted(writer(saved.work), too_long)
    (refused,) = conversation(saved, too_long)
    assert "room for 15" in refused["error"]["problems"][0]["what"], "the conversation can go on"


def test_half_a_character_is_refused_and_the_conversation_goes_on(saved):
    refused, *_, done = conversation(saved, [message("\udcff")], [message("the cat")])
    assert "not UTF-8" in refused["error"]["problems"][0]["what"] and "text" in done["done"]


def test_a_turn_is_stopped(saved):
    *_, done = conversation(saved, [message("the cat")], stopped=lambda: True)
    assert done["done"]["stopped"]
    assert "unfinished" not in done["done"]
    whole = conversation(saved, [message("the cat")])[-1]["done"]["text"]
    assert whole.startswith(done["done"]["text"]) or len(done["done"]["text"]) <= 1
