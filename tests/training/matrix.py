"""What becomes of one family x task x method: trained for three steps, saved, read back and proven; or one sentence.

All that a rank does between its start and its end, in this process. `python matrix.py` prints the table of all.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from drawn_images import write_digits
from families import FAMILIES, make

from launcher.errors import LauncherError
from launcher.recipe.data import Columns, Conversations, ImageFolders, Pairs, Questions, Table
from launcher.recipe.method import Adapter, BitFit, Full, LoRA, NewTokens, TopLayers
from launcher.recipe.recipe import Recipe, resolve
from launcher.recipe.source import Pretrained
from launcher.recipe.task import (
    Dialogue,
    ImageClassification,
    MultiLabelClassification,
    Prompted,
    QuestionAnswering,
    Regression,
    RelationExtraction,
    TextClassification,
    TextEmbedding,
    TokenClassification,
    Translation,
)
from launcher.recipe.training import Training
from launcher.training import suitable
from launcher.training.alone import compared
from launcher.training.batches.split import Split
from launcher.training.initial_model import initial_model
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.model_parts.sparse_table import compact, expand
from launcher.training.optimiser import build_optimiser
from launcher.training.prepare import prepare, reader_of
from launcher.training.result import model_folder
from launcher.training.tasks import work_for
from launcher.training.tasks.collate import Batches

METHODS = {
    "Full": Full(),
    "LoRA": LoRA(rank=2),
    "Adapter": Adapter(bottleneck=4),
    "BitFit": BitFit(),
    "TopLayers": TopLayers(layers=1),
}
TASKS = (
    "texts", "several", "pairs", "numbers", "tags", "questions", "prompted", "relations", "translated", "talks",
    "embedded", "images",
)  # fmt: skip
ROWS = 24
PAIR = {"text_pair": "other"}


def write_data(folder):
    """24 rows of each kind, of 1 to 9 words."""
    draw = np.random.Generator(np.random.Philox(5))
    rows = [[f"word{n}" for n in draw.integers(0, 30, size=1 + number % 9)] for number in range(ROWS)]
    texts = [{"text": " ".join(words), "label": "ab"[len(words) % 2]} for words in rows]
    several = [
        {"text": " ".join(words), "label": sorted({words[0][-1:], words[-1][-1:]} & set("012"))} for words in rows
    ]
    pairs = [{**row, "other": texts[-1 - number]["text"]} for number, row in enumerate(texts)]
    numbers = [{**row, "label": len(row["text"].split()) / 9} for row in texts]
    alike = [{**row, "label": len(row["text"]) / len(row["other"])} for row in pairs]
    marked = [{**row, "text": f"<e1>word1</e1> {row['text']} <e2>word2</e2>"} for row in texts]
    kinds = {
        "relations": marked,
        "texts": texts,
        "several": several,
        "pairs": pairs,
        "numbers": numbers,
        "alike": alike,
    }
    for name, told in kinds.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, told)) + "\n")
    questions = [
        {"question": "word1 word2", "context": f"word3 {row['text']}", "answers": row["text"].split()[-1]}
        for row in texts
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)) + "\n")
    reversed_ = [{"text": " ".join(words), "target": " ".join(words[::-1])} for words in rows]
    (folder / "translated.jsonl").write_text("\n".join(map(json.dumps, reversed_)) + "\n")
    talks = [{"prompt": words[0], "response": "yes" * (1 + number % 5)} for number, words in enumerate(rows)]
    (folder / "talks.jsonl").write_text("\n".join(map(json.dumps, talks)) + "\n")
    tags = ["\n".join(f"{word} {'B-X' if word.endswith('0') else 'O'}" for word in words) for words in rows]
    (folder / "tags.conll").write_text("\n\n".join(tags) + "\n")
    write_digits(folder / "images", each=12, labels=2)


def recipe_of(task, data, model, method, **training):
    """The recipe of one field of the matrix."""
    if task == "images":
        nouns = ImageClassification(flip=True), ImageFolders(train=str(data / "images"))
    elif task == "tags":
        nouns = TokenClassification(), Columns(train=str(data / "tags.conll"))
    elif task == "embedded":
        rows = Pairs(train=str(data / "pairs.jsonl"), text="text", label="other")
        nouns = TextEmbedding(), rows
    elif task == "talks":
        nouns = Dialogue(), Conversations(train=str(data / "talks.jsonl"))
    elif task == "questions":
        nouns = QuestionAnswering(), Questions(train=str(data / "questions.jsonl"))
    elif task == "translated":
        nouns = Translation(max_target_length=12), Table(train=str(data / "translated.jsonl"))
    elif task == "several":
        nouns = MultiLabelClassification(), Table(train=str(data / "several.jsonl"))
    elif task == "masked":
        words = {"a": "y", "b": "z"} if "BART" in model or "RoBERTa" in model else {"a": "word1", "b": "word2"}
        nouns = Prompted(template="{text} : {mask}", words=words), Table(train=str(data / "texts.jsonl"))
    elif task == "prompted":
        words = {"a": "y", "b": ("z", "q")}
        nouns = Prompted(template="{text}: ({text_pair})", words=words), Table(train=str(data / "pairs.jsonl"), **PAIR)
    else:
        noun = {"numbers": Regression, "alike": Regression, "relations": RelationExtraction}.get(
            task, TextClassification
        )
        nouns = noun(), Table(train=str(data / f"{task}.jsonl"), **(PAIR if task in ("pairs", "alike") else {}))
    settings = {"batch_size": 8, "dropout": 0.0, **training}
    added = ("ord1",) if isinstance(method, NewTokens) else ()  # texts are cut at it
    source = Pretrained(model=model, new_tokens=added)
    recipe = Recipe(task=nouns[0], data=nouns[1], embedding=source, peft=method, training=Training(**settings))
    return resolve(recipe, Path("recipe.py"), "", {}).recipe


def outcome(recipe, folder):
    """`trains`, or the sentence with which it is refused; whatever else goes wrong is raised."""
    try:
        prepared = prepare(recipe)
        suitable.look(recipe, prepared)
    except LauncherError as error:
        return "; ".join(problem.what for problem in error.problems)
    place, labels = Path(prepared["folder"]), prepared["labels"]
    work = work_for(recipe.task, reader_of(labels, prepared["max_length"], place))
    batches, train = Batches(work, torch.device("cpu")), Split.load(place / "train.safetensors")
    model = initial_model(recipe, labels, place)
    found = compared(model, train, batches)
    if of_tokens := work.reader.tokenizer is not None:
        compact(model, train.token_ids, work.tokenizer.pad_token_id)
    model.train()
    optimiser, losses = build_optimiser(model, recipe.training), []
    for start in (0, 4, 8):
        rows = np.arange(start, start + 8)
        inputs, wanted = batches(train, rows)
        loss = work.loss(outputs_of(model, inputs, work.outputs), wanted)["loss"] / train.targets["loss"][rows].sum()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss))
    assert np.isfinite(losses).all()
    if of_tokens:
        expand(model)
    model_folder.save_model(model, recipe, labels, place, prepared["max_length"], folder)
    validation = Split.load(place / "validation.safetensors")
    told = model_folder.prove(model, folder, validation, np.arange(validation.rows), batches, None)
    assert told["largest_logit_difference"] <= 1e-5
    again = compared(model_folder.load_saved_model(folder).model, train, batches)
    return "trains" if found.alike and again.alike else f"trains, but {found.said() or again.said()}"


def main(families, tasks=TASKS[:-1], methods=("Full", "LoRA")):
    """Print a line a family, and below it each sentence that was told, once."""
    import time
    import traceback

    columns = [(task, method) for task in tasks for method in methods]
    sentences = {}
    print(f"{'family':12}" + "".join(f"{task + ' ' + method:16}" for task, method in columns))
    with tempfile.TemporaryDirectory() as scratch:
        import os

        os.environ["RECIPE_LAUNCHER_CACHE"] = str(Path(scratch) / "cache")
        os.environ["HF_HUB_OFFLINE"] = "1"
        data = Path(scratch)
        write_data(data)
        for family in families:
            model, cells, began = make(family, data / family), [], time.monotonic()
            for task, method in columns:
                try:
                    told = outcome(recipe_of(task, data, model, METHODS[method]), data / "model")
                except Exception:
                    told = "BROKEN " + traceback.format_exc()
                if told != "trains":
                    told = told.replace(model, family)
                    number = sentences.setdefault(told, len(sentences) + 1)
                    kind = (
                        "BROKEN" if told.startswith("BROKEN") else "DIFFERS" if told.startswith("trains") else "refused"
                    )
                    told = f"{kind} ({number})"
                cells.append(told)
            print(
                f"{family:12}" + "".join(f"{cell:16}" for cell in cells) + f"{time.monotonic() - began:.1f} s",
                flush=True,
            )
    for sentence, number in sentences.items():
        print(f"({number}) {sentence}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    main(sys.argv[1:] or list(FAMILIES))
