"""Find ten kinds of names in Chinese sentences (CLUENER): fastText vectors of characters, a BiLSTM and a CRF.

Run:     launcher run recipes/entities_zh.py
Expect:  entity F1 … on the 1,343 sentences of dev (10,748 to train on), … minutes on two busy cores
Data:    train.json and dev.json as CLUENER's own archive has them, in cluener/
"""

from launcher import BiLSTM, FastText, Full, Recipe, Table, TokenClassification, Training, start

recipe = Recipe(
    task=TokenClassification(tokens="characters", crf=True),
    data=Table(train="cluener/train.json", test="cluener/dev.json"),
    embedding=FastText(
        algorithm="skipgram",
        dimension=128,
        epochs=10,
        longest_subword=0,
        minimum_count=2,
        encoder=BiLSTM(hidden=256),
    ),
    peft=Full(),
    training=Training(epochs=10, batch_size=32, learning_rate=2e-3, dropout=0.5),
)

if __name__ == "__main__":
    start(recipe)
