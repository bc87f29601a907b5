"""What a run takes of memory on each rank, predicted from the model's facts: pure, no torch.

`training/memory/facts.py` finds the facts (tensors, and bytes of a micro-batch by its rows);
`training/strategies` does what is computed here: weights are fp32 under every precision, bf16 is autocast. A
backward pass is a series of intervals, one for each gradient that becomes whole; a strategy says what else is in
memory in each of them, and the fullest one is the peak.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import assert_never

from launcher.plan.model_facts import WORD as WORD
from launcher.plan.model_facts import Interval, ModelFacts, Tensor
from launcher.plan.placement import SHARDED, StrategyName

MOMENTS = {"adamw": 2, "sgd": 1}
LARGEST_BUCKET = 50_000_000
"""Elements: `training.strategies.zero` collects no more gradient than this before it sends it."""
ALIGNED = 2
"""Elements to a multiple of which (a rank) DeepSpeed pads the flat groups of stages 1 and 2."""


@dataclass(frozen=True)
class Setting:
    """One way to run: strategy, ranks, rows of a micro-batch, micro-batches of a step, tokens of the longest row."""

    strategy: StrategyName
    world_size: int
    rows: int
    accumulation: int
    length: int
    optimizer: str = "adamw"
    evaluated_rows: int = 0
    """Rows that are predicted at a time between steps; 0 looks at training steps only."""
    shared_memory: bool = False
    """Whether DDP sums its gradients in memory that the ranks share: CPU processes of one machine do."""


@dataclass(frozen=True)
class Breakdown:
    """Bytes on each rank at the moment of the peak; `host` lies in the host's memory instead of the device's."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    buffers: int
    remembered: int
    """What EWC and LwF keep of the run before."""
    total: int
    host: int
    communication: int
    """Bytes that each rank sends in one optimiser step."""

    def document(self) -> dict[str, int]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class _Moment:
    """What passes at one time of the step: bytes of gradients, of activations, of temporary buffers."""

    gradients: int
    activations: int
    buffers: int = 0
    backward: bool = False

    @property
    def total(self) -> int:
        return self.gradients + self.activations + self.buffers


def predict(facts: ModelFacts, setting: Setting) -> Breakdown:
    """The peak of one optimiser step in the steady state, on the rank that holds most."""
    gradient = WORD * facts.gradient_numel
    factored = setting.optimizer == "adafactor"  # the rules let it come here under single and ddp only
    moments = 0 if factored else MOMENTS[setting.optimizer]
    share = WORD * _flat_share(facts.gradient_numel, setting.world_size)
    held = held_parameters(facts, setting.strategy, setting.world_size)
    host = 0
    match setting.strategy:
        case "single" | "ddp":
            passing = _replicated(facts, setting)
            state = _rows_and_columns(facts) if factored else moments * gradient
        case "fsdp2":
            passing = _fully_sharded(facts, setting)
            state = moments * WORD * sum(_rows_share(t, setting.world_size) for t in facts.tensors if t.trains)
        case "zero1" | "zero2":
            passing, state = _gradients_sharded(facts, setting), (moments + 1) * share
        case "zero3":
            passing, state = _partitioned(facts, setting), (moments + 1) * share
        case "zero3_offload":
            passing, state = _partitioned(facts, setting), 0
            host, held = held + (moments + 2) * share, 0
        case _:
            assert_never(setting.strategy)
    peak = max(_remembering(passing, facts, setting), key=lambda moment: moment.total)
    buffers = peak.buffers + facts.buffers
    return Breakdown(
        parameters=held,
        gradients=peak.gradients,
        optimizer=state,
        activations=peak.activations,
        buffers=buffers,
        remembered=facts.remembered,
        total=held + state + peak.gradients + peak.activations + buffers + facts.remembered,
        host=host,
        communication=communication(facts, setting),
    )


def _remembering(moments: Iterable[_Moment], facts: ModelFacts, setting: Setting) -> Iterator[_Moment]:
    """The moments, with what holding on to an earlier run makes of them.

    EWC's penalty keeps how far all that trains has moved, then its gradients: where gradients are whole they become
    these. Where weights are sharded they are gathered first. LwF's other model answers while activations are kept.
    """
    trained = WORD * facts.gradient_numel if facts.anchored else 0
    sharded, first = "parameters" in SHARDED[setting.strategy], True
    for moment in moments:
        if not moment.backward:
            yield moment
            continue
        gradients = moment.gradients + trained if sharded else max(moment.gradients, trained)
        answers = facts.evaluation.at(setting.rows) if first and facts.other_model else 0
        gathered = trained if first and sharded else 0
        yield _Moment(gradients, moment.activations + answers, moment.buffers + gathered)
        first = False


