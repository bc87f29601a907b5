"""Teach a small English chat model everyday conversations: replies are learnt, with LoRA.

Run:     launcher run recipes/dialogue_en.py
Expect:  perplexity of 34 held-out replies 6.64, then 6.20 after 40 steps of 8 (local alpaca-en); 30 minutes, busy core
"""

from launcher import Conversations, Dialogue, LoRA, Pretrained, Recipe, Training, start

recipe = Recipe(
    task=Dialogue(),
    data=Conversations(train="hub:HuggingFaceTB/smoltalk/everyday-conversations#train"),
    embedding=Pretrained(model="HuggingFaceTB/SmolLM2-135M-Instruct", max_length=512),
    peft=LoRA(rank=8),
    training=Training(epochs=1, batch_size=16, learning_rate=5e-4),
)

if __name__ == "__main__":
    start(recipe)
