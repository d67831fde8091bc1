"""What lies in lanes, from the broker's words to those of metrics."""

from laneway.observability.backlog import LaneBacklog
from laneway.tasks.broker.survey import LaneSurvey


def lane_backlog(survey: LaneSurvey) -> LaneBacklog:
    """One lane's."""
    return LaneBacklog(
        depth={str(step): count for step, count in survey.ready.items()},
        unacked=survey.in_flight,
        dead_letters=survey.dead,
        delayed=survey.delayed,
        workers=survey.workers,
        oldest_age_s=survey.oldest_age_s,
        dead_letter_age_s=survey.dead_oldest_age_s,
        drain_requeued=survey.drain_requeued,
    )
