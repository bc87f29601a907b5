"""`launcher push`: what arrives on the hub is the folder, byte for byte; or nothing does, and one sentence says why."""

import json
import os
import subprocess
import sys

import pytest
from hub_stand_in import TOKEN, hub
from huggingface_hub import constants

from launcher.errors import BackendError
from launcher.exported import contract
from launcher.runs.seals import digests
from launcher.training import hub as hub_of_ours
from launcher.training.result import pushing
from launcher.training.sealed_model import put_seal_on

LAUNCHER = {"recipe": {"data": {"train": "/home/ada/reviews.csv"}}, "labels": ["bad", "good"], "format": 2}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "first" / "model"
    folder.mkdir(parents=True)
    (folder / "launcher.json").write_text(json.dumps(LAUNCHER))
    (folder / "README.md").write_text("---\ntags: [recipe-launcher]\n---\n\n# 房间\n")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4000)
    (folder / "base").mkdir()
    (folder / "base" / "config.json").write_text("{}")
    put_seal_on(folder, {"format": 1, "base": {}})
    return folder


def pushed(folder, *words, token=TOKEN, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    where = {"HF_HOME": str(folder.parents[1] / "home"), "HF_HUB_DISABLE_XET": "1", **environment}
    where |= {"HF_TOKEN": token} if token else {}
    line = [sys.executable, "-m", "launcher", "push", folder, *words]
    done = subprocess.run(line, env={**kept, **where}, capture_output=True, text=True, timeout=120)
    assert TOKEN not in done.stdout + done.stderr and "Traceback" not in done.stderr
    return done


def on_disk(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_arrives_is_the_folder_and_a_second_push_replaces_the_first(model):
    with hub() as there:
        done = pushed(model, "reviews-zh", "--json", HF_ENDPOINT=there.address)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["repository"] == "ada/reviews-zh" and told["private"] is True
        assert told["address"] == f"{there.address}/ada/reviews-zh/commit/{'c' * 40}" and told["commit"] == "c" * 40
        assert told["paths"] == ["/home/ada/reviews.csv"]
        arrived = there.repositories["ada/reviews-zh"]
        assert arrived["private"] is True
        assert {name: held for name, held in arrived["files"].items() if name != ".gitattributes"} == on_disk(model)
        assert len(there.stored) == 1 and there.tokens <= {f"Bearer {TOKEN}", None}
        assert there.said == "Push first"

        (model / "base" / "config.json").rename(model / "config.json")
        (model / "seal.json").unlink()
        put_seal_on(model, {"format": 1, "base": {}})
        done = pushed(model, "ada/reviews-zh", "--message", "whole", HF_ENDPOINT=there.address)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith(f"private: {there.address}/ada/reviews-zh/commit/")
        assert "name /home/ada/reviews.csv" in done.stderr
        held = there.repositories["ada/reviews-zh"]["files"]
        assert {name: held for name, held in held.items() if name != ".gitattributes"} == on_disk(model)
        assert there.said == "whole"
    written = [path for path in model.parents[1].rglob("*") if path.is_file()]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]


@pytest.fixture
def refused(model, monkeypatch):
    """What a push is refused with: what is wrong, and what to do."""
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(model / "nowhere"))

    def push_there(repository, endpoint, token=TOKEN, offline=False, public=False):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        monkeypatch.setattr(hub_of_ours, "_stay_with_the_cache", lambda: None)
        monkeypatch.setenv("HF_TOKEN", token)
        hub_of_ours.unreachable.cache_clear()
        with pytest.raises(BackendError) as error:
            pushing.push(model, repository, public, "message", dry_run=False)
        hub_of_ours.unreachable.cache_clear()
        assert TOKEN not in str(error.value)
        (problem,) = error.value.problems
        return problem.what, problem.do

    return push_there


def test_a_hub_that_refuses_is_told_in_one_sentence_and_nothing_is_left(refused):
    with hub() as there:
        for status, said in ((401, "does not know who asks"), (403, "does not let this token write")):
            there.refuses = {"POST /api/repos/create": status}
            what, _ = refused("reviews-zh", there.address)
            assert what.startswith(f"nothing was pushed: {there.address} {said}") and not there.repositories
        there.refuses = {"POST /api/repos/create": 404}
        what, _ = refused("nobody/reviews-zh", there.address)
        assert what.endswith("knows no such user, organisation or repository")
        there.refuses = {"/commit/main": 403}
        what, _ = refused("reviews-zh", there.address)
        assert what.endswith("the repository was made and is empty")
        assert there.repositories["ada/reviews-zh"]["files"] == {".gitattributes": b""}


def test_what_is_not_ours_or_read_by_all_is_left_alone(refused):
    with hub() as there:
        there.repositories["ada/notes"] = {"private": True, "files": {"notes.md": b"mine"}}
        what, _ = refused("notes", there.address)
        assert what == "the repository holds files that no push of ours has made: notes.md"
        there.repositories["ada/open"] = {"private": False, "files": {}}
        what, do = refused("open", there.address)
        assert what == "this repository is public" and do.startswith("give --public")
        assert there.repositories["ada/notes"]["files"] == {"notes.md": b"mine"}
        assert not any("commit" in asked or "preupload" in asked for asked in there.asked)


