"""Translate short English sentences into Chinese (Tatoeba): a small Transformer, scored as sacreBLEU cuts Chinese.

Run:     launcher run recipes/translation_en_zh.py
Data:    tatoeba_en_zh/train.tsv and dev.tsv: an English sentence, a tab, a Chinese one
Expect:  BLEU 5.1 on 64 of the test pairs after a schedule of four epochs, below the 12.6 of each word replaced by its
         likeliest translation (2026-11-29); ten epochs are not measured
"""

from launcher import FromConfig, Full, Generation, Recipe, Table, TrainedTokenizer, Training, Translation, start

NETWORK = {
    "model_type": "pegasus",
    "d_model": 256,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 512,
    "decoder_ffn_dim": 512,
    "max_position_embeddings": 128,
    "scale_embedding": True,
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
    embedding=FromConfig(config=NETWORK, tokenizer=TrainedTokenizer(tokens=6000, pieces="unigram"), max_length=64),
    peft=Full(),
    training=Training(epochs=10, batch_size=64, learning_rate=1e-3, dropout=0.1, generate_every=900),
)

if __name__ == "__main__":
    start(recipe)
