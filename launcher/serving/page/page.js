"use strict";

const WORDS = {
  en: {
    title: "Try the model", model: "model", token: "token of this server", enter: "use it", ask: "ask", send: "send", anew: "begin anew",
    text: "A text a line", one: "The question, or the first text", other: "The second text", message: "A message", image: "an image",
    lines: "each line is a text of its own", switch: "中文", none: "nothing was found", truncated: "too long for the model: the end was not looked at",
    unfinished: "cut at its greatest length", numbers: "numbers", predict: "ask", chat: "talk", gone: "the server does not answer",
    left: "the oldest messages were left out: the model takes no more", noAnswer: "the text does not say", pairs: "in twos",
  },
  zh: {
    title: "试用模型", model: "模型", token: "本服务的令牌", enter: "使用", ask: "提问", send: "发送", anew: "重新开始",
    text: "每行一段文本", one: "问题，或第一段文本", other: "第二段文本", message: "输入消息", image: "一张图片",
    lines: "每行视为一段独立的文本", switch: "English", none: "没有找到", truncated: "文本超出模型的最大长度，末尾未被读取",
    unfinished: "已达最大长度而截断", numbers: "个数", predict: "提问", chat: "对话", gone: "服务没有响应",
    left: "对话超出模型的最大长度，最早的消息已略去", noAnswer: "文中没有答案", pairs: "成对",
  },
};
const MOST_BARS = 12;
const $ = (id) => document.getElementById(id);
let language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
let models = [], mode = "predict", messages = [], token = "", kinds = new Map();

const say = (word) => WORDS[language][word];
const now = () => models.find((each) => each.id === $("model").value);

const figure = (value) => value === null ? "NaN" : value.toFixed(4);

function make(tag, kind, text) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (text !== undefined) node.textContent = text;
  return node;
}

async function ask(path, body) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(token && { Authorization: `Bearer ${token}` }) };
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error(say("gone"));
  }
  if (answer.ok) return answer;
  const told = (await answer.json()).error;
  if (answer.status === 401) $("ask-token").hidden = false;
  throw Object.assign(new Error(told.message), { status: answer.status });
}

function tell(error) {
  $("error").textContent = error ? error.message : "";
  $("error").hidden = !error;
}

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  $("language").textContent = say("switch");
  show();
}

function show() {
  const model = now();
  if (!model) return;
  const chats = model.endpoints.includes("/v1/chat/completions");
  if (!chats) mode = "predict";
  const twos = mode === "predict" && model.takes !== "texts" && model.takes !== "images";
  $("about").textContent = [model.task, model.labels.slice(0, 30).join(" · ")].filter(Boolean).join(" — ");
  $("modes").hidden = !chats;
  $("modes").replaceChildren(...["chat", "predict"].map((each) => {
    const button = make("button", "", say(each));
    button.type = "button";
    button.setAttribute("aria-pressed", String(each === mode));
    button.onclick = () => { mode = each; show(); };
    return button;
  }));
  $("talk").hidden = $("anew").hidden = mode !== "chat";
  $("answers").hidden = mode === "chat";
  $("image").hidden = model.takes !== "images";
  $("text").hidden = model.takes === "images";
  $("other").hidden = !twos;
  $("hint").hidden = mode === "chat" || twos || model.takes === "images";
  $("text").placeholder = $("text").ariaLabel = mode === "chat" ? say("message") : twos ? say("one") : say("text");
  $("other").placeholder = $("other").ariaLabel = say("other");
  $("image").ariaLabel = say("image");
  $("go").textContent = mode === "chat" ? say("send") : say("ask");
}

async function given() {
  const model = now();
  if (model.takes === "images") {
    const file = $("image").files[0];
    if (!file) return null;
    const address = await new Promise((done, failed) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.onerror = failed;
      reader.readAsDataURL(file);
    });
    return { shown: [file.name], body: { images: [address] } };
  }
  const one = $("text").value, other = $("other").value;
  if (!$("other").hidden && (other.trim() || model.takes === "pairs")) return { shown: [[one, other]], body: { texts: [[one, other]] } };
  const texts = (model.takes === "either" ? [one] : one.split("\n")).filter((line) => line.trim());
  return texts.length ? { shown: texts, body: { texts } } : null;
}

function bars(values) {
  const box = make("div", "bars");
  const sorted = Object.entries(values).sort((one, other) => other[1] - one[1]).slice(0, MOST_BARS);
  for (const [name, value] of sorted) {
    const track = make("div", "track"), bar = make("div", "bar");
    bar.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
    track.append(bar);
    box.append(make("span", "label", name), track, make("span", "number", figure(value)));
  }
  return box;
}

