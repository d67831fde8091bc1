-- Looks after a lane: renews the caller's lease, lets due messages go, takes back what the dead held.
-- KEYS  claims, epochs, leases, delayed, intake, then the ready lists by priority
-- ARGV  worker (empty: nobody's lease is renewed), its epoch, lease (ms), most messages to move,
--       when it asks (ms, as far as it knows Redis's clock; now if not given), or 0 if it has come
--       only now, and others may be on their way as well
-- Returns {-1} for a worker that lost its lease; else
-- {now (ms), due messages moved, messages taken back, time of the next delayed (ms) or -1,
--  messages on the ready lists, those on the lists of lower priority}.
local STALE_MS, DOUBT_MS, DOUBTS = 2000, 1000, 5
local worker, most = ARGV[1], tonumber(ARGV[4])
if worker ~= '' and redis.call('HGET', KEYS[2], worker) ~= ARGV[2] then return {-1} end
begin_writing(KEYS[1])
local now = now_ms()
if worker ~= '' then
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[3]), worker)
  redis.call('HDEL', KEYS[2], doubt(worker))
end

local moved, due = 0, redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, most)
-- The head of a list is its right end: what has been due longest goes there last.
for i = #due, 1, -1 do
  local record = from_record(due[i])
  redis.call('ZREM', KEYS[4], due[i])
  redis.call('RPUSH', KEYS[5 + record.step] or KEYS[6], for_list(record))
  moved = moved + 1
end

-- A question that was long on its way, or a clock that jumped, is no ground to call others gone:
-- after a stall their renewals may be right behind.
local taken, gone = 0, {}
local asked = tonumber(ARGV[5] or now)
if now - asked <= STALE_MS or asked == 0 then
  gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. now, 'LIMIT', 0, 100)
end
if asked == 0 then
  -- Where no worker lives for long, nobody would ever be called gone. So each second in which one
  -- stayed away though Redis was there is noted, whoever saw it.
  local doubted = {}
  for _, name in ipairs(gone) do
    local seen = redis.call('HGET', KEYS[2], doubt(name))
    local times, last = string.match(seen or '', '^(%d+) (%d+)$')
    times = tonumber(times or 0)
    if math.abs(now - tonumber(last or 0)) >= DOUBT_MS then
      times = times + 1
      redis.call('HSET', KEYS[2], doubt(name), string.format('%d %.0f', times, now))
    end
    if times >= DOUBTS then doubted[#doubted + 1] = name end
  end
  gone = doubted
end
if #gone > 0 then
  local owned = {}
  for _, name in ipairs(gone) do owned[name] = {} end
  for _, claim in ipairs(redis.call('HKEYS', KEYS[1])) do
    local claims = owned[worker_of(claim)]
    if claims then claims[#claims + 1] = claim end
  end
  for _, name in ipairs(gone) do
    -- Fenced before the first of its claims goes, though the rest may have to wait.
    redis.call('HDEL', KEYS[2], name, doubt(name))
    table.sort(owned[name], later_claim)
    for at, claim in ipairs(owned[name]) do
      if taken >= most then break end
      local record = from_record(redis.call('HGET', KEYS[1], claim))
      redis.call('HDEL', KEYS[1], claim)
      record.worker = name
      redis.call('RPUSH', KEYS[5 + record.step] or KEYS[6], for_list(record))
      taken = taken + 1
      owned[name][at] = nil
    end
    if next(owned[name]) == nil then redis.call('ZREM', KEYS[3], name) end
  end
end

local ready, low = redis.call('LLEN', KEYS[5]) + redis.call('LLEN', KEYS[6]), 0
for i = 7, #KEYS do low = low + redis.call('LLEN', KEYS[i]) end
local upcoming = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
return {now, moved, taken, upcoming[2] and tonumber(upcoming[2]) or -1, ready + low, low}
