"""The relation of two entities: scores as SemEval's scorer gives them, what the models read, runs and predictions."""

import json

import numpy as np
import pytest
import torch
from at_work import predicted, split_of, work_of
from command_line import typed
from families import make
from warm import largest_difference

from launcher import DataError, RelationExtraction, evaluate, load
from launcher.training.data import Row, marks
from launcher.training.report.data_view import as_seen
from launcher.training.sources.entity_head import AutoModelForRelationExtraction
from launcher.training.tasks.marked_texts import seen_of

LABELS = ["Cause(e1,e2)", "Cause(e2,e1)", "Other", "Part(e1,e2)", "Part(e2,e1)"]
STEPS = 40
USUAL = {"max_steps": STEPS, "evaluate_every": STEPS}


def scored(gold, told, labels=LABELS, **settings):
    work = work_of(RelationExtraction(**settings), labels)
    split = split_of([[5]] * len(gold), labels=np.array(gold))
    return work.score(split, predicted(np.array(told, dtype=np.int32)))


def test_scores_are_those_of_the_official_scorer():
    """Of Cause: 4 expected, 4 predicted, 2 right; one wrong way counts as predicted and as missed. Of Part: 2, 2, 1."""
    gold = [0, 0, 1, 1, 3, 4, 2, 2, 2]
    told = [0, 1, 1, 2, 3, 2, 0, 2, 3]
    metrics = scored(gold, told)
    cause, part = metrics["classes"]["Cause"], metrics["classes"]["Part"]
    assert cause == {"precision": 2 / 4, "recall": 2 / 4, "f1": 0.5, "support": 4}
    assert part == {"precision": 1 / 2, "recall": 1 / 2, "f1": 0.5, "support": 2}
    assert metrics["macro_f1"] == 0.5 and metrics["micro_f1"] == pytest.approx(2 * 3 / (6 + 6))
    assert metrics["accuracy"] == pytest.approx(4 / 9) and list(metrics["classes"]) == ["Cause", "Part"]
    assert scored([0, 0, 2], [0, 2, 2])["macro_f1"] == pytest.approx(2 / 3)  # Part is neither there nor predicted
    assert scored([0, 2], [2, 2])["macro_f1"] == 0.0 and scored([0, 3], [0, 3])["macro_f1"] == 1.0


def test_a_wrong_direction_is_wrong_and_spoils_precision_of_its_relation():
    metrics = scored([0, 0, 3], [0, 1, 3])
    assert metrics["classes"]["Cause"]["precision"] == metrics["classes"]["Cause"]["recall"] == 1 / 2
    assert metrics["macro_f1"] == pytest.approx((0.5 + 1) / 2)


@pytest.mark.parametrize(
    ("labels", "none", "named"),
    [
        (["Other", "a"], None, "Other"),
        (["NA", "a"], None, "NA"),
        (["a", "no_relation"], None, "no_relation"),
        (["国籍", "无"], None, "无"),
        (["a", "b"], None, None),
        (["None", "Other"], None, None),
        (["None", "Other"], "None", "None"),
        (["Other", "a"], "", None),
    ],
)
def test_what_is_no_relation_is_recognised_or_named(labels, none, named):
    work = work_of(RelationExtraction(none=none), labels)
    assert work.none == (None if named is None else labels.index(named))
    metrics = scored([0, 1], [0, 0], labels, none=none)
    assert set(metrics["classes"]) == set(labels) - {named}


def tokenizer_of(bert, marked=True):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert)
    if marked:
        tokenizer.init_kwargs[marks.SETTING] = ["@", "#"]
    return tokenizer


def row_of(text, label="a"):
    plain, pair = marks.parsed(text)
    return Row(plain, label, "here", None, pair)


def test_a_model_reads_marks_and_knows_where_they_are(warm):
    tokenizer = tokenizer_of(warm.bert)
    work = work_of(RelationExtraction(), ("a", "b"), tokenizer)
    rows = [row_of("word1 <e1>word2 word3</e1> word4 <e2>word5</e2>"), row_of("<e2>word1</e2> <e1>word2</e1>", "b")]
    made = work.encode(rows)
    assert work.shown(made.split, 0) == "a: [CLS] word1 @ word2 word3 @ word4 # word5 # [SEP]"
    assert made.split.array("entities").tolist() == [[2, 5, 7, 9], [4, 6, 1, 3]]
    assert made.split.array("labels").tolist() == [0, 1] and not made.truncated.any()
    batch = work.collate(made.split, np.array([1]), None)
    assert batch["entities"].tolist() == [[4, 6, 1, 3]] and batch["entities"].dtype == np.int64
    unmarked = work_of(RelationExtraction(), ("a", "b"), tokenizer_of(warm.bert, marked=False)).encode(rows)
    assert unmarked.split.array("entities").tolist() == [[2, 3, 5, 5], [2, 2, 1, 1]]


