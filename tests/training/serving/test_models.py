"""Real models over HTTP: what they answer is what `launcher predict` answers, whatever else is asked meanwhile."""

import asyncio
import random

import httpx
import numpy as np
import openai
import pytest
from hosting import post
from numbered import sentences

from launcher.serving.served_run import ServedRun
from launcher.training.result import inference, writing
from launcher.training.result.model_folder import load_saved_model

CLOSE = 1e-5


def texts_of(name):
    """Texts of very different lengths, an empty one and a far too long one among them."""
    texts = [" ".join(words) for words in sentences(160, 11)]
    texts += [" ".join(sum(sentences(n, 12), [])) for n in (3, 9, 40)]  # noqa: RUF017 (small)
    texts += ["", "word1", "不认识 的 词", "🙂"]
    if name == "questions":
        return [(" ".join(words[:3]), " ".join(words * 4)) for words in sentences(40, 13)]
    return texts


async def asked(url, name, texts):
    """Each text in a request with up to four others, all requests at the same time."""
    draw = random.Random(5)
    parts, start = [], 0
    while start < len(texts):
        size = draw.randint(1, 5)
        parts.append(texts[start : start + size])
        start += size
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=24)) as client:
        answers = await asyncio.gather(
            *(client.post(f"{url}/v1/predict", json={"texts": part, "model": name}) for part in parts)
        )
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    return [each for answer in answers for each in answer.json()["answers"]]


def same(one, other):
    """Equal but for the last digits of numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return abs(one - other) <= CLOSE if isinstance(one, float) else one == other


@pytest.mark.parametrize("name", ["mean", "ner", "search", "questions"])
def test_answers_are_those_of_predict_whatever_the_batch(hosted, folders, name):
    texts = texts_of(name)
    expected = inference.predict(load_saved_model(folders[name]), texts)
    before = dict(rows_computed(hosted, name))
    told = asyncio.run(asked(hosted.url, name, texts))
    wrong = [number for number, (one, other) in enumerate(zip(told, expected, strict=True)) if not same(one, other)]
    assert wrong == []
    after = rows_computed(hosted, name)
    assert after["rows"] - before["rows"] == len(texts)
    assert after["batches"] - before["batches"] < len(texts), "rows of several requests were computed together"


def rows_computed(hosted, name):
    registry = hosted.gate.metrics.registry
    return {
        "rows": registry.get_sample_value("launcher_rows_total", {"model": name}),
        "batches": registry.get_sample_value("launcher_batch_rows_count", {"model": name}),
    }


def test_top_is_that_of_predict(hosted, folders):
    told = post(f"{hosted.url}/v1/predict", json={"texts": ["word1 word2"], "model": "mean", "top": 1}).json()
    (expected,) = inference.predict(load_saved_model(folders["mean"]), ["word1 word2"], 1)
    assert list(told["answers"][0]["probabilities"]) == list(expected["probabilities"])


def test_what_the_model_does_not_take_is_told_in_the_words_of_predict(hosted):
    for name, texts, says in (
        ("mean", [["a", "b"]], "the model takes single texts"),
        ("questions", ["a"], "the model takes pairs of texts"),
    ):
        answer = post(f"{hosted.url}/v1/predict", json={"texts": texts, "model": name})
        assert answer.status_code == 400 and says in answer.json()["error"]["message"]


def test_vectors_are_those_of_the_model(hosted, folders):
    client = openai.OpenAI(base_url=f"{hosted.url}/v1", api_key="none", max_retries=0)
    expected = inference.predict(load_saved_model(folders["search"]), ["word1", "word2 word3"])
    told = client.embeddings.create(input=["word1", "word2 word3"], model="search")
    for one, other in zip(told.data, expected, strict=True):
        assert np.abs(np.array(one.embedding) - other["vector"]).max() < CLOSE
    short = client.embeddings.create(input="word1", model="search", dimensions=8).data[0].embedding
    whole = np.array(expected[0]["vector"][:8])
    assert np.abs(np.array(short) - whole / np.linalg.norm(whole)).max() < CLOSE


@pytest.mark.parametrize("stream", [False, True])
def test_conversations_are_those_of_launcher_chat(hosted, folders, stream):
    client = openai.OpenAI(base_url=f"{hosted.url}/v1", api_key="none", max_retries=0)
    messages = [{"role": "user", "content": "好"}]
    expected = writing.reply(load_saved_model(folders["talks"]), messages, lambda _: None, lambda: False)
    told = client.chat.completions.create(model="talks", messages=messages, stream=stream)
    if stream:
        chunks = list(told)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == expected["text"]
        reason = chunks[-1].choices[0].finish_reason
    else:
        assert told.choices[0].message.content == expected["text"]
        assert [told.usage.prompt_tokens, told.usage.completion_tokens] == expected["tokens"]
        reason = told.choices[0].finish_reason
    assert reason == ("length" if expected.get("unfinished") else "stop")


def test_a_conversation_draws_and_is_cut_as_it_is_asked_to(hosted):
    client = openai.OpenAI(base_url=f"{hosted.url}/v1", api_key="none", max_retries=0)
    ask = {"model": "talks", "messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
    one, same_seed = (client.chat.completions.create(**ask, temperature=1.5, seed=4) for _ in range(2))
    assert one.choices[0].message.content == same_seed.choices[0].message.content
    assert one.usage.completion_tokens <= 2
    with pytest.raises(openai.BadRequestError, match="room for"):
        client.chat.completions.create(model="talks", messages=[{"role": "user", "content": "好" * 100}])


def test_a_model_that_writes_answers_predict_too(hosted, folders):
    expected = inference.predict(load_saved_model(folders["talks"]), ["a", "好很"])
    told = post(f"{hosted.url}/v1/predict", json={"texts": ["a", "好很"], "model": "talks"}, timeout=60).json()
    assert told["answers"] == expected


def test_what_clients_are_told_of_each_model(folders):
    about = {name: ServedRun(load_saved_model(folder)).about for name, folder in folders.items()}
    assert about["mean"].endpoints == ("/v1/predict",) and about["mean"].labels == ("bad", "good")
    assert about["search"].endpoints == ("/v1/predict", "/v1/embeddings") and about["search"].sizes[0] == 8
    assert about["talks"].endpoints == ("/v1/predict", "/v1/chat/completions") and about["talks"].whole
    assert {name: each.takes for name, each in about.items()} == {
        **{"mean": "texts", "ner": "texts", "talks": "texts", "search": "either", "questions": "pairs"}
    }
