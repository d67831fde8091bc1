-- Stores a task's state, unless it has ended in a way that this does not change, and tells who waits.
-- KEYS  the result
-- ARGV  value, expiry (seconds) or 0, and for STARTED when the task began (ISO 8601, UTC)
-- Returns whether it was stored.
local before = redis.call('GETRANGE', KEYS[1], 0, 19)
if before == '{"status": "SUCCESS"' then return 0 end
-- Celery says RETRY after it has published the next try, which may have ended by then.
local ended = before == '{"status": "FAILURE"' or before == '{"status": "REVOKED"'
if ended and string.sub(ARGV[1], 1, 18) == '{"status": "RETRY"' then return 0 end
-- That it began is told a moment later, when it may have been called off, or its process be lost.
if ended and ARGV[3] then
  local at = string.match(redis.call('GET', KEYS[1]), '"date_done": "([^"]+)"')
  if at and at >= ARGV[3] then return 0 end
end
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
