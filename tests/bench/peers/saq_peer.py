"""SAQ: moves a job to an active list and sweeps it; a ttl of -1 keeps no result."""

import probe
from saq import Queue

TTL_S = 86_400 if probe.keeps_results() else -1

# The default is one attempt, after which a job whose worker was killed is given up.
OPTIONS = {"ttl": TTL_S, "retries": 2}

queue = Queue.from_url(probe.given("REDIS_URL"), name="bench")


async def noop(context, *, number, sent_s, payload):
    return probe.noop(number, sent_s, payload)


settings = {"queue": queue, "functions": [noop], "concurrency": 10}


async def enqueue(orders):
    await queue.connect()
    for number, sent_s, payload in orders:
        await queue.enqueue("noop", number=number, sent_s=sent_s, payload=payload, **OPTIONS)
    await queue.disconnect()


WAYS = {"enqueue": enqueue}
