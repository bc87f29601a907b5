"""From two and three layers to any number: the memory of a model whose layers are alike grows by a layer each."""

from __future__ import annotations

import numpy as np

from launcher.training.memory.trace import Traced
from launcher.training.model_parts.layer_list import Series


def extended(two: Traced, three: Traced, traced: Series, whole: Series, names: list[str]) -> Traced | None:
    """What the `whole` model takes, from what its first two and its first three layers take.

    `names` are its trainable parameters. Going back, a model is its head, its layers from the top, and its
    bottom. A third layer moved head and top layer by one layer's bytes; every further one does the same.
    None where the parts do not come in this order.
    """
    layers, steps = whole.layers, whole.layers - traced.layers
    locations = [traced.layer_of(name) for name in three.order]
    inner = [name for number, name in locations if number == 1]
    first = next((n for n, (number, _) in enumerate(locations) if number is not None), 0)
    size = len(inner)
    expected = [(number, name) for number in (2, 1, 0) for name in inner]
    if not size or locations[first : first + 3 * size] != expected or len(two.order) != len(three.order) - size:
        return None
    head, top = range(first), range(first, first + size)
    tail = range(first + 3 * size, len(locations))
    order = [three.order[n] for n in head]
    order += [f"{whole.names[layer]}.{name}" for layer in reversed(range(layers)) for name in inner]
    order += [three.order[n] for n in tail]
    if sorted(order) != sorted(names) or two.rows != three.rows:
        return None

    def grown(kind: str) -> np.ndarray:
        small, large = getattr(two, kind), getattr(three, kind)
        step = large[top] - small[top]
        middle = large[first + size : first + 2 * size]
        parts = [large[head] + steps * (large[head] - small[head]), large[top] + steps * step]
        parts += [middle + (layer - 1) * step for layer in reversed(range(1, layers - 1))]
        parts.append(large[first + 2 * size : first + 3 * size])
        parts.append(large[tail] + steps * (large[tail] - small[[n - size for n in tail]]))
        return np.concatenate(parts)

    evaluation = three.evaluation + steps * (three.evaluation - two.evaluation)
    error = max(two.worst_error, three.worst_error)
    return Traced(order, three.rows, grown("peaks"), grown("rests"), evaluation, error)
