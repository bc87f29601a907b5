"""Where data stands: files, folders, patterns, packages; and the digest of all that is read there."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_data_corpus import TEXTS, csv_file, numbered, refusal, sizes

from launcher.errors import DataError
from launcher.recipe.data import LabelledFiles, Table
from launcher.training.data import content_digest, read_corpus, read_rows
from launcher.training.data.locations import files_of


def test_several_files_folders_and_patterns_are_one_split(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    one = csv_file(tmp_path, "all/b.csv", numbered(4, "b"))
    two = csv_file(tmp_path, "all/a.csv", numbered(2, "a"))
    (tmp_path / "all" / ".hidden").write_text("x")
    texts = {
        name: [row.text for row in read_rows(Table(train="x"), TEXTS, place)]
        for name, place in {
            "list": (one, two),
            "folder": str(tmp_path / "all"),
            "pattern": str(tmp_path / "a*" / "?.csv"),
            "both": (str(tmp_path / "all" / "b*"), two),
        }.items()
    }
    a, b = ["a0", "a1"], ["b0", "b1", "b2", "b3"]
    assert texts == {"list": [*b, *a], "folder": [*a, *b], "pattern": [*a, *b], "both": [*b, *a]}
    files = LabelledFiles(train={"x": [one, two], "y": str(tmp_path / "all" / "*.csv")})
    corpus = read_corpus(files, TEXTS)
    assert sum(map(len, corpus.splits.values())) == 16
    assert content_digest(Table(train=[one, two])) != content_digest(Table(train=[two, one]))
    before = content_digest(Table(train=str(tmp_path / "all")))
    csv_file(tmp_path, "all/c.csv", numbered(1))
    assert content_digest(Table(train=str(tmp_path / "all"))) != before
    for n in (7, 3, 9, 1, 8, 2):
        csv_file(tmp_path, f"all/n{n}.csv", [(f"{n}", "a")])
    rows = read_rows(Table(train="x"), TEXTS, str(tmp_path / "all" / "n?.csv"))
    assert [row.text for row in rows] == ["1", "2", "3", "7", "8", "9"]
    (tmp_path / "empty").mkdir()
    message = refusal(Table(train=[f"{tmp_path}/none*.csv", f"{tmp_path}/empty", str(tmp_path), f"{tmp_path}/x.csv"]))
    for told in ("no file matches", "holds no files", "holds folders: all, empty", "there is no file"):
        assert told in message
    assert f"{tmp_path}/**/*.csv" in message


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    one = csv_file(tmp_path, "one/data.csv", numbered(4))
    two = csv_file(tmp_path, "two/data.csv", [("x", "")])
    assert f"{two} row 2" in refusal(Table(train=one, validation=two))


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("package:no_such_package/x.csv", "pip install no_such_package"),
        ("package:pytest/../x.csv", "leaves the package's folder"),
        ("package:pytest//etc/passwd", "leaves the package's folder"),
        ("package:pytest", "does not name a file in a package"),
        ("package:../x/y.csv", "does not name a file in a package"),
        ("package:pytest/__init__.pyy", "did you mean '__init__.py'?"),
        ("no/such/folder/x.csv", "the folder no does not exist"),
        ("/dev/null", "not a regular file"),
        ("a\0b.csv", "there is no file a\\x00b.csv"),
        ("~nobody/x.csv", "there is no file"),
        ("stanfordnlp/sst2", "written hub:stanfordnlp/sst2#train"),
        ("https://example.org/a.csv", "is an address, and only files are read"),
        ("", "the path of a file is empty"),
    ],
)
def test_places_that_name_nothing(place: str, shown: str) -> None:
    assert shown in refusal(Table(train=place))
    with pytest.raises(DataError) as refused:
        content_digest(Table(train=place))
    assert shown in str(refused.value)


def test_a_link_out_of_a_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "madepackage"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    outside = csv_file(tmp_path, "outside.csv", numbered(30))
    (package / "link.csv").symlink_to(outside)
    csv_file(package, "inside.csv", numbered(30))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert "leaves the package's folder" in refusal(Table(train="package:madepackage/link.csv"))
    assert sizes(Table(train="package:madepackage/inside.csv")) == {"train": 24, "validation": 3, "test": 3}


def test_the_digest_follows_bytes_and_values(tmp_path: Path) -> None:
    train = csv_file(tmp_path, "train.csv", numbered(30))
    first = content_digest(Table(train=train))
    assert first == content_digest(Table(train=train)) and len(first) == 64
    assert first != content_digest(Table(train=train, split_seed=1))
    csv_file(tmp_path, "train.csv", numbered(31))
    assert first != content_digest(Table(train=train))
    hub = content_digest(Table(train="hub:a/b#train"))
    assert hub != content_digest(Table(train="hub:a/b#test"))
    with pytest.raises(DataError) as refused:
        content_digest(LabelledFiles(train={"a": str(tmp_path / "x"), "b": str(tmp_path / "y")}))
    assert len(refused.value.problems) == 2


def test_copies_in_hidden_folders_are_no_rows(tmp_path: Path) -> None:
    for folder in (".ipynb_checkpoints", "a", ".own"):
        (tmp_path / folder).mkdir()
    csv_file(tmp_path, ".ipynb_checkpoints/a-checkpoint.csv", numbered(2))
    one, own = csv_file(tmp_path, "a/a.csv", numbered(2)), csv_file(tmp_path, ".own/b.csv", numbered(2))
    assert files_of(f"{tmp_path}/**/*.csv") == [one]
    assert files_of(f"{tmp_path}/.own/*.csv") == [own], "the pattern names the folder"


def test_a_file_that_a_split_names_twice_is_refused(tmp_path: Path) -> None:
    one = csv_file(tmp_path, "a.csv", numbered(30))
    assert f"{tmp_path}/./a.csv is named twice in one split" in refusal(Table(train=[one, f"{tmp_path}/./a.csv"]))
    assert "is named twice" in refusal(Table(train=[one, f"{tmp_path}/*.csv"]))
    assert "twice" not in refusal(LabelledFiles(train={"x": one}))
