"""Runs of small recipes under any strategy, many of them: one nursery stays open, and equal runs are made once.

What `launcher run` does from gate to outcome, without a new command line, preparation process and imports each
time (12 to 17 seconds a run on two cores; this way it is 1 to 3).
"""

import json
import shutil
import time
from pathlib import Path

import pytest
from speaking import make

from launcher.launch import node, opening, run_request
from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.runs import driver, run_files

IMPORTED = (
    *("deepspeed", "peft", "seqeval.metrics", "sklearn.metrics", "tensorboard", "torch.utils.tensorboard"),
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "matplotlib.font_manager"),
    *("transformers.modeling_utils", "transformers.optimization", "transformers.models.bert.modeling_bert"),
    "launcher.training.sources.static.static_model",
    *(f"launcher.training.strategies.{name}" for name in ("ddp", "fsdp2", "zero")),
)
"""What ranks import when they need it, imported once before they are forked."""
LISTED = {"low": ["word0", "word2", "word4"], "both": ["word4", "word5 word6", "word50"]}
RATES = dict.fromkeys(
    (
        *("bert", "grown", "pairs", "alike", "questions", "related", "paths_bert", "masked", "causal"),
        *("search", "search_last", "ordered", "reranked"),
    ),
    2e-3,
)
"""1e-2 of AdamW throws a transformer about until the last bit decides where it goes."""
MODELS = {
    # FastText rows that train, a packed LSTM
    "ner": ("entities", "FastText(dimension=24, epochs=1, buckets=500, tokens='words', encoder=BiLSTM(hidden=16))"),
    "subwords": (
        "entities",
        "FastText(dimension=24, epochs=1, buckets=500, tokens='words', subword_rows=True, encoder=BiLSTM(hidden=16))",
    ),
    "votes": ("texts", "FastTextClassifier(dimension=8, buckets=500, shortest_subword=2, longest_subword=3)"),
    "paths": ("paths", "RandomVectors(dimension=24, tokens='words', encoder=BiLSTM(hidden=16))"),
    "paths_bert": ("paths", "Pretrained(model={bert!r})"),
    "mean": ("texts", "RandomVectors(dimension=24, tokens='words', encoder=MeanPooling(hidden=16))"),
    # a table of which most rows are named nowhere: only the others train (training/model_parts/sparse_table.py)
    "bert": ("texts", "Pretrained(model={bert!r})"),
    # files of the user's own: vectors, and a task over the same rows
    "hashed": ("texts", "CustomEmbedding(file='hashed_characters.py', dimension=24, encoder=MeanPooling(hidden=16))"),
    "focal": ("focal", "CustomEmbedding(file='hashed_characters.py', dimension=24, encoder=MeanPooling(hidden=16))"),
    # each way to cut and count words that the others do not take
    "cnn": (
        "texts",
        "RandomVectors(dimension=24, tokens='jieba', stop_words=('word7',), beside=(NgramBag(longest=2, buckets=40), "
        "Lexicon(files={lexicon!r})), encoder=TextCNN(widths=(2, 3), filters=8))",
    ),
    "transformer": (
        "texts",
        "RandomVectors(dimension=24, tokens='words', beside=(Lexicon(files={lexicon!r}),), "
        "encoder=Transformer(hidden=16, heads=2, feed_forward=32))",
    ),
    "bag": ("texts", "RandomVectors(dimension=12, tokens='words', beside=(NgramBag(),), encoder=MeanPooling())"),
    "weighted": ("weighted", "RandomVectors(dimension=24, tokens='words', encoder=MeanPooling(hidden=16))"),
    "several": ("several", "RandomVectors(dimension=24, tokens='words', encoder=MeanPooling(hidden=16))"),
    "pairs": ("pairs", "Pretrained(model={bert!r})"),
    # parts of words, so that texts are cut at them
    "grown": ("texts", "Pretrained(model={bert!r}, new_tokens=('d1', 'd2'))"),
    "apart": ("pairs", "RandomVectors(dimension=24, tokens='words', encoder=BiLSTM(hidden=16))"),
    "numbers": ("numbers", "RandomVectors(dimension=24, tokens='words', encoder=MeanPooling(hidden=16))"),
    "alike": ("alike", "Pretrained(model={bert!r})"),
    "questions": ("questions", "Pretrained(model={bert!r}, max_length=14)"),
    "spans": ("questions", "RandomVectors(dimension=24, tokens='words', max_length=14, encoder=BiLSTM(hidden=16))"),
    # language models with the head that they came with: one tied to its table of tokens, one not
    "masked": ("masked", "Pretrained(model={masked!r})"),
    "causal": ("causal", "Pretrained(model={causal!r})"),
    "filled": ("filled", "Pretrained(model={masked!r}, new_tokens=('d1', 'd2'))"),
    "continued": ("continued", "Pretrained(model={causal!r}, new_tokens=('d1', 'd2'))"),
    # vectors of texts: the mean of states, or the last one; pairs of them with a number; a query and each passage
    "search": ("search", "Pretrained(model={bert!r})"),
    "search_last": ("search", "Pretrained(model={causal!r})"),
    "ordered": ("ordered", "Pretrained(model={bert!r})"),
    "reranked": ("reranked", "Pretrained(model={bert!r})"),
    "related": ("relations", "Pretrained(model={bert!r})"),
    "placed": ("relations", "RandomVectors(dimension=24, tokens='words', encoder=BiLSTM(hidden=16))"),
    # tensors large enough that a rank's part is a part
    "wide": ("texts", "RandomVectors(dimension=256, tokens='words', encoder=MeanPooling(hidden=256))"),
}
SPEAKING = {"masked": "bert", "causal": "llama"}
METHODS = {"Full": "Full()", "LoRA": "LoRA(rank=4)", "Adapter": "Adapter(bottleneck=8)"}


