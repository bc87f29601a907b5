"""JSON files that are whole or not there."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem, whose


def text_of(value: Any) -> str:
    """What `write_json` writes of a value."""
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=True) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part; it is on disk on return."""
    text = text_of(value)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """The JSON in `path`, or None where there is no such file. Raises BackendError for broken JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None  # so there is none
        raise BackendError(Problem(f"the file cannot be read: {error.strerror}{whose(path)}", str(path))) from None
    except (ValueError, RecursionError) as error:
        raise BackendError(Problem(f"the file is not valid JSON: {error}", str(path))) from None


def finite(value: Any) -> Any:
    """The value with null for each number that JSON cannot carry (NaN, infinity)."""
    if isinstance(value, dict):
        return {key: finite(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [finite(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