def test_what_cannot_be_pushed_is_told_before_anything_is_sent(refused, model):
    closed = "http://127.0.0.1:9"
    what, _ = refused("reviews-zh", closed)
    assert what.startswith("nothing was pushed: http://127.0.0.1:9 cannot be reached: ")
    told = refused("reviews-zh", closed, offline=True)
    assert told == ("nothing was pushed: HF_HUB_OFFLINE=1 is set", "unset it")
    with hub() as there:
        what, do = refused("reviews-zh", there.address, token="")
        assert what == "nothing was pushed: there is no token of the hub's on this machine" and "hf auth login" in do
        assert refused("a/b/c", there.address)[0] == "'a/b/c' cannot name a repository of the hub"
        (model / "README.md").write_text(f"my token is {TOKEN}")
        (model / "seal.json").unlink()
        put_seal_on(model, {"format": 1, "base": {}})
        assert refused("reviews-zh", there.address)[0] == "this line holds a password or a token"
        (model / "model.safetensors").write_bytes(b"another one")
        assert refused("reviews-zh", there.address)[0].startswith("the saved model is damaged: model.safetensors")
        assert {asked for asked in there.asked if not asked.startswith("HEAD")} == set()


def test_a_whole_model_for_other_programs_is_pushed_unless_it_is_damaged(model):
    (model / "launcher.json").unlink()  # as `launcher export --format safetensors` writes one
    (model / "seal.json").unlink()
    (model / "config.json").write_text("{}")
    assert "says what was proven" in pushed(model, "reviews-zh", "--dry-run").stderr
    put_seal_on(model, {"format": 1, "base": {}})
    with hub() as there:
        for _ in range(2):  # what such a push has made is known again
            done = pushed(model, "reviews-zh", HF_ENDPOINT=there.address)
            assert done.returncode == 0 and done.stderr == "", done.stderr
        files = there.repositories["ada/reviews-zh"]["files"]
        assert {name: held for name, held in files.items() if name != ".gitattributes"} == on_disk(model)
    (model / "config.json").write_text("[]")
    assert "the saved model is damaged: config.json" in pushed(model, "reviews-zh", "--dry-run").stderr


def test_an_edited_card_is_pushed_as_it_is(model):
    card = model / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nBy Ada. ![](confusion.png)\n", encoding="utf-8")
    (model / "confusion.png").write_bytes(b"a picture")
    (model / "LICENSE").write_text("MIT")
    with hub() as there:
        done = pushed(model, "reviews-zh", HF_ENDPOINT=there.address)
        assert done.returncode == 0, done.stderr
        assert "README.md was edited since it was written" in done.stderr
        files = there.repositories["ada/reviews-zh"]["files"]
        assert {name: held for name, held in files.items() if name != ".gitattributes"} == on_disk(model)
        assert files["README.md"].endswith(b"By Ada. ![](confusion.png)\n")
        card.unlink()
        done = pushed(model, "reviews-zh", HF_ENDPOINT=there.address)
        assert done.returncode == 0 and "there is no README.md: the repository has no card" in done.stderr
        assert "README.md" not in there.repositories["ada/reviews-zh"]["files"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"---\ntags: [a]\nlicense: mit: x\n---\n", "begins with what is no list of names and values in YAML, line 3"),
        (b"---\n- mit\n---\n", "begins with what is no list of names and values in YAML"),
        ("# 房间".encode("gbk"), "is not UTF-8: "),
    ],
)
def test_a_card_that_the_hub_cannot_read_is_refused_before_there_is_a_repository(refused, model, text, said):
    (model / "README.md").write_bytes(text)
    with hub() as there:
        what, do = refused("reviews-zh", there.address)
        assert what.startswith(f"the card {said}") and do and not there.asked


def test_what_a_clone_keeps_for_itself_stays_here(model):
    (model / ".git").mkdir()
    (model / ".git" / "config").write_text(f"https://ada:{TOKEN}@host/model")
    told = pushing.push(model, "reviews-zh", False, "message", dry_run=True)
    assert not [file for file in told["files"] if "git" in file["name"]]


def test_a_dry_run_lists_the_files_and_asks_nobody(model):
    told = pushing.push(model, "reviews-zh", False, "message", dry_run=True)
    assert {"name": "model.safetensors", "bytes": 1_024_000} in told["files"] and len(told["files"]) == 5
    assert told["address"] is None and told["commit"] is None


def test_the_folder_of_an_export_is_pushed_as_it_is_unless_it_is_damaged(tmp_path):
    (tmp_path / contract.GRAPH).write_bytes(b"graph")
    about = {"task": "TextClassification", "reads": "label", "labels": [], "inputs": [], "outputs": []}
    contract.write(tmp_path, {**about, "files": digests(tmp_path, [contract.GRAPH])})
    told = pushing.push(tmp_path, "reviews-zh-onnx", False, "message", dry_run=True)
    assert [file["name"] for file in told["files"]] == ["export.json", "model.onnx"] and told["paths"] == []
    (tmp_path / contract.GRAPH).write_bytes(b"grape")
    with pytest.raises(BackendError, match="the export is damaged"):
        pushing.push(tmp_path, "reviews-zh-onnx", False, "message", dry_run=True)
