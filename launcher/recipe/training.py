"""Training: how the chosen parameters are fitted. Nothing here depends on how many processes do it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from launcher.recipe.noun import noun
from launcher.recipe.sizes import Count, Length, Passes

Rate = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
AboveZero = Annotated[float, Field(gt=0)]


@noun
class Training:
    """One training run's settings; batch sizes are counted in rows, schedules in optimiser steps."""

    kind: Literal["Training"] = "Training"
    epochs: Passes = 3
    """Passes over the training split. With 0 nothing is learnt: the model is tested and saved as it is (zero-shot)."""
    max_steps: Count | None = None
    """Optimiser steps after which training ends, unless the epochs end before."""
    batch_size: Length = 32
    """The global batch: rows in one optimiser step, over all processes."""
    micro_batch_size: Length | None = None
    """Most rows that one process computes at a time; None takes its whole share of the batch."""
    optimizer: Literal["adamw", "sgd", "adafactor"] = "adamw"
    """Adafactor keeps a row and a column for each matrix where AdamW keeps two numbers a weight; its learning rate is
    relative to the size of what it changes."""
    learning_rate: AboveZero | None = None
    """Peak learning rate; None takes the method's usual one (`launcher show` prints it)."""
    momentum: Rate = 0.9
    """Of SGD."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Not applied to biases, normalisation, the scales of IA3 and embedding tables."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up: to zero, to zero along a cosine, or not at all."""
    warmup: Rate = 0.1
    """Fraction of all steps in which the learning rate rises from zero."""
    schedule_epochs: Annotated[int, Field(ge=1, le=2**20)] | None = None
    """Epochs over which warm-up and schedule are laid out, where a run is to be continued by another one that goes on
    with its optimiser; None takes those that are trained."""
    clip_norm: AboveZero | None = 1.0
    """Largest norm of the whole gradient; None leaves it as it is."""
    dropout: Rate | None = None
    """None keeps the model's own; a value sets every dropout; 0 turns all of it off."""
    r_drop: Annotated[float, Field(ge=0)] = 0.0
    """Above 0 each row goes through the model twice in a step, with other neurons dropped; how far the two answers lie
    apart is added to the loss with this weight (R-Drop, Liang et al. 2021, arXiv 2106.14448; begin with 1). Where
    nothing is dropped they are the same, and it only takes time."""
    fgm: AboveZero | None = None
    """A length by which each row's embedded input is moved in the direction that raises its loss most, in a second pass
    of each step whose loss counts as much as the first one's (FGM, Miyato et al. 2017, arXiv 1605.07725; begin with 1).
    It takes twice the time."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the model's arithmetic; weights are fp32 always. fp16 is for GPUs without bf16: its loss is scaled, and a step
    whose gradient overflows is left out (the outcome counts `skipped_steps`)."""
    packing: bool = False
    """Whether the model computes the tokens of a micro-batch as one sequence without padding. Attention and positions
    stay within each row, so that the losses are the same; models that cannot are refused."""
    recompute: bool | None = None
    """Whether the backward pass computes the activations of each layer again instead of keeping them: slower, with the
    same losses, in less memory. None does so only where the run does not fit otherwise."""
    compile: bool = False
    """Whether torch.compile turns the model into code of its own, which takes a minute at the start of every rank."""
    seed: Seed = 0
    """Of the new layers, the order of the rows and what is dropped."""
    log_every: Count = 10
    """Steps between two lines of events.jsonl and TensorBoard."""
    evaluate_every: Count | None = None
    """Steps between two evaluations on the validation split; None evaluates after each epoch."""
    generate_every: Count | None = None
    """Steps after which the next evaluation also has the model write texts, where the task is to write: that takes
    longer than the loss. None does so at each evaluation; at the end it is always done."""
    generate_rows: Count | None = None
    """Rows of a split, evenly spread, that texts are written for; None takes all of them where the task scores its
    texts, and a few where they are only shown."""
    checkpoint_every: Count | None = None
    """Steps between two checkpoints; None saves after each epoch."""
    keep_checkpoints: Count = 2
    """How many of the newest are kept; the best one is kept besides."""
    select_by: str | None = None
    """Metric on the validation split that chooses the best checkpoint; None takes the task's first."""
    patience: Count | None = None
    """Evaluations without a better value of that metric before training stops early; None never does."""
    from_run: str | None = None
    """A finished run whose model this one begins with: its name under `runs/`, or its path (`--from`). The labels of
    both are kept, its own first; for another task its body is kept, and the head is new."""
    with_optimiser: bool = False
    """Whether that run is continued where its last step left it: its optimiser's state, schedule and order of rows.
    `epochs` then counts from its beginning."""
    replay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Against forgetting: the part of that run's training rows that is trained on again among the new ones."""
    ewc: Annotated[float, Field(ge=0)] = 0.0
    """Against forgetting: the weight of a penalty on moving what that run's rows depend on, by the diagonal of the
    Fisher information (elastic weight consolidation, Kirkpatrick et al. 2017, arXiv 1612.00796; begin with 1e4)."""
    lwf: Annotated[float, Field(ge=0)] = 0.0
    """Against forgetting: the weight of the distance from what that run's model answers to the new rows, over its own
    labels (learning without forgetting, Li and Hoiem 2016, arXiv 1606.09282; begin with 1)."""

    def writes_at(self, step: int, evaluated: int, steps: int) -> bool:
        """Whether the evaluation at `step` of `steps` also writes texts; the one before was at `evaluated`."""
        every = self.generate_every or 1
        return step == steps or max(0, evaluated) // every < step // every

    @property
    def passes(self) -> int:
        """How often each row of a micro-batch goes through the model at the same time."""
        return 2 if self.r_drop else 1

    @property
    def turns(self) -> int:
        """How often a micro-batch goes forward and backward, one after the other."""
        return 1 if self.fgm is None else 2
