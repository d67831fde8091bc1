"""The list of faults, in the order of the table."""

from faults import clocks, kills, network, poison, redis_faults, stops
from faults.fault import Fault

FAULTS: tuple[type[Fault], ...] = (
    kills.ChildKill,
    kills.ParentKill,
    kills.Churn,
    kills.StallThenKill,
    kills.StallPastLease,
    kills.NodeLossIdle,
    kills.NodeLossBusy,
    kills.PartitionPastLease,
    stops.StopsUnderLoad,
    stops.Rolling,
    stops.StopMidTask,
    redis_faults.RedisRestart,
    redis_faults.ShortFreeze,
    redis_faults.LongFreeze,
    redis_faults.ConnectionKill,
    redis_faults.LongTask,
    redis_faults.RedisFull,
    network.ProxyResets,
    network.OneWay,
    network.SlowRedis,
    clocks.ClockSkew,
    clocks.Delayed,
    poison.CrashingTask,
    poison.WorkerKillingTask,
    poison.UnknownTask,
    poison.BadMessages,
    poison.Oversize,
    poison.Backlog,
)
