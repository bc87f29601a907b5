"""Several recipes under one strategy, in ranks that join once: from the model to the proof of what was saved.

What a run does, without a folder, a plan's gates and new processes for each. `python spread.py ORDER RANK` is one rank.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

STEPS = 3


def losses_of(recipes, strategy, size, folder):
    """`{name: {"losses": of each step, "proof": of the saved model}}`, of `{name: (recipe, what prepare gave)}`."""
    from launcher.recipe.recipe import document

    folder.mkdir()
    listed = {name: {"recipe": document(recipe), "prepared": prepared} for name, (recipe, prepared) in recipes.items()}
    order = {"strategy": strategy, "size": size, "folder": str(folder), "recipes": listed}
    (folder / "order.json").write_text(json.dumps(order))
    here = {**os.environ, "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size)}
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder / "order.json"), str(rank)],
            stderr=subprocess.PIPE,
            env={**here, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(size)
    ]
    said = [rank.communicate(timeout=300)[1].decode() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * size, said[0][-3000:] + said[-1][-3000:]
    return json.loads((folder / "told.json").read_text())


def trained(recipe, prepared, strategy, world, folder):
    """Three steps of this recipe, all ranks together; on rank 0 the losses and the proof."""
    import torch

    from launcher.host.facts import Facts
    from launcher.plan import plan as planning
    from launcher.plan.placement import Placement
    from launcher.recipe.recipe import resolve
    from launcher.training.batches.order import global_batches, share
    from launcher.training.batches.split import Split
    from launcher.training.initial_model import initial_model
    from launcher.training.methods import method_work
    from launcher.training.model_parts.sparse_table import compact
    from launcher.training.result.result import Result
    from launcher.training.sources import load_tokenizer
    from launcher.training.strategies import build, verify
    from launcher.training.tasks import work_for
    from launcher.training.tasks.base import Reader
    from launcher.training.tasks.collate import Batches

    place, labels, training = Path(prepared["folder"]), prepared["labels"], recipe.training
    loaded, facts = resolve(recipe, Path("recipe.py"), "", {}), Facts(cores=2, memory_bytes=1 << 34)
    plan = planning.make(loaded, facts, Placement(world.size, strategy, "cpu"), prepared, {})
    work = work_for(recipe.task, Reader(labels, load_tokenizer(place), prepared["max_length"]))
    train, batches, method = (
        Split.load(place / "train.safetensors"),
        Batches(work, world.device),
        method_work(recipe.peft),
    )
    spread = build(plan, world)
    spread.rows_alone = not work.feeds_any_token

    def initial():
        model = initial_model(recipe, labels, place)
        if spread.rows_alone:
            compact(model, train.token_ids, int(work.tokenizer.pad_token_id or 0))
        return model

    spread.wrap(initial(), training)
    verify(spread)
    spread.wrapped.train()
    losses = []
    for batch in global_batches(train.cost, training.batch_size, 0, 0)[:STEPS]:
        (part,) = share(batch, world.rank, world.size, plan.micro_batch_size)
        with spread.micro_batch(last=True):
            inputs, wanted = batches(train, part.rows)
            loss = work.loss(spread.outputs(inputs, work.outputs), wanted)["loss"] / train.targets["loss"][batch].sum()
            spread.backward(loss if part.counts else loss * 0.0)
        spread.update(lambda rows=batch: train.distinct_tokens(rows))
        losses.append(float(world.total(loss.detach() * float(part.counts))))
    torch.manual_seed(0)
    validation = Split.load(place / "validation.safetensors")
    result = Result(recipe, spread, method, place, labels, prepared["max_length"], validation, batches, initial)
    return {"losses": losses, "proof": result.save_and_prove(folder)}


def main(order, rank):
    """One rank: all recipes, one after another."""
    import torch
    from torch import distributed

    from launcher.recipe.recipe import from_document
    from launcher.training.distributed.world import World

    torch.set_num_threads(1)
    folder, size = Path(order["folder"]), order["size"]
    if size > 1:
        store = distributed.FileStore(str(folder / "meeting"), size)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
    world, told = World(rank, rank, size, torch.device("cpu")), {}
    for name, one in order["recipes"].items():
        made = folder / name.replace(" ", "-")
        told[name] = trained(from_document(one["recipe"]), one["prepared"], order["strategy"], world, made)
    if rank == 0:
        (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2]))
