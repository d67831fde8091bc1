"""The worker of one lane: a Celery worker that observes every attempt and drains cleanly."""
