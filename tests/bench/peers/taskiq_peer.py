"""taskiq on a Redis stream: acknowledges after the run and after its result is stored."""

import probe
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = probe.given("REDIS_URL")
RESULT_EXPIRES_S = 86_400

# From the stream's first message on, so that a worker finds what was sent before it started.
broker = RedisStreamBroker(URL, queue_name="bench", consumer_id="0")
if probe.keeps_results():
    broker = broker.with_result_backend(
        RedisAsyncResultBackend(URL, result_ex_time=RESULT_EXPIRES_S)
    )


@broker.task(task_name="noop")
async def noop(number: int, sent_s: float, payload: str) -> int:
    return probe.noop(number, sent_s, payload)


async def kiq(orders):
    await broker.startup()
    for order in orders:
        await noop.kiq(*order)
    await broker.shutdown()


WAYS = {"kiq": kiq}
