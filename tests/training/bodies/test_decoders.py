"""GPT-2, Llama and Qwen2 do every task of texts: the same losses sharded as whole, and what was saved is read back.

None of their tokenizers need have padding; rows are of 1 to 9 words.
"""

import pytest
from families import make
from matrix import METHODS, outcome, recipe_of
from spread import STEPS, losses_of

from launcher.recipe.method import Full, LoRA
from launcher.training import suitable
from launcher.training.prepare import prepare
from launcher.training.result.model_folder import load_saved_model

FAMILIES = ("GPT-2", "Llama", "Qwen2")
TASKS = ("texts", "pairs", "several", "numbers", "alike", "tags", "questions", "relations", "prompted", "talks")


@pytest.fixture(scope="module")
def recipes(data):
    """Each task on each family, and one of each family with LoRA, prepared and judged."""
    made = {}
    for family in FAMILIES:
        model = make(family, data / f"{family}-speaking", speaking=True)
        for task in TASKS:
            made[f"{family} {task}"] = recipe_of(task, data, model, Full(), learning_rate=1e-3)
        made[f"{family} prompted LoRA"] = recipe_of("prompted", data, model, LoRA(rank=2), learning_rate=1e-3)
    prepared = {name: prepare(recipe) for name, recipe in made.items()}
    for name, recipe in made.items():
        suitable.look(recipe, prepared[name])
    return {name: (recipe, prepared[name]) for name, recipe in made.items()}


def test_every_task_is_the_same_sharded_and_is_saved(recipes, tmp_path):
    told = losses_of({"single 1": recipes, "fsdp2 2": recipes}, tmp_path)
    whole, sharded = told["single 1"], told["fsdp2 2"]
    assert set(whole) == set(sharded) == set(recipes) and len(recipes) == 33
    for name, one in whole.items():
        other = sharded[name]
        assert len(one["losses"]) == STEPS == len(set(one["losses"])), name
        assert one["losses"] == pytest.approx(other["losses"], abs=1e-5), name
        for told in (one["proof"], other["proof"]):
            assert told["largest_logit_difference"] <= 1e-5 and told["trained_tensors"] > 0, name
    for name, (recipe, _) in recipes.items():
        saved = load_saved_model(tmp_path / "fsdp2 2" / name.replace(" ", "-"))
        assert type(saved.recipe.task) is type(recipe.task) and saved.work.tokenizer.pad_token is not None


@pytest.mark.parametrize(
    ("family", "task"),
    [("RoBERTa", "masked"), ("DeBERTa-v2", "masked"), ("BART", "masked"), ("GPT-NeoX", "prompted")],
)
def test_other_families_say_words_too(data, tmp_path, family, task):
    """RoBERTa and BART have byte-level tokens, DeBERTa-v2 a head of its own, GPT-NeoX another name for its in files."""
    model = make(family, tmp_path / family, speaking=True)
    assert outcome(recipe_of(task, data, model, METHODS["Full"]), tmp_path / "model") == "trains"
