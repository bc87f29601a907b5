"""Find ten kinds of names in Chinese sentences (CLUENER): fastText vectors, jieba's words, a BiLSTM and a CRF.

Run:     launcher run recipes/entities_zh.py --processes 2
Expect:  entity F1 71.7 on the 1,343 sentences of dev (10,748 to train on), eleven minutes on two busy cores
Data:    CLUENER's train.json and dev.json as they are, in cluener/, there too the words of jieba's dict.txt by kind:
         jq -Rn '[inputs / " " | select(.[0] | length > 1)] | group_by(.[2]) | map({(.[0][2]): map(.[0])}) | add' \\
             dict.txt > cluener/words.json
"""

from launcher import BiLSTM, FastText, Full, Lexicon, Recipe, Table, TokenClassification, Training, start

recipe = Recipe(
    task=TokenClassification(tokens="characters", crf=True),
    data=Table(train="cluener/train.json", test="cluener/dev.json", validation_size=0.05),
    embedding=FastText(
        algorithm="skipgram",
        dimension=128,
        epochs=10,
        longest_subword=0,
        minimum_count=2,
        encoder=BiLSTM(hidden=256),
        beside=(Lexicon(files="cluener/words.json"),),
    ),
    peft=Full(),
    training=Training(epochs=10, batch_size=32, learning_rate=4e-3, dropout=0.5),
)

if __name__ == "__main__":
    start(recipe)
