-- What every script that moves messages shares. It is put in front of each of them.
--
-- A message on a ready list is the producer's own bytes. One that was claimed before and came back
-- carries a note in front, `{"laneway":[version,deliveries,"last worker",turn,object],` and then
-- the producer's bytes (without their first brace if `object` is 1), so that whoever reads JSON
-- still reads the message. Everywhere else it stands in a record: a head line of words with spaces
-- between, and the producer's bytes. Later versions may add fields behind those that stand here.
-- `turn` is the time (ms) for which a rate limit admitted the message, 0 for none.

local VERSION = 1
local NOTE = '{"laneway":['

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Redis refuses a script whose first write might need memory it does not have. Giving back,
-- renewing and recording must go on when it is full, so the first write is one that needs none.
local function begin_writing(hash)
  redis.call('HDEL', hash, '')
end

-- A message of a ready list: the producer's bytes, how often they were delivered, and so on. Anybody
-- can write a note: one that no record could hold is none, and belongs to the message.
local function from_list(entry)
  local deliveries, worker, turn, object, at =
    string.match(entry, '^{"laneway":%[%d+,(%d+),"([%w._@-]+)",(%d+),([01])[^%]]*%],()')
  if not deliveries or #deliveries > 9 or #turn > 15 then
    return {raw = entry, deliveries = 0, worker = '-', turn = 0}
  end
  local raw = string.sub(entry, at)
  if object == '1' then raw = '{' .. raw end
  return {raw = raw, deliveries = tonumber(deliveries), worker = worker, turn = tonumber(turn)}
end

local function for_list(message)
  local raw = message.raw
  -- What begins like a note, and is the producer's, needs one in front to be told from it.
  local plain = string.sub(raw, 1, #NOTE) ~= NOTE
  if message.deliveries == 0 and message.turn == 0 and plain then return raw end
  local object = 0
  if string.byte(raw) == 123 then object, raw = 1, string.sub(raw, 2) end
  return string.format('{"laneway":[%d,%d,"%s",%.0f,%d],',
    VERSION, message.deliveries, message.worker, message.turn, object) .. raw
end

-- A record of a claim or of a delayed message. `step` is the number of its ready list; `tag` tells
-- apart what is otherwise the same.
local function to_record(message, step, tag)
  return string.format('%d %d %d %s %s %.0f\n',
    VERSION, message.deliveries, step, tag, message.worker, message.turn) .. message.raw
end

-- What a stranger put where records belong is a message: it may not stop what looks after the lane.
local function from_record(record)
  local deliveries, step, worker, turn, at =
    string.match(record, '^%d+ (%d+) (%d+) %S+ ([%w._@-]+) (%d+)[^\n]*\n()')
  if not deliveries or #deliveries > 9 or #step > 9 or #turn > 15 then
    return {raw = record, deliveries = 0, step = 1, worker = '-', turn = 0}
  end
  return {
    deliveries = tonumber(deliveries), step = math.max(tonumber(step), 1), worker = worker,
    turn = tonumber(turn), raw = string.sub(record, at),
  }
end

local function worker_of(claim)
  return string.match(claim, '^(.*)/%d+$') or claim
end

-- Where it is noted, among the epochs, that a worker whose lease ran out stayed away.
local function doubt(worker)
  return '?' .. worker
end

-- The last claimed comes first: pushed in this order, the first claimed ends up at the head.
local function later_claim(a, b)
  local number_a, number_b = tonumber(string.match(a, '%d+$')), tonumber(string.match(b, '%d+$'))
  if number_a == number_b then return a > b end
  return number_a > number_b
end

-- Removes dead letters too many and too old, `most` of each; how many those were.
local function prune(dead, records, keep, most)
  local gone, over = 0, redis.call('ZCARD', dead) - keep.count
  local oldest = over > 0 and redis.call('ZRANGE', dead, 0, math.min(over, most) - 1) or {}
  local aged = redis.call('ZRANGEBYSCORE', dead, '-inf', now_ms() - keep.ms, 'LIMIT', 0, most)
  for _, ids in ipairs({oldest, aged}) do
    if #ids > 0 then
      gone = gone + redis.call('ZREM', dead, unpack(ids))
      redis.call('HDEL', records, unpack(ids))
    end
  end
  return gone
end

-- Puts a message among the lane's dead letters, and removes those too many and too old.
-- `letter`: id_seed, raw, kind, reason, deliveries, step, worker; `keep`: count, ms.
local function bury(dead, records, letter, keep)
  local now = now_ms()
  local id = string.sub(redis.sha1hex(letter.id_seed .. ':' .. now), 1, 16)
  local head = cjson.encode({
    version = VERSION, kind = letter.kind, reason = letter.reason, worker = letter.worker,
    deliveries = letter.deliveries, step = letter.step, died_at_ms = now,
  })
  redis.call('HSET', records, id, head .. '\n' .. letter.raw)
  redis.call('ZADD', dead, now, id)
  prune(dead, records, keep, 100)
  return id
end

-- Notes what was done to dead letters. `entry` says it, but for the number and the time.
local function log_action(log, entry, kept, count)
  if count == 0 then return end
  redis.call('LPUSH', log, string.format('%d %d %.0f\n', VERSION, count, now_ms()) .. entry)
  redis.call('LTRIM', log, 0, kept - 1)
end
