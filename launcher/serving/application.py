"""The endpoints, as FastAPI has them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from launcher.serving import wire
from launcher.serving.asked import Asked, AskedForVectors, AskedToChat, AskedToPredict, parsed
from launcher.serving.body import body_of, presence
from launcher.serving.chat import Spoken
from launcher.serving.door import Door
from launcher.serving.gate import SECONDS_TO_LOAD, Gate
from launcher.serving.refusal import Refusal, too_busy
from launcher.serving.served import CHAT, PREDICT, VECTORS, Text

PAGE = {"": "text/html", "page.js": "text/javascript", "page.css": "text/css"}
GUARDED = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def application(gate: Gate, token: str | None) -> Door:
    """All endpoints, behind the door."""
    app = FastAPI(title="recipe-launcher", version=gate.version, docs_url=None, redoc_url=None, redirect_slashes=False)
    _add_answers(app, gate)
    _add_news(app, gate)
    _add_page(app)

    async def refused(request: Request, error: Exception) -> Response:
        headers, body = _as_refusal(error).wire()
        return Response(body, _as_refusal(error).status, {name.decode(): value.decode() for name, value in headers})

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, refused)
    return Door(app, gate, None if token is None else token.encode())


def _as_refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
    what = {404: "there is no such path here", 405: "this path takes another method"}
    do = "GET /openapi.json lists all of them"
    said = what.get(error.status_code, str(error.detail))
    return Refusal(error.status_code, code, said, do=do, headers=error.headers)


def _json(value: Any) -> Response:
    return Response(to_json(value, inf_nan_mode="null"), media_type="application/json")


def _body(kind: type[Asked]) -> dict[str, Any]:
    """How a request is described in /openapi.json: we parse it ourselves."""
    schema = {"schema": kind.model_json_schema()}
    return {"requestBody": {"required": True, "content": {"application/json": schema}}}


def _add_answers(app: FastAPI, gate: Gate) -> None:
    limits = gate.limits

    @app.post(PREDICT, openapi_extra=_body(AskedToPredict))
    async def predict(request: Request) -> Response:
        """What a model says of each text, as `launcher predict` has it."""
        asked = parsed(await body_of(request, gate), AskedToPredict)
        model = gate.model(asked.model, PREDICT)
        if model.about.takes == "images":
            texts: list[Text] = list(_wanted(asked.images, "images", asked.texts is not None))
            gate.check(texts, "images", limits.max_body)
        else:
            given = _wanted(asked.texts, "texts", asked.images is not None)
            texts = _pairs([given] if isinstance(given, str) else given)
            gate.check(texts, "texts")
        async with presence(request) as gone:
            answers, _ = await gate.answers(model, texts, gone)
        if asked.top is not None:
            answers = [model.served.likeliest(answer, asked.top) for answer in answers]
        return _json({"model": model.name, "answers": answers})

    @app.post(VECTORS, openapi_extra=_body(AskedForVectors))
    async def embeddings(request: Request) -> Response:
        """The vector of each text, in OpenAI's form."""
        asked = parsed(await body_of(request, gate), AskedForVectors)
        model = gate.model(asked.model, VECTORS)
        if asked.dimensions is not None and asked.dimensions not in model.about.sizes:
            sizes = ", ".join(map(str, model.about.sizes))
            what = f"its vectors have no {asked.dimensions:,} leading components that are a vector by themselves"
            raise Refusal(400, "invalid_value", what, param="dimensions", do=f"known: {sizes}")
        texts: list[Text] = [asked.input] if isinstance(asked.input, str) else list(asked.input)
        gate.check(texts, "input")
        async with presence(request) as gone:
            answers, tokens = await gate.answers(model, texts, gone)
        vectors = [shortened(answer["vector"], asked.dimensions) for answer in answers]
        return _json(wire.embeddings(model.name, vectors, tokens, asked.encoding_format == "base64"))

    @app.post(CHAT, openapi_extra=_body(AskedToChat))
    async def chat(request: Request) -> Response:
        """The next turn of a conversation, in OpenAI's form."""
        asked = parsed(await body_of(request, gate), AskedToChat)
        model = gate.model(asked.model, CHAT)
        spoken, completion = Spoken(gate, model, asked), wire.Completion(model.name)
        async with presence(request) as gone:
            if not asked.stream:
                return _json(completion.whole(await spoken.done(gone)))
            first = await spoken.first(gone)
        options = asked.stream_options
        events = spoken.stream(first, completion, bool(options and options.include_usage))
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})


def _wanted(given: Any, name: str, other: bool) -> Any:
    if given is None or other:
        what = f"the model takes {name}" + (f", and no {'images' if name == 'texts' else 'texts'}" if other else "")
        raise Refusal(400, "invalid_request", what, param=name, do=f'send {{"{name}": […]}}')
    return given


def _pairs(given: list[str | list[str]]) -> list[Text]:
    texts: list[Text] = []
    for place, text in enumerate(given):
        if isinstance(text, str):
            texts.append(text)
        elif len(text) == 2:
            texts.append((text[0], text[1]))
        else:
            what = f"a pair has two texts, and this one has {len(text):,}"
            raise Refusal(400, "invalid_value", what, param=f"texts[{place}]")
    return texts


def shortened(vector: list[float], size: int | None) -> list[float]:
    """Its leading components, as a vector of length 1."""
    if size is None or size >= len(vector):
        return vector
    length = sum(value * value for value in vector[:size]) ** 0.5
    return [value / length for value in vector[:size]] if length else vector[:size]


def _add_news(app: FastAPI, gate: Gate) -> None:
    @app.get("/health/live")
    async def live() -> Response:
        """200 as long as the process does anything at all: 503 is for whoever starts it again."""
        if dead := [name for name, model in gate.models.items() if not model.thread.is_alive()]:
            raise Refusal(
                503, "broken", f"nothing computes any more for {', '.join(dead)}", do="start the server again"
            )
        return _json({"live": True})

    @app.get("/health/ready")
    async def ready() -> Response:
        """200 once requests are taken and as long as they are."""
        if gate.draining:
            raise too_busy("the server is ending", SECONDS_TO_LOAD)
        gate.refuse_unready()
        return _json({"ready": True})

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(gate.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/models")
    async def models() -> Response:
        """All models, in OpenAI's form, and what each of them does."""
        gate.refuse_unready()
        return _json(wire.models({name: model.about for name, model in gate.models.items()}, gate.since))

    @app.get("/v1/models/{name}")
    async def model(name: str) -> Response:
        """One of them."""
        gate.refuse_unready()
        if name not in gate.models:
            raise Refusal(404, "model_not_found", "there is no model of that name", param="model")
        return _json(wire.model(name, gate.models[name].about, gate.since))


def _add_page(app: FastAPI) -> None:
    folder = Path(__file__).with_name("page")
    files: Mapping[str, bytes] = {name: (folder / (name or "index.html")).read_bytes() for name in PAGE}
    for name, kind in PAGE.items():
        app.add_route(f"/{name}", partial(_file, files[name], kind), methods=["GET"], include_in_schema=False)


async def _file(content: bytes, kind: str, request: Request) -> Response:
    return Response(content, media_type=kind, headers=GUARDED)
