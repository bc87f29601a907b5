from launcher import Adapter, Pretrained, Recipe, Table, TextClassification, Training, start

recipe = Recipe(
    task=TextClassification(),
    data=Table(train="data.csv"),
    embedding=Pretrained(model="model", max_length=64),
    peft=Adapter(bottleneck=8, placement="houlsby", also_train=("LayerNorm",)),
    training=Training(epochs=1, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
