"""OpenAI's own client on the server: conversations, streams, vectors, models, and errors that it understands."""

import contextlib
import json
import time

import httpx
import openai
import pytest
from hosting import CHAT, PREDICT, VECTORS, Echo, Hosted, post

from launcher.serving.chat import Until
from launcher.serving.limits import Limits

TOKEN = "0123456789abcdef"
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one two three stop four"}]


@pytest.fixture(scope="module")
def here():
    with Hosted(Limits(deadline=5), TOKEN, talker=Echo(endpoints=(PREDICT, VECTORS, CHAT)), other=Echo()) as hosted:
        yield hosted


@pytest.fixture(scope="module")
def client(here):
    return openai.OpenAI(base_url=f"{here.url}/v1", api_key=TOKEN, max_retries=0, timeout=20)


def test_a_reply_at_once(client, here):
    told = client.chat.completions.create(model="talker", messages=ASKED)
    assert (told.object, told.model) == ("chat.completion", "talker")
    assert told.choices[0].message.content == "one two three stop four "
    assert told.choices[0].finish_reason == "stop"
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.usage.total_tokens) == (7, 5, 12)
    assert here.models["talker"].turns[-1] == (ASKED, {})


def test_a_reply_in_pieces(client):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="talker", messages=ASKED, stream=True, stream_options=options))
    assert [c.choices[0].delta.content for c in chunks[1:-2]] == ["one ", "two ", "three ", "stop ", "four "]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (chunks[-2].choices[0].finish_reason, chunks[-1].choices, chunks[-1].usage.total_tokens) == ("stop", [], 12)


def test_settings_are_those_of_generation(client, here):
    said = client.chat.completions.create(
        model="talker", messages=ASKED[1:], temperature=0.5, top_p=0.9, seed=3, max_tokens=8, stop=["stop", "never"]
    )
    assert said.choices[0].message.content == "one two three "
    settings = here.models["talker"].turns[-1][1]
    assert (settings["do_sample"], settings["temperature"], settings["top_p"]) == ("true", "0.5", "0.9")
    assert (settings["seed"], settings["max_new_tokens"], settings["num_beams"]) == ("3", "8", "1")
    client.chat.completions.create(model="talker", messages=ASKED, temperature=0)
    assert here.models["talker"].turns[-1][1]["do_sample"] == "false"
    seeds = set()
    for _ in range(2):
        client.chat.completions.create(model="talker", messages=ASKED, temperature=1)
        seeds.add(here.models["talker"].turns[-1][1]["seed"])
    assert len(seeds) == 2, "who names no seed gets another text each time"


def test_messages_in_parts_and_of_developers(client, here):
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    client.chat.completions.create(
        model="talker", messages=[{"role": "developer", "content": "x"}, {"role": "user", "content": parts}]
    )
    messages, _ = here.models["talker"].turns[-1]
    assert messages == [{"role": "system", "content": "x"}, {"role": "user", "content": "one two"}]


def test_what_would_change_nothing_is_let_through(client):
    nothing = {"tools": [], "tool_choice": "none", "logit_bias": {}, "response_format": {"type": "text"}}
    nothing |= {"n": 1, "presence_penalty": 0.0, "top_logprobs": None, "parallel_tool_calls": True}
    told = client.chat.completions.create(model="talker", messages=ASKED, extra_body=nothing)
    assert told.choices[0].message.content == "one two three stop four "


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_model_refuses_is_refused_before_a_stream_begins(client, stream):
    with pytest.raises(openai.BadRequestError, match="the text is bad"):
        client.chat.completions.create(model="talker", messages=[{"role": "user", "content": "bad"}], stream=stream)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"temperature": 3}, "temperature"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "nobody to answer"),
        ({"messages": []}, "messages"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_what_there_is_not_is_refused(client, more, says):
    with pytest.raises(openai.BadRequestError, match=says):
        client.chat.completions.create(**{"model": "talker", "messages": ASKED, **more})


def test_errors_of_other_kinds(client, here):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=ASKED)
    with pytest.raises(openai.BadRequestError, match="does not answer here"):
        client.chat.completions.create(model="other", messages=ASKED)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{here.url}/v1", api_key="x" * 16, max_retries=0).models.list()


def test_models_are_listed(client):
    told = client.models.list().data
    assert [(each.id, each.owned_by, each.task) for each in told] == [
        ("talker", "recipe-launcher", "Echo"),
        ("other", "recipe-launcher", "Echo"),
    ]
    assert client.models.retrieve("other").endpoints == [PREDICT]


@pytest.mark.parametrize("how", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_vectors(client, how):
    told = client.embeddings.create(input=["a", "b c"], model="talker", **how)
    vectors = [each.embedding for each in told.data]
    if how.get("encoding_format") == "base64":
        assert vectors[0] == vectors[1] and isinstance(vectors[0], str)
    else:
        assert vectors == [[3.0, 4.0, 12.0]] * 2
    assert told.usage.prompt_tokens == 3 + 4


def test_leading_components_are_vectors_of_length_one(client):
    told = client.embeddings.create(input="a", model="talker", dimensions=2)
    assert told.data[0].embedding == pytest.approx([0.6, 0.8])
    with pytest.raises(openai.BadRequestError, match="known: 2, 3"):
        client.embeddings.create(input="a", model="talker", dimensions=1)


def test_a_stream_that_nobody_reads_any_more_stops_the_model():
    echo = Echo(seconds=0.05, endpoints=(CHAT,))
    with Hosted(a=echo) as here:
        asked = {"messages": [{"role": "user", "content": "w " * 400}], "stream": True}
        with httpx.stream("POST", here.url + CHAT, json=asked) as answer:
            next(answer.iter_lines())
        end = time.monotonic() + 5
        while here.gate.models["a"].waiting:
            assert time.monotonic() < end, "20 s of words were said to nobody"
            time.sleep(0.02)


def test_words_that_end_a_text_are_found_across_pieces():
    said = []
    until = Until(["END", "\n\n"], said.append)
    for piece in ("a E", "N", "b EN", "D c", "d"):
        until(piece)
    until.end()
    assert ("".join(said), until.over) == ("a ENb ", True)
    said.clear()
    until = Until(["END"], said.append)
    until("the EN")
    assert said == ["the "]
    until.end()
    assert said == ["the ", "EN"]


def test_a_stream_is_of_events(here):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    asked = {"model": "talker", "messages": ASKED, "stream": True}
    with contextlib.closing(post(here.url + CHAT, json=asked, headers=headers)) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = answer.text.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    assert all(json.loads(event.removeprefix("data: "))["object"] == "chat.completion.chunk" for event in events[:-1])
