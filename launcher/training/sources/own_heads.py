"""Heads of our own on pretrained bodies, for what transformers has no class: built, loaded and saved as its models are.

A head is a module (`OwnHead`) that is called inside the model's forward pass. `AutoModelWith(head)` makes the class for
each family of models: a subclass of the family's own token classifier, from which it has the body, the names of its
tensors, what is tied and how weights are drawn. So every checkpoint of the family fits, and PEFT, sharding, saving and
reading back know one kind of model. The saved folder is a model's as any: `AutoModel` loads its body, and only the head
needs this package (`launcher.extend` has the class that loads both).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForTokenClassification, PretrainedConfig, PreTrainedModel
from transformers.models.auto.auto_factory import _get_model_class
from transformers.utils import ModelOutput

NAME = "head"
"""What the head is called in a model."""
RATES = ("classifier_dropout", "classifier_dropout_prob", "hidden_dropout_prob", "hidden_dropout", "resid_pdrop")
"""What families call the rate of dropout that a head takes over."""
USUAL_RATE = 0.1


Table = tuple[list[str], list[str], np.ndarray]
"""Names of rows and of columns, and values; NaN where there is none."""


class OwnHead(nn.Module):
    """What a head has. It is made of the model's configuration; its layers are drawn as the family draws its own."""

    task_name: ClassVar[str]
    """`RelationExtraction`: the class is called BertForRelationExtraction."""
    takes: ClassVar[tuple[str, ...]] = ()
    """Inputs of the forward pass that are its own, and not the body's."""
    on_logits: ClassVar[bool] = False
    """Whether the family's layer for tokens stays, and the head works on what that gives: [rows, tokens, labels]."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()

    def forward(self, states: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's outputs by name, `logits` among them, of the body's last states [rows, tokens, width].

        `inputs` are those that it `takes`, and the `attention_mask` where there is one. A parameter that is to be an
        output is given as a copy: where weights are sharded it is whole inside of this call only.
        """
        raise NotImplementedError

    def draw(self) -> None:
        """Draw what no layer of torch's does (`torch.nn.init`): parameters of the head itself."""

    def reorder(self, rows: list[int]) -> None:
        """Put what is of one label each into another order: label `n` is what label `rows[n]` was."""

    def shown(self, labels: list[str]) -> Table | None:
        """What is drawn of the trained head; None where there is nothing."""
        return None


class AutoModelWith:
    """Builds and loads pretrained models with one head, as transformers' Auto classes do."""

    def __init__(self, head: type[OwnHead]) -> None:
        self.head = head
        self.name = f"AutoModelFor{head.task_name}"
        self.registered: dict[type[PretrainedConfig], type[PreTrainedModel]] = {}
        """Classes of ours with such a head, of static vectors."""

    def register(self, config: type[PretrainedConfig], model: type[PreTrainedModel]) -> None:
        """Load configurations of this class by this model's class."""
        self.registered[config] = model

    @property
    def _model_mapping(self) -> Any:
        """The kinds of configuration that it has a model for: those with a token classifier."""
        return AutoModelForTokenClassification._model_mapping

    def from_config(self, config: PretrainedConfig, dtype: Any = None, trust_remote_code: bool = False) -> Any:
        """A model with drawn weights."""
        return self.class_for(config)._from_config(config, dtype=dtype)

    def from_pretrained(
        self, source: str, config: PretrainedConfig | None = None, trust_remote_code: bool = False, **given: Any
    ) -> Any:
        """A model with the weights of `source`: a body of the family, or what was saved with this head."""
        config = config or AutoConfig.from_pretrained(source, trust_remote_code=False)
        return self.class_for(config).from_pretrained(source, config=config, **given)

    def class_for(self, config: PretrainedConfig) -> type[PreTrainedModel]:
        """The family's class. Raises ValueError where the family has no token classifier, which it is made from."""
        if type(config) in self.registered:
            return self.registered[type(config)]
        if type(config) not in self._model_mapping:
            raise ValueError(f"{self.name} has no model of the kind {config.model_type!r}")
        head: Any = self.head  # for the cache: a module's class is hashable, though mypy says that it is not
        return _class_for(head, _get_model_class(config, self._model_mapping))


def dropout_of(config: PretrainedConfig) -> nn.Dropout:
    """Dropout before the head's last layer, at the rate that the family has for it."""
    rates = (getattr(config, name, None) for name in RATES)
    return nn.Dropout(next((float(rate) for rate in rates if isinstance(rate, int | float)), USUAL_RATE))


@cache
def _class_for(head: Any, family: Any) -> type[PreTrainedModel]:
    """A subclass of this token classifier with the head instead of its own, or (`on_logits`) behind it."""

    class WithHead(family):  # type: ignore[misc]  # a class of transformers that is known only now
        def __init__(self, config: PretrainedConfig) -> None:
            super().__init__(config)
            if not head.on_logits:
                for name in [name for name, _ in self.named_children() if name != self.base_model_prefix]:
                    delattr(self, name)
            self.add_module(NAME, head(config))
            self.post_init()

        def _init_weights(self, module: nn.Module) -> None:
            if isinstance(module, OwnHead):
                module.draw()
            else:
                super()._init_weights(module)

        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **inputs: Any) -> ModelOutput:
            """What the head gives, by name."""
            own = {name: inputs.pop(name) for name in head.takes if name in inputs}
            given = {"input_ids": input_ids, "attention_mask": attention_mask, **inputs}
            states = super().forward(**given).logits if head.on_logits else self.base_model(**given).last_hidden_state
            if attention_mask is not None:
                own["attention_mask"] = attention_mask
            return ModelOutput(getattr(self, NAME)(states, own))

    name = family.__name__.replace("TokenClassification", head.task_name)
    WithHead.__name__ = WithHead.__qualname__ = name
    return WithHead
