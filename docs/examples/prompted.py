from launcher import LoRA, Pretrained, Prompted, Recipe, Table, Training, start

recipe = Recipe(
    task=Prompted(template="{text} The weather is {mask}.", words={"good": ("warm", "fine"), "bad": "cold"}),
    data=Table(train="data.csv", shots=16),
    embedding=Pretrained(model="model"),
    peft=LoRA(),
    training=Training(epochs=10, batch_size=8),
)

if __name__ == "__main__":
    start(recipe)
