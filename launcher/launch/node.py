"""One node's ranks for one attempt: start them from the fork server, watch them, end them, say why they ended.

It decides nothing about a next attempt. Signals go to the ranks themselves, so they arrive whatever happened to the
process that forked them.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from launcher.errors import Problem, WorkerError
from launcher.launch.fork_server import ForkServer, Rank, kill_strays
from launcher.plan.plan import Plan
from launcher.recipe.method import FrozenBase
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import Static
from launcher.runs.attempt import AttemptFolder
from launcher.runs.pulse import SHOW_STACKS
from launcher.runs.root_cause import ENDED_WELL, causes, process_fault
from launcher.runs.run_folder import RunFolder
from launcher.runs.watchdog import Watchdog

SECONDS_TO_SPEAK = 2.0
"""After one rank failed the others get this long to report their own failure before they are killed."""
SECONDS_TO_SAVE = 60.0
"""After a stop request the ranks get this long, or two of their slowest steps, to begin to save. Saving itself has no
limit: a user who cannot wait asks twice, and a scheduler ends the job at its own limit."""
SECONDS_TO_SHOW = 1.0
"""A rank that hangs gets this long to write where it is."""
SECONDS_TO_REPORT, SECONDS_TO_DIE = 2.0, 10.0
"""The fork server has this long to report that the last rank has ended, or that all were killed."""


@dataclass(frozen=True)
class Machine:
    """Which of an attempt's machines this is, and where all ranks meet: at a file on a lone one."""

    number: int = 0
    head: tuple[str, int] | None = None
    """Address and port on the first machine."""
    interface: str = ""
    """The network interface through which this machine reaches the first one, or by which it is reached."""


ALONE = Machine()


