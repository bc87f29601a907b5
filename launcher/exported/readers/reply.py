"""The reply that the model writes to each text, or to each conversation; it needs jinja2 besides."""

import datetime
import json
import re
from typing import Any

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from launcher.exported.readers.writer import Writer

REPLY, OPEN, CLOSE = "\U000f0001", "\U000f0002", "\U000f0003"


def fails(message: str) -> None:
    """What templates call where they do not take a conversation."""
    raise ValueError(message)


class Reader(Writer):
    """A text is what the user says; a conversation is a list of `{"role": "user", "content": "…"}`."""

    def __init__(self, folder: Any, threads: int = 0) -> None:
        super().__init__(folder, threads)
        rooms = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        rooms.filters["tojson"] = lambda value, **how: json.dumps(value, **{"ensure_ascii": False, **how})
        rooms.globals["raise_exception"] = fails
        rooms.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        self.template = rooms.from_string(self.about["chat"]["template"])

    def prompt(self, text: Any) -> tuple[list[int], bool]:
        """The conversation in its template, as far as its reply; the beginning of one that is too long is cut off."""
        chat, ids = self.about["chat"], list[int]()
        talk = [{"role": "user", "content": text}] if isinstance(text, str) else [dict(each) for each in text]
        if chat["system"] is not None and talk[0]["role"] != "system":
            talk = [{"role": "system", "content": chat["system"]}, *talk]
        for turn in talk:
            names = "|".join(map(re.escape, chat["names"]["reply" if turn["role"] == "assistant" else "others"]))
            turn["content"] = re.sub(names or "(?!)", rf"{OPEN}\g<0>{CLOSE}", turn["content"])
        talk.append({"role": "assistant", "content": REPLY})
        written = self.template.render(messages=talk, tools=None, add_generation_prompt=False, **chat["signs"])
        for number, part in enumerate(re.split(f"{OPEN}(.*?){CLOSE}", written.partition(REPLY)[0].rstrip(" "))):
            ids += self._part(part, number % 2 == 1, chat["border"] if number else [])
        room = self.about["prompt"]["room"]
        return ids[-room:], len(ids) > room

    def _part(self, text: str, plain: bool, border: list[int]) -> list[int]:
        self.tokenizer.encode_special_tokens = plain
        ids = self.tokenizer.encode("\n" * bool(border) + text, add_special_tokens=False).ids[len(border) :]
        if plain and self.tokenizer.token_to_id(text) in ids:
            return [*self._part(text[:1], False, []), *self._part(text[1:], False, [])]
        return list(ids)
