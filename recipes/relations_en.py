"""Tell how two words of a sentence are related, and in which direction (SemEval-2010 task 8): a small transformer.

Run:     launcher run recipes/relations_en.py
Expect:  macro F1 83.5 (the official scorer's) on 800 sentences of the training file, which are drawn from it; 6,480 to
         train on (with --set training.precision=bf16), 16 minutes on two busy cores
Data:    the official test: --set data.test=semeval2010_task8/TEST_FILE_FULL.TXT
"""

from launcher import Full, Pretrained, Recipe, RelationExtraction, SemEvalLines, Training, start

recipe = Recipe(
    task=RelationExtraction(label_smoothing=0.1),
    data=SemEvalLines(train="semeval2010_task8/TRAIN_FILE.TXT", test_size=800),
    embedding=Pretrained(model="sentence-transformers/all-MiniLM-L6-v2"),
    peft=Full(),
    training=Training(epochs=4, batch_size=32, learning_rate=3e-4),
)

if __name__ == "__main__":
    start(recipe)
