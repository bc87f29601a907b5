"""What is wrong with what was typed to `launcher merge` is told at once, before anything is read."""

import pytest

from launcher.cli.merging import _said, _weights, write_merged
from launcher.errors import DataError


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(DataError) as told:
        write_merged(["a", "b"], tmp_path, tmp_path / "there", "0.5,x", "linear", None, as_json=False)
    whats = [problem.what for problem in told.value.problems]
    assert len(whats) == 4 and "there is a folder already" in whats[2]
    assert whats[3] == "--weights 0.5,x is not a number for each of 2 runs, with a sum above 0"
    assert told.value.problems[3].do == "write 0.5,0.5"


def test_what_makes_no_sense_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("launcher.cli.merging.model_folder", lambda run, runs: tmp_path / run)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    def refused(runs, output, weights, by, density):
        with pytest.raises(DataError) as told:
            write_merged(runs, tmp_path, tmp_path / output, weights, by, density, as_json=False)
        return [problem.what for problem in told.value.problems]

    assert refused(["a", "a"], "new", None, "linear", None) == ["a is given twice"]
    assert refused(["a"], "new", "2", "linear", None) == ["--weights and --by are for several runs"]
    assert refused(["a"], "new", None, "ties", None) == ["--weights and --by are for several runs"]
    assert refused(["a", "b"], "new", None, "linear", 0.5) == ["--density is for --by ties"]
    assert refused(["a", "b"], "link", None, "linear", None) == ["there is a file already"]  # not written through


@pytest.mark.parametrize("said", ["1", "1,2,3", "1,nan", "1,-1", "", "1,"])
def test_weights_are_one_number_a_run(said):
    problems = []
    _weights(said, "linear", 2, problems)
    assert len(problems) == 1


def test_all_count_alike_by_default():
    assert _weights(None, "linear", 4, []) == [0.25] * 4 and _weights(None, "ties", 2, []) == [1.0, 1.0]
    assert _weights("0.7,0.3", "linear", 2, []) == [0.7, 0.3]


def test_what_is_said():
    told = {"folder": "/x/whole", "runs": ["/r/a/model"], "largest_difference": 2e-7}
    assert _said(told).splitlines()[1] == "largest difference of an output from the run's own: 2.0e-07"
    scores = [{"metric": "accuracy", "own": 0.9, "merged": 0.85}, {"metric": "accuracy", "why": "there is no data"}]
    several = {"folder": "/x/both", "runs": ["/r/a/model", "/m/b"], "scores": scores}
    assert _said(several).splitlines()[1:3] == [
        "on the test split of a: accuracy 0.8500, its own model 0.9000",
        "on the test split of b: not looked at, there is no data",
    ]
