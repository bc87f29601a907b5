"""What a killed process left of an export goes away; what is at work, or is the user's own, stays."""

import os
import subprocess
import sys

from launcher.runs.halves import half_of, remove_halves


def test_only_what_killed_processes_left_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    output = tmp_path / "a.bin"
    half = half_of(output)
    assert half.name == f".a.bin.{os.getpid()}"
    stay = [half.name, ".a.bin.txt", f".b.bin.{ended.pid}", f"a.bin.{ended.pid}", ".a.bin", f".aXbin.{ended.pid}"]
    go = [".a.bin.unfinished", f".a.bin.{ended.pid}", f"..a.bin.{ended.pid}.unfinished"]
    for name in [*stay, *go]:
        (tmp_path / name).write_text("")
    (tmp_path / f".a.bin.0{ended.pid}").mkdir()
    remove_halves(output)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)
