"""Figures as the tests look at them."""

import itertools
import warnings

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg


def drawn(figure):
    """The figure's pixels; a character that no font has is an error here, as is a font that cannot be found."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]


def tick_labels(figure, axis="y"):
    """The labels of an axis that say something, placed."""
    figure.draw_without_rendering()
    return [label for label in getattr(figure.axes[0], f"get_{axis}ticklabels")() if label.get_text()]


def apart(labels, axis="y"):
    """Whether none of these labels covers another, and all lie in the figure."""
    sides = [(f"{axis}0", f"{axis}1")] * len(labels)
    spans = sorted(
        (getattr(box, low), getattr(box, high))
        for box, (low, high) in zip((label.get_window_extent() for label in labels), sides, strict=True)
    )
    return spans[0][0] >= 0 and all(before[1] <= after[0] + 1 for before, after in itertools.pairwise(spans))
