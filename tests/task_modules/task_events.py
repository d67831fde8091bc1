"""A team's module that lets workers send task events, as `celery worker -E` does."""

from celery import current_app

current_app.conf.worker_send_task_events = True