function marked(text, entities) {
  const line = make("p", "given"), letters = [...text];
  let at = 0;
  for (const each of [...entities].sort((one, other) => one.start - other.start)) {
    if (each.start < at) continue;
    const name = each.entity ?? each.label ?? "";
    if (!kinds.has(name)) kinds.set(name, kinds.size % 8);
    const mark = make("mark", `kind${kinds.get(name)}`, letters.slice(each.start, each.end).join(""));
    if (each.probability !== undefined) mark.title = figure(each.probability);
    if (name) mark.append(make("small", "", name));
    line.append(letters.slice(at, each.start).join(""), mark);
    at = each.end;
  }
  line.append(letters.slice(at).join(""));
  return line;
}

function drawn(text, answer) {
  const box = make("div", "answer");
  const whole = Array.isArray(text) ? text.join("\n") : text;
  const bare = answer.probabilities && answer.entities ? whole.replace(/<\/?e[12]>/g, "") : whole;
  if (answer.entities) box.append(marked(bare, answer.entities));
  else if (answer.answer && answer.start !== undefined && Array.isArray(text)) box.append(make("p", "given", text[0]), marked(text[1], [answer]));
  else box.append(make("p", "given", whole));
  if (answer.entities && !answer.entities.length) box.append(make("p", "note", say("none")));
  if (answer.answer !== undefined) box.append(make("p", "says", answer.answer || say("noAnswer")));
  if (answer.label !== undefined) box.append(make("p", "says", answer.label));
  if (answer.labels) box.append(make("p", "says", answer.labels.join(", ") || say("none")));
  if (answer.text !== undefined && !answer.entities) box.append(make("p", "says", answer.text));
  if (answer.probabilities) box.append(bars(answer.probabilities));
  if (answer.answers) box.append(bars(Object.fromEntries(answer.answers.map((each) => [each.text || say("noAnswer"), each.probability]))));
  for (const name of ["number", "score", "similarity"]) if (typeof answer[name] === "number" && answer.answer === undefined) box.append(make("p", "says", String(answer[name])));
  if (answer.vector) box.append(make("p", "number", `[${answer.vector.slice(0, 8).map(figure).join(", ")}, …] ${answer.vector.length} ${say("numbers")}`));
  for (const word of ["truncated", "unfinished"]) if (answer[word]) box.append(make("p", "note", say(word)));
  return box;
}

async function predict() {
  const wanted = await given();
  if (!wanted) return;
  const answer = await (await ask("v1/predict", { ...wanted.body, model: now().id })).json();
  $("answers").replaceChildren(...answer.answers.map((each, index) => drawn(wanted.shown[index], each)));
}

function spoken(role, text) {
  const line = make("p", role, text);
  $("talk").append(line);
  $("talk").scrollTop = $("talk").scrollHeight;
  return line;
}

async function talk() {
  const text = $("text").value;
  if (!text.trim()) return;
  const asked = [...messages, { role: "user", content: text }];
  const mine = spoken("user", text), line = spoken("assistant", "…");
  let whole = "", rest = "";
  try {
    const answer = await ask("v1/chat/completions", { model: now().id, messages: asked, stream: true });
    const reader = answer.body.getReader(), decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      rest += decoder.decode(part.value, { stream: true });
      const events = rest.split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const told = event.slice("data: ".length);
        if (told === "[DONE]") continue;
        const chunk = JSON.parse(told);
        if (chunk.error) throw new Error(chunk.error.message);
        whole += chunk.choices[0]?.delta.content ?? "";
        line.textContent = whole || "…";
        $("talk").scrollTop = $("talk").scrollHeight;
      }
    }
  } catch (error) {
    mine.remove();
    line.remove();
    throw error;
  }
  line.textContent = whole;
  messages = [...asked, { role: "assistant", content: whole }];
  $("text").value = "";
}

function anew() {
  messages = [];
  $("talk").replaceChildren();
}

async function load() {
  let answer;
  try {
    answer = await (await ask("v1/models")).json();
  } catch (error) {
    tell(error);
    if (error.status === 503) setTimeout(load, 1000);
    return;
  }
  tell();
  models = answer.data;
  $("model").replaceChildren(...models.map((each) => make("option", "", each.id)));
  mode = models[0]?.endpoints.includes("/v1/chat/completions") ? "chat" : "predict";
  show();
}

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  tell();
  $("go").disabled = true;
  $("answers").replaceChildren();
  try {
    await (mode === "chat" ? talk() : predict());
  } catch (error) {
    tell(error);
  }
  $("go").disabled = false;
};
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && (mode === "chat" || event.ctrlKey)) {
    event.preventDefault();
    $("ask").requestSubmit();
  }
};
$("ask-token").onsubmit = (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("ask-token").hidden = true;
  load();
};
$("model").onchange = () => {
  mode = now().endpoints.includes("/v1/chat/completions") ? "chat" : "predict";
  $("answers").replaceChildren();
  anew();
  show();
};
$("anew").onclick = anew;
$("language").onclick = () => {
  language = language === "en" ? "zh" : "en";
  speak();
};
speak();
load();
