"""The whole platform on one machine: Redis, a worker per lane, gateway, mail sink."""
