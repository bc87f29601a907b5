"""The reader of an export, in a process where nothing but what it needs can be imported."""

import json
import subprocess
import sys

ALONE = """
import json, sys
class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "launcher", "safetensors"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuses())
sys.path.insert(0, sys.argv[1])
from reader import Reader
print(json.dumps(Reader(sys.argv[1]).predict(json.loads(sys.argv[2]))))
"""


def read_alone(folder, texts):
    """What the reader in the folder says, where nothing but its three libraries can be imported."""
    command = [sys.executable, "-B", "-c", ALONE, str(folder), json.dumps(texts)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
