"""Gate 2: every combination that cannot work, all complaints together, before anything is started.

Each rule is one small generator over one combination. To forbid something, add a rule here (in `recipe_rules` or
`method_rules` where the recipe alone decides) and a row to its test table; nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import PlanError, Problem, did_you_mean
from launcher.host.facts import Facts
from launcher.plan import strategy_file
from launcher.plan.placement import DEVICES, SHARDED, STRATEGIES, Placement
from launcher.recipe import recipe_rules
from launcher.recipe.method import STEPPED, CustomMethod, FrozenBase, QLoRA, strategies_of
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.source import Static
from launcher.recipe.user_file_check import called_besides

PROCESSES_PER_CORE = 4
"""More processes than this on one core only wait for each other."""


def judge(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> list[Problem]:
    """All problems of this recipe on this machine with these launch options; empty when it can run."""
    problems = [
        problem
        for rule in (
            _names,
            _device,
            _strategy,
            _processes,
            _batch,
            _precision,
            _half_precision,
            _compile,
            _adafactor,
            _recompute,
            _four_bit,
            _no_layers,
            _life,
        )
        for problem in rule(loaded, facts, placement)
    ]
    problems += [problem for rule in recipe_rules.RULES for problem in rule(loaded)]
    return problems + _in_the_file(placement)


def device_for(facts: Facts, placement: Placement) -> str:
    """The device that `auto` means here."""
    if placement.device == "auto":
        return "cuda" if facts.gpus else "cpu"
    return placement.device


def processes_for(facts: Facts, placement: Placement) -> int:
    """The number of processes on each node that leaving it open means here: one a GPU, or one."""
    if placement.processes is not None:
        return placement.processes
    if placement.strategy == "single" or device_for(facts, placement) == "cpu":
        return 1
    return max(1, len(facts.gpus))


def _names(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    if placement.strategy not in ("auto", *STRATEGIES):
        hint = did_you_mean(placement.strategy, ["auto", *STRATEGIES])
        yield Problem(f"there is no strategy {placement.strategy!r}", "--strategy", hint)
    if placement.device not in DEVICES:
        # no nearest name: that of `gpu` is `cpu`
        yield Problem(f"there is no device {placement.device!r}", "--device", "known: " + ", ".join(DEVICES))


def _device(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    if placement.device == "cuda" and not facts.gpus:
        yield Problem(
            "cuda was asked for, but no NVIDIA GPU can be seen here",
            "--device cuda",
            "use --device cpu, or look at what `nvidia-smi` says",
        )


def _strategy(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    name, where = placement.strategy, f"--strategy {placement.strategy}"
    if name in strategy_file.STAGES and not facts.deepspeed:
        do = "pip install deepspeed, or use --strategy fsdp2"
        yield Problem(f"{name} is DeepSpeed's, which is not installed here", where, do)
    if name == "zero3_offload" and device_for(facts, placement) == "cpu":
        what = "zero3_offload moves states out of a GPU's memory into the host's; without a GPU they are there already"
        yield Problem(what, where, "use --strategy zero3")


def _in_the_file(placement: Placement) -> list[Problem]:
    """What the strategy's file says that contradicts a plan."""
    if placement.strategy not in STRATEGIES:
        return []
    try:
        strategy_file.read(placement.strategy)
    except PlanError as error:
        return error.problems
    return []


