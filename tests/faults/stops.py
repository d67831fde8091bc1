"""Workers that are told to stop."""

from faults.arms import WorkerProcess, with_fields
from faults.fault import Fault, Sizes, mostly_short
from faults.stage import Setup, Stage

GRACE_S = 15.0
"""What a worker may need beyond `drainSeconds`, before Kubernetes would kill it."""

HASTY_S = 2
PATIENT_S = 20


class StopsUnderLoad(Fault):
    """SIGTERM at a random moment under load, again and again.

    What runs ends, what waits goes back, the worker exits with 0. None hangs.
    """

    name = "SIGTERM under load"
    sizes = Sizes(short=3, medium=8, full=100)
    setup = Setup(fields=with_fields(drain_s=PATIENT_S), workers=3)

    def inject(self, stage: Stage, times: int) -> None:
        with stage.load(*mostly_short(0.3)):
            while stage.injected < times:
                at_work = stage.wait_until_at_work(2)
                if not at_work:
                    return
                stage.pause(0.0, 0.3)
                self.end(stage, stage.rng.choice(at_work))
                stage.inject()
                stage.begin()

    def end(self, stage: Stage, worker: WorkerProcess) -> None:
        """Stop it, and look at how it went."""
        code = stage.stop(worker, PATIENT_S + GRACE_S)
        stage.expect(code is not None, f"{worker.name} hung at its stop")
        stage.expect(code in (0, None), f"{worker.name} exited with {code}")
        cut = [run for run in stage.ledger.under_way() if run.worker == worker.name]
        stage.expect(code is None or not cut, f"{worker.name} left {len(cut)} tasks unfinished")


class Rolling(StopsUnderLoad):
    """Workers are replaced one by one under load, the new one first, as a rolling upgrade does."""

    name = "rolling replacement under load"
    sizes = Sizes(short=0, medium=4, full=20)
    setup = Setup(fields=with_fields(drain_s=PATIENT_S))

    def inject(self, stage: Stage, times: int) -> None:
        with stage.load(*mostly_short(0.3)):
            for _ in range(times):
                old = stage.alive()[0]
                stage.start()
                self.end(stage, old)
                stage.inject()


class StopMidTask(Fault):
    """SIGTERM while tasks run that outlast `drainSeconds`: they go back, and run elsewhere.

    The worker ends by itself within its time. (Stock Celery waits for them as long as they take.)
    """

    name = "SIGTERM, tasks outlast drainSeconds"
    sizes = Sizes(short=0, medium=1, full=10)
    setup = Setup(fields=with_fields(drain_s=HASTY_S))

    def inject(self, stage: Stage, times: int) -> None:
        for _ in range(times):
            for _ in range(2 * stage.setup.fields.concurrency):
                stage.send(seconds=8.0)
            runs = stage.wait_until_running(2 * stage.setup.fields.concurrency)
            if not runs:
                return
            worker = stage.of(stage.rng.choice(runs))
            stage.pause(0.0, 1.0)
            code = stage.stop(worker, HASTY_S + GRACE_S)
            # What it gave back was cut; what had ended was acknowledged before it exited.
            stage.ledger.cut(worker.name, grace_s=0.0)
            stage.expect(
                code == 0, f"{worker.name} hung at its stop" if code is None else f"{code}"
            )
            stage.inject()
            stage.start()
            stage.wait_for(lambda: not stage.held(), "the lane to be empty", limit_s=60.0)
