from launcher import Full, Pairs, Pretrained, Recipe, Reranker, Training, start

recipe = Recipe(
    task=Reranker(),
    data=Pairs(train="triplets.jsonl", negatives="negatives"),
    embedding=Pretrained(model="model"),
    peft=Full(),
    training=Training(batch_size=16),
)

if __name__ == "__main__":
    start(recipe)
