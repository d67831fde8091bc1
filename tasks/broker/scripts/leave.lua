-- Ends a worker: what it still holds goes back to the head of the lane, unrun, and its lease ends.
-- KEYS  claims, epochs, leases, then the ready lists by priority
-- ARGV  worker, its epoch
-- Returns {-1} for a worker that lost its lease, else {now (ms), given back}.
local worker = ARGV[1]
if redis.call('HGET', KEYS[2], worker) ~= ARGV[2] then return {-1} end
begin_writing(KEYS[1])
local numbers = {}
for _, claim in ipairs(redis.call('HKEYS', KEYS[1])) do
  if worker_of(claim) == worker then
    numbers[#numbers + 1] = tonumber(string.match(claim, '%d+$'))
  end
end
table.sort(numbers, function(a, b) return a > b end)
for _, number in ipairs(numbers) do
  local claim = worker .. '/' .. string.format('%.0f', number)
  local record = from_record(redis.call('HGET', KEYS[1], claim))
  redis.call('HDEL', KEYS[1], claim)
  record.deliveries = record.deliveries - 1
  redis.call('RPUSH', KEYS[3 + record.step], for_list(record))
end
redis.call('ZREM', KEYS[3], worker)
redis.call('HDEL', KEYS[2], worker, doubt(worker))
return {now_ms(), #numbers}
