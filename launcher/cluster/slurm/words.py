"""Slurm's words for how a job stands and why it refuses, and what they mean."""

from __future__ import annotations

WAITS = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING", "RESV_DEL_HOLD")
RUNS = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
REASONS = (
    ("Priority", "other jobs go first"),
    ("Resources", "waits for nodes to become free"),
    ("BeginTime", "waits for its time to begin; Slurm holds a job that was put back for a while"),
    ("DependencyNeverSatisfied", "a job it depends on has failed: it will never start"),
    ("Dependency", "waits for a job it depends on"),
    ("JobArrayTaskLimit", "waits for other tasks of its array: --at-once lets no more run"),
    ("JobHeldUser", "held by you: `scontrol release` lets it go"),
    ("JobHeldAdmin", "held by the cluster's administrators: ask them"),
    ("PartitionTimeLimit", "asks for more time than its partition allows: it will not start"),
    ("PartitionNodeLimit", "asks for more nodes than its partition allows: it will not start"),
    ("PartitionDown", "its partition takes no jobs now"),
    ("PartitionInactive", "its partition takes no jobs now"),
    ("ReqNodeNotAvail", "nodes that it needs are down, drained or reserved"),
    ("Reservation", "waits for its reservation"),
    ("QOS", "a limit of its QOS is reached: it waits for your other jobs"),
    ("Assoc", "a limit of your account is reached: it waits for your other jobs"),
    ("NodeDown", "a node that it needs is down"),
    ("BadConstraints", "no node is as it asks: it will not start"),
)
"""How Slurm's reasons begin, and what they mean."""
ENDS = {
    "TIMEOUT": "its time was over",
    "DEADLINE": "its deadline was over",
    "NODE_FAIL": "one of its nodes failed",
    "BOOT_FAIL": "one of its nodes did not start",
    "OUT_OF_MEMORY": "it took more memory than it had asked for",
    "PREEMPTED": "a more urgent job took its nodes",
    "REVOKED": "another cluster has it",
    "FAILED": "see slurm.log in the run's folder",
}
"""How a job can end that did not do what it was for."""
HINTS = (
    ("invalid partition", "`sinfo` lists the partitions"),
    ("partition not available", "it takes no jobs now: `sinfo` says which do"),
    ("invalid account", "`sacctmgr show associations user=$USER` lists your accounts"),
    ("invalid qos", "`sacctmgr show qos` lists the QOS names; your account may not use all"),
    ("time limit", "ask for less with --time, or choose another partition: `sinfo -o '%P %l'` lists their limits"),
    ("node configuration is not available", "no node has that much: `sinfo -o '%P %D %c %m %G'` lists what there is"),
    ("more processors", "no node has that many cores: `sinfo -o '%P %D %c'` lists what there is"),
    ("node count", "the partition has fewer nodes: `sinfo -o '%P %D'` lists them"),
    ("invalid job array", "an array may be this large: `scontrol show config | grep MaxArraySize`"),
    ("dependency problem", "look at the runs of --after with `launcher status`"),
    ("invalid feature", "`sinfo -o '%P %f'` lists the features that --constraint may name"),
    ("reservation is invalid", "`scontrol show reservations` lists them"),
    (
        "job violates accounting/qos policy",
        "`sacctmgr show qos` lists the limits; wait for your jobs, or ask less",
    ),
    ("unable to contact slurm controller", "the cluster's controller does not answer: ask its administrators"),
)
"""A part of a refusal, in lower case, and what to do about it."""


def standing(state: str, reason: str, after: str) -> tuple[str, str]:
    """`pending`, `running` or the word of how it ended; and why. `after` names the runs that it was to follow."""
    if state in WAITS:
        return "pending", f"waits for {after} ({reason})" if reason == "Dependency" and after else meaning(reason)
    if state in RUNS:
        return "running", ""
    if reason == "DependencyNeverSatisfied":
        return state, f"{after or 'a job it depends on'} did not finish, so it was never started ({reason})"
    return state, ENDS.get(state, "")


def meaning(reason: str) -> str:
    """A pending reason as a person would say it, with Slurm's own word."""
    words = next((words for mark, words in REASONS if reason.startswith(mark)), "")
    return f"{words} ({reason})" if words else reason


def hint(refusal: str) -> str:
    """What to do about a refusal; empty where we know nothing."""
    return next((hint for mark, hint in HINTS if mark in refusal.lower()), "")
