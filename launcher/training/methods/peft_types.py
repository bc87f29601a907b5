"""Methods of our own among peft's, so that it wraps, saves and loads them like its own. It imports peft."""

from __future__ import annotations

from typing import Any

from peft import PeftConfig, PeftType
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import register_peft_method


def register(name: str, config: type[PeftConfig], model: type[BaseTuner], prefix: str) -> None:
    """Register a method with peft; a second call does nothing. Raises KeyError if peft has one of that name.

    `register_peft_method` is peft's public way, but it accepts only members of the enum `PeftType`, and so
    does saving in peft 0.19 and 0.20 (0.21 no longer does). Filling peft's tables under a name of our own
    therefore works with 0.21 alone, and the enum is extended instead: the names below are private to `enum`
    (tried with Python 3.11, 3.12 and 3.13). Should peft ever have a method of that name itself, its registration
    has come first, and ours is refused with an error.
    """
    tables: Any = PEFT_TYPE_TO_CONFIG_MAPPING
    if tables.get(name) is config:
        return
    if name not in PeftType.__members__:
        members: Any = PeftType
        member = str.__new__(members, name)
        member._name_ = member._value_ = name
        setattr(members, name, member)
        members._member_names_.append(name)
        members._member_map_[name] = members._value2member_map_[name] = member
    register_peft_method(name=name.lower(), config_cls=config, model_cls=model, prefix=prefix)
