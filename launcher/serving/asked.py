"""What a request may say. Parsed and checked in one go; all that is wrong with it is told at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from launcher.errors import Problem, did_you_mean, short
from launcher.serving.refusal import Refusal

Item = TypeVar("Item")
Many = Annotated[list[Item], Field(fail_fast=True)]
"""A list whose first wrong item alone is told: of two million wrong ones the complaints would fill the memory."""
MOST_ROWS = 100_000
"""Of a request, whatever `--max-rows` says: millions take seconds to be read, in which nobody is answered."""
MOST_LOOKED_AT = 200
"""Things that are wrong with a request, of which each is looked at."""
Rows = Annotated[Many[Item], Field(max_length=MOST_ROWS)]
Name = Annotated[str | None, Field(description="Which model; it may be left out where there is one.")]


class Asked(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)


Given = TypeVar("Given", bound=Asked)


class AskedToPredict(Asked):
    """`POST /v1/predict`."""

    texts: Annotated[
        str | Rows[str | Many[str]] | None,
        Field(description='Texts, or pairs of texts: [["one", "other"]]; questions stand before their contexts.'),
    ] = None
    images: Annotated[Rows[str] | None, Field(description="Files of images in base64.")] = None
    top: Annotated[int | None, Field(ge=1, le=100_000, description="The most probable labels or answers alone.")] = None
    model: Name = None


class AskedForVectors(Asked):
    """`POST /v1/embeddings`, as OpenAI's."""

    input: str | Rows[str]
    model: Name = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int | None, Field(ge=1)] = None
    user: Any = None


class Part(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(extra="ignore", strict=True)
    type: Literal["text"]
    text: str


class Said(BaseModel):
    """A message of a conversation."""

    model_config = ConfigDict(extra="ignore", strict=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Many[Part]

    def text(self) -> str:
        """All that it says."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream ends with."""

    model_config = ConfigDict(extra="ignore", strict=True)
    include_usage: bool = False


class AnyText(BaseModel):
    """A form of answers that asks for nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["text"]


class AskedToChat(Asked):
    """`POST /v1/chat/completions`, as OpenAI's. What would change nothing here is let through."""

    messages: Annotated[Many[Said], Field(min_length=1, max_length=1000)]
    model: Name = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, strict=False)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1, strict=False)] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**32)] = None
    stop: str | Annotated[Many[str], Field(max_length=4)] | None = None
    n: Literal[1] | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    response_format: AnyText | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: Any = None
    user: Any = None
    metadata: Any = None
    store: Literal[False] | None = None
    service_tier: Any = None
    safety_identifier: Any = None


def parsed(body: bytes, kind: type[Given]) -> Given:
    """The request of these bytes. Raises Refusal (400) with all that is wrong with it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error, kind) from None
    except RecursionError:
        raise Refusal(400, "invalid_json", "the body is nested too deeply", do="send flat JSON") from None


def _refused(error: ValidationError, kind: type[Asked]) -> Refusal:
    if error.error_count() > MOST_LOOKED_AT:
        do = f"known: {', '.join(kind.model_fields)}"
        return Refusal(400, "invalid_request", f"{error.error_count():,} things are wrong with the body", do=do)
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        what = found[0]["msg"].removeprefix("Invalid JSON: ")
        return Refusal(400, "invalid_json", f"the body is no JSON: {short(what)}", do="send a JSON object in UTF-8")
    if not found[0]["loc"]:
        do = f'send {{"{next(iter(kind.model_fields))}": …}}'
        return Refusal(400, "invalid_json", "the body is JSON, but no object", do=do)
    for wrong in found:
        if wrong["type"] == "too_long" and wrong["ctx"]["max_length"] == MOST_ROWS:
            what = f"{wrong['ctx']['actual_length']:,} rows in one request"
            return Refusal(413, "too_many_rows", what, param=place(wrong["loc"]), do="send several requests")
    places = [place(wrong["loc"]) for wrong in found]  # a list is no string, either; that is said of its items alone
    outer = {where for where in places if any(other.startswith((f"{where}[", f"{where}.")) for other in places)}
    told = [(where, wrong) for where, wrong in zip(places, found, strict=True) if where not in outer]
    problems = dict.fromkeys(_problem(where, wrong, kind) for where, wrong in told)
    return Refusal.of_problems(list(problems), param=told[0][0], code="invalid_request")


def _problem(where: str, wrong: ErrorDetails, kind: type[Asked]) -> Problem:
    if wrong["type"] == "extra_forbidden":
        return Problem(f"there is no {where!r}", do=did_you_mean(where, kind.model_fields))
    if wrong["type"] == "missing":
        return Problem(f"{where!r} is missing")
    return Problem(wrong["msg"][:1].lower() + wrong["msg"][1:], where)


def place(where: tuple[int | str, ...]) -> str:
    """`texts[3]`: which field that is, without pydantic's own words for the kinds that it tried."""
    told = ""
    for part in where:
        if isinstance(part, int):
            told += f"[{part}]"
        elif part.isidentifier() and part not in ("str", "int", "float", "list"):
            told += f".{part}" if told else part
    return short(told or str(where[0]))
