"""Translate captions of photographs from English into German (Multi30k): a small Transformer, nothing pretrained.

Run:     launcher run recipes/translation_en_de.py
Data:    multi30k/train.en.gz, multi30k/train.de.gz and so on: task 1, raw, of github.com/multi30k/dataset
Expect:  BLEU 35.9 and chrF 60.1 on the 1,000 test captions after six epochs (standard errors 0.8 and 0.6; each word
         replaced by its likeliest translation: 16.2 and 54.1), 16 minutes of one core of an AMD EPYC with
         `--set training.precision=bf16` (2026-11-29); the last four epochs are still to be measured
"""

from launcher import FromConfig, Full, Generation, ParallelLines, Recipe, TrainedTokenizer, Training, Translation, start

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
        target_language="de",
        max_target_length=64,
        label_smoothing=0.1,
        generation=Generation(max_new_tokens=64, num_beams=4),
    ),
    data=ParallelLines(
        train={"text": "multi30k/train.en.gz", "target": "multi30k/train.de.gz"},
        validation={"text": "multi30k/val.en.gz", "target": "multi30k/val.de.gz"},
        test={"text": "multi30k/test_2016_flickr.en.gz", "target": "multi30k/test_2016_flickr.de.gz"},
    ),
    embedding=FromConfig(config=NETWORK, tokenizer=TrainedTokenizer(tokens=4000), max_length=64),
    peft=Full(),
    training=Training(epochs=10, batch_size=64, learning_rate=1e-3, dropout=0.1, generate_every=1300),
)

if __name__ == "__main__":
    start(recipe)
