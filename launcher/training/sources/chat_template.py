"""Which chat template a tokenizer has: the recipe's, its own, or one that every tokenizer can take.

The choice is saved with the tokenizer, as transformers does it: whoever loads the model has it, here and elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import DataError, Problem, did_you_mean
from launcher.training.data.decoding import read_text
from launcher.training.sources.reference import source_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WHERE = "task.chat_template"
ENDING = ".jinja"
LARGEST = 2**20
"""Characters of a template's file."""
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
CHATML = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
PLAIN = """\
{%- set end = eos_token or sep_token -%}
{%- if bos_token and bos_token != end -%}{{- bos_token -}}{%- endif -%}
{%- if tools -%}{{- 'Tools:' -}}{%- for tool in tools -%}{{- '\\n' + tool | tojson -}}{%- endfor -%}{{- end + '\\n' -}}
{%- endif -%}
{%- set names = {'system': 'System', 'user': 'User', 'assistant': 'Assistant', 'tool': 'Tool'} -%}
{%- for message in messages -%}
{{- names[message['role']] + ':\\n' + message['content'] + end + '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'Assistant:\\n' -}}{%- endif -%}
"""
"""Each turn ends with the token that ends a text: what a message holds cannot begin another one."""
WORDS = "Tools:\nSystem:\nUser:\nAssistant:\nTool:\n"
"""What it writes besides: a tokenizer that is trained on conversations learns these too."""
NAMED = {"chatml": CHATML, "plain": PLAIN}


def choose(tokenizer: PreTrainedTokenizerBase, wanted: str | None) -> None:
    """Give the tokenizer the one template that conversations are put into. Raises DataError where it cannot be."""
    own = tokenizer.chat_template
    named = {**NAMED, **(own if isinstance(own, dict) else {"default": own} if own else {})}
    if wanted is None:
        knows_chatml = set(CHATML_TOKENS) <= set(tokenizer.get_added_vocab())
        wanted = "default" if "default" in named else "chatml" if knows_chatml else "plain"
    if wanted.endswith(ENDING):
        template = _of_file(wanted)
    elif wanted in named:
        template = named[wanted]
    else:
        near = did_you_mean(wanted, list(named))
        do = f"{near}; or give the path of a {ENDING} file" if near else f"give the path of a {ENDING} file"
        raise DataError(Problem(f"there is no chat template {wanted!r}; known are {', '.join(named)}", WHERE, do))
    _refuse_unsuited(tokenizer, template)
    _refuse_broken(tokenizer, template, wanted)
    tokenizer.chat_template = template


def _of_file(location: str) -> str:
    text, _ = read_text(source_file(location), location)
    if not text.strip() or len(text) > LARGEST:
        raise DataError(Problem(f"a template has 1 to {LARGEST:,} characters, this one {len(text):,}", location))
    return text


def _refuse_unsuited(tokenizer: PreTrainedTokenizerBase, template: str) -> None:
    """Raise DataError where one of ours needs tokens that are not there."""
    if template == CHATML:
        missing = [token for token in CHATML_TOKENS if token not in tokenizer.get_added_vocab()]
        if missing:
            what = f"the tokenizer has no token {' and no token '.join(missing)}, which chatml puts around a turn"
            do = f"write chat_template='plain'; a Pretrained model gets them by new_tokens={CHATML_TOKENS!r}"
            raise DataError(Problem(what, WHERE, do))
    if template == PLAIN and not (tokenizer.eos_token or tokenizer.sep_token):
        what = "the tokenizer has no token that ends a text, so a reply would never end"
        raise DataError(Problem(what, WHERE, "take a model that has one, or a template of your own"))


def _refuse_broken(tokenizer: PreTrainedTokenizerBase, template: str, name: str) -> None:
    """Raise DataError for what is no template, with the line. What it does not take of a row, that row tells."""
    import jinja2

    try:
        tokenizer.apply_chat_template([{"role": "user", "content": "a"}], chat_template=template, tokenize=False)
    except jinja2.TemplateSyntaxError as error:
        where = f"{name} line {error.lineno}" if name.endswith(ENDING) else WHERE
        raise DataError(Problem(f"the chat template cannot be read: {error.message}", where)) from None
    except Exception:  # the border: whatever a template makes of a conversation
        return
