"""Messages that no worker should have to meet."""

import random
from uuid import uuid4

from bad_messages import CASES, WAITING_CASE, Case, make_entry
from faults.arms import with_fields
from faults.fault import Fault, Sizes, letters_of
from faults.stage import Setup, Stage, patient_client

NEIGHBOURS = 20
FEW_DELIVERIES = 3


def begun(stage: Stage, task_id: str) -> int:
    """How often a task has begun."""
    return sum(run.task_id == task_id for run in stage.ledger.runs())


class CrashingTask(Fault):
    """A task that takes its process along each time (SIGSEGV), among others that do not.

    It begins no more often than maxDeliveries, then its message is a dead letter that says why; its
    neighbours run once.
    """

    name = "poison: SIGSEGV of its process"
    sizes = Sizes(short=1, medium=2, full=5)
    setup = Setup(settle_limit_s=45.0)
    task = "faults.crash"

    def __init__(self) -> None:
        self.poison: list[str] = []

    def inject(self, stage: Stage, times: int) -> None:
        self.poison = []
        for _ in range(times):
            stage.bulk(NEIGHBOURS, seconds=0.05)
            task_id = stage.send(self.task)
            if task_id is not None:
                self.poison.append(task_id)
            stage.inject()

    def check(self, stage: Stage) -> None:
        limit = stage.setup.fields.max_deliveries
        for task_id in self.poison:
            times = begun(stage, task_id)
            stage.expect(times <= limit, f"poison ran {times} times, maxDeliveries is {limit}")
            letters = letters_of(stage, task_id)
            stage.expect(len(letters) == 1, f"poison is a dead letter {len(letters)} times")
            stage.expect(all(letter.reason for letter in letters), "no reason is told")
        others = [i for i in self.accounted(stage) if i not in self.poison]
        ran = sum(begun(stage, task_id) > 0 for task_id in others)
        stage.expect(
            not others, f"{len(others)} neighbours became dead letters, {ran} of them had run"
        )


class WorkerKillingTask(CrashingTask):
    """A task that takes its whole worker along each time (SIGKILL), among others that do not.

    Nobody is left to say so: its deliveries are counted where it lies. Workers are started anew, as
    by a Deployment.
    """

    name = "poison: SIGKILL of its worker"
    sizes = Sizes(short=0, medium=1, full=3)
    setup = Setup(
        fields=with_fields(max_deliveries=FEW_DELIVERIES), restarts=15, settle_limit_s=75.0
    )
    task = "faults.kill_worker"
    workers_may_end = True

    def check(self, stage: Stage) -> None:
        super().check(stage)
        for run in stage.ledger.runs():
            if run.task_id in self.poison:
                stage.ledger.cut(run.worker, run.started_s)


class UnknownTask(Fault):
    """Messages for a task that the worker does not know, as during a rolling upgrade: dead letters."""

    name = "unknown task"
    sizes = Sizes(short=5, medium=20, full=20)

    def inject(self, stage: Stage, times: int) -> None:
        for _ in range(times):
            stage.send("faults.nobody_knows")
            stage.bulk(1)
            stage.inject()


class BadMessages(Fault):
    """Whatever may be pushed onto a list that is no message, or a broken one, among good ones.

    Each runs, fails, or is a dead letter; the worker's parent is the same process throughout.
    """

    name = "bad messages of every kind"
    sizes = Sizes(short=len(CASES), medium=len(CASES), full=len(CASES))
    setup = Setup(workers=1, settle_limit_s=60.0)
    may_wait = 1

    def __init__(self) -> None:
        self.entries: dict[str, tuple[Case, bytes]] = {}

    def inject(self, stage: Stage, times: int) -> None:
        self.entries = {}
        cases = list(CASES.values())[:times]
        random.Random(stage.rng.random()).shuffle(cases)
        for case in cases:
            task_id, entry = make_entry(case, stage.publisher.copy)
            self.entries[task_id] = (case, entry)
            if case.name == WAITING_CASE:  # in time it will run: it is not waited for
                stage.client.lpush(stage.lane, entry)
            else:
                stage.publisher.push({task_id: entry})
            stage.bulk(2)
            stage.inject()

    def accounted(self, stage: Stage) -> set[str]:
        """Dead letters, and tasks that have an outcome though they never began."""
        letters = stage.dead_letters()
        answered = {i for i in self.entries if stage.client.exists(f"celery-task-meta-{i}")}
        started = {run.task_id for run in stage.ledger.runs()}
        dead = {
            task_id
            for task_id, (_, entry) in self.entries.items()
            if any(letter.is_of(task_id, entry) for letter in letters)
        }
        return answered | dead | (started & self.entries.keys())

    def check(self, stage: Stage) -> None:
        left = self.entries.keys() - self.accounted(stage) - self.done(stage)
        names = sorted(self.entries[task_id][0].name for task_id in left)
        waits = names == [WAITING_CASE] and stage.held() == 1
        stage.expect(waits or not names, f"neither run nor kept: {', '.join(names)}")
        stage.expect(waits or not stage.held(), "a message is held though all have an outcome")

    @staticmethod
    def done(stage: Stage) -> set[str]:
        """Ids of tasks that ended."""
        return {run.task_id for run in stage.ledger.runs() if run.ended_s is not None}


class Oversize(Fault):
    """A message of 100 MB, past every door: it is a dead letter, or it runs. The worker lives on."""

    name = "message of 100 MB"
    sizes = Sizes(short=0, medium=1, full=2)
    bytes = 100 * 2**20

    def inject(self, stage: Stage, times: int) -> None:
        for _ in range(times):
            stage.bulk(NEIGHBOURS, seconds=0.01)
            task_id = str(uuid4())
            message = stage.publisher.copy(task_id, "faults.work", {"padding": "x" * self.bytes})
            with patient_client(stage.redis.admin_url) as client:
                client.lpush(stage.lane, message)
            stage.ledger.accept(task_id)
            stage.bulk(NEIGHBOURS, seconds=0.01)
            stage.inject()


class Backlog(Fault):
    """A backlog that was there before: 100,000 messages in the full run; all of them run, once."""

    name = "backlog"
    sizes = Sizes(short=0, medium=3_000, full=100_000)
    setup = Setup(settle_limit_s=2_400.0)  # it ends earlier when nothing moves
    at_once = 1_000

    def inject(self, stage: Stage, times: int) -> None:
        for _ in range(0, times, self.at_once):
            stage.inject(len(stage.bulk(self.at_once)))
