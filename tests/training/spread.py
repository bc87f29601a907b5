"""Several recipes under several strategies, in ranks that join once each: from the model to the proof of the saved one.

What a run does, without a folder, a plan's gates and new processes for each: `python spread.py FOLDER` imports the
libraries once and forks the ranks of one order after another.
"""

import json
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path

STEPS = 3


def losses_of(orders, folder):
    """`{"fsdp2 2": {name: {"losses": of each step, "proof": of the saved model}}}`.

    `orders` are `{"fsdp2 2": {name: (recipe, what prepare gave)}}`: under each strategy, on so many processes. The
    models are saved in `folder / "fsdp2 2" / name`, with - for what is neither a letter nor a digit.
    """
    from launcher.recipe.recipe import document

    written = {
        order: {
            name: {"recipe": document(recipe), "prepared": prepared} for name, (recipe, prepared) in recipes.items()
        }
        for order, recipes in orders.items()
    }
    (folder / "orders.json").write_text(json.dumps(written))
    here = {**os.environ, "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run([sys.executable, __file__, str(folder)], stderr=subprocess.PIPE, env=here, timeout=500)
    assert done.returncode == 0, done.stderr.decode()[-5000:]
    return {order: json.loads((folder / order / "told.json").read_text()) for order in orders}


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


def one_rank(recipes, strategy, size, rank, folder):
    """One rank of an order: all its recipes, one after another."""
    import torch
    from torch import distributed

    from launcher.recipe.recipe import from_document
    from launcher.training.distributed.world import World

    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    if size > 1:
        store = distributed.FileStore(str(folder / "meeting"), size)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
    world, told = World(rank, rank, size, torch.device("cpu")), {}
    for name, one in recipes.items():
        made = folder / re.sub(r"\W", "-", name)
        told[name] = trained(from_document(one["recipe"]), one["prepared"], strategy, world, made)
    if rank == 0:
        (folder / "told.json").write_text(json.dumps(told))


def main(folder):
    """All orders; exit code 1 where a rank breaks."""
    import deepspeed  # noqa: F401 (imported before the ranks are forked, as is all that follows)
    import peft  # noqa: F401
    import torch

    from launcher.worker.rank import import_heavy

    import_heavy(("transformers.models.bert.modeling_bert",))
    torch.set_num_threads(1)
    for order, recipes in json.loads((folder / "orders.json").read_text()).items():
        strategy, size = order.split()
        (folder / order).mkdir()
        ranks = []
        for rank in range(int(size)):
            if (child := os.fork()) == 0:
                code = 1
                try:
                    one_rank(recipes, strategy, int(size), rank, folder / order)
                    code = 0
                except Exception:
                    traceback.print_exc()
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            ranks.append(child)
        if any([os.waitpid(child, 0)[1] for child in ranks]):
            sys.exit(f"under {order} a rank broke")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