def test_a_long_text_is_cut_around_both_entities(warm):
    tokenizer = tokenizer_of(warm.bert)
    many = [f"word{n}" for n in range(20)]

    def read(text, most):
        (seen,) = seen_of([row_of(text)], tokenizer, most)
        return " ".join(tokenizer.convert_ids_to_tokens(seen.tokens)), seen

    near = " ".join([*many[:10], "<e1>word10</e1> <e2>word11</e2>", *many[12:]])
    text, seen = read(near, 12)
    assert text == "[CLS] word8 word9 @ word10 @ # word11 # word12 word13 [SEP]" and seen.truncated and not seen.cut
    assert [seen.tokens[place] for place in seen.places] == tokenizer.convert_tokens_to_ids(["@", "@", "#", "#"])
    apart = " ".join([*many[:3], "<e2>word3</e2>", *many[4:16], "<e1>word16</e1>", *many[17:]])
    text, seen = read(apart, 10)
    assert text == "[CLS] # word3 # word4 word15 @ word16 @ [SEP]" and seen.places == (6, 8, 1, 3) and not seen.cut
    long = " ".join(["<e1>", *many[:9], "</e1> <e2>word9</e2>", *many[10:]])
    text, seen = read(long, 9)
    assert text == "[CLS] @ word0 word1 @ # word9 # [SEP]" and seen.places == (1, 4, 5, 7) and seen.cut == 1
    shown = as_seen(row_of(apart), tokenizer, 10)
    assert [token["label"] for token in shown["tokens"]] == [None, *["e2"] * 3, None, None, *["e1"] * 3, None]
    assert shown["cut"]["tokens"] == 16 and shown["cut"]["text"].startswith("word0 word1")
    made = work_of(RelationExtraction(), ("a", "b"), tokenizer, 9).encode([row_of(long), row_of(near)])
    assert made.lost == {"entities_cut": 1, "entities_without_a_token": 0} and made.truncated.all()


def test_forward_readers_answer_from_the_last_mark(tmp_path):
    for family, column in (("BERT", 0), ("GPT-2", 1), ("Llama", 1), ("Qwen2", 1), ("T5", 0)):
        model = AutoModelForRelationExtraction.from_pretrained(make(family, tmp_path / family)).eval()
        ids, places = torch.tensor([[3, 4, 5, 6, 7]]), torch.tensor([[0, 1, 2, 4]])
        states = model.base_model(input_ids=ids).last_hidden_state[0, places[0, column::2]].flatten()
        assert torch.allclose(model(input_ids=ids, entities=places).logits[0], model.head.classifier(states), atol=1e-6)


RUNS = [
    ("related", "Full", "ddp"),
    ("related", "LoRA", "fsdp2"),
    ("placed", "Full", "fsdp2"),
]


@pytest.mark.parametrize(("model", "method", "strategy"), RUNS)
def test_a_strategy_gives_the_curve_of_one_process(warm, model, method, strategy):
    one = warm.finished(model, method, "single", 1, **USUAL)
    many = warm.finished(model, method, strategy, 2, micro_batch_size=3, **USUAL)
    assert largest_difference(one.losses, many.losses, STEPS) <= 1e-5
    assert many.norms == pytest.approx(one.norms, rel=1e-3, abs=1e-6)
    assert many.outcome["proof"]["largest_logit_difference_from_training"] <= 1e-5
    assert set(many.outcome["metrics"]["test"]) >= {"macro_f1", "micro_f1", "accuracy", "loss"}


def test_a_run_is_asked_about_marked_texts_and_tables(warm, tmp_path):
    run = warm.finished("placed", "Full", "fsdp2", 2, micro_batch_size=3, **USUAL)
    model = load(run.folder.path)
    marked = "word5 <e1>word1</e1> and <e2>word2</e2>"
    told, short = model.predict([marked, "<e2>word1</e2> <e1>word7 word8</e1>"], top=1)
    assert told["entities"] == [{"text": "word1", "start": 6, "end": 11}, {"text": "word2", "start": 16, "end": 21}]
    assert told["label"] in {"Other", "larger(e1,e2)", "larger(e2,e1)"} and list(told["probabilities"]) == [
        told["label"]
    ]
    assert [entity["text"] for entity in short["entities"]] == ["word7 word8", "word1"]
    with pytest.raises(DataError) as caught:
        model.predict(["word1", marked, "<e1>word1 <e2>word2</e1> word3</e2>"])
    assert [problem.where for problem in caught.value.problems] == ["text 1", "text 3"]
    path = tmp_path / "asked.jsonl"
    path.write_text(json.dumps({"text": marked, "id": 7}) + "\n")
    done = typed("predict", run.folder.name, "--runs", run.folder.path.parent, "--file", path)
    assert done.returncode == 0 and done.stdout == f"{told['label']}\t{told['probability']:.4f}\t{marked}\n", (
        done.stderr
    )
    rows = tmp_path / "more.tsv"
    rows.write_text(f"text\tlabel\n{marked}\t{told['label']}\n")
    assert evaluate(run.folder.path, rows)["accuracy"] == 1.0
