"""What is put beside an export as `reader.py`: one of these and those that it builds on, as one file (`reader_source`).

They import onnxruntime, tokenizers and numpy alone (`image` Pillow, `reply` jinja2), and we read exports by the very
same lines.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

READERS = (
    *("label", "labels", "number", "score", "vector", "tags", "paths", "relation"),
    *("prompt", "spans", "image", "masks", "text", "reply"),
)
"""By what export.json has under `reads`."""
OURS = f"from {__name__}."
MAIN = """
if __name__ == "__main__":
    reader, words = Reader(Path(__file__).parent), sys.argv[1:]
    answers = reader.predict(list(zip(words[::2], words[1::2])) if reader.about["pairs"] else words)
    print(json.dumps(answers, ensure_ascii=False, indent=1))"""
STANDARD = ("import json", "import sys", "from pathlib import Path", "from typing import Any")


def reader_class(reads: str) -> Any:
    """The class that reads such an export."""
    return import_module(f"{__name__}.{reads}").Reader


def reader_source(reads: str) -> str:
    """The same as one file."""
    title, needed, body = _parts(reads)
    others = sorted(set(needed) - set(STANDARD), key=lambda line: (line.startswith("from "), line))
    return "\n".join([title, "", *STANDARD, "", *others, body.removeprefix("\n"), "", MAIN, ""])


def _parts(name: str) -> tuple[str, list[str], str]:
    """The first line of a module, its imports, and the rest, each behind those of what it builds on."""
    title, *lines = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8").splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    body = "\n\n\n" + "\n".join(line for line in lines if line not in imports).strip("\n")
    for line in [line for line in imports if line.startswith(OURS)]:
        _, further, before = _parts(line.removeprefix(OURS).partition(" ")[0])
        imports, body = [*(each for each in imports if each != line), *further], before + body
    return title, imports, body
