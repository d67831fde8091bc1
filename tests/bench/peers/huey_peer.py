"""huey: pops and runs, so at most once. Its messages are pickles: it ships no JSON."""

import probe
from huey import RedisHuey

huey = RedisHuey("bench", url=probe.given("REDIS_URL"), results=probe.keeps_results())
noop = huey.task(name="noop")(probe.noop)


def call(orders):
    for order in orders:
        noop(*order)


WAYS = {"call": call}
