-- Begins a worker's connection: from here on only this epoch's commands count.
-- What it holds without knowing, since an answer was lost, goes back to the head of the lane unrun;
-- what no known worker holds goes back as well.
-- KEYS  claims, epochs, leases, then the ready lists by priority
-- ARGV  worker, its new epoch, lease (ms), then the claims that it knows to hold
-- Returns {-1} for a connection older than the present one, whose words were long on their way; else
-- {now (ms), 1 if it had a lease until now, given back, the claims it still holds}.
local worker = ARGV[1]
local present = redis.call('HGET', KEYS[2], worker)
if present and tonumber(present) > tonumber(ARGV[2]) then return {-1} end
begin_writing(KEYS[1])
local now = now_ms()
redis.call('HSET', KEYS[2], worker, ARGV[2])
redis.call('HDEL', KEYS[2], doubt(worker))
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), worker)

local thought, still, back = {}, {}, {}
for i = 4, #ARGV do thought[ARGV[i]] = true end
for _, claim in ipairs(redis.call('HKEYS', KEYS[1])) do
  local owner = worker_of(claim)
  if thought[claim] then
    still[#still + 1] = claim
  elseif owner == worker or not redis.call('ZSCORE', KEYS[3], owner) then
    back[#back + 1] = claim
  end
end
table.sort(back, later_claim)
for _, claim in ipairs(back) do
  local record, owner = from_record(redis.call('HGET', KEYS[1], claim)), worker_of(claim)
  redis.call('HDEL', KEYS[1], claim)
  if owner == worker then
    record.deliveries = record.deliveries - 1
  else
    record.worker = owner
  end
  redis.call('RPUSH', KEYS[3 + record.step] or KEYS[4], for_list(record))
end
return {now, present and 1 or 0, #back, still}
