from launcher import LoRA, Pretrained, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="data.csv"),
    embedding=Pretrained(model="model", max_length=64),
    peft=LoRA(rank=4),
    training=Training(epochs=1, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
