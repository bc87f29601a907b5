"""Find the answer to a question in a text, or that it has none (SQuAD 2.0): extractive, a small pretrained transformer.

Run:     launcher run recipes/questions_en.py
Expect:  no run on SQuAD 2.0 is recorded yet; always "no answer" has an F1 of 50.1 on its development set
"""

from launcher import Full, Pretrained, QuestionAnswering, Questions, Recipe, Training, start

recipe = Recipe(
    task=QuestionAnswering(),
    data=Questions(train="hub:rajpurkar/squad_v2#train", test="hub:rajpurkar/squad_v2#validation"),
    embedding=Pretrained(model="sentence-transformers/all-MiniLM-L6-v2", max_length=384),
    peft=Full(),
    training=Training(epochs=2, batch_size=32, learning_rate=2e-4),
)

if __name__ == "__main__":
    start(recipe)
