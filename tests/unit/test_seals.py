"""A sealed document is believed as the very bytes that were written; a folder's files by their digests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from launcher import seals
from launcher.seals import Damaged

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