def _rows_and_columns(facts: ModelFacts) -> int:
    """Bytes that Adafactor keeps: of a matrix a number for each row and each column, of a vector all."""
    trained = [tensor for tensor in facts.tensors if tensor.trains]
    return WORD * sum(t.numel if t.rows == t.numel else t.rows + t.numel // max(1, t.rows) for t in trained)


def _largest(facts: ModelFacts) -> int:
    """Bytes of the largest tensor that trains: Adafactor's step makes one more of each, one after another."""
    return WORD * max((tensor.numel for tensor in facts.tensors if tensor.trains), default=0)


def held_parameters(facts: ModelFacts, strategy: StrategyName, world_size: int) -> int:
    """Bytes of weights that a rank keeps between steps: its share of each tensor, rounded up, where sharded.

    FSDP2 cuts rows, ZeRO-3 elements.
    """
    if "parameters" not in SHARDED[strategy]:
        return WORD * sum(tensor.numel for tensor in facts.tensors)
    if strategy == "fsdp2":
        return WORD * sum(_rows_share(tensor, world_size) for tensor in facts.tensors)
    return WORD * sum(math.ceil(tensor.numel / world_size) for tensor in facts.tensors)


def communication(facts: ModelFacts, setting: Setting) -> int:
    """Bytes that each rank sends in one optimiser step (ring algorithms); nothing is sent to oneself.

    Averaging a gradient sends it twice (reduce-scatter, all-gather). FSDP2 and ZeRO-3 gather the weights for each
    forward and each backward pass; ZeRO-2 and 3 reduce after every micro-batch, the others once a step. DDP sends
    of a token table only the rows of the batch.
    """
    gradient, size = WORD * facts.gradient_numel, setting.world_size
    gathered = WORD * sum(facts.unit_sizes.values())
    outermost = WORD * facts.unit_sizes.get(-1, 0)
    match setting.strategy:
        case "single":
            sent = 0
        case "ddp":
            table = facts.tensors[facts.table] if facts.table is not None else Tensor(1, 0, True, -1)
            tokens = size * setting.rows * setting.accumulation * setting.length
            named = min(table.rows, tokens) * (table.numel // table.rows)
            sent = 2 * (gradient - WORD * (table.numel - named))
        case "zero1":
            sent = 2 * gradient
        case "zero2":
            sent = (setting.accumulation + 1) * gradient
        case "fsdp2":
            sent = setting.accumulation * (2 * gathered - outermost + gradient)
        case "zero3" | "zero3_offload":
            sent = setting.accumulation * (2 * gathered + gradient)
        case _:
            assert_never(setting.strategy)
    return sent * (size - 1) // size


def _replicated(facts: ModelFacts, setting: Setting) -> Iterator[_Moment]:
    """Everything whole. DDP's gradients are views of buckets that stay; a token table is summed by itself.

    In shared memory each rank has a box for its gradients, and its part of another one for the sums.
    """
    numels = {interval.tensor: WORD * facts.tensors[interval.tensor].numel for interval in facts.backward}
    stays = set(numels) if setting.accumulation > 1 else set()
    sent, shared = set(numels) - {facts.table}, 0
    if setting.strategy == "ddp" and setting.shared_memory:
        shared = sum(numels[tensor] for tensor in sent) * (setting.world_size + 1) // setting.world_size
    elif setting.strategy == "ddp":
        stays |= sent
    made = sum(numels[tensor] for tensor in stays)
    yield _Moment(made, facts.evaluation.at(setting.evaluated_rows), shared)
    for interval in facts.backward:
        yield _Moment(made, interval.peak.at(setting.rows), shared, backward=True)
        made += 0 if interval.tensor in stays else numels[interval.tensor]
    yield _Moment(made, 0, shared + (_largest(facts) if setting.optimizer == "adafactor" else 0))


def _fully_sharded(facts: ModelFacts, setting: Setting) -> Iterator[_Moment]:
    """Shards, and what is gathered: the outermost unit all the time, the unit at work, and the next one's flat copy.

    A unit's whole gradient is copied flat to be scattered; that copy lives until the next unit is scattered.
    What an earlier micro-batch left is there as shards.
    """
    sizes, size = facts.unit_sizes, setting.world_size
    outermost = WORD * sizes.get(-1, 0)
    groups = list(_by_unit(facts))
    trained = [WORD * sum(facts.tensors[i.tensor].numel for i in group) for _, group in groups]
    frozen = [WORD * number for unit, number in sizes.items() if unit not in {unit for unit, _ in groups} | {-1}]
    largest = max((WORD * number for unit, number in sizes.items() if unit != -1), default=0)
    evaluated = facts.evaluation.at(setting.evaluated_rows)
    yield _Moment(0, evaluated, outermost + 2 * largest)
    shares = [WORD * sum(_rows_share(facts.tensors[i.tensor], size) for i in group) for _, group in groups]
    kept = setting.accumulation > 1
    sharded, scattering, whole = sum(shares) if kept else 0, 0, 0
    for number, (unit, group) in enumerate(groups):
        own = WORD * sizes.get(unit, 0) if unit != -1 else 0
        after = WORD * sizes.get(groups[number + 1][0], 0) if number + 1 < len(groups) else max(frozen, default=0)
        for interval in group:
            gathered = outermost + own + after + scattering
            yield _Moment(sharded + whole, interval.peak.at(setting.rows), gathered, backward=True)
            whole += WORD * facts.tensors[interval.tensor].numel
        sharded += 0 if kept else shares[number]
        scattering = trained[number]
        rest = group[-1].rest.at(setting.rows)
        yield _Moment(sharded + whole, rest, outermost + after + scattering, backward=True)
        whole -= trained[number]
    yield _Moment(sharded, 0)


def _gradients_sharded(facts: ModelFacts, setting: Setting) -> Iterator[_Moment]:
    """ZeRO-1 and 2: whole weights; gradients pass through a bucket to the rank that steps with them."""
    share = WORD * _flat_share(facts.gradient_numel, setting.world_size)
    kept = 0
    if setting.accumulation > 1:
        kept = WORD * facts.gradient_numel if setting.strategy == "zero1" else share
    bucket = WORD * min(facts.gradient_numel, LARGEST_BUCKET)
    yield _Moment(0, facts.evaluation.at(setting.evaluated_rows))
    waiting, reduced = 0, 0
    for interval in facts.backward:
        yield _Moment(kept + reduced, interval.peak.at(setting.rows), bucket, backward=True)
        waiting += WORD * facts.tensors[interval.tensor].numel
        if waiting >= bucket:
            reduced, waiting = reduced + waiting // setting.world_size, 0
    yield _Moment(kept + share, 0, bucket)
    yield _Moment(max(kept, share), 0, share)


def _partitioned(facts: ModelFacts, setting: Setting) -> Iterator[_Moment]:
    """ZeRO-3: gradient partitions and bucket stay, and a second bucket is filled while the first is sent.

    Weights are fetched ahead, as many as a bucket holds; the one that is fetched now is there flat and in its shape.
    """
    offloads = setting.strategy == "zero3_offload"
    gradients = 0 if offloads else WORD * _flat_share(facts.gradient_numel, setting.world_size)
    bucket = min(facts.gradient_numel, LARGEST_BUCKET)
    backward = {facts.tensors[interval.tensor].unit for interval in facts.backward}
    fetched = [tensor.numel for tensor in facts.tensors if tensor.unit not in facts.idle]
    again = [tensor.numel for tensor in facts.tensors if tensor.unit in backward]
    ahead, behind = (min(sum(numels), bucket + 2 * max(numels, default=0)) for numels in (fetched, again))
    evaluated = facts.evaluation.at(setting.evaluated_rows)
    yield _Moment(gradients, evaluated, WORD * (2 * bucket + ahead))
    for interval in facts.backward:
        yield _Moment(gradients, interval.peak.at(setting.rows), WORD * (2 * bucket + behind), backward=True)


def _by_unit(facts: ModelFacts) -> Iterator[tuple[int, list[Interval]]]:
    """The intervals of each unit in the order in which the units' gradients become whole."""
    groups: dict[int, list[Interval]] = {}
    for interval in facts.backward:
        groups.setdefault(facts.tensors[interval.tensor].unit, []).append(interval)
    outermost = groups.pop(-1, None)
    yield from groups.items()
    if outermost:
        yield -1, outermost  # scattered when the whole backward pass is done


def _rows_share(tensor: Tensor, world_size: int) -> int:
    return math.ceil(tensor.rows / world_size) * (tensor.numel // max(1, tensor.rows))


def _flat_share(numel: int, world_size: int) -> int:
    """Elements of a flat group that one rank has."""
    return math.ceil(numel / (ALIGNED * world_size)) * ALIGNED
