"""Ctrl-C is never lost, wherever in Python it comes."""

import abc
import signal
import sys
import time
import weakref
from collections.abc import Iterator

import pytest

from launcher.host.stop_requests import interrupts_come_again
from launcher.recipe import source


def _interrupt() -> None:
    signal.raise_signal(signal.SIGINT)
    time.sleep(0)  # where Python raises it


@pytest.fixture(autouse=True)
def as_in_a_command() -> Iterator[None]:
    """A shell that starts pytest in the background has it ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class _Finalised:
    def __del__(self) -> None:
        _interrupt()


class _Referred:
    pass


def _by_a_finalizer() -> None:
    _Finalised()


def _by_a_weak_reference() -> None:
    part = _Referred()
    reference = weakref.ref(part, lambda _: _interrupt())
    del part
    assert reference() is None


def _as_pydantic_looks_at_a_noun() -> None:
    usual = abc.ABCMeta.__instancecheck__

    def check(cls: type, instance: object) -> bool:
        if isinstance(instance, source.TextCNN) and not came:
            came.append(1)
            _interrupt()
        return bool(usual(cls, instance))

    came: list[int] = []
    abc.ABCMeta.__instancecheck__ = check
    try:
        source.WordVectors(file="glove.txt", encoder=source.TextCNN())
    finally:
        abc.ABCMeta.__instancecheck__ = usual
    assert came


@pytest.mark.parametrize("lose", [_by_a_finalizer, _by_a_weak_reference, _as_pydantic_looks_at_a_noun])
def test_an_interrupt_that_python_cannot_raise_comes_as_soon_as_it_can(lose, monkeypatch):
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: lost.append(unraisable.exc_type))
    lose()
    assert lost == [KeyboardInterrupt]  # what Python does with it
    hook = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), interrupts_come_again():
        lose()
        time.sleep(60)
    assert len(lost) == 1 and sys.unraisablehook is hook


def test_other_errors_that_cannot_be_raised_are_printed_as_ever(monkeypatch):
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: lost.append(unraisable.exc_type))
    part = _Referred()
    with interrupts_come_again():
        reference = weakref.ref(part, lambda _: 1 / 0)
        del part
    assert reference() is None and lost == [ZeroDivisionError]
