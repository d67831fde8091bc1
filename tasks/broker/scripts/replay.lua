-- Puts dead letters back on their lane, as if just sent, and logs it.
-- KEYS  dead letters, dead records, log, delayed, then the ready lists by priority
-- ARGV  what the log is to say, how many entries it keeps, when the first is due (ms; 0: all at
--       once), the interval from one to the next (ms), then ids
-- Returns those of them that were there.
begin_writing(KEYS[2])
local first, interval, moved = tonumber(ARGV[3]), tonumber(ARGV[4]), {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGET', KEYS[2], id)
  local at = record and string.find(record, '\n', 1, true)
  if at then
    local _, head = pcall(cjson.decode, string.sub(record, 1, at - 1))
    local step = type(head) == 'table' and tonumber(head.step) or 1
    if not KEYS[4 + step] then step = 1 end
    local message = {raw = string.sub(record, at + 1), deliveries = 0, worker = '-', turn = 0}
    redis.call('ZREM', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    if first > 0 then
      local due = string.format('%.0f', first + #moved * interval)
      redis.call('ZADD', KEYS[4], due, to_record(message, step, id))
    else
      redis.call('LPUSH', KEYS[4 + step], for_list(message))
    end
    moved[#moved + 1] = id
  end
end
log_action(KEYS[3], ARGV[1], tonumber(ARGV[2]), #moved)
return moved
