from launcher import Full, Pairs, Pretrained, Recipe, TextEmbedding, Training, start

recipe = Recipe(
    task=TextEmbedding(query_prefix="query: ", passage_prefix="passage: ", sizes=(8,)),
    data=Pairs(train="search.jsonl"),
    embedding=Pretrained(model="model"),
    peft=Full(),
    training=Training(batch_size=16),
)

if __name__ == "__main__":
    start(recipe)
