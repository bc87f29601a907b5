"""Teach a 7B chat model everyday conversations: LoRA, packed rows, bf16, activations computed again.

Run:     launcher run recipes/dialogue_7b.py --processes 8
Expect:  not run (no GPU); `launcher plan`: 18.4 GB a GPU under fsdp2 on eight of 80 GB, 38.6 GB under ddp, with
         conversations of up to 1,123 tokens
"""

from launcher import Conversations, Dialogue, LoRA, Pretrained, Recipe, Training, start

recipe = Recipe(
    task=Dialogue(),
    data=Conversations(train="hub:HuggingFaceTB/smoltalk/everyday-conversations#train"),
    embedding=Pretrained(model="Qwen/Qwen2.5-7B-Instruct", max_length=2048),
    peft=LoRA(rank=16),
    training=Training(
        epochs=1,
        batch_size=64,
        micro_batch_size=8,
        learning_rate=1e-4,
        precision="bf16",
        packing=True,
        recompute=True,
    ),
)

if __name__ == "__main__":
    start(recipe)
