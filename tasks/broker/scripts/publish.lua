-- Puts messages on a lane, as far as there is room.
-- KEYS  claims, what stock workers hold, delayed, intake, then the ready lists by priority
-- ARGV  most messages the lane may hold, the share of its memory that Redis may have used (empty:
--       it is not asked), then for each message its place and itself: the number of its ready list,
--       or for one that waits the time it is due (ms) and its record
-- Returns {messages put, messages held before, bytes used, bytes Redis may use (0: unbounded, or not
-- asked)}. Above the share none is put.
local used, allowed = 0, 0
if ARGV[2] ~= '' then
  local info = redis.call('INFO', 'memory')
  used = tonumber(string.match(info, 'used_memory:(%d+)'))
  allowed = tonumber(string.match(info, 'maxmemory:(%d+)'))
  if allowed > 0 and used > allowed * tonumber(ARGV[2]) then return {0, 0, used, allowed} end
end

local held = redis.call('HLEN', KEYS[1]) + redis.call('HLEN', KEYS[2]) + redis.call('ZCARD', KEYS[3])
for i = 4, #KEYS do held = held + redis.call('LLEN', KEYS[i]) end

local put = math.max(0, math.min(tonumber(ARGV[1]) - held, (#ARGV - 2) / 2))
for i = 3, 2 + 2 * put, 2 do
  local list = KEYS[4 + tonumber(ARGV[i])]
  if list then
    redis.call('LPUSH', list, ARGV[i + 1])
  else
    redis.call('ZADD', KEYS[3], ARGV[i], ARGV[i + 1])
  end
end
return {put, held, used, allowed}
