"""Tell the sentiment of English film reviews (SST-2): a small pretrained transformer tuned with LoRA.

Run:     launcher run recipes/sst2_lora.py
Expect:  87.4 % of 872 GLUE development sentences (one epoch of 60,614 local rows), a quarter of an hour on two cores
"""

from launcher import LoRA, Pretrained, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(
        train="hub:stanfordnlp/sst2#train",
        test="hub:stanfordnlp/sst2#validation",
        text="sentence",
        label="label",
    ),
    embedding=Pretrained(model="sentence-transformers/all-MiniLM-L6-v2"),
    peft=LoRA(rank=8),
    training=Training(epochs=1, batch_size=32, learning_rate=1e-3),
)

if __name__ == "__main__":
    start(recipe)
