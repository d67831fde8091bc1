-- Rate limit across all workers: hands out turns at even intervals, by Redis's own clock.
-- KEYS[1] when the next turn is (microseconds)
-- ARGV    interval (microseconds), the turn this message was given before (ms) or 0
-- Returns 0 when the message may run, else the time of its turn (ms), which is then taken.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, given = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000
-- Turns that were missed, as no worker was there, may not be made up for all at once.
if given > 0 and now - given <= math.max(interval, 1000000) then return 0 end
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
local kept = math.ceil((turn + interval - now) / 1000) + 1000
-- A full Redis refuses to set, unless something was removed first.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], string.format('%.0f', turn + interval), 'PX', kept)
if turn <= now then return 0 end
return math.ceil(turn / 1000)
