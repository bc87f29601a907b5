"""A plain torch training loop that imports nothing of ours: what every road of the launcher must reproduce.

    python plain_loop.py PREPARED INITIAL.safetensors SETTINGS.json LOSSES.json

PREPARED holds train.safetensors (columns/input_ids, offsets/input_ids, columns/labels); INITIAL the initial weights by
the names of the models below, or by those that peft gives them where LoRA or bottleneck layers are among them.
Everything else (order, padding, loss, AdamW, warm-up, clipping, what the layers compute) is written out here.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file as load_tensors
from torch import nn


def permutation(size, *key):
    raw = np.random.Philox(np.random.SeedSequence(key)).random_raw(size)
    return np.argsort(raw, kind="stable")


def order(lengths, size, seed, epoch):
    rows = permutation(len(lengths), seed, epoch, 0)
    batches = []
    for start in range(0, len(rows), 100 * size):
        pool = rows[start : start + 100 * size]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [batches[i] for i in permutation(len(batches), seed, epoch, 1)]


class Static(nn.Module):
    """A table, then mean, maximum and a hidden layer, or a packed bidirectional LSTM; logits a text or a token."""

    def __init__(self, weights, kind, pool):
        super().__init__()
        self.kind, self.pool = kind, pool
        self.table = nn.Embedding.from_pretrained(weights["embeddings.weight"].clone(), freeze=False)
        dimension = self.table.embedding_dim
        if kind == "mean":
            units, inputs = weights["encoder.hidden.weight"].shape
            self.hidden = nn.Linear(inputs, units)
            self.hidden.load_state_dict({k: weights[f"encoder.hidden.{k}"] for k in ("weight", "bias")})
        else:
            units = weights["encoder.forward_pass.0.weight_hh_l0"].shape[1]
            self.lstm = nn.LSTM(dimension, units, batch_first=True, bidirectional=True)
            names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            onward = {name: weights[f"encoder.forward_pass.0.{name}"] for name in names}
            reverse = {f"{name}_reverse": weights[f"encoder.backward_pass.0.{name}"] for name in names}
            self.lstm.load_state_dict({**onward, **reverse})
        classes, width = weights["classifier.weight"].shape
        self.classifier = nn.Linear(width, classes)
        self.classifier.load_state_dict({k: weights[f"classifier.{k}"] for k in ("weight", "bias")})

    def forward(self, ids, lengths):
        vectors = self.table(ids)
        mask = (torch.arange(ids.shape[1])[None] < lengths[:, None])[..., None]
        if self.kind == "mean":
            if self.pool:
                mean = (vectors * mask).sum(1) / lengths[:, None]
                vectors = torch.cat([mean, smooth_max(vectors, mask)], dim=1)
            return self.classifier(nn.functional.gelu(self.hidden(vectors)))
        packed = nn.utils.rnn.pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        if self.pool:
            states = smooth_max(states, mask)
        return self.classifier(states)


def smooth_max(states, mask):
    weights = torch.exp(5.0 * states) * mask
    return (weights * states).sum(1) / weights.sum(1)


class Bert(nn.Module):
    def __init__(self, weights, settings):
        super().__init__()
        from transformers import BertConfig, BertForSequenceClassification

        self.bert = BertForSequenceClassification(BertConfig(**settings["bert"]))
        self.bert.load_state_dict(weights)

    def forward(self, ids, lengths):
        mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
        return self.bert(input_ids=ids, attention_mask=mask).logits


def split(weights):
    """The model's own weights, and what LoRA or bottleneck layers add to a module: `{path: {name: parameter}}`."""
    own, added = {}, {}
    for name, value in weights.items():
        if ".original_module." in name:
            continue  # a copy that does not train stands beside each head
        for part in ("base_model.model.", ".modules_to_save.default", ".base_layer", ".default"):
            name = name.replace(part, "")
        path, _, rest = name.partition(".lora_" if ".lora_" in name else ".bottleneck_")
        if rest:
            added.setdefault(path, {})[rest] = nn.Parameter(value)
        else:
            own[name] = value
    return own, added


def add(model, added, scale):
    """Freeze all but the heads, and let each module put out what its added layers make of it; their parameters."""
    heads = ("hidden", "lstm", "classifier", "bert.classifier")
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith(heads)
    for path, layer in added.items():
        module = model.table if isinstance(model, Static) else model.bert.get_submodule(path)
        if "down.weight" in layer:
            module.register_forward_hook(lambda _, inputs, out, its=layer: out + bottleneck(out, its))
        elif "embedding_A" in layer:
            module.register_forward_hook(
                lambda _, inputs, out, its=layer: out + scale * its["embedding_A"].T[inputs[0]] @ its["embedding_B"].T
            )
        else:
            module.register_forward_hook(
                lambda _, inputs, out, its=layer: out + scale * inputs[0] @ its["A.weight"].T @ its["B.weight"].T
            )
    return [parameter for layer in added.values() for parameter in layer.values()]


def bottleneck(out, its):
    middle = nn.functional.gelu(nn.functional.linear(out, its["down.weight"], its["down.bias"]))
    return nn.functional.linear(middle, its["up.weight"], its["up.bias"])


def main():
    prepared, initial, settings_file, losses_file = sys.argv[1:]
    settings = json.loads(Path(settings_file).read_text())
    arrays, weights = load_arrays(f"{prepared}/train.safetensors"), load_tensors(initial)
    columns = {name: arrays[f"columns/{name}"] for name in ("input_ids", "labels")}
    offsets, by_token = arrays["offsets/input_ids"], "offsets/labels" in arrays
    lengths = np.diff(offsets)
    weights, added = split(weights)
    static = "bert" not in settings
    model = Static(weights, settings["encoder"], pool=not by_token) if static else Bert(weights, settings)
    model.train()
    size, steps, warm = settings["batch_size"], settings["steps"], round(settings["warmup"] * settings["steps"])
    tables = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    more = add(model, added, settings.get("scale")) if added else []
    trained = [p for p in model.parameters() if p.requires_grad] + more
    free = [p for p in trained if p.ndim < 2 or any(p is t for t in tables)]
    decayed = [p for p in trained if not any(p is f for f in free)]
    groups = [{"params": decayed, "weight_decay": settings["weight_decay"]}, {"params": free, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=settings["learning_rate"])
    losses, step, epoch = [], 0, 0
    while step < steps:
        for batch in order(lengths, size, settings["seed"], epoch):
            if step == steps:
                break
            width = lengths[batch].max()
            ids = np.zeros((len(batch), width), dtype=np.int64)
            labels = np.full((len(batch), width), -100, dtype=np.int64)
            for place, row in enumerate(batch):
                span = slice(offsets[row], offsets[row + 1])
                ids[place, : lengths[row]] = columns["input_ids"][span]
                if by_token:
                    labels[place, : lengths[row]] = columns["labels"][span]
            wanted = torch.from_numpy(labels if by_token else columns["labels"][batch]).flatten()
            logits = model(torch.from_numpy(ids), torch.from_numpy(lengths[batch]))
            loss = nn.functional.cross_entropy(logits.reshape(len(wanted), -1), wanted)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, settings["clip_norm"])
            rising = step / max(1, warm) if step < warm else (steps - step) / max(1, steps - warm)
            for group in optimiser.param_groups:
                group["lr"] = settings["learning_rate"] * rising
            optimiser.step()
            losses.append(loss.item())
            step += 1
        epoch += 1
    Path(losses_file).write_text(json.dumps(losses))


if __name__ == "__main__":
    main()
