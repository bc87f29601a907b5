"""Stands in for the package wandb, which no test can have a service for: what accelerate's class calls is kept."""

import json
import os
from pathlib import Path


def said(**what):
    with Path(os.environ["STAND_IN"]).open("a") as file:
        file.write(json.dumps(what) + "\n")


def init(**words):
    said(init=words)
    return Run()


class Run:
    def log(self, values, step=None):
        said(log=values, step=step)

    def finish(self):
        said(finish=True)


class config:
    @staticmethod
    def update(values, allow_val_change=False):
        said(config=values)
