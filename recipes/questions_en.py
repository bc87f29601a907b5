"""Find the answer to a question in a text, or that it has none (SQuAD 2.0): extractive, a small pretrained transformer.

Run:     launcher run recipes/questions_en.py
Expect:  from 3,421 of SQuAD 2.0's questions, two passes, an F1 of 50.2 of 828: "no answer" to each; the
         whole set has 130,000
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
