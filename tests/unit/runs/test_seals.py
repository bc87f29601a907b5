"""A sealed document is believed as the very bytes that were written; a folder's files by their digests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from launcher.runs import seals
from launcher.runs.seals import Damaged

DOCUMENT = {"step": 60, "rate": 0.1, "nothing": None, "way": "好", "list": [1, [2.5e-300]], "deep": {"a": float("nan")}}


def test_a_sealed_document_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    seals.write_sealed(path, DOCUMENT)
    assert json.dumps(seals.read_sealed(path)) == json.dumps(DOCUMENT)


def test_no_bit_of_a_sealed_document_can_be_another_one_and_no_part_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    seals.write_sealed(path, DOCUMENT)
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            with pytest.raises(Damaged, match=r"manifest\.json"):
                seals.read_sealed(path)
        path.write_bytes(content[:place])
        with pytest.raises(Damaged, match=r"manifest\.json"):
            seals.read_sealed(path)


@pytest.mark.parametrize(
    "content", [b"[1, 2]", b"null", b"3", b"[" * 100_000, b"{}", b'{"seal": 3}', b'"\\ud800"', b"\xff\xfe", b" "]
)
def test_whatever_else_lies_there_is_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"^manifest\.json "):
        seals.read_sealed(path)
    path.unlink()
    with pytest.raises(Damaged, match=r"^manifest\.json is missing$"):
        seals.read_sealed(path)


def test_each_file_of_a_folder_is_asked_for(tmp_path: Path) -> None:
    names = ["a.json", "below/b.safetensors"]
    (tmp_path / "below").mkdir()
    for name in names:
        (tmp_path / name).write_text(name)
    told = seals.digests(tmp_path, names)
    assert told["a.json"]["bytes"] == 6 and seals.damage(tmp_path, told) == ""
    (tmp_path / "a.json").write_text("A.json")
    assert seals.damage(tmp_path, told) == "a.json is not as it was written"
    (tmp_path / "a.json").unlink()
    assert seals.damage(tmp_path, told) == "a.json is missing"
    os.mkfifo(tmp_path / "a.json")
    assert "a.json" in seals.damage(tmp_path, told), "nobody waits for what never comes"
    assert seals.damage(tmp_path, {"below": {"bytes": (tmp_path / "below").stat().st_size}}), "a folder is no file"
    assert seals.damage(tmp_path, {"below/b.safetensors": 3}) == "below/b.safetensors is not as it was written"


def test_files_are_read_one_by_one_where_no_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    expected = seals.digests(tmp_path, ["a", "b"])

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert seals.digests(tmp_path, ["a", "b"]) == expected and len(expected) == 2


def test_what_may_not_be_read_is_told_with_its_owner(tmp_path: Path) -> None:
    """As another user asks: this one, root in the tests' own machines, may read everything."""
    (tmp_path / "a.bin").write_bytes(b"abc")
    files = seals.digests(tmp_path, ["a.bin"])
    (tmp_path / "a.bin").chmod(0o600)
    tmp_path.chmod(0o755)
    if os.getuid():
        pytest.skip("only root can become another user")
    asked = (
        "import json, os, sys; from pathlib import Path; from launcher.runs import seals\n"
        "os.setuid(65534); print(seals.damage(Path(sys.argv[1]), json.loads(sys.argv[2])))"
    )
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and folder.name.startswith("pytest"):
            folder.chmod(0o755)
    words = [sys.executable, "-c", asked, str(tmp_path), json.dumps(files)]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert told.startswith("a.bin cannot be read: Permission denied") and "root" in told
