"""The hub that cannot be reached, or lacks what is asked for: told at once, with what can be done."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from textwrap import indent
from threading import Thread

import pytest

DATA = """
import datasets
from launcher import Table, TextClassification
from launcher.training.data import read_rows
read_rows(Table(train="x"), TextClassification(), "hub:nobody/nothing#train")
"""
MODEL = """
from pathlib import Path
from launcher import Pretrained, TextClassification
from launcher.training.sources import build_tokenizer
build_tokenizer(Pretrained(model="nobody/nothing"), TextClassification(), [], Path("."))
"""
TOLD = """
from launcher.errors import DataError
try:
{code}
except DataError as error:
    (found,) = error.problems
    print(found.what, found.where, found.do, sep=chr(10))
"""
CLOSED = "http://127.0.0.1:9"


def asked(code, folder, **environment):
    """What is said of it: the problem's three parts."""
    code = TOLD.format(code=indent(code, "    "))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**kept, "HF_HOME": str(folder), **environment}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Retry" not in done.stdout + done.stderr
    return done.stdout.split("\n")[:3]


@pytest.mark.parametrize(("code", "option"), [(DATA, "data.train=FILE"), (MODEL, "embedding.model=FOLDER")])
def test_a_hub_that_cannot_be_reached_is_asked_once(tmp_path, code, option):
    what, _, do = asked(code, tmp_path, HF_ENDPOINT=CLOSED)
    assert f"; {CLOSED} cannot be reached: " in what
    assert f"--set {option}" in do and "HF_HOME" in do and "HF_ENDPOINT" in do


def test_what_the_cache_lacks_is_told_where_the_network_is_not_wanted(tmp_path):
    what, where, do = asked(DATA, tmp_path, HF_ENDPOINT=CLOSED, HF_HUB_OFFLINE="1")
    assert what.startswith("the data set cannot be read: ") and what.endswith("; HF_HUB_OFFLINE=1 is set")
    assert where == "hub:nobody/nothing#train" and do.startswith("unset it; or take a local one: --set data.train=FILE")


def test_a_name_that_the_hub_does_not_know_is_no_matter_of_the_network(tmp_path):
    class Empty(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Empty) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        what, _, do = asked(MODEL, tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert what.startswith("the model nobody/nothing was not found: ") and "cannot be reached" not in what
    assert do == "check its name, or take a local one: --set embedding.model=FOLDER"
