-- Stores a task's state, unless it has succeeded already, and tells who waits for it.
-- KEYS  the result   ARGV  value, expiry (seconds) or 0
-- Returns whether it was stored.
local before = redis.call('GETRANGE', KEYS[1], 0, 19)
if before == '{"status": "SUCCESS"' then return 0 end
-- A full Redis refuses to set, unless something was removed first; the message that goes when its
-- task has ended makes more room than the result takes.
redis.call('DEL', KEYS[1])
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
