"""A saved model that writes: texts for `predict`, and the turns of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from launcher.errors import BackendError, DataError, LauncherError, Problem, printable
from launcher.exported.given import refuse_halves
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.evaluation import EVALUATION_ROWS
from launcher.training.model_parts.generate import generate
from launcher.training.result.model_folder import SavedModel
from launcher.training.tasks.writing import Message, Writes, left_padded, writer
from launcher.training.written import Generate, without_end, write

HALF = "\ufffd"
"""What stands for the first bytes of a character whose last ones are still to be written."""


def generator(saved: SavedModel) -> Generate:
    """What writes with this model."""
    device = getattr(saved.model, "device", torch.device("cpu"))
    if device.type == "cpu":
        return partial(generate, saved.model)

    def there(inputs: Mapping[str, torch.Tensor], *given: Any, **more: Any) -> torch.Tensor:
        return generate(saved.model, {name: values.to(device) for name, values in inputs.items()}, *given, **more).cpu()

    return there


def texts_for(saved: SavedModel, work: Writes, split: Split) -> list[dict[str, Any]]:
    """What the model writes for each raw text; `unfinished` where it was ended by `max_new_tokens`."""
    last = np.array([split.rows_of(text)[-1] for text in range(split.examples)], dtype=np.int64)
    alone = World(0, 0, 1, torch.device("cpu"))
    tokens = write(generator(saved), work, split, last, alone, EVALUATION_ROWS, prompts_of=work.openings)
    return [_answer(work, tokens.row(text)) for text in range(split.examples)]


def printed(text: str, answer: Mapping[str, Any]) -> str:
    """An answer below its text, as the command prints it."""
    return "\n".join([text, *(f"  {printable(line)}" for line in str(answer["text"]).split("\n"))])


def hold_conversation(
    saved: SavedModel,
    requests: Iterable[Mapping[str, Any]],
    say: Callable[[dict[str, Any]], None],
    stopped: Callable[[], bool],
) -> None:
    """Answer each request `{"messages": [{"role", "content"}]}` by pieces of a text, `{"piece": str}`, and `{"done"}`.

    What is done says the whole `text`, how many of the oldest turns were `left_out` because the model takes no more,
    and whether it is `unfinished` or was `stopped`. A request that cannot be answered is answered by an `error`. Raises
    BackendError for a model that holds no conversation.
    """
    if not holds_conversations(saved):
        what = f"the run's task is {saved.recipe.task.kind}, which holds no conversation"
        do = "ask it by `launcher predict`; chat is for Dialogue and CausalLanguageModel"
        raise BackendError(Problem(what, do=do))
    say({"ready": True})
    for request in requests:
        try:
            said = reply(saved, request["messages"], lambda piece: say({"piece": piece}), stopped)
            say({"done": {name: value for name, value in said.items() if name != "tokens"}})
        except LauncherError as error:
            say({"error": error.document()})


def holds_conversations(saved: SavedModel) -> bool:
    """Whether the model can be talked with."""
    work = writer(saved.work)
    return work is not None and work.opening([{"role": "user", "content": "?"}]) is not None


def fitted(work: Writes, messages: Sequence[Message]) -> tuple[np.ndarray, int]:
    """The prompt after these messages, and how many of the oldest had to be left out; what the system says stays.

    Raises DataError where the last message alone is too long.
    """
    systems = [message for message in messages if message["role"] == "system"]
    turns = [message for message in messages if message["role"] != "system"]
    for left_out in range(len(turns)):
        if left_out and turns[left_out]["role"] != "user":
            continue
        prompt = work.opening([*systems, *turns[left_out:]])
        if prompt is not None and len(prompt) <= work.room:
            return prompt, left_out
    length = 0 if prompt is None else len(prompt)
    what = f"the message has {length:,} tokens with what goes around it, and there is room for {work.room:,}"
    raise DataError(Problem(what, do="write less, or take a smaller max_new_tokens: --set max_new_tokens=…"))


def reply(
    saved: SavedModel, messages: Sequence[Message], say: Callable[[str], None], stopped: Callable[[], bool]
) -> dict[str, Any]:
    """The next turn of a conversation, said in pieces: `text`, `left_out`, `stopped` and `unfinished` as above, and how
    many `tokens` it went on from and wrote. Of a model that holds conversations; raises DataError for a message that it
    cannot answer.
    """
    work = writer(saved.work)
    assert work is not None
    refuse_halves(message["content"] for message in messages)
    prompt, left_out = fitted(work, messages)
    said, was_stopped = "", False

    def look(ids: torch.Tensor) -> bool:
        nonlocal said, was_stopped
        if len(ids) == 1:  # of several beams none is the text yet
            text = work.written(without_end(ids[0, len(prompt) :].numpy(), work.ends))
            if text.startswith(said) and not text.endswith(HALF) and len(text) > len(said):
                say(text[len(said) :])
                said = text
        was_stopped = was_stopped or stopped()
        return was_stopped

    words = work.limits()
    inputs = {name: torch.from_numpy(values) for name, values in left_padded([prompt], words["pad_token_id"]).items()}
    tokens = without_end(generate(saved.model, inputs, words, [len(messages)], on_token=look)[0].numpy(), work.ends)
    answer = _answer(work, tokens)
    if answer["text"].startswith(said) and len(answer["text"]) > len(said):
        say(answer["text"][len(said) :])
    if was_stopped:
        answer.pop("unfinished", None)
    return {**answer, "left_out": left_out, "stopped": was_stopped, "tokens": [len(prompt), len(tokens)]}


def _answer(work: Writes, tokens: np.ndarray) -> dict[str, Any]:
    """`tokens` are without the one that ends them, which a text of the greatest length has not."""
    answer: dict[str, Any] = {"text": work.written(tokens)}
    if len(tokens) >= work.longest:
        answer["unfinished"] = True
    return answer
