"""One run on several machines: what is promised, and which variables each rank gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.host.facts import Facts
from launcher.launch.node import Machine, rank_environment
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.plan.plan import Plan
from launcher.plan.rules import judge
from launcher.recipe.recipe import LoadedRecipe

FACTS = Facts(cores=8, memory_bytes=1 << 34)
PREPARED = {"folder": "/prepared", "rows": {"train": 100}}


@pytest.fixture
def plan(loaded: LoadedRecipe) -> Plan:
    return planning.make(loaded, FACTS, Placement(processes=2, nodes=4, device="cpu"), PREPARED, {})


def test_the_processes_of_all_nodes_share_the_global_batch(plan: Plan) -> None:
    assert (plan.world_size, plan.nodes, plan.processes_per_node) == (8, 4, 2)
    assert (plan.batch_size, plan.micro_batch_size, plan.strategy) == (16, 2, "ddp")
    assert plan.threads_per_process == 4, "a node's cores are shared by the node's processes"


def test_each_rank_knows_its_place(plan: Plan) -> None:
    machine = Machine(2, ("10.0.0.1", 2345), "eth0")
    assert rank_environment(plan, 5, machine) == {
        **{"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "2"},
        **{"OMP_NUM_THREADS": "4", "GLOO_SOCKET_IFNAME": "eth0", "NCCL_SOCKET_IFNAME": "eth0"},
        **{"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "2345"},
    }
    assert "GLOO_SOCKET_IFNAME" not in rank_environment(replace(plan, nodes=1), 5)


def test_a_plan_of_before_there_were_nodes_is_on_one(plan: Plan) -> None:
    document = plan.document()
    del document["nodes"]
    assert planning.from_document(document).processes_per_node == 8


@pytest.mark.parametrize(
    ("placement", "what", "do"),
    [
        (Placement(processes=3, nodes=2), "16 cannot be shared evenly by 6 processes", "the number of processes"),
        (Placement(processes=1, nodes=2, strategy="single"), "strategy single is one process, not 2", "ddp"),
    ],
)
def test_rules_count_the_processes_of_all_nodes(loaded: LoadedRecipe, placement: Placement, what: str, do: str) -> None:
    (problem,) = judge(loaded, FACTS, placement)
    assert what in problem.what
    assert do in problem.do
    assert judge(loaded, FACTS, Placement(processes=2, nodes=2)) == []


def test_the_line_by_hand_names_what_differs_on_each_machine(plan: Plan) -> None:
    assert planning.command_by_hand(plan, "r.py", "ddp.yaml", ["--name", "a b"]) == (
        "accelerate launch --config_file ddp.yaml --num_processes 8 --num_machines 4 --machine_rank K "
        "--main_process_ip HOST --main_process_port PORT r.py --name 'a b'"
    )
    assert "--num_machines" not in planning.command_by_hand(replace(plan, nodes=1), "r.py", "ddp.yaml", [])
