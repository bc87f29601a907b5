"""Translate short English sentences into Chinese (Tatoeba): a small T5 from a configuration, scored as sacreBLEU cuts.

Run:     launcher run recipes/translation_en_zh.py
Data:    tatoeba_en_zh/train.tsv and dev.tsv: an English sentence, a tab, a Chinese one
Expect:  no figure yet: only slices of it were trained
"""

from launcher import FromConfig, Full, Generation, Recipe, Table, TrainedTokenizer, Training, Translation, start

NETWORK = {
    "model_type": "t5",
    "d_model": 256,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 3,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}

recipe = Recipe(
    task=Translation(
        target_language="zh",
        max_target_length=64,
        label_smoothing=0.1,
        generation=Generation(max_new_tokens=64, num_beams=4),
    ),
    data=Table(
        train="tatoeba_en_zh/train.tsv",
        test="tatoeba_en_zh/dev.tsv",
        columns=("text", "target"),
        validation_size=500,
        duplicates="drop",
    ),
    embedding=FromConfig(config=NETWORK, tokenizer=TrainedTokenizer(tokens=8000, pieces="unigram"), max_length=64),
    peft=Full(),
    training=Training(epochs=20, batch_size=64, learning_rate=1e-3, dropout=0.1, generate_every=2000),
)

if __name__ == "__main__":
    start(recipe)
