"""`CustomTask`: a task from a file of the user's own.

    work(task, **options)     an object that answers the questions of `launcher.training.tasks.TaskWork`

`task` is the known task whose rows and head the custom one has (`like`). The shortest way is a class that inherits from
that task's `Work` and answers one question otherwise: another loss, other metrics, another way to tell a prediction.
Metrics that are to be shown and drawn are floats.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from launcher.recipe.task import CustomTask, metrics_of
from launcher.training import user_code

if TYPE_CHECKING:
    from launcher.training.tasks import TaskWork

QUESTIONS = {
    "columns": ("tokenizer", "rows", "labels", "max_length"),
    "batch_labels": ("columns", "rows", "width"),
    "loss_sum": ("logits", "labels"),
    "guess": ("logits",),
    "metrics": ("columns", "predicted", "labels"),
    "decode": ("tokenizer", "text", "logits", "labels", "encoded"),
    "encode": ("tokenizer", "texts", "max_length"),
}
"""The methods of `TaskWork`, with their arguments in order."""


def work_for(task: CustomTask) -> TaskWork:
    """What the file's function returned. Raises RecipeError where it does not answer every question."""
    work: TaskWork = user_code.call(task, task.like)
    names = getattr(work, "metric_names", ())
    lacking = [name for name in metrics_of(task) if name not in (*names, "loss")]
    if lacking:
        known = ", ".join(map(str, names)) or "none"
        do = "name them in its metric_names, or write CustomTask(metrics=…) with those that it has"
        raise user_code.wrong(task, f"has metrics {known}; the recipe speaks of {', '.join(lacking)}", do)
    for name, arguments in QUESTIONS.items():
        method = getattr(work, name, None)
        call = f"{name}({', '.join(arguments)})"
        if not callable(method):
            do = f"write one, or inherit from the Work of {task.like.kind}"
            raise user_code.wrong(task, f"returned a {type(work).__name__} without a method {call}", do)
        try:
            inspect.signature(method).bind(*arguments)
        except TypeError as error:
            what = f"returned a {type(work).__name__} whose {name} cannot be called as {call}: {error}"
            raise user_code.wrong(task, what, f"write def {name}(self, {', '.join(arguments)}):") from None
    return work
