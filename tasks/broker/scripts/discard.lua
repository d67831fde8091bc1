-- Removes dead letters for good, and logs it.
-- KEYS  dead letters, dead records, log
-- ARGV  what the log is to say, how many entries it keeps, then ids
-- Returns those of them that were there.
begin_writing(KEYS[2])
local gone = {}
for i = 3, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[i])
  if redis.call('HDEL', KEYS[2], ARGV[i]) == 1 then gone[#gone + 1] = ARGV[i] end
end
log_action(KEYS[3], ARGV[1], tonumber(ARGV[2]), #gone)
return gone
