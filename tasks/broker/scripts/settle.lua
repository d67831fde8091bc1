-- Ends claims in other ways than an acknowledgement.
-- KEYS  claims, epochs, delayed, dead letters, dead records, then the ready lists by priority
-- ARGV  worker, its epoch, dead letters kept (count, milliseconds), then for each claim
--       verb, claim, argument:
--   head  give back unrun, to be taken next
--   again the same after a delivery that counts  tail  that too, behind all that wait
--   park  let it wait until `argument` (ms)  turn  the same, and admit it then under its rate limit
--   bury  make it a dead letter; `argument` is kind, newline, reason
-- Returns {-1} for a worker that lost its lease; else {now (ms), how many claims it did not hold}.
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return {-1} end
begin_writing(KEYS[1])
local keep, missing = {count = tonumber(ARGV[3]), ms = tonumber(ARGV[4])}, 0

for i = 5, #ARGV, 3 do
  local verb, claim, argument = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local found = redis.call('HGET', KEYS[1], claim)
  if not found then
    missing = missing + 1
  else
    redis.call('HDEL', KEYS[1], claim)
    local record = from_record(found)
    local list = KEYS[5 + record.step]
    if verb == 'again' or verb == 'tail' then
      record.worker = ARGV[1]
    elseif verb ~= 'bury' then
      record.deliveries = record.deliveries - 1
    end
    if verb == 'head' then
      redis.call('RPUSH', list, for_list(record))
    elseif verb == 'tail' then
      redis.call('LPUSH', list, for_list(record))
    elseif verb == 'again' then
      redis.call('RPUSH', list, for_list(record))
    elseif verb == 'park' or verb == 'turn' then
      record.turn = verb == 'turn' and tonumber(argument) or 0
      redis.call('ZADD', KEYS[3], argument, to_record(record, record.step, claim))
    elseif verb == 'bury' then
      local kind, reason = string.match(argument, '^([^\n]*)\n(.*)$')
      bury(KEYS[4], KEYS[5], {
        id_seed = claim, raw = record.raw, kind = kind, reason = reason,
        deliveries = record.deliveries, step = record.step, worker = ARGV[1],
      }, keep)
    end
  end
end
return {now_ms(), missing}
