"""dramatiq: acknowledges after the run; keeps no results unless asked."""

import dramatiq
import probe
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend

URL = probe.given("REDIS_URL")

broker = RedisBroker(url=URL)
if probe.keeps_results():
    broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)

OPTIONS = {"store_results": True} if probe.keeps_results() else {}
noop = dramatiq.actor(probe.noop, actor_name="noop", queue_name="bench", **OPTIONS)


def send(orders):
    for order in orders:
        noop.send(*order)


WAYS = {"send": send}
