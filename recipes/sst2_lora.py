"""Tell the sentiment of English film reviews (SST-2): a small pretrained transformer tuned with LoRA.

Run:     launcher run recipes/sst2_lora.py
Expect:  90.5 % of 872 GLUE development sentences (mean of two seeds; 66,002 local rows, bf16), half an hour on one core
"""

from launcher import LoRA, Pretrained, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(
        train="hub:stanfordnlp/sst2#train",
        test="hub:stanfordnlp/sst2#validation",
        text="sentence",
        label="label",
        validation_size=0.02,
    ),
    embedding=Pretrained(model="sentence-transformers/all-MiniLM-L6-v2"),
    peft=LoRA(rank=32, alpha=64, targets=("query", "key", "value", "dense")),
    training=Training(epochs=2, batch_size=32, learning_rate=5e-4, r_drop=1.0),
)

if __name__ == "__main__":
    start(recipe)