class Ended:
    """A run that has ended: outcome and losses where it finished, what it said where it was refused."""

    def __init__(self, folder, status):
        self.folder, self.status = folder, status
        self.outcome = run_files.read_json(folder.outcome)
        self.steps = {event["step"]: event["loss"] for event in folder.events_so_far() if "loss" in event}
        self.losses = list(self.steps.values())
        self.norms = [event["gradient_norm"] for event in folder.events_so_far() if "gradient_norm" in event]
        self.plan = run_files.read_json(folder.plan)

    def failures(self):
        """What each rank left where it broke: `{rank: "what (do)"}`."""
        attempt = self.folder.attempts()[-1] if hasattr(self.folder, "attempts") else self.folder.attempt(1)
        told = {rank: run_files.read_json(attempt.failure(rank)) for rank in range(self.plan["world_size"])}
        return {rank: " ".join(p["what"] for p in about["problems"]) for rank, about in told.items() if about}


class Warm:
    """`warm.run("bert", "LoRA", "zero3", 2, max_steps=5)`."""

    def __init__(self, folder, write, bert):
        self.folder, self.write, self.bert = folder, write, bert
        self.made, self.count, self.node = {}, 0, None

    def recipe(self, model, method, before="", **training):
        """A recipe module over the small data; `before` is source that each process runs when it imports it.

        `method` is a name of METHODS, or source text.
        """
        kind, embedding = MODELS[model]
        values = {"max_steps": 50, **training}
        settings = ", ".join(f"{key}={value!r}" for key, value in values.items())
        lexicon = self.folder / "listed.json"
        lexicon.write_text(json.dumps(LISTED))
        speaking = {name: self.speaking(kind) for name, kind in SPEAKING.items() if f"{{{name}!r}}" in embedding}
        embedding = embedding.format(bert=str(self.bert), lexicon=str(lexicon), **speaking)
        return self.write(embedding, kind, METHODS.get(method, method), settings, before)

    def speaking(self, kind):
        """The folder of a tiny language model, made once."""
        folder = self.folder / f"speaking-{kind}"
        return str(folder) if folder.exists() else make(kind, folder)

    def run(self, model, method, strategy="single", processes=1, before="", **training):
        """The run of this recipe, made once."""
        key = (model, method, strategy, processes, before, tuple(sorted(training.items())))
        if key not in self.made:
            self.count += 1
            sets = {"training.learning_rate": str(RATES[model])} if model in RATES else {}
            for name in ("dropout", "epochs"):  # which the recipe gives itself
                if name in training:
                    sets[f"training.{name}"] = str(training.pop(name))
            path = self.recipe(model, method, before, **training)
            request = Request(path, sets, Placement(processes, strategy), f"r{self.count}", self.folder / "runs")
            self.made[key] = self.carry_out(request)
        return self.made[key]

    def resume(self, run, step, strategy, processes):
        """Go on from this run's checkpoint of `step`, in a copy of it that has nothing later."""
        self.count += 1
        name = f"r{self.count}"
        copy = self.folder / "runs" / name
        shutil.copytree(run.folder.path, copy)
        shutil.rmtree(copy / "model")
        (copy / "attempts/1/outcome.json").unlink()
        for path in (copy / "attempts/1/checkpoints").iterdir():
            if int(path.name.rpartition("-")[2]) > step:
                shutil.rmtree(path)
        placement = Placement(processes, strategy)
        path, sets = Path(run.plan["recipe"]), run.plan["overrides"]
        return self.carry_out(Request(path, sets, placement, name, self.folder / "runs", resume=True))

    def carry_out(self, request):
        """As `launcher run` does it: gates, plan, folder, ranks."""
        self.open()
        loaded = run_request.gates(request)
        folder = run_request.find_folder(request, loaded)
        plan = run_request.make_plan(request, loaded)
        attempt = opening.open_folder(folder, request, loaded, plan)
        self.node.start(plan, folder, attempt, time.time())
        self.node.watch(lambda: None, lambda: 0)
        driver.drop_lease(folder)
        return Ended(folder, {rank: status for rank, (status, _) in self.node.ended.items()})

    def finished(self, *what, **training):
        """`run`, which must have finished."""
        ended = self.run(*what, **training)
        assert set(ended.status.values()) == {0}, ended.failures()
        assert ended.outcome["status"] == "finished"
        return ended

    def open(self):
        """The node that all runs share, opened for the first of them."""
        self.node = self.node or open_node()
        return self.node

    def close(self):
        """End the nursery."""
        if self.node is not None:
            self.node.close()


def open_node():
    """A node whose nursery has imported DeepSpeed too, for the CPU."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DS_ACCELERATOR", "cpu")
        return node.Node.open(IMPORTED)


def largest_difference(left, right, steps):
    assert len(left) == len(right) == steps
    return max(abs(a - b) for a, b in zip(left, right, strict=True))
