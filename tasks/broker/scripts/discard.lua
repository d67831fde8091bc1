-- Removes dead letters for good.
-- KEYS  dead letters, dead records
-- ARGV  ids
-- Returns how many were there.
local gone = 0
for _, id in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], id)
  gone = gone + redis.call('HDEL', KEYS[2], id)
end
return gone
