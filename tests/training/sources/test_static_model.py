"""Models on static vectors: the encoders by hand and against padding, saving and loading."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from launcher.errors import DataError
from launcher.recipe.source import BiLSTM, MeanPooling, RandomVectors, TextCNN, Transformer
from launcher.recipe.task import TextClassification, TokenClassification
from launcher.training.sources import build_model, build_tokenizer, load_model, load_tokenizer, new_modules

TEXT, TOKEN = TextClassification(), TokenClassification(tokens="characters")
TRAIN = ["今天 天气好", "天气不好", "好 好 A"]
OTHER = ["明天好", "𠮷"]
SMALL = {"dimension": 8, "buckets": 50, "epochs": 2}
WORDS = ["the film was good", "the plot was bad", "good good film"]

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def static(embedding, task, folder, dropout=None, labels=("a", "b", "c"), sentences=TRAIN):
    build_tokenizer(embedding, task, sentences, folder)
    torch.manual_seed(0)
    return build_model(embedding, task, labels, folder, dropout)


def smooth_max(states):
    """The definition, [tokens, width] to [width]."""
    weights = torch.exp(5.0 * states)
    return (weights * states).sum(0) / weights.sum(0)


def test_initial_weights_do_not_depend_on_the_number_of_threads(tmp_path):
    lstm = RandomVectors(dimension=8, tokens="characters", encoder=BiLSTM(hidden=64))
    made = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            made.append(static(lstm, TEXT, tmp_path / str(threads)).state_dict())
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(1)
    assert len(made[0]) == 11
    assert all(torch.equal(made[1][name], values) for name, values in made[0].items())


def packed_reference(model, ids, mask):
    """The states of torch's own bidirectional LSTM over packed rows, with the model's weights."""
    encoder = model.encoder
    first, layers = encoder.forward_pass[0], len(encoder.forward_pass)
    shape = (first.input_size, first.hidden_size, layers)
    reference = torch.nn.LSTM(*shape, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for number in range(layers):
            for name, value in encoder.forward_pass[number].named_parameters():
                getattr(reference, name.replace("l0", f"l{number}")).copy_(value)
            for name, value in encoder.backward_pass[number].named_parameters():
                getattr(reference, name.replace("l0", f"l{number}_reverse")).copy_(value)
    rnn = torch.nn.utils.rnn
    vectors = model.embeddings(ids)
    packed = rnn.pack_padded_sequence(vectors, mask.sum(1), batch_first=True, enforce_sorted=False)
    return rnn.pad_packed_sequence(reference(packed)[0], batch_first=True, total_length=ids.shape[1])[0]


ENCODERS = [
    MeanPooling(hidden=5),
    BiLSTM(hidden=5),
    BiLSTM(hidden=4, layers=2),
    TextCNN(widths=(1, 2, 3, 6), filters=4),
    Transformer(hidden=8, heads=2, feed_forward=12),
]


class TestModel:
    @pytest.mark.parametrize("encoder", ENCODERS)
    @pytest.mark.parametrize("task", [TEXT, TOKEN])
    def test_padding_never_changes_a_result(self, tmp_path, encoder, task):
        model = static(RandomVectors(encoder=encoder, dimension=6), task, tmp_path).eval()
        with torch.no_grad():
            model.embeddings.weight[0] = 1.0  # what stands there must not matter either
        rows = [[2, 3, 4, 5, 6], [3, 1], [4]]
        ids = torch.zeros(3, 9, dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
        mask = ids.ne(0).long()
        padded = model(ids, mask).logits
        for number, row in enumerate(rows):
            with torch.inference_mode():  # as evaluation computes it: torch's transformer takes another way then
                alone = model(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.long)).logits[0]
            there = padded[number, : len(row)] if task is TOKEN else padded[number]
            torch.testing.assert_close(there, alone, rtol=0, atol=1e-6)
            assert alone.shape == ((len(row), 3) if task is TOKEN else (3,))

    def test_mean_pooling_by_hand(self, tmp_path):
        model = static(RandomVectors(encoder=MeanPooling(hidden=5), dimension=6), TEXT, tmp_path).eval()
        table = model.embeddings.weight
        pooled = torch.cat([(table[2] + table[5]) / 2, smooth_max(table[[2, 5]])])
        hidden = torch.nn.functional.gelu(model.encoder.hidden(pooled))
        expected = model.classifier(hidden)
        logits = model(torch.tensor([[2, 5, 3]]), torch.tensor([[1, 1, 0]])).logits[0]
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)

    def test_bilstm_smooth_maximum_by_hand(self, tmp_path):
        model = static(RandomVectors(encoder=BiLSTM(hidden=5), dimension=6), TEXT, tmp_path).eval()
        states = packed_reference(model, torch.tensor([[2, 5, 3]]), torch.tensor([[1, 1, 1]]))
        expected = model.classifier(smooth_max(states[0]))[None]
        logits = model(torch.tensor([[2, 5, 3, 0]]), torch.tensor([[1, 1, 1, 0]])).logits
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)

    def test_windows_by_hand(self, tmp_path):
        """Each window is centred on its token, an even one reaches one further to the right."""
        encoder = TextCNN(widths=(2, 3), filters=4)
        model = static(RandomVectors(encoder=encoder, dimension=6), TEXT, tmp_path).eval()
        table = model.embeddings.weight
        nothing = torch.zeros(6)
        text = [nothing, table[2], table[5], table[3], nothing]
        states = []
        for window, starts in zip(model.encoder.windows, ([1, 2, 3], [0, 1, 2]), strict=True):
            (width,) = window.kernel_size
            pieces = torch.stack([torch.stack(text[start : start + width], 1) for start in starts])
            states.append((pieces.unsqueeze(1) * window.weight).sum((2, 3)) + window.bias)
        expected = model.classifier(smooth_max(torch.nn.functional.gelu(torch.cat(states, 1))))
        logits = model(torch.tensor([[2, 5, 3, 0]]), torch.tensor([[1, 1, 1, 0]])).logits[0]
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)

    def test_transformer_layers_by_hand(self, tmp_path):
        encoder = Transformer(hidden=8, heads=2, feed_forward=12, layers=2)
        model = static(RandomVectors(encoder=encoder, dimension=6), TEXT, tmp_path).eval()
        functional, made = torch.nn.functional, model.encoder
        places = torch.arange(3.0).unsqueeze(1) / 10_000 ** (torch.arange(0, 8, 2.0) / 8)
        positions = torch.stack([places.sin(), places.cos()], -1).flatten(1)
        states = made.project(model.embeddings.weight[[2, 5, 3]]) * 8**0.5 + positions
        for layer in made.layers:
            inner = layer.self_attn.in_proj_weight @ layer.norm1(states).T + layer.self_attn.in_proj_bias.unsqueeze(1)
            query, key, value = inner.T.chunk(3, -1)
            heads = [
                (query[:, part] @ key[:, part].T / 2).softmax(-1) @ value[:, part]
                for part in (slice(0, 4), slice(4, 8))
            ]
            states = states + layer.self_attn.out_proj(torch.cat(heads, -1))
            states = states + layer.linear2(functional.gelu(layer.linear1(layer.norm2(states))))
        expected = model.classifier(smooth_max(made.norm(states)))
        logits = model(torch.tensor([[2, 5, 3, 0]]), torch.tensor([[1, 1, 1, 0]])).logits[0]
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("layers", [1, 2, 3])
    def test_states_and_gradients_are_those_of_a_packed_bidirectional_lstm(self, tmp_path, layers):
        encoder = BiLSTM(hidden=5, layers=layers)
        model = static(RandomVectors(encoder=encoder, dimension=6), TOKEN, tmp_path).eval()
        ids = torch.tensor([[2, 3, 4, 5, 6], [4, 2, 0, 0, 0], [6, 5, 4, 3, 0]])
        mask = ids.ne(0).long()
        weights = torch.randn(3, 5, 10) * mask.unsqueeze(-1)
        found = []
        for states in (packed_reference(model, ids, mask), model.encoder(model.embeddings(ids), mask)):
            model.zero_grad()
            (states * weights).sum().backward()
            found.append((states * mask.unsqueeze(-1), model.embeddings.weight.grad.clone()))
        torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
        assert found[0][1].abs().max() > 1e-3

    @pytest.mark.parametrize("encoder", ENCODERS)
    def test_a_row_without_tokens_gives_numbers_and_gradients(self, tmp_path, encoder):
        model = static(RandomVectors(encoder=encoder, dimension=6), TEXT, tmp_path)
        ids, mask = torch.tensor([[2, 3], [0, 0]]), torch.tensor([[1, 1], [0, 0]])
        model(ids, mask).logits.square().sum().backward()
        assert torch.isfinite(model(ids, mask).logits).all()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        with torch.inference_mode():
            assert torch.isfinite(model.eval()(ids, mask).logits).all()

    @pytest.mark.parametrize("encoder", ENCODERS)
    @pytest.mark.parametrize("task", [TEXT, TOKEN])
    def test_a_saved_model_comes_back_bit_equal(self, tmp_path, encoder, task):
        model = static(RandomVectors(encoder=encoder, dimension=6), task, tmp_path, dropout=0.25).eval()
        with torch.no_grad():
            model.embeddings.weight[0] = 1.0  # whatever training left there is kept
        model.save_pretrained(tmp_path / "model")
        assert {p.name for p in (tmp_path / "model").iterdir()} == {"config.json", "model.safetensors"}
        again = load_model(tmp_path / "model", task).eval()
        assert type(again) is type(model) and again.config.id2label == {0: "a", 1: "b", 2: "c"}
        assert again.config.dropout == again.dropout.p == 0.25
        ids = torch.tensor([[2, 3, 4], [5, 6, 0]])
        assert torch.equal(again(ids, ids.ne(0)).logits, model(ids, ids.ne(0)).logits)
        if task is TEXT:
            auto = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
            assert torch.equal(auto(ids, ids.ne(0)).logits, model(ids, ids.ne(0)).logits)

    def test_a_part_that_is_missing_is_not_drawn_anew(self, tmp_path):
        from safetensors.torch import load_file, save_file

        static(RandomVectors(), TEXT, tmp_path).save_pretrained(tmp_path / "model")
        tensors = load_file(tmp_path / "model/model.safetensors")
        del tensors["classifier.weight"]
        save_file(tensors, tmp_path / "model/model.safetensors", metadata={"format": "pt"})
        with pytest.raises(DataError, match=r"classifier\.weight"):
            load_model(tmp_path / "model", TEXT)

    def test_the_same_seed_gives_the_same_model_and_another_another(self, tmp_path):
        one = static(RandomVectors(), TEXT, tmp_path).state_dict()
        two = static(RandomVectors(), TEXT, tmp_path).state_dict()
        assert all(torch.equal(one[name], two[name]) for name in one)
        torch.manual_seed(1)
        three = build_model(RandomVectors(), TEXT, ("a", "b", "c"), tmp_path, None).state_dict()
        assert not torch.equal(one["embeddings.weight"], three["embeddings.weight"])
        assert not one["embeddings.weight"][0].any()
        assert one["embeddings.weight"][1:].std().item() == pytest.approx(0.1, rel=0.1)
        lstm = "encoder.backward_pass.0"
        assert one[f"{lstm}.bias_ih_l0"][128:256].eq(1).all() and one[f"{lstm}.bias_ih_l0"].sum() == 128
        assert not one[f"{lstm}.bias_hh_l0"].any()
        recurrent = one[f"{lstm}.weight_hh_l0"]
        torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(128), rtol=0, atol=1e-4)

    @pytest.mark.parametrize("encoder", ENCODERS)
    def test_dropout_none_keeps_the_models_own_and_zero_turns_it_off(self, tmp_path, encoder):
        ids = torch.tensor([[2, 3, 4, 5, 6]])
        off = static(RandomVectors(encoder=encoder), TEXT, tmp_path, dropout=0.0).train()
        assert torch.equal(off(ids).logits, off(ids).logits)
        own = static(RandomVectors(encoder=encoder), TEXT, tmp_path).train()
        assert own.dropout.p == own.config.dropout == 0.3
        assert not torch.equal(own(ids).logits, own(ids).logits)

    def test_what_is_new(self, tmp_path):
        model = static(RandomVectors(), TEXT, tmp_path)
        assert new_modules(model) == ["encoder", "classifier"]
        assert all(hasattr(model, name) for name in new_modules(model))
        assert model.get_input_embeddings() is model.embeddings

    def test_labels_give_transformers_loss(self, tmp_path):
        model = static(RandomVectors(), TOKEN, tmp_path).eval()
        ids, labels = torch.tensor([[2, 3, 4]]), torch.tensor([[1, -100, 2]])
        out = model(input_ids=ids, attention_mask=ids.ne(0), labels=labels, return_dict=True)
        expected = torch.nn.functional.cross_entropy(out.logits[0, [0, 2]], torch.tensor([1, 2]))
        torch.testing.assert_close(out.loss, expected)

    @pytest.mark.parametrize("encoder", ENCODERS)
    def test_bf16_autocast_on_the_cpu(self, tmp_path, encoder):
        model = static(RandomVectors(encoder=encoder), TEXT, tmp_path, dropout=0.0)
        ids = torch.tensor([[2, 3, 4], [5, 0, 0]])
        exact = model(ids, ids.ne(0)).logits
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(ids, ids.ne(0)).logits
        rough.float().sum().backward()
        torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.02)

    def test_it_learns(self, tmp_path):
        """Order decides: `a b` against `b a` cannot be told by a mean, an LSTM can."""
        rows = ["a b", "b a"]
        model = static(RandomVectors(), TEXT, tmp_path, dropout=0.0, labels=("x", "y"), sentences=rows)
        ids = torch.tensor(load_tokenizer(tmp_path)(rows)["input_ids"])
        optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(60):
            loss = model(ids, labels=torch.tensor([0, 1])).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert loss.item() < 0.05
