"""One process under a sharding strategy, bf16, a model that cannot be sharded, DeepSpeed that cannot start."""

import pytest
from warm import largest_difference

from launcher.plan import rules

SHARDING = ("fsdp2", "zero1", "zero2", "zero3")
STEPS = 4
SCALAR = """
import os
if "RANK" in os.environ:
    import torch
    from launcher.training import rank
    initial = rank.initial_model
    def with_a_scalar(*about):
        model = initial(*about)
        model.register_parameter("scale", torch.nn.Parameter(torch.tensor(1.0)))
        return model
    rank.initial_model = with_a_scalar
"""
BROKEN = """
import os
if "RANK" in os.environ:
    import sys
    for name in [name for name in sys.modules if name.split(".")[0] == "deepspeed"]:
        del sys.modules[name]
    class Refuses:
        def find_spec(self, name, *about):
            if name == "deepspeed":
                raise RuntimeError("op_builder: no CUDA_HOME")
    sys.meta_path.insert(0, Refuses())
"""


@pytest.mark.parametrize("name", ["ddp", *SHARDING])
def test_one_process_is_enough(warm, name):
    alone = warm.finished("bert", "LoRA", max_steps=STEPS)
    same = warm.finished("bert", "LoRA", name, 1, max_steps=STEPS)
    assert same.outcome["in_force"]["name"] == name and same.outcome["world_size"] == 1
    assert largest_difference(alone.losses, same.losses, STEPS) <= 1e-6


@pytest.mark.parametrize("name", ["ddp", *SHARDING])
def test_bf16_is_computed_under_every_strategy(warm, name):
    from launcher.host.machine_facts import facts

    if not facts().cpu_bf16:
        pytest.skip("this CPU has no bf16 arithmetic")
    exact = warm.finished("bert", "Full", max_steps=STEPS)
    alone = warm.finished("bert", "Full", max_steps=STEPS, precision="bf16")
    many = warm.finished("bert", "Full", name, 2, max_steps=STEPS, precision="bf16")
    assert many.outcome["precision"] == "bf16"
    assert largest_difference(exact.losses, many.losses, STEPS) > 1e-6, "bf16 rounds visibly"
    assert largest_difference(alone.losses, many.losses, STEPS) < 0.01
    assert many.outcome["proof"]["largest_logit_difference"] <= 1e-5


@pytest.mark.parametrize("name", SHARDING)
def test_a_compacted_table_trains_and_is_saved_whole(warm, name):
    """The BERT's table has 164 rows, of which the data names 63 and padding one: they train, the others are kept."""
    from safetensors.torch import load_file

    one = warm.finished("bert", "Full", max_steps=STEPS)
    many = warm.finished("bert", "Full", name, 2, max_steps=STEPS)
    saved = [load_file(run.folder.model / "model.safetensors") for run in (one, many)]
    (key,) = [key for key in saved[0] if key.endswith("word_embeddings.weight")]
    began = load_file(warm.bert / "model.safetensors")["embeddings.word_embeddings.weight"]
    for tables in saved:
        assert tables[key].shape == began.shape == (164, 32)
        assert (tables[key][64:] == began[64:]).all(), "rows that no text names stay as they were"
        assert (tables[key][4:64] != began[4:64]).any(dim=1).all(), "rows that are named have moved"
    assert (saved[0][key] - saved[1][key]).abs().max() <= 1e-4


def test_a_parameter_without_dimensions_is_refused_in_a_sentence(warm):
    run = warm.run("mean", "Full", "fsdp2", 2, before=SCALAR, max_steps=STEPS)
    told = run.failures()
    assert told and not run.losses
    assert set(told.values()) == {"fsdp2 cannot shard a parameter without dimensions: scale"}


def test_a_broken_deepspeed_is_refused_in_a_sentence(warm):
    run = warm.run("mean", "Full", "zero2", 2, before=BROKEN, max_steps=STEPS)
    told = run.failures()
    assert told and not run.losses
    assert set(told.values()) == {"DeepSpeed cannot start: RuntimeError: op_builder: no CUDA_HOME"}


@pytest.mark.parametrize("name", ["zero1", "zero3"])
def test_a_rank_log_holds_no_noise(warm, name):
    run = warm.finished("mean", "Full", name, 2, max_steps=STEPS)
    first, second = (run.folder.attempt(1).log(rank).read_text() for rank in range(2))
    noise = [line for line in (first + second).splitlines() if "WARNING" in line or "deprecated" in line.lower()]
    assert noise == []
    assert len(first.splitlines()) < 20 and second == ""


def test_offload_is_the_same_curve_and_goes_on(warm, monkeypatch):
    """Without a GPU there is nothing to offload from, so a rule refuses it; DeepSpeed's machinery runs all the same."""
    monkeypatch.setattr(rules, "_strategy", lambda *about: iter(()))
    values = {"max_steps": 20, "checkpoint_every": 5, "keep_checkpoints": 9, "evaluate_every": 20}
    ours = warm.finished("mean", "Full", "zero3", 2, **values)
    offloaded = warm.finished("mean", "Full", "zero3_offload", 2, **values)
    assert offloaded.outcome["in_force"]["deepspeed"]["zero_optimization"]["offload_optimizer"]["device"] == "cpu"
    assert largest_difference(ours.losses, offloaded.losses, 20) <= 1e-6
    resumed = warm.resume(offloaded, 10, "zero3_offload", 2)
    assert resumed.losses == offloaded.losses
