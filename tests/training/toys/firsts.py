"""Which tokens begin a training text: what `prepare` saves of it."""

import numpy as np
from safetensors.numpy import save_file


def save(noun, tokenizer, train, folder):
    ids, offsets = train.ragged("input_ids")
    found, counts = np.unique(ids[offsets[:-1]], return_counts=True)
    found = found[counts >= noun.fewest]
    save_file({"ids": found.astype(np.int64)}, folder / "firsts.safetensors")
    return {"first_tokens": len(found)}
