-- Acknowledges what has ended and claims what is ready, in one step.
-- KEYS  claims, epochs, delayed, dead letters, dead records, intake, then the ready lists by priority
-- ARGV  worker, its epoch, room, number of the last claim, most deliveries, most bytes,
--       dead letters kept (count, milliseconds), most deliveries of a message that the worker
--       holds, then the claims that have ended
-- Returns {-1} for a worker that lost its lease; else {now (ms), claimed, buried}, of which
-- claimed is a flat list of number, deliveries, turn, message, and buried of id, kind, message.
local AT_ONCE, AT_ONCE_BYTES, ASIDE_MS = 32, 4194304, 1000
local worker, number = ARGV[1], tonumber(ARGV[4])
local room, most, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
local keep, worst = {count = tonumber(ARGV[7]), ms = tonumber(ARGV[8])}, tonumber(ARGV[9])

if redis.call('HGET', KEYS[2], worker) ~= ARGV[2] then
  -- What its own wake-up has just moved here is for others to claim.
  begin_writing(KEYS[1])
  while redis.call('LMOVE', KEYS[6], KEYS[7], 'LEFT', 'RIGHT') do end
  return {-1}
end

begin_writing(KEYS[1])
if #ARGV > 9 then redis.call('HDEL', KEYS[1], unpack(ARGV, 10)) end

local claimed, buried, now, bytes, first, aside = {}, {}, now_ms(), 0, number, 0

-- A worker that dies counts a delivery against all that it holds. So that this ends nobody but the
-- one that kills it, a message on its last delivery shares a worker with none that died before.
local function must_wait(delivery)
  return delivery > 1 and worst > 1 and math.max(delivery, worst) >= most
end

-- Claims one message, buries it, or sets it aside; returns its record, if it was claimed.
local function take(entry, step)
  local message = from_list(entry)
  local raw, deliveries = message.raw, message.deliveries
  local kind, reason
  if deliveries >= most then
    kind = 'delivery limit'
    reason = string.format('delivered %d times without an outcome (maxDeliveries)', deliveries)
  elseif #raw > most_bytes then
    kind = 'too large'
    reason = string.format('%d bytes, more than the %d allowed', #raw, most_bytes)
  end
  if kind then
    buried[#buried + 1] = bury(KEYS[4], KEYS[5], {
      id_seed = string.format('%s/%.0f/%d', worker, first, #buried), raw = raw, kind = kind, reason = reason,
      deliveries = deliveries, step = step, worker = message.worker,
    }, keep)
    buried[#buried + 1] = kind
    buried[#buried + 1] = #raw <= most_bytes and raw or ''
    bytes = bytes + #buried[#buried]
    return nil
  end
  if must_wait(deliveries + 1) then
    aside = aside + 1
    local tag = string.format('%s/%.0f/%d', worker, first, aside)
    redis.call('ZADD', KEYS[3], now + ASIDE_MS + aside, to_record(message, step, tag))
    return nil
  end
  worst = math.max(worst, deliveries + 1)
  -- Only claims are numbered, as the worker set numbers aside for its room alone.
  number = number + 1
  message.deliveries = deliveries + 1
  for _, word in ipairs({number, deliveries + 1, message.turn, raw}) do
    claimed[#claimed + 1] = word
  end
  room, bytes = room - 1, bytes + #raw
  return to_record(message, step, now)
end

for i = 6, #KEYS do
  local records = {}
  while room > 0 and bytes < AT_ONCE_BYTES and #buried < 3 * AT_ONCE and aside < AT_ONCE do
    -- One by one: for several, Redis 6.2 walks the whole list, from its other end.
    local entry = redis.call('RPOP', KEYS[i])
    if not entry then break end
    local record = take(entry, math.max(i - 6, 1))
    if record then
      records[#records + 1] = worker .. '/' .. number
      records[#records + 1] = record
    end
    if #records >= 2 * AT_ONCE then
      redis.call('HSET', KEYS[1], unpack(records))
      records = {}
    end
  end
  if #records > 0 then redis.call('HSET', KEYS[1], unpack(records)) end
end
return {now, claimed, buried}
