"""Questions with their answers, in every form that they are written in, and what is wrong with them."""

import json

import pytest

from launcher import DataError, QuestionAnswering, Questions, SemEvalLines, Table
from launcher.training.data import Wanted, read_corpus, read_rows, read_unlabelled
from launcher.training.data.answers import answers_in
from launcher.training.data.spans import Span

CONTEXT = "《战国无双3》由光荣和ω-force开发，光荣发行。"
TASK = QuestionAnswering()


def where(*places):
    return tuple(Span(start, end, "answer") for start, end in places)


@pytest.fixture
def rows(tmp_path):
    """Write a file, and read its rows."""

    def read(name, written, data=Questions, **fields):
        path = tmp_path / name
        path.write_text(written if isinstance(written, str) else json.dumps(written), encoding="utf-8")
        return read_rows(data(train=str(path), **fields), TASK, str(path))

    return read


def squad(*questions):
    """As SQuAD nests them: one article, one paragraph."""
    return {"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": list(questions)}]}]}


def test_every_form_of_answers_gives_the_same_row(rows):
    one, two = {"text": "光荣", "answer_start": 8}, {"text": "光荣和ω-force", "answer_start": 8}
    hub = {"text": ["光荣", "光荣和ω-force"], "answer_start": [8, 8]}
    flat = {"id": "1", "question": "谁？", "context": CONTEXT}
    cmrc = {"context_id": "c", "context_text": CONTEXT, "qas": [{"query_text": "谁？", "query_id": "q", "answers": []}]}
    cmrc["qas"][0]["answers"] = ["光荣", "光荣和ω-force"]
    written = [
        rows("squad.json", squad({"id": "1", "question": "谁？", "answers": [one, two, one]})),
        rows("cmrc.json", [cmrc]),
        rows("hub.jsonl", json.dumps({**flat, "answers": hub}, ensure_ascii=False)),
        rows("texts.jsonl", json.dumps({**flat, "answers": hub["text"]}, ensure_ascii=False)),
        rows(
            "table.jsonl",
            json.dumps({**flat, "answers": hub}),
            Table,
            text="question",
            text_pair="context",
            label="answers",
        ),
        rows("cells.tsv", f"question\tcontext\tanswers\n谁？\t{CONTEXT}\t{json.dumps(hub)}"),
    ]
    for (row,) in written:
        assert (row.text, row.pair) == ("谁？", CONTEXT)
        assert row.label == ("光荣", "光荣和ω-force") and row.spans == where((8, 10), (8, 18))


def test_a_parquet_file_of_the_hub_has_its_answers_in_lists(tmp_path):
    import pyarrow
    import pyarrow.parquet

    answers = [{"text": ["光荣"], "answer_start": [8]}, {"text": [], "answer_start": []}]
    table = [{"id": "1", "question": "谁？", "context": CONTEXT, "answers": one} for one in answers]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), tmp_path / "a.parquet")
    read = read_rows(Questions(train="a"), TASK, str(tmp_path / "a.parquet"))
    assert [(row.label, row.spans) for row in read] == [(("光荣",), where((8, 10))), ((), ())]


def test_plain_columns_have_one_answer_and_its_start(rows):
    text = f"q,c,answer,begin\n谁？,{CONTEXT},光荣,21\n谁？,{CONTEXT},,\n"
    names = {"text": "q", "text_pair": "c", "label": "answer"}
    with_start = rows("a.csv", text, **names, answer_start="begin")
    assert [row.spans for row in with_start] == [where((21, 23)), ()] and with_start[1].label == ()
    assert rows("b.csv", text, **names)[0].spans == where((8, 10))


def test_a_question_without_an_answer_is_a_row(rows):
    none = [
        {"id": "1", "question": "q", "answers": []},
        {"id": "2", "question": "q", "answers": [{"text": "光荣", "answer_start": 8}], "is_impossible": True},
    ]
    read = rows("squad.json", squad(*none))
    assert [(row.label, row.spans) for row in read] == [((), ())] * 2
    assert (
        answers_in("a b", {"text": [], "answer_start": []}).texts
        == answers_in("a b", {"text": [""], "answer_start": [-1]}).texts
        == ()
    )


@pytest.mark.parametrize(
    ("start", "place", "remark"),
    [
        (8, 8, ""),
        (7, 8, "moved"),
        (20, 21, "moved"),
        (999, 21, "moved"),
        (None, 8, "guessed"),
        (-1, 8, "guessed"),
        ("21", 21, ""),
        ("21.0", 21, ""),
        (21.0, 21, ""),
        (float("nan"), 8, "guessed"),
    ],
)
def test_an_answer_is_found_again_at_the_nearest_place(start, place, remark):
    found = answers_in(CONTEXT, "光荣", start)
    assert found.spans == where((place, place + 2)) and list(found.remarks) == ([remark] if remark else [])


def test_white_space_around_an_answer_is_not_of_it():
    assert answers_in("the big  apple", {"text": [" big "], "answer_start": [3]}).spans == where((4, 7))
    assert not answers_in("the big  apple", {"text": [" big "], "answer_start": [3]}).remarks


def test_wrong_starts_are_counted_and_their_rows_named(tmp_path):
    wrong = [{"id": str(n), "question": f"q{n}", "answers": [{"text": "光荣", "answer_start": 2}]} for n in range(7)]
    wrong.append(
        {
            "id": "7",
            "question": "q7",
            "answers": [{"text": "光荣", "answer_start": 8}, {"text": "索尼", "answer_start": 0}],
        }
    )
    (tmp_path / "train.json").write_text(json.dumps(squad(*wrong)))
    report = read_corpus(Questions(train=str(tmp_path / "train.json"), test_size=2, validation_size=1), TASK).report
    moved, missing = report["warnings"][:2]
    assert moved.startswith("train: answers that do not stand at their answer_start, and were found again at")
    assert moved.endswith(": 7 (train.json row 1, 2, 3, 4, 5 and 2 more)")
    assert missing.startswith("train: answers that do not stand in their context") and missing.endswith(
        "(train.json row 8)"
    )
    assert sum(report["splits"][name]["answers"]["with"] for name in report["splits"]) == 8


