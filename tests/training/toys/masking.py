"""A toy task: texts with the unknown token in place of a third of their tokens, drawn anew in each epoch."""

import numpy as np

from launcher import extend


class Masking(extend.TextClassificationWork):
    feeds_any_token = True

    def collate(self, split, rows, draw):
        batch = super().collate(split, rows, draw)
        if draw is not None:
            for index, row in enumerate(rows):
                chance = np.random.default_rng([draw.seed, draw.epoch, row])
                batch["input_ids"][index, chance.random(batch["input_ids"].shape[1]) < 0.3] = (
                    self.tokenizer.unk_token_id
                )
        return batch


def work(task, reader):
    return Masking(task, reader)
