"""The process that tells one tracker of a run while it goes on; its standard input ends when the run does.

python -m launcher.worker.tracker RUN_FOLDER NAME SECONDS
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

from launcher import secret
from launcher.host import turns
from launcher.json_lines import append_line
from launcher.runs.run_folder import RunFolder
from launcher.runs.trackers import kept
from launcher.worker.rank import hush_libraries


def main() -> None:
    """Exit 0 where all was told."""
    folder, name, seconds = RunFolder(Path(sys.argv[1])), sys.argv[2], float(sys.argv[3])
    os.nice(10)  # what trains comes first
    over = threading.Event()

    def listen() -> None:
        while os.read(0, 1 << 10):
            pass
        over.set()
        signal.setitimer(signal.ITIMER_REAL, seconds)  # whatever hangs then ends, also where nobody is left to end it

    threading.Thread(target=listen, daemon=True).start()

    def warn(text: str) -> None:
        with contextlib.suppress(OSError, IndexError):
            append_line(folder.attempts()[-1].notes, {"note": secret.without(text), "time": time.time()})

    hush_libraries()
    document = next(one for one in kept(folder) if one["name"] == name)
    with turns.alone(folder.tracking / f"{name}.lock"):
        from launcher.training.tracking.sending import Sender

        told = Sender(folder, document, over.wait, warn).run()
    sys.stdout.flush()
    os._exit(0 if told else 1)  # threads of a library may hang an orderly end


if __name__ == "__main__":
    main()