@dataclass
class Node:
    """The process that forks this node's ranks, a spare one, and the ranks."""

    server: ForkServer
    modules: tuple[str, ...] = ()
    spare: ForkServer | None = None
    running: set[int] = field(default_factory=set)
    ended: dict[int, tuple[int, float]] = field(default_factory=dict)
    killed_at: float | None = None
    ranks: dict[int, Rank] = field(default_factory=dict)
    """The processes of the ranks that run."""
    watchdog: Watchdog | None = None
    stop_level: int = 0
    """How many of the requests to stop were passed on to the ranks."""
    deadline: float = float("inf")
    """When the ranks are killed."""
    stop_by: float = float("inf")
    gone: float | None = None
    """Since when all ranks have ended while the fork server has not reported it."""
    lost: WorkerError | None = None
    """Why the process that forks the ranks is of no use any more."""
    session: int = field(init=False)

    def __post_init__(self) -> None:
        self.session = self.server.pid

    @classmethod
    def open(cls, modules: tuple[str, ...] = ()) -> Node:
        """Start the fork server; it imports while the caller goes on.

        `modules` are those that its ranks will need in addition (`modules_for`).
        """
        return cls(ForkServer.open(modules), modules)

    def start(
        self, plan: Plan, folder: RunFolder, attempt: AttemptFolder, began: float, machine: Machine = ALONE
    ) -> None:
        """Fork this machine's ranks; also for a next attempt, or another run, once those before have ended."""
        first = machine.number * plan.processes_per_node
        mine = range(first, first + plan.processes_per_node)
        ranks = []
        for rank in mine:
            ranks.append(
                {
                    "rank": rank,
                    "environment": rank_environment(plan, rank, machine),
                    "log": str(attempt.log(rank)),
                    "arguments": {
                        "folder": str(folder.path),
                        "attempt": attempt.number,
                        "rank": rank,
                        "began": began,
                        "head": machine.head,
                    },
                }
            )
        if self.lost is not None or self.server.poll() is not None:
            self._replace()
        self.running, self.ended, self.killed_at, self.ranks = set(mine), {}, None, {}
        self.stop_level, self.deadline, self.stop_by, self.gone = 0, float("inf"), float("inf"), None
        self.watchdog = self.watchdog or Watchdog(attempt)
        self.watchdog.begin(attempt, plan.hang_seconds, alone=plan.nodes == 1)
        self.server.say({"fork": ranks})

    def watch(self, tick: Callable[[], None], stop_asked: Callable[[], int]) -> None:
        """Return when every rank has ended. `tick` is called about five times a second.

        `stop_asked` counts the requests to stop so far: at the first the ranks are to save and end, at the second
        they are killed.
        """
        while self.running and self.lost is None:
            self._listen(0.2)
            tick()
            if stop_asked() > self.stop_level:
                self._ask(stop_asked())
            if any(status not in ENDED_WELL for status, _ in self.ended.values()):
                self.deadline = min(self.deadline, time.monotonic() + SECONDS_TO_SPEAK)
            self._look_for_hangs()
            if time.monotonic() > self.deadline and self.killed_at is None:
                self._kill()
            self._look_at_server()
        if self.lost is not None:
            self._bury()
        self._let_go()
        tick()

    def close(self) -> None:
        """End the fork server and with it whatever still runs."""
        for server in (self.spare, self.server):
            if server is not None:
                server.end()
        self.spare = None
        self._let_go()

    def failure(self, attempt: AttemptFolder) -> WorkerError | None:
        """Why the attempt failed: the root cause first. None when every rank ended well."""
        candidates = causes(attempt, self.ended, self.killed_at)
        first = min(candidates, key=lambda cause: cause[:2], default=None)
        # what a rank reported before counts more
        return self.lost if self.lost is not None and (first is None or first[0]) else first[2] if first else None

    def _ask(self, level: int) -> None:
        """Have the ranks save and end; at once where there is nothing to save, or at the second request."""
        self.stop_level = level
        if level > 1:
            self._kill()
        elif self.watchdog is None or not self.watchdog.trains(self._processes()):
            self.lost = WorkerError(Problem("stopped before there was anything to save"))
        else:
            for rank in self.ranks.values():
                rank.signal(signal.SIGTERM)
            self.stop_by = time.monotonic() + max(SECONDS_TO_SAVE, 2 * self.watchdog.slowest_step)

    def _kill(self) -> None:
        self.killed_at = self.killed_at or time.time()
        for rank in self.ranks.values():
            rank.signal(signal.SIGKILL)

    def _look_for_hangs(self) -> None:
        if self.watchdog is None or self.killed_at is not None or self.deadline < float("inf"):
            return
        hang = self.watchdog.hang(self._processes())
        if hang is not None:
            for rank in self.ranks.values():
                rank.signal(SHOW_STACKS)
            self.deadline = time.monotonic() + (0.0 if hang.doing == "stopped" else SECONDS_TO_SHOW)
        elif time.monotonic() > self.stop_by and not self.watchdog.saving:
            self.deadline = 0.0

    def _look_at_server(self) -> None:
        """Whether it still reports what happens to the ranks, and whether a spare one is there to take over."""
        code = self.server.poll()
        if code is not None:
            while self._listen(0.0):
                pass
            self._lose(f"ended with status {code}")
        if self.watchdog is None or self.lost is not None:
            return
        now = self.watchdog.clock.awake(time.monotonic())
        if why := self.server.stands_still(now, self.watchdog.judge.hang_seconds):
            self._lose(why)
        gone = len(self.ranks) == len(self.running) > 0 and all(rank.gone() for rank in self.ranks.values())
        self.gone = (self.gone if self.gone is not None else now) if gone else None
        if self.gone is not None and now - self.gone > SECONDS_TO_REPORT:
            self._lose("does not report how they ended")
        elif self.killed_at is not None and time.time() - self.killed_at > SECONDS_TO_DIE:
            self._lose("does not report that they ended")
        if self.server.ready and (self.spare is None or self.spare.hung_up or self.spare.poll() is not None):
            if self.spare is not None:
                self.spare.end()
            self.spare = self.server.spare()
        elif self.spare is not None:
            self.spare.heard()

    def _lose(self, why: str) -> None:
        if self.running and self.lost is None:
            self.lost = process_fault(Problem(f"the process that starts the ranks {why}"))
            self.lost.victim = ("", why.split(" for ")[0])

    def _bury(self) -> None:
        """The process that forked the ranks is of no use any more: end it, and the ranks with it."""
        self._kill()
        self.server.end()
        deadline = time.monotonic() + SECONDS_TO_DIE
        while not all(rank.gone() for rank in self.ranks.values()) and time.monotonic() < deadline:
            time.sleep(0.005)
        self.ended |= {rank: (-signal.SIGKILL, time.time()) for rank in self.running}
        self.running = set()

    def _replace(self) -> None:
        """Another fork server: the spare one, or a new one that has to import first."""
        self.server.end()
        self.lost, spare, self.spare = None, self.spare, None
        deadline = time.monotonic() + SECONDS_TO_REPORT
        while spare is not None and not spare.fit() and not spare.hung_up and time.monotonic() < deadline:
            time.sleep(0.005)
        if spare is not None and spare.fit():
            self.server = spare
            return
        if spare is not None:
            spare.end()
        self.server = ForkServer.open(self.modules)
        self.session = self.server.pid

    def _let_go(self) -> None:
        """Close the handles of the ranks' processes, which have ended; kill what they left behind."""
        for rank in self.ranks.values():
            rank.close()
        self.ranks = {}
        if self.spare is not None and not self.spare.ready and not self.spare.hung_up:
            self.spare.heard()
        servers = [server for server in (self.server, self.spare) if server is not None]
        if all(server.pid or server.hung_up for server in servers):  # one that is only just starting is not a stray
            kill_strays(self.session, [server.pid for server in servers])

    def _processes(self) -> dict[int, int]:
        return {number: rank.pid for number, rank in self.ranks.items()}

    def _listen(self, seconds: float) -> bool:
        messages = self.server.heard(seconds)
        for message in messages:
            if "started" in message:
                number = int(message["started"])
                self.ranks[number] = Rank(int(message["pid"]))
                if self.killed_at is not None:
                    self.ranks[number].signal(signal.SIGKILL)
            if "ended" in message:
                number = int(message["ended"])
                self.running.discard(number)
                if number in self.ranks:
                    self.ranks.pop(number).close()
                self.ended[number] = (int(message["status"]), float(message["time"]))
        return bool(messages)


