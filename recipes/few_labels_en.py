"""Tell the sentiment of English film reviews from 16 labelled ones of each kind: a language model and a template.

Run:     launcher run recipes/few_labels_en.py
Expect:  80.5 % of 200 SST-2 development sentences (one seed; 78.0 % without training), eight minutes on a busy core
"""

from launcher import LoRA, Pretrained, Prompted, Recipe, Table, Training, start

recipe = Recipe(
    task=Prompted(
        template="Review: {text}\nSentiment:",
        words={"0": " negative", "1": " positive"},
    ),
    data=Table(
        train="hub:stanfordnlp/sst2#train",
        test="hub:stanfordnlp/sst2#validation",
        text="sentence",
        label="label",
        shots=16,
        validation_size=32,
    ),
    embedding=Pretrained(model="HuggingFaceTB/SmolLM2-135M-Instruct"),
    peft=LoRA(rank=8),
    training=Training(epochs=4, batch_size=8, learning_rate=5e-4),
)

if __name__ == "__main__":
    start(recipe)
