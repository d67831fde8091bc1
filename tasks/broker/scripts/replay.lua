-- Puts dead letters back on their lane, as if just sent.
-- KEYS  dead letters, dead records, then the ready lists by priority
-- ARGV  ids
-- Returns how many were there.
begin_writing(KEYS[2])
local moved = 0
for _, id in ipairs(ARGV) do
  local record = redis.call('HGET', KEYS[2], id)
  if record then
    local head, raw = string.match(record, '^([^\n]*)\n(.*)$')
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('LPUSH', KEYS[2 + (cjson.decode(head).step or 1)], raw)
    moved = moved + 1
  end
end
return moved
