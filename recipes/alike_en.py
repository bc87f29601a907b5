"""Tell how alike two English sentences are, as a number from 0 to 5 (STS-B): a small pretrained transformer.

Run:     launcher run recipes/alike_en.py
Expect:  Spearman 0.770 on 1,500 STS-B development pairs (one seed, 2,000 local training pairs), five minutes on a core
"""

from launcher import Full, Pretrained, Recipe, Regression, Table, Training, start

recipe = Recipe(
    task=Regression(),
    data=Table(
        train="hub:nyu-mll/glue/stsb#train",
        test="hub:nyu-mll/glue/stsb#validation",
        text="sentence1",
        text_pair="sentence2",
        label="label",
    ),
    embedding=Pretrained(model="sentence-transformers/all-MiniLM-L6-v2"),
    peft=Full(),
    training=Training(epochs=2, batch_size=32, learning_rate=1e-4),
)

if __name__ == "__main__":
    start(recipe)
