-- Rate limit across all workers: hands out turns at even intervals, by Redis's own clock.
-- KEYS[1] when the next turn is due (microseconds); ARGV[1] interval (microseconds)
-- Returns 0 when the turn is taken, else the microseconds until the next one.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local due = tonumber(redis.call('GET', KEYS[1]) or 0)
if due > now then
  return due - now
end
local interval = tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', now + interval), 'PX', math.ceil(interval / 1000) + 1000)
return 0