def modules_for(recipe: Recipe, gpus: bool) -> tuple[str, ...]:
    """What the ranks of such a run import, so that the fork server does it once and while the data is prepared.

    Where there are GPUs, nothing that may initialise CUDA: that must not happen before a fork. Never DeepSpeed, which
    chooses its device when it is imported: only the rank knows the plan's.
    """
    if not isinstance(recipe.embedding, Static):
        names = ["launcher.training.sources.pretrained", "transformers.models.auto.modeling_auto"]
        names += [] if gpus else ["transformers.modeling_utils"]
    else:
        names = ["launcher.training.sources.static.static_model"]
    if not gpus and isinstance(recipe.peft, FrozenBase):
        names.append("peft")
    return tuple(names)


def rank_environment(plan: Plan, rank: int, machine: Machine = ALONE) -> dict[str, str]:
    """The ordinary variables of one rank; nothing of ours travels in the environment."""
    meeting = {}
    if machine.head is not None:  # we join by the address itself; accelerate asks for the variables all the same
        meeting = {"MASTER_ADDR": machine.head[0], "MASTER_PORT": str(machine.head[1])}
        meeting["GLOO_SOCKET_IFNAME"] = meeting["NCCL_SOCKET_IFNAME"] = machine.interface
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank % plan.processes_per_node),
        "WORLD_SIZE": str(plan.world_size),
        "LOCAL_WORLD_SIZE": str(plan.processes_per_node),
        "OMP_NUM_THREADS": str(plan.threads_per_process),
        **meeting,
    }
