"""The page in a real browser: labels as bars, entities in the text, answers in their contexts, a conversation."""

import shutil

import pytest
from browser import Browser
from debian import install

from launcher.training.result import inference
from launcher.training.result.model_folder import load_saved_model


@pytest.fixture(scope="module")
def browser(hosted, tmp_path_factory):
    if shutil.which("chromium") is None:
        install("chromium")
    if shutil.which("chromium") is None:
        pytest.skip("no browser here: Chromium is not installed, and only root on Debian installs it")
    with Browser(tmp_path_factory.mktemp("profile")) as made:
        made.ask("Network.enable")
        made.ask("Page.navigate", url=hosted.url)
        made.wait("document.querySelectorAll('#model option').length === 5")
        yield made


def choose(browser, name, text, other=""):
    """Ask this model about a text."""
    browser.tell(f"document.getElementById('model').value = {name!r}; document.getElementById('model').onchange();")
    browser.tell(f"document.getElementById('text').value = {text!r};")
    browser.tell(f"document.getElementById('other').value = {other!r};")
    browser.tell("document.getElementById('go').click();")


def kept(browser, tmp_path, name):
    path = tmp_path / f"{name}.png"
    path.write_bytes(browser.picture())
    return path


def test_labels_are_bars(browser, tmp_path):
    choose(browser, "mean", "word1 word3\nword2 word4")
    browser.wait("document.querySelectorAll('.answer').length === 2")
    labels = browser.tell("[...document.querySelectorAll('.answer:first-child .label')].map(n => n.textContent)")
    assert sorted(labels) == ["bad", "good"]
    wide = browser.tell("[...document.querySelectorAll('.answer:first-child .bar')].map(n => n.offsetWidth)")
    numbers = browser.tell("[...document.querySelectorAll('.answer:first-child .number')].map(n => +n.textContent)")
    assert sum(numbers) == pytest.approx(1, abs=1e-3) and wide[0] > wide[1]
    assert wide[0] / sum(wide) == pytest.approx(numbers[0], abs=0.02)
    assert len(kept(browser, tmp_path, "labels").read_bytes()) > 5000


def test_entities_are_marked_in_the_text(browser, tmp_path, folders):
    text = "🙂 word10 word3 word20 <b>word5</b>"
    (expected,) = inference.predict(load_saved_model(folders["ner"]), [text])
    choose(browser, "ner", text)
    browser.wait("document.querySelectorAll('#answers .given').length === 1")
    marks = browser.tell("[...document.querySelectorAll('mark')].map(n => n.firstChild.textContent)")
    assert marks == [each["text"] for each in expected["entities"]] and "word10" in marks
    whole = "[...document.querySelectorAll('#answers .given')].map(n => {const c = n.cloneNode(true);"
    whole += "c.querySelectorAll('small').forEach(s => s.remove()); return c.textContent})[0]"
    assert browser.tell(whole) == text, "nothing of it is taken for HTML, nothing is lost"
    kept(browser, tmp_path, "entities")


def test_an_answer_stands_in_its_context(browser, tmp_path):
    choose(browser, "questions", "word1 ?", "word2 word3 word4 word5")
    browser.wait("document.querySelectorAll('#answers .answer').length === 1")
    assert browser.tell("document.querySelectorAll('#answers .bar').length") >= 1
    kept(browser, tmp_path, "questions")


def test_a_conversation(browser, tmp_path, hosted):
    choose(browser, "talks", "好")
    browser.wait(
        "document.querySelectorAll('#talk .assistant').length === 1 && !document.getElementById('go').disabled"
    )
    assert browser.tell("document.querySelector('#talk .user').textContent") == "好"
    browser.tell("document.getElementById('text').value = '很'; document.getElementById('go').click();")
    browser.wait("document.querySelectorAll('#talk .user').length === 2 && !document.getElementById('go').disabled")
    assert browser.tell("messages.length") == 4
    kept(browser, tmp_path, "talks")


def test_what_is_wrong_is_told_on_the_page(browser):
    choose(browser, "mean", "x" * 100_001)
    told = browser.wait("!document.getElementById('error').hidden && document.getElementById('error').textContent")
    assert "100,001 characters" in told
    choose(browser, "mean", "fine")
    browser.wait("document.getElementById('error').hidden")


def test_a_long_text_does_not_hide_its_answer_and_a_narrow_window_is_filled(browser, tmp_path):
    browser.ask("Emulation.setDeviceMetricsOverride", width=340, height=640, deviceScaleFactor=1, mobile=False)
    choose(browser, "mean", "word1 word2 " * 3000 + "unbroken" * 60)
    browser.wait("document.querySelectorAll('.answer .bar').length === 2")
    assert browser.tell("document.querySelector('.answer').offsetHeight") < 700
    assert browser.tell("document.documentElement.scrollWidth <= innerWidth")
    browser.tell("language = 'zh'; speak();")
    assert browser.tell("document.querySelector('h1').offsetHeight") < 40, "a title of four characters on four lines"
    kept(browser, tmp_path, "narrow")
    browser.tell("language = 'en'; speak();")
    browser.ask("Emulation.clearDeviceMetricsOverride")


def test_an_error_leaves_no_answer_of_before(browser):
    choose(browser, "mean", "word1")
    browser.wait("document.querySelectorAll('.answer').length === 1")
    browser.tell("document.getElementById('text').value = 'x'.repeat(100001); document.getElementById('go').click();")
    browser.wait("!document.getElementById('error').hidden")
    assert browser.tell("document.querySelectorAll('.answer').length") == 0


def test_a_page_that_came_before_the_models_finds_them(browser, hosted):
    hosted.gate.ready = False
    browser.ask("Page.navigate", url=hosted.url)
    told = browser.wait("!document.getElementById('error').hidden && document.getElementById('error').textContent")
    assert "the models are being read" in told
    hosted.gate.ready = True
    browser.wait("document.querySelectorAll('#model option').length === 5 && document.getElementById('error').hidden")


def test_it_speaks_chinese_and_english(browser, tmp_path):
    choose(browser, "mean", "word1")
    before = browser.tell("document.getElementById('go').textContent")
    browser.tell("document.getElementById('language').click()")
    after = browser.tell("document.getElementById('go').textContent")
    assert {before, after} == {"ask", "提问"}
    assert browser.tell("document.documentElement.lang") in ("en", "zh-CN")
    kept(browser, tmp_path, "language")


def test_nothing_was_asked_of_any_other_machine(browser, hosted):
    addresses = browser.tell("performance.getEntriesByType('resource').map(e => e.name)")
    assert addresses and all(address.startswith((hosted.url, "data:")) for address in addresses)
