-- Begins a worker's connection: from here on only this epoch's commands count.
-- What it holds without knowing, since an answer was lost, goes back to the head of the lane unrun;
-- what no known worker holds goes back as well.
-- KEYS  claims, epochs, leases, then the ready lists by priority
-- ARGV  worker, its new epoch, lease (ms), then the claims that it knows to hold
-- Returns {now (ms), 1 if it had a lease until now, given back, the claims it still holds}.
local worker = ARGV[1]
local known = redis.call('HEXISTS', KEYS[2], worker)
begin_writing(KEYS[1])
local now = now_ms()
redis.call('HSET', KEYS[2], worker, ARGV[2])
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), worker)

local thought, still, back = {}, {}, 0
for i = 4, #ARGV do thought[ARGV[i]] = true end
for _, claim in ipairs(redis.call('HKEYS', KEYS[1])) do
  local owner = worker_of(claim)
  if thought[claim] then
    still[#still + 1] = claim
  elseif owner == worker or not redis.call('ZSCORE', KEYS[3], owner) then
    local record = from_record(redis.call('HGET', KEYS[1], claim))
    redis.call('HDEL', KEYS[1], claim)
    if owner == worker then
      record.deliveries = record.deliveries - 1
    else
      record.worker = owner
    end
    redis.call('RPUSH', KEYS[3 + record.step], for_list(record))
    back = back + 1
  end
end
return {now, known, back, still}
