"""Tell how two words of a sentence are related, and in which direction (SemEval-2010 task 8): a small transformer.

Run:     launcher run recipes/relations_en.py
Expect:  -
"""

from launcher import Full, Pretrained, Recipe, RelationExtraction, SemEvalLines, Training, start

recipe = Recipe(
    task=RelationExtraction(label_smoothing=0.1),
    data=SemEvalLines(train="semeval2010_task8/TRAIN_FILE.TXT", test="semeval2010_task8/TEST_FILE_FULL.TXT"),
    embedding=Pretrained(model="sentence-transformers/all-MiniLM-L6-v2"),
    peft=Full(),
    training=Training(epochs=5, batch_size=32, learning_rate=3e-4),
)

if __name__ == "__main__":
    start(recipe)