def test_all_that_is_wrong_is_told_together(tmp_path):
    wrong = [
        {"question": "q1", "context": CONTEXT, "answers": {"text": ["索尼"], "answer_start": [1]}},
        {"question": "q2", "context": CONTEXT, "answers": {"text": ["光荣", "战国"], "answer_start": [1]}},
        {"question": "q3", "context": CONTEXT, "answers": {"start": 1}},
        {"question": "q4", "context": CONTEXT, "answers": {"text": "光荣", "answer_start": "nine"}},
        {"question": "q5", "context": CONTEXT},
        {"question": 6, "context": CONTEXT, "answers": "光荣"},
        {"question": "", "context": CONTEXT, "answers": "光荣"},
        {"question": "q8", "context": " ", "answers": "光荣"},
        {"question": "q9", "context": CONTEXT, "answers": ["光荣", ["战国"]]},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in wrong))
    with pytest.raises(DataError) as caught:
        read_corpus(Questions(train=str(tmp_path / "a.jsonl")), TASK)
    told = {problem.where: problem.what for problem in caught.value.problems}
    assert told["a.jsonl row 1"] == "the answer '索尼' does not stand in its context"
    assert told["a.jsonl row 2"] == "answers: 2, and places where they start: 1"
    assert told["a.jsonl row 3"] == "answers need a text; there is 'start'"
    assert told["a.jsonl row 4"] == "the start of an answer is 'nine', not the number of a character"
    assert told["a.jsonl row 5"] == "the row has no answers"
    assert told["a.jsonl row 6"] == "the text is a number, not a string"
    assert told["a.jsonl row 9"] == 'an answer is ["战国"], not a text'
    does = {problem.where: problem.do for problem in caught.value.problems}
    assert does["a.jsonl row 1"].startswith("copy the answer") and does["a.jsonl row 4"].startswith('write {"text":')
    assert len(told) == 7 and all(problem.do for problem in caught.value.problems if "row 6" not in problem.where)


@pytest.mark.parametrize("start", ["--5", 2.5, True, [3]])
def test_a_start_that_is_no_number_is_told(start):
    with pytest.raises(ValueError, match=r"the start of an answer is .*, not the number of a character"):
        answers_in(CONTEXT, {"text": "光荣", "answer_start": start})


def test_columns_that_are_exchanged_are_seen(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "q", "context": CONTEXT, "answers": "光荣"}))
    data = Table(train=str(tmp_path / "a.jsonl"), text="context", text_pair="question", label="answers")
    with pytest.raises(DataError, match="does not stand in its context") as caught:
        read_corpus(data, TASK)
    assert caught.value.problems[0].do.startswith("the question has it: data.text is the column of the question")


def test_rows_without_any_answer_are_nothing_to_learn_from(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"question": f"q{n}", "context": "c", "answers": []}) for n in range(9))
    )
    with pytest.raises(DataError, match="none of the 9 questions of train has an answer"):
        read_corpus(Questions(train=str(tmp_path / "a.jsonl")), TASK)


def test_repeated_questions_are_those_with_the_same_context(tmp_path):
    one = {"question": "q", "context": CONTEXT, "answers": "光荣"}
    lines = [
        one,
        one,
        {**one, "context": f"{CONTEXT}再说"},
        {**one, "question": "p"},
        {**one, "answers": "战国", "question": "r"},
        {**one, "question": "r"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in lines))
    data = Questions(
        train=str(tmp_path / "a.jsonl"), test=str(tmp_path / "a.jsonl"), validation=str(tmp_path / "a.jsonl")
    )
    duplicates = read_corpus(data, TASK).report["duplicates"]
    assert duplicates["repeated"]["train"] == 1 and duplicates["conflicting"]["train"] == 1


def test_predict_reads_nested_questions_as_rows(tmp_path):
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(squad({"id": "1", "question": "谁？"}, {"id": "2", "question": "何？"})))
    read = read_unlabelled(path, Questions(train="x.json"), Wanted(pairs=True))
    assert read.texts == [("谁？", CONTEXT), ("何？", CONTEXT)]
    assert read.rows[1] == {"title": "t", "context": CONTEXT, "id": "2", "question": "何？"}


def test_a_table_with_a_column_of_lists_called_data_stays_one(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"question": "q", "context": "a b", "answers": "b", "data": [{"x": 1}]})
    )
    (row,) = read_rows(Questions(train="a"), TASK, str(tmp_path / "a.jsonl"))
    assert row.spans == where((2, 3))


def test_the_option_for_a_column_that_a_file_to_predict_on_lacks_is_named(tmp_path):
    path = tmp_path / "a.csv"
    for header, told in (("question,kontext", ["--text-pair"]), ("a,b", ["--text", "--text-pair"])):
        path.write_text(f"{header}\nq,c\n")
        with pytest.raises(DataError) as caught:
            read_unlabelled(path, Questions(train="a"), Wanted(True))
        assert [problem.do.split()[-2] for problem in caught.value.problems] == told


def test_data_without_answers_is_told_what_has_them():
    with pytest.raises(DataError) as caught:
        read_corpus(SemEvalLines(train="a"), TASK)
    assert caught.value.problems[0].do == "use Questions"
