"""Several sources of vectors as one: what the table holds, what a gate does, and that a saved model needs no source."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_bert import make_bert

from launcher import (
    EmbeddingMatrix,
    FastText,
    Full,
    MeanPooling,
    Mixture,
    RandomVectors,
    Recipe,
    Table,
    TextClassification,
    Training,
)
from launcher.training.batches.split import Split
from launcher.training.prepare import prepare
from launcher.training.report.token_points import token_points
from launcher.training.sources import build_model, load_model, new_modules
from launcher.training.sources.static.source_gate import SourceGate

TEXTS = [("好 房间", "y"), ("坏 房间", "n"), ("好 酒店", "y"), ("坏 hotel", "n")] * 8
WIDTHS = [6, 3, 5]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The recipe with either way to combine, the facts of its data and its model."""
    folder = tmp_path_factory.mktemp("mixture")
    patch = pytest.MonkeyPatch()
    patch.setenv("RECIPE_LAUNCHER_CACHE", str(folder / "cache"))
    bert = make_bert(folder / "bert", ["好", "坏", "房间", "酒店"])
    rows = "text,label\n" + "".join(f"{text},{label}\n" for text, label in TEXTS)
    (folder / "rows.csv").write_text(rows, encoding="utf-8")
    data = Table(train=str(folder / "rows.csv"), test=str(folder / "rows.csv"), duplicates="keep")
    sources = (
        FastText(dimension=WIDTHS[0], longest_subword=0, epochs=1),
        EmbeddingMatrix(model=str(bert), dimension=WIDTHS[1]),
        RandomVectors(dimension=WIDTHS[2]),
    )

    def made(combine):
        source = Mixture(
            sources=sources, combine=combine, dimension=4, tokens="whitespace", encoder=MeanPooling(hidden=4)
        )
        recipe = Recipe(
            task=TextClassification(), data=data, embedding=source, peft=Full(), training=Training(max_steps=1)
        )
        facts = prepare(recipe)
        torch.manual_seed(3)
        return recipe, facts, build_model(source, recipe.task, facts["labels"], Path(facts["folder"]), None)

    yield made
    patch.undo()


def test_vectors_of_all_sources_stand_side_by_side_and_are_scaled_alike(prepared):
    _, facts, model = prepared("concatenate")
    table = model.embeddings.weight.detach()
    assert table.shape == (2 + 5, sum(WIDTHS))
    start = 0
    for width in WIDTHS:
        part = table[1:, start : start + width]
        assert 0.05 < float(part.std()) < 0.2 and not table[0, start : start + width].any()
        start += width
    assert facts["source"]["tokens_without_a_vector of EmbeddingMatrix"] == 1
    assert facts["vectors"][0].endswith("not in it, so drawn at random: hotel")
    _, _, again = prepared("concatenate")
    assert torch.equal(again.embeddings.weight, table), "what is random is a function of the seed"


def test_a_gate_weighs_the_sources_token_by_token():
    gate = SourceGate([2, 3], 4)
    vectors = torch.randn(5, 7, 5)
    with torch.no_grad():
        gate.weights.weight.zero_()
        gate.weights.bias.copy_(torch.tensor([20.0, -20.0]))
        assert torch.allclose(gate(vectors), gate.projections[0](vectors[..., :2]), atol=1e-5)
        gate.weights.bias.zero_()
        mean = (gate.projections[0](vectors[..., :2]) + gate.projections[1](vectors[..., 2:])) / 2
        assert torch.allclose(gate(vectors), mean, atol=1e-6)


def test_a_saved_model_needs_none_of_its_sources_and_is_shown_behind_its_gate(prepared, tmp_path):
    from launcher.training.prepare import reader_of
    from launcher.training.tasks import work_for

    recipe, facts, model = prepared("gate")
    assert model.embeddings.weight.shape[1] == sum(WIDTHS) and model.config.dimension == 4
    assert "gate" in new_modules(model)
    ids = torch.tensor([[2, 3, 0], [4, 5, 6]])
    model.eval()
    model.save_pretrained(tmp_path / "saved")
    read = load_model(tmp_path / "saved", recipe.task).eval()
    with torch.no_grad():
        assert torch.equal(read(ids).logits, model(ids).logits)
        assert read.looked_up(ids).shape == (2, 3, 4)
    folder = Path(facts["folder"])
    work = work_for(recipe.task, reader_of(facts["labels"], facts["max_length"], folder))
    points = token_points(model, work, Split.load(folder / "test.safetensors"))
    assert points.vectors.shape == (5, 4) and {row[0] for row in points.rows} >= {"好", "房间", "酒店"}
    assert np.ptp(points.vectors) > 0
