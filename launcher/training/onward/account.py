"""What the outcome says of the run that was gone on from: its lineage, and its test split before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from launcher.ancestor import Ancestor, ancestor
from launcher.recipe.metrics import finite_number
from launcher.recipe.recipe import Recipe
from launcher.recipe.task import metrics_of
from launcher.training.onward.old_rows import OLD_TEST

Measure = Callable[[str], Any]
"""What the model, as it is now, is worth on a split: its `metrics`."""


class Account:
    """Filled while the run goes on; empty where it begins with no other run."""

    def __init__(self, recipe: Recipe, facts: Mapping[str, Any]):
        said = recipe.training.from_run
        self.old: Ancestor | None = None if said is None else ancestor(said)
        self.metric = str(recipe.training.select_by)
        self.better = metrics_of(recipe.task)[self.metric]
        self.facts = facts.get("onward") or {}
        self.test: dict[str, Any] = {}
        # read now: nobody promises that the folder is still there when the run ends
        self.lineage = [] if self.old is None else self.old.lineage()
        self.labels = list(facts["labels"])

    @property
    def sizes(self) -> tuple[int, int]:
        """How many labels the earlier run had, and how many there are."""
        return len(self.facts.get("labels", ())), len(self.labels)

    def measure(self, when: str, measure: Measure) -> None:
        """Measure the earlier run's test split `before` or `after` training, where there is one. All ranks."""
        if (self.facts.get("rows") or {}).get(OLD_TEST):
            self.test[when] = dict(measure(OLD_TEST).metrics)

    def document(self) -> dict[str, Any]:
        """For the outcome: `lineage`, and `onward` with what was kept, replayed, measured and forgotten."""
        if self.old is None:
            return {}
        kept = [label for label in self.facts.get("labels", ()) if label in self.labels]
        about = {
            "run": self.old.name,
            "labels": {"kept": kept, "new": [label for label in self.labels if label not in kept]},
            "replayed": self.facts.get("replayed", 0),
            "test": {"recorded": self._recorded(), "before": None, "after": None, **self.test},
            "metric": self.metric,
            "forgotten": self._forgotten(),
        }
        return {"lineage": self.lineage, "onward": about}

    def _recorded(self) -> dict[str, Any] | None:
        assert self.old is not None
        recorded: dict[str, Any] | None = (self.old.outcome.get("metrics") or {}).get("test")
        return recorded

    def _forgotten(self) -> float | None:
        """How much worse the metric is on the earlier run's test split than that run recorded; negative if better."""
        recorded, after = ((each or {}).get(self.metric) for each in (self._recorded(), self.test.get("after")))
        then, now = finite_number(recorded), finite_number(after)
        if then is None or now is None:
            return None
        return then - now if self.better == "max" else now - then
