"""Tell whether one Chinese sentence follows from another, contradicts it or neither (OCNLI): pairs of texts.

Run:     launcher run recipes/entailment_zh.py
Expect:  48.1 % of 1,040 OCNLI development pairs (one seed, 3,000 local training pairs), 14 minutes on a busy core
"""

from launcher import Full, Pretrained, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(
        train="hub:clue/clue/ocnli#train",
        test="hub:clue/clue/ocnli#validation",
        text="sentence1",
        text_pair="sentence2",
        label="label",
    ),
    embedding=Pretrained(model="moka-ai/m3e-small"),
    peft=Full(),
    training=Training(epochs=2, batch_size=32, learning_rate=1e-4),
)

if __name__ == "__main__":
    start(recipe)
