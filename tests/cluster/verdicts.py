"""What is asked of a verdict of the ledger, and the table that all of them are told in."""

from dataclasses import dataclass, field

from faults.ledger import Run, Verdict, percentile

COLUMNS = "| fault | injected | accepted | ran | lost | repeated, in flight | repeated, no cause | dead letters | recovery p50 / p99, s |"


@dataclass
class Table:
    """One row a fault."""

    rows: list[str] = field(default_factory=list)

    def add(self, fault: str, injected: int, verdict: Verdict, dead: int = 0) -> None:
        recovered = [percentile(verdict.recoveries_s, share) for share in (0.5, 0.99)]
        told = " / ".join("-" if one is None else f"{one:.1f}" for one in recovered)
        cells = (
            *(fault, injected, verdict.accepted, verdict.ran, len(verdict.lost)),
            *(verdict.repeated_in_flight, verdict.repeated_without_cause, dead, told),
        )
        self.rows.append(f"| {' | '.join(map(str, cells))} |")


def nothing_lost(verdict: Verdict) -> None:
    assert verdict.lost == ()
    assert verdict.repeated_without_cause == 0


def nothing_cut(verdict: Verdict, killed: list[Run]) -> None:
    """Nothing lost, nothing killed, nothing run twice; `killed` began and never ended."""
    nothing_lost(verdict)
    assert verdict.repeated_in_flight == 0
    assert killed == []
