"""Processes that die or stand still without a word."""

import os
import signal
import time
from contextlib import suppress

from faults.arms import WorkerProcess, with_fields
from faults.fault import Fault, Sizes, mostly_short
from faults.stage import RECOVERY_LIMIT_S, Setup, Stage

STALL_S = 0.15
BEYOND_LEASE_S = RECOVERY_LIMIT_S + 1.0
OUTLASTING_S = BEYOND_LEASE_S - 2.0
"""A task that ends while its worker is out of sight, and runs elsewhere when it comes back."""


class ChildKill(Fault):
    """A pool process is killed mid-task, as by the kernel when memory runs out.

    Its task runs again at once, elsewhere; the tasks of its neighbours do not notice.
    """

    name = "child SIGKILL mid-task"
    sizes = Sizes(short=4, medium=10, full=50)

    def inject(self, stage: Stage, times: int) -> None:
        with stage.load(0.1, 0.2):
            while stage.injected < times:
                runs = stage.wait_until_running(1)
                stage.pause(0.0, 0.1)
                runs = [r for r in stage.running() if r.pid in stage.of(r).children()]
                if not runs:
                    continue
                run, now = stage.rng.choice(runs), time.monotonic()
                with suppress(ProcessLookupError):
                    os.kill(run.pid, signal.SIGKILL)
                stage.ledger.cut(run.worker, now, run.pid)
                stage.inject()


class ParentKill(Fault):
    """A worker is killed with all its processes, at a random moment under a backlog.

    One worker of four is spared throughout; the others are replaced.
    """

    name = "worker SIGKILL under backlog"
    sizes = Sizes(short=4, medium=15, full=300)
    setup = Setup(workers=4)
    spared = 1

    def inject(self, stage: Stage, times: int) -> None:
        spared = stage.alive()[: self.spared]
        with stage.load(*mostly_short(0.2)):
            while stage.injected < times:
                at_work = stage.wait_until_at_work(2)  # one of them stays for now
                if not at_work:
                    return
                stage.pause(0.0, 0.3)
                self.strike(stage, stage.rng.choice([w for w in at_work if w not in spared]))
                stage.inject()
                stage.begin()

    def strike(self, stage: Stage, worker: WorkerProcess) -> None:
        """End it."""
        stage.kill(worker)


class Churn(ParentKill):
    """Workers are killed at a random moment under a backlog, and none is spared.

    None lives for more than some seconds, as in a crash loop; whoever lives looks after what the
    dead have held.
    """

    name = "worker SIGKILL, none lives long"
    sizes = Sizes(short=0, medium=8, full=60)
    spared = 0


class StallThenKill(ParentKill):
    """A worker's parent stands still for 150 ms, then it is killed with all its processes.

    What Redis has answered meanwhile was never read: such a message must not be gone.
    """

    name = "parent stalled 150 ms, then SIGKILL"
    sizes = Sizes(short=2, medium=6, full=40)

    def strike(self, stage: Stage, worker: WorkerProcess) -> None:
        since_s = time.monotonic()
        worker.signal(signal.SIGSTOP)
        stage.rest(STALL_S)
        stage.kill(worker, since_s)


class StallPastLease(Fault):
    """A worker's parent stands still for longer than its lease, while its task ends; then it goes on.

    Another worker runs the task. The late acknowledgement of the first changes nothing: the
    second still holds the message.
    """

    name = "parent stalled past its lease, then goes on"
    sizes = Sizes(short=0, medium=1, full=4)
    setup = Setup(fields=with_fields(concurrency=1))

    def inject(self, stage: Stage, times: int) -> None:
        for _ in range(times):
            stage.send(seconds=OUTLASTING_S)
            runs = stage.wait_until_running(1)
            if not runs:
                return
            worker, since_s = stage.of(runs[0]), time.monotonic()
            self.hide(stage, worker)
            stage.rest(BEYOND_LEASE_S)
            took_over = any(run.worker != worker.name for run in stage.running())
            stage.expect(took_over, f"nobody took over within {BEYOND_LEASE_S:.0f} s")
            self.show(stage, worker)
            stage.ledger.cut(worker.name, since_s)
            stage.inject()
            stage.rest(1.0)  # for the late acknowledgement to arrive, which must change nothing
            self.check_held(stage, worker)
            stage.wait_for(lambda: not stage.held(), "the lane to be empty")

    def check_held(self, stage: Stage, late: WorkerProcess) -> None:
        """What another worker runs now is still held for it."""

        def elsewhere() -> set[str]:
            return {run.task_id for run in stage.running() if run.worker != late.name}

        before, held = elsewhere(), stage.held()
        throughout = before & elsewhere()
        stage.expect(
            held >= len(throughout), "a late acknowledgement took a message from who runs it"
        )

    def hide(self, stage: Stage, worker: WorkerProcess) -> None:
        """Take a worker out of Redis's sight."""
        del stage
        worker.signal(signal.SIGSTOP)

    def show(self, stage: Stage, worker: WorkerProcess) -> None:
        """Let it go on."""
        del stage
        worker.signal(signal.SIGCONT)


class PartitionPastLease(StallPastLease):
    """The network between a worker and Redis is gone for longer than its lease, while it runs a task.

    Another worker runs the task as well; what the first has to say later changes nothing.
    """

    name = "partition longer than the lease"
    sizes = Sizes(short=0, medium=1, full=4)
    setup = Setup(fields=with_fields(concurrency=1), proxied=True)

    def hide(self, stage: Stage, worker: WorkerProcess) -> None:
        stage.proxies[worker.name].black_hole()

    def show(self, stage: Stage, worker: WorkerProcess) -> None:
        stage.proxies[worker.name].heal()


class NodeLossIdle(Fault):
    """Two of four idle workers vanish without a FIN; ten messages come in the next second.

    None is handed to the dead: the living run them all.
    """

    name = "node lost, workers idle"
    sizes = Sizes(short=1, medium=2, full=8)
    setup = Setup(fields=with_fields(concurrency=1), workers=4, proxied=True)

    def inject(self, stage: Stage, times: int) -> None:
        for number in range(times):
            gone = stage.rng.sample(stage.alive(), 2)
            since_s = time.monotonic()
            for worker in gone:
                stage.proxies[worker.name].black_hole()
            self.publish(stage)
            for worker in gone:
                stage.kill(worker, since_s)
            stage.inject()
            if number + 1 < times:
                stage.start(2)

    def publish(self, stage: Stage) -> None:
        """Ten messages in the next second."""
        for _ in range(10):
            stage.send(seconds=0.05)
            stage.pause(0.05, 0.15)


class NodeLossBusy(NodeLossIdle):
    """Two of four busy workers vanish without a FIN, mid-task and with what they have claimed."""

    name = "node lost, workers busy"
    sizes = Sizes(short=0, medium=2, full=8)

    def inject(self, stage: Stage, times: int) -> None:
        with stage.load(*mostly_short(0.2)):
            stage.wait_until_running(3)
            super().inject(stage, times)
