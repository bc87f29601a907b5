"""Stands in for the package mlflow in the same way: it gives each run a number, as its server does."""

from types import SimpleNamespace

from wandb import said


class utils:
    class validation:
        MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH = 6000, 100


def search_experiments(filter_string):
    return []


def create_experiment(name, **_):
    return f"number of {name}"


def start_run(run_id=None, **words):
    said(start=run_id, experiment=words["experiment_id"], name=words["run_name"])
    return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "given"))


def log_params(values):
    said(config=values)


def log_metrics(values, step=None):
    said(log=values, step=step)


def end_run():
    said(finish=True)
