"""Several labels a text, pairs of texts, class weights and label smoothing: from the file to the prediction."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from at_work import predicted, texts_of, work_of
from command_line import typed
from torch.nn import functional

from launcher import DataError, LabelledLines, MultiLabelClassification, Table, TextClassification, predict
from launcher.training.batches.split import Split
from launcher.training.data import read_corpus, read_pairs, read_rows
from launcher.training.report.data_view import as_seen
from launcher.training.tasks import texts

SEVERAL = MultiLabelClassification()


def saved(folder, name, content):
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return str(path)


def labels_in(place, data=None, task=SEVERAL):
    return [(row.text, row.label) for row in read_rows(data or Table(train="x"), task, place)]


def test_labels_are_read_from_cells_lists_and_lines(tmp_path):
    wanted = [("one", ("a", "b")), ("two", ("b",)), ("three", ())]
    table = saved(tmp_path, "a.tsv", "text\tlabel\none\tb| a |b\ntwo\tb\nthree\t\n")
    assert labels_in(table) == wanted
    rows = [{"text": "one", "label": ["b", "a"]}, {"text": "two", "label": "b"}, {"text": "three", "label": []}]
    assert labels_in(saved(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))) == wanted
    other = Table(train="x", label_separator=", ")
    assert labels_in(saved(tmp_path, "b.csv", 'text,label\none,"a, b"\n'), other) == wanted[:1]
    lines = saved(tmp_path, "a.txt", "__label__b __label__a one\n__label__b two\n")
    assert labels_in(lines, LabelledLines(train="x")) == wanted[:2]
    numbers = saved(tmp_path, "n.jsonl", json.dumps({"text": "one", "label": [2, 1.0]}))
    assert labels_in(numbers) == [("one", ("1", "2"))]


@pytest.mark.parametrize(
    ("name", "content", "data", "told"),
    [
        ("a.tsv", "text\tlabel\none\ta||b\n", Table(train="x"), "the row has no label"),
        ("a.jsonl", '{"text": "one", "label": "a"}\n{"text": "two"}', Table(train="x"), "the row has no label"),
        ("a.jsonl", '{"text": "one", "label": ["a", {}]}', Table(train="x"), "the label is an object, not a string"),
        ("a.txt", "one without\n", LabelledLines(train="x"), "the row has no label"),
    ],
)
def test_what_is_no_set_of_labels_is_refused(tmp_path, name, content, data, told):
    with pytest.raises(DataError, match=told):
        labels_in(saved(tmp_path, name, content), data)


def test_a_task_of_one_label_takes_a_cell_as_it_is_and_no_list(tmp_path):
    one = TextClassification()
    assert labels_in(saved(tmp_path, "a.tsv", "text\tlabel\none\ta|b\n"), task=one) == [("one", "a|b")]
    with pytest.raises(DataError, match="the label is a list"):
        labels_in(saved(tmp_path, "a.jsonl", '{"text": "one", "label": ["a"]}'), task=one)


def test_a_null_says_that_a_text_has_none_of_several_labels(tmp_path):
    place = saved(tmp_path, "a.jsonl", '{"text": "one", "label": null}\n{"text": "two", "label": "a|b"}\n')
    assert labels_in(place, task=MultiLabelClassification()) == [("one", ()), ("two", ("a", "b"))]


def test_pairs_are_read_and_an_empty_half_is_an_empty_row(tmp_path):
    data = Table(train="x", text_pair="other")
    place = saved(tmp_path, "a.csv", "text,other,label\none,two,1\nthree,,0\n,four,0\none,five,0\n")
    rows = read_rows(data, TextClassification(), place)
    assert [(row.text, row.pair, row.label) for row in rows] == [("one", "two", "1"), ("one", "five", "0")]
    with pytest.raises(DataError, match="there is no column 'other'"):
        read_rows(data, TextClassification(), saved(tmp_path, "b.csv", "text,label\none,1\n"))


def test_pairs_are_repeated_only_where_both_texts_are(tmp_path):
    content = "text,other,label\n" + "one,two,1\none,three,0\none,two,1\n" * 10
    data = Table(train=saved(tmp_path, "a.csv", content), text_pair="other", test_size=1, validation_size=1)
    repeated = read_corpus(data, TextClassification()).report["duplicates"]
    assert sum(repeated["conflicting"].values()) == 0
    assert repeated["repeated"]["train"] == 28 - 2


def test_texts_to_predict_come_in_pairs_from_tables_and_lines(tmp_path):
    wanted = [("one", "two"), ("three", "")]
    assert read_pairs(Path(saved(tmp_path, "a.csv", "text,text_pair\none,two\nthree,\n"))) == wanted
    assert read_pairs(Path(saved(tmp_path, "a.txt", "one\ttwo\nthree\t\n"))) == wanted
    with pytest.raises(DataError, match="the line has 0 tabs") as caught:
        read_pairs(Path(saved(tmp_path, "b.txt", "one\ttwo\nthree\n")))
    assert "b.txt line 2" in str(caught.value)


def loss_of(work, logits, labels):
    return work.loss({"logits": logits}, {"labels": labels})["loss"]


def told_of(work, logits):
    """What is said of one text."""
    details = work.detail({"logits": torch.tensor([logits])}, {})
    return work.tell("x", texts_of([[0, 0, 0]]), np.array([0]), predicted(np.zeros((1, 3)), **details))


def test_class_weights_have_a_mean_of_one_over_the_training_rows():
    train = np.array([0] * 6 + [1] * 2 + [2] * 4)
    balanced = texts.scaled_weights("balanced", ["a", "b", "c"], train)
    assert np.allclose(balanced, [12 / 18, 2.0, 1.0])
    given = texts.scaled_weights({"b": 3.0}, ["a", "b", "c"], train)
    assert np.isclose(given[1] / given[0], 3) and np.isclose(given[2], given[0])
    assert np.isclose(np.mean(np.array(given)[train]), 1)
    absent = texts.scaled_weights("balanced", ["a", "b"], np.array([0, 0]))
    assert absent == [1.0, 0.0]


def test_the_training_loss_is_weighted_and_smoothed_and_the_measured_one_is_not():
    task = TextClassification(class_weights={"b": 3.0}, label_smoothing=0.2)
    logits, wanted = torch.tensor([[1.0, -1.0], [0.5, 2.0], [0.0, 0.0]]), torch.tensor([0, 1, 1])
    trained = loss_of(work_of(task).for_training(texts_of([0, 0, 1])), logits, wanted)
    told = logits.log_softmax(-1)
    weights = torch.tensor([0.6, 1.8])  # 3 to 1, over two rows of a and one of b
    reference = 0.0
    for row, label in enumerate(wanted.tolist()):
        for column in range(2):
            part = (0.8 if column == label else 0.0) + 0.1
            reference -= float(part * weights[column] * told[row, column])
    assert abs(float(trained) - reference) < 1e-5
    measured = loss_of(work_of(task), logits, wanted)
    assert abs(float(measured - functional.cross_entropy(logits, wanted, reduction="sum"))) < 1e-6
    assert float(trained) != float(measured)


@pytest.mark.parametrize("task", [TextClassification, MultiLabelClassification])
def test_a_weight_for_a_label_that_is_not_there_is_refused(tmp_path, task):
    place = saved(tmp_path, "a.csv", "text,label\n" + "one,good\ntwo,bad\n" * 10)
    with pytest.raises(DataError, match=r"task\.class_weights names 'god'") as caught:
        read_corpus(Table(train=place), task(class_weights={"god": 2.0, "bad": 1.0}))
    assert "did you mean 'good'?" in str(caught.value)


def test_the_yes_of_each_label_is_weighed_against_its_no():
    decided = torch.tensor([[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    train = texts_of(decided.numpy())
    names = ["rare", "never", "common"]
    logits = torch.tensor([[0.5, -1.0, 2.0], [-0.3, 0.2, 0.1], [1.5, -2.0, -0.4], [0.0, 0.7, 1.1]])
    each = functional.binary_cross_entropy_with_logits(logits, decided.float(), reduction="none")

    def loss(**values):
        return float(loss_of(work_of(MultiLabelClassification(**values), names).for_training(train), logits, decided))

    balanced = torch.tensor([[2, 1, 2], [2 / 3, 1, 2 / 3], [2 / 3, 1, 2 / 3], [2 / 3, 1, 2 / 3]])
    assert loss(class_weights="balanced") == pytest.approx(float((each * balanced).sum()))
    # 3 to 1, over one yes and three no: a mean of one
    given = torch.tensor([[2, 1, 1], [2 / 3, 1, 1], [2 / 3, 1, 1], [2 / 3, 1, 1]])
    assert loss(class_weights={"rare": 3.0}) == pytest.approx(float((each * given).sum()))
    smooth = functional.binary_cross_entropy_with_logits(logits, decided * 0.8 + 0.1, reduction="none")
    both = loss(class_weights={"rare": 3.0}, label_smoothing=0.2)
    assert both == pytest.approx(float((smooth * given).sum()))
    measured = loss_of(work_of(MultiLabelClassification(class_weights="balanced"), names), logits, decided)
    assert float(measured) == pytest.approx(float(each.sum())) and len({float(measured), both, loss()}) == 2


def test_several_labels_are_decided_each_by_itself():
    work = work_of(MultiLabelClassification(), ["a", "b", "c"])
    logits = torch.tensor([[2.0, -1.0, 0.1], [-2.0, -3.0, -0.1]])
    kept = work.keep({"logits": logits}, {})["predicted"]
    assert kept.tolist() == [[1, 0, 1], [0, 0, 0]]
    careful = work_of(MultiLabelClassification(threshold=0.9), ["a", "b", "c"])
    assert careful.keep({"logits": logits}, {})["predicted"].tolist() == [[0, 0, 0], [0, 0, 0]]
    wanted = torch.tensor([[1, 0, 0], [0, 0, 1]])
    probabilities = torch.sigmoid(logits)
    reference = -(wanted * probabilities.log() + (1 - wanted) * (1 - probabilities).log()).sum()
    assert abs(float(loss_of(work, logits, wanted) - reference)) < 1e-5
    metrics = work.score(texts_of(wanted.numpy()), predicted(kept))
    assert metrics["micro_f1"] == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    assert metrics["macro_f1"] == pytest.approx(1 / 3)
    assert metrics["subset_accuracy"] == 0.0
    assert {label: row["support"] for label, row in metrics["classes"].items()} == {"a": 1, "b": 0, "c": 1}
    told = told_of(work, [0.5, -1.0, 2.0])
    assert told["labels"] == ["c", "a"] and told["probabilities"]["b"] == pytest.approx(1 / (1 + np.e))
    nothing = told_of(work, [-1.0, -1.0, -1.0])
    assert nothing["labels"] == []


@pytest.mark.parametrize("model", ["weighted", "several", "pairs", "apart"])
def test_the_curve_does_not_hang_on_the_number_of_processes(warm, model):
    """Real processes: that every rank weighs alike cannot be seen in one."""
    alone, both = (warm.finished(model, "Full", *where, max_steps=12) for where in (("single", 1), ("ddp", 2)))
    assert len(alone.losses) == len(both.losses) == 12
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5
    assert len(set(alone.losses)) == 12
    assert both.outcome["proof"]["rows"] > 0


def test_a_run_of_several_labels_learns_and_predicts(warm):
    run = warm.finished("several", "Full", "single", 1)
    test = run.outcome["metrics"]["test"]
    assert test["micro_f1"] > run.outcome["metrics"]["before"]["micro_f1"] + 0.1
    assert set(test["classes"]) == {"ends0", "ends1", "ends2"}
    (both, none) = predict(run.folder.path, ["word10 word21", "word3"], run.folder.path.parent)
    likeliest = sorted(both["probabilities"], key=both["probabilities"].get, reverse=True)
    assert set(likeliest[:2]) == {"ends0", "ends1"} and both["labels"][:2] == likeliest[:2]
    assert none["labels"] == []


def test_the_two_texts_of_a_pair_reach_the_model_apart(warm):
    run = warm.finished("pairs", "Full", "single", 1, max_steps=12)
    train = Split.load(Path(run.plan["prepared"], "train.safetensors"))
    ids, types = train.ragged("input_ids").row(0), train.ragged("token_type_ids").row(0)
    first = len(ids)
    assert types.dtype == np.uint8 and (ids == 3).sum() == 2  # [SEP] twice
    assert types.tolist() == [0] * (list(ids).index(3) + 1) + [1] * (first - list(ids).index(3) - 1)
    told, other = predict(run.folder.path, [("word1 word2", "word3"), ("word3", "word1 word2")], run.folder.path.parent)
    assert told["probabilities"] != other["probabilities"]
    with pytest.raises(DataError, match="the model takes pairs of texts"):
        predict(run.folder.path, ["word1"], run.folder.path.parent)


def test_pairs_are_predicted_on_the_command_line(warm):
    run = warm.finished("pairs", "Full", "single", 1, max_steps=12)

    def asked(*words):
        return typed("predict", run.folder.name, "--runs", run.folder.path.parent, *words)

    done = asked("word1 word2", "word3", "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    assert (answer["text"], answer["text_pair"]) == ("word1 word2", "word3") and answer["label"] in (
        "longer",
        "shorter",
    )
    odd = asked("word1", "word2", "word3")
    assert odd.returncode == DataError.exit_code and "3 cannot be paired" in odd.stderr


def test_a_text_that_was_cut_is_told(warm):
    run = warm.finished("pairs", "Full", "single", 1, max_steps=12)
    longest = 512
    long = " ".join(["word1"] * (longest + 10))
    short, cut = predict(run.folder.path, [("word1", "word2"), (long, "word2")], run.folder.path.parent)
    assert "truncated" not in short and cut["truncated"] is True
    done = typed("predict", run.folder.name, "--runs", run.folder.path.parent, long, "word2")
    assert done.returncode == 0 and "1 text is longer than the model takes: the end was not looked at" in done.stderr


def test_a_pair_is_shown_as_the_model_sees_it(bert, tmp_path):
    from transformers import AutoTokenizer

    place = saved(tmp_path, "a.csv", "text,other,label\nword1 word2,word3 nothing,1\n")
    (row,) = read_rows(Table(train="x", text_pair="other"), TextClassification(), place)
    tokenizer = AutoTokenizer.from_pretrained(bert)
    shown = as_seen(row, tokenizer, 64)
    texts = [(token["text"], token["unknown"]) for token in shown["tokens"] if not token["special"]]
    assert texts == [("word1", False), ("word2", False), ("word3", False), ("nothing", True)]
    cut = as_seen(row, tokenizer, 6)["cut"]
    assert cut == {"tokens": 1, "text": "word2"}  # of equally long texts the first


def test_classes_may_be_called_as_averages_are():
    names = ["accuracy", "grade avg", "macro avg", "other"]
    numbers = np.array([0, 1, 2, 3, 0])
    told = work_of(TextClassification(), names).score(texts_of(numbers), predicted(np.array([0, 1, 2, 3, 1])))
    assert {name: row["support"] for name, row in told["classes"].items()} == dict(
        zip(names, [2, 1, 1, 1], strict=True)
    )
    assert told["accuracy"] == 0.8
    wanted = np.eye(4, dtype=np.int64)
    several = work_of(SEVERAL, names).score(texts_of(wanted), predicted(wanted))
    assert list(several["classes"]) == names and several["micro_f1"] == 1.0