def _processes(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    processes = processes_for(facts, placement)
    device = device_for(facts, placement)
    most = max(1, len(facts.gpus)) if device == "cuda" else facts.cores * PROCESSES_PER_CORE
    there = f"{len(facts.gpus)} GPUs" if device == "cuda" else f"{facts.cores} cores"
    if processes < 1:
        yield Problem(f"{processes} processes cannot train", "--processes", "give at least 1")
    elif processes > most and not (device == "cuda" and not facts.gpus):
        yield Problem(
            f"{processes} processes are more than makes sense with {there}",
            "--processes",
            f"give at most {most}",
        )
    everywhere = processes * placement.nodes
    if placement.strategy == "single" and everywhere > 1:
        yield Problem(f"strategy single is one process, not {everywhere}", "--strategy single", "use --strategy ddp")


def _batch(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    processes, batch = processes_for(facts, placement) * placement.nodes, loaded.recipe.training.batch_size
    if processes >= 1 and batch % processes:
        below, above = batch - batch % processes, batch - batch % processes + processes
        near = f"{below} or {above}" if below else f"{above}"
        yield Problem(
            f"a global batch of {batch} cannot be shared evenly by {processes} processes",
            loaded.where("training.batch_size"),
            f"make it {near}, or change " + ("--processes" if placement.nodes == 1 else "the number of processes"),
        )


def _precision(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    wants_bf16 = loaded.recipe.training.precision == "bf16"
    if wants_bf16 and device_for(facts, placement) == "cpu" and not facts.cpu_bf16:
        yield Problem(
            "this CPU has no bf16 arithmetic (avx512_bf16 or amx_bf16)",
            loaded.where("training.precision"),
            'write precision="fp32"',
        )


def _half_precision(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    if loaded.recipe.training.precision != "fp16":
        return
    where = loaded.where("training.precision")
    if device_for(facts, placement) == "cpu":
        yield Problem("fp16 is arithmetic of GPUs; none is used here", where, 'write precision="bf16" or "fp32"')
    if placement.strategy not in ("auto", "single", "ddp"):
        what = f"fp16 scales its loss, which has not been shown to give the same curve under {placement.strategy}"
        yield Problem(what, where, 'use --strategy single or ddp, or precision="bf16"')


def _compile(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    if not loaded.recipe.training.compile:
        return
    where = loaded.where("training.compile")
    if not facts.compiler:
        what = "torch.compile writes C++ and finds no compiler here"
        yield Problem(what, where, "install one (Debian: apt install g++), or leave training.compile out")
    if placement.strategy not in ("auto", "single", "ddp"):
        what = f"torch.compile has not been shown to give the same curve under {placement.strategy}"
        yield Problem(what, where, "use --strategy single or ddp, or leave training.compile out")


def _adafactor(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    if loaded.recipe.training.optimizer == "adafactor" and placement.strategy not in ("auto", "single", "ddp"):
        what = f"Adafactor keeps a row and a column of whole matrices, which {placement.strategy} cuts into parts"
        yield Problem(what, loaded.where("training.optimizer"), "use --strategy single or ddp, or adamw")


def _recompute(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    if loaded.recipe.training.recompute and isinstance(loaded.recipe.embedding, Static):
        what = "static vectors have no stack of layers whose activations could be computed again"
        yield Problem(what, loaded.where("training.recompute"), "leave training.recompute out")


def _four_bit(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    if not isinstance(loaded.recipe.peft, QLoRA):
        return
    where = loaded.where("peft")
    if device_for(facts, placement) == "cpu":
        yield Problem("QLoRA's 4-bit kernels are made for GPUs; none is used here", where, "use LoRA, or --device cuda")
    if isinstance(loaded.recipe.embedding, Static):
        yield Problem("QLoRA keeps a pretrained model in 4 bits; static vectors have none", where, "use LoRA")
    if placement.strategy in STRATEGIES and "parameters" in SHARDED[placement.strategy]:
        what = f"{placement.strategy} cannot shard weights that are packed in 4 bits"
        yield Problem(what, where, "use LoRA, or one of --strategy single, ddp, zero1, zero2")
    if not facts.bitsandbytes:
        yield Problem("QLoRA needs bitsandbytes, which is not installed here", where, "pip install bitsandbytes")


def _no_layers(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    method = loaded.recipe.peft
    if method.of_pretrained and isinstance(loaded.recipe.embedding, Static):
        what = f"{method.kind} {method.of_pretrained} of a pretrained model; static vectors have none"
        do = "use HeadOnly, which trains all but the table of vectors, or Full"
        if isinstance(method, FrozenBase):
            do = "use LoRA, which changes the table of vectors, or HeadOnly"
        yield Problem(what, loaded.where("peft"), do)


def _life(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> Iterator[Problem]:
    """A method that works under some strategies only; under `auto` one of them must suit the number of processes."""
    method, where = loaded.recipe.peft, loaded.where("peft")
    allowed = strategies_of(method)
    if allowed is None:
        return
    names = [name for name in STRATEGIES if name in allowed]
    do = "use --strategy " + " or ".join(", ".join(names).rsplit(", ", 1))
    if placement.strategy in STRATEGIES and placement.strategy not in allowed:
        what = f"{method.kind} does not work under {placement.strategy}"
        if allowed == STEPPED:
            what = f"{method.kind} acts within each step, and {placement.strategy} makes the whole step by itself"
        if isinstance(method, CustomMethod):
            called = " and ".join(sorted(called_besides(method)))
            what = f"{called} of {method.file} cannot be called under {placement.strategy}, which makes the whole step"
        yield Problem(what, where, do)
    processes = processes_for(facts, placement) * placement.nodes
    fitting = allowed & {"single"} if processes == 1 else allowed - {"single"}
    if placement.strategy == "auto" and not fitting:
        what = f"{method.kind} works under {', '.join(names)} only, and not on {processes} processes"
        yield Problem(what, where, "use --processes 1" if "single" in allowed else do)
