"""TensorBoard's files of a run, and its figures as PNG: written by a thread of its own, off the critical path.

TensorBoard sorts what it shows by name and opens the first two groups: `train` and `validation`, the curves. All other
groups are called so that they come after these.

What is to be shown is handed over as functions and drawn when the thread comes to it. A figure that fails is left out,
and that is reported.
"""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from launcher.recipe.metrics import finite_number
from launcher.recipe.recipe import shown
from launcher.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

    from launcher.training.report.token_points import Points

SECONDS_TO_FINISH = 60.0
SPARED = 32_000_000
"""Bytes of the disk that are left free: they are kept for the model, the checkpoints and the outcome."""
LONGEST_VALUE = 60
"""Characters of a setting beside its metrics."""
TITLES = {
    "data/labels": "what it learns from/share of each label",
    "data/lengths": "what it learns from/tokens in a row",
    "data/images": "what it learns from/images",
    "test/classes": "when tested/precision, recall and F1 of each class",
    "test/confusion-": "when tested/confusion matrix of ",
    "test/precision-recall": "when tested/precision and recall at every threshold",
    "test/found-within": "when tested/right passages among the first",
    "test/transitions": "when tested/transitions from tag to tag",
    "test/misclassified": "when tested/misclassified images",
}
"""What TensorBoard calls a figure, by its name or how that begins."""


class Board:
    """`open` starts the thread; what was handed over before is shown first."""

    def __init__(self, folder: RunFolder, say: Callable[[str], None]):
        self.folder, self.say = folder, say
        self.waiting: queue.SimpleQueue[tuple[str, Callable[[SummaryWriter], None]] | None] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None

    def open(self, purge: int | None) -> None:
        """Begin to write, unless it has begun. What older attempts did from step `purge` on is hidden."""
        if self.thread is None:
            self.thread = threading.Thread(target=self._write, args=(purge,), daemon=True)
            self.thread.start()

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """Points of curves; one without a value leaves a gap."""

        def show(writer: SummaryWriter) -> None:
            for name, value in values.items():
                if finite_number(value) is not None:
                    writer.add_scalar(name, value, step)

        self.waiting.put(("a curve", show))

    def text(self, name: str, draw: Callable[[], str], step: int | None = None) -> None:
        """A text in Markdown."""
        self.waiting.put((f"the text {name}", lambda writer: writer.add_text(name, draw(), step)))

    def figure(self, name: str, draw: Callable[[], Figure], step: int) -> None:
        """A figure, also as `figures/NAME.png` in the run's folder."""
        self.waiting.put((f"the figure {name}", lambda writer: self._figure(writer, name, draw(), step)))

    def figures(self, what: str, draw: Callable[[], Iterable[tuple[str, Figure]]], step: int) -> None:
        """The same of several, whose names are known when they are drawn."""

        def show(writer: SummaryWriter) -> None:
            for name, figure in draw():
                self._figure(writer, name, figure, step)

        self.waiting.put((what, show))

    def points(self, name: str, draw: Callable[[], Points], step: int) -> None:
        """Vectors with their labels, for the projector."""

        def show(writer: SummaryWriter) -> None:
            self._leave_room()
            drawn = draw()
            writer.add_embedding(drawn.vectors, drawn.rows, tag=name, global_step=step, metadata_header=drawn.columns)

        self.waiting.put((f"the projection of {name}", show))

    def settings(self, values: Mapping[str, Any]) -> None:
        """The run's row in HParams. TensorBoard itself collects the columns, over all runs it shows."""
        self.waiting.put(("HParams", lambda writer: _settings(writer, values)))

    def close(self) -> None:
        """Let the thread finish."""
        if self.thread is not None and self.thread.is_alive():
            self.waiting.put(None)
            self.thread.join(timeout=SECONDS_TO_FINISH)
            if self.thread.is_alive():
                self.say(f"figures were not finished after {SECONDS_TO_FINISH:g} s and are left out")

    def _write(self, purge: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.folder.tensorboard), purge_step=purge) as writer:
            while (item := self.waiting.get()) is not None:
                name, show = item
                try:
                    show(writer)
                except Exception as error:  # a figure that cannot be drawn must not cost the curves
                    self.say(f"{name} was not drawn: {type(error).__name__}: {error}")
                if self.waiting.empty():
                    writer.flush()

    def _leave_room(self) -> None:
        free = shutil.disk_usage(self.folder.path).free
        if free < SPARED:
            raise OSError(f"only {free:,} bytes of the disk are free")

    def _figure(self, writer: SummaryWriter, name: str, figure: Figure, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        from launcher.training.report.figures import DPI, save

        self._leave_room()
        path = self.folder.figures / f"{name.replace('/', '-')}.png"
        save(figure, path)
        width, height = (int(side * DPI) for side in figure.get_size_inches())
        begins = next((begins for begins in TITLES if name.startswith(begins)), "")
        tag = TITLES.get(begins, "") + name.removeprefix(begins)
        image = Summary.Image(encoded_image_string=path.read_bytes(), width=width, height=height, colorspace=4)
        writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def _settings(writer: SummaryWriter, values: Mapping[str, Any]) -> None:
    from torch.utils.tensorboard.summary import hparams

    plain = (bool, int, float)
    settings = {name: value if isinstance(value, plain) else _short(name, value) for name, value in values.items()}
    _, start, end = hparams(settings, {})
    for summary in (start, end):
        writer._get_file_writer().add_summary(summary)


def _short(name: str, value: Any) -> str:
    text = value if isinstance(value, str) and not name.endswith(".source") else shown(name, value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
