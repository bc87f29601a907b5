"""`CustomTask`: a task from a file of the user's own.

    work(task, reader, **options)     a `launcher.training.tasks.base.TaskWork`

`task` is the known task whose rows and head the custom one has (`like`), `reader` its labels and tokenizer. The
shortest way is a class that inherits from that task's `Work` and overrides one method: another loss, other
metrics, another way to tell a prediction. Metrics that are to be shown and drawn are floats.
"""

from __future__ import annotations

import inspect

from launcher.recipe.task import CustomTask, metrics_of
from launcher.training import user_code
from launcher.training.tasks.base import Reader, TaskWork
from launcher.training.tasks.writing import Writes

METHODS = [
    (of, name)
    for of in (TaskWork, Writes)
    for name, value in vars(of).items()
    if inspect.isfunction(value) and not name.startswith("_")
]
"""What a file may override."""


def work_for(task: CustomTask, reader: Reader) -> TaskWork:
    """What the file's function returned. Raises RecipeError where it is no task, or a method has other arguments."""
    work: TaskWork = user_code.call(task, task.like, reader)
    if not isinstance(work, TaskWork):
        do = f"inherit from launcher.extend.{task.like.kind}Work, or from launcher.extend.TaskWork"
        raise user_code.wrong(task, f"returned a {type(work).__name__}, which is no task", do)
    names = tuple(work.metric_names)
    lacking = [name for name in metrics_of(task) if name not in (*names, "loss")]
    if lacking:
        known = ", ".join(map(str, names)) or "none"
        do = "name them in its metric_names, or write CustomTask(metrics=…) with those that it has"
        raise user_code.wrong(task, f"has metrics {known}; the recipe speaks of {', '.join(lacking)}", do)
    for of, name in METHODS:
        if not isinstance(work, of):
            continue
        arguments = list(inspect.signature(getattr(of, name)).parameters)[1:]
        try:
            inspect.signature(getattr(work, name)).bind(*arguments)
        except TypeError as error:
            call = f"{name}({', '.join(arguments)})"
            what = f"returned a {type(work).__name__} whose {name} cannot be called as {call}: {error}"
            raise user_code.wrong(task, what, f"write def {name}(self, {', '.join(arguments)}):") from None
    return work
