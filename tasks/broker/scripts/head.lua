-- What is told of a dead letter whose message is too large to be read.
-- KEYS[1] dead records
-- ARGV[1] id
-- Returns its head line and the size of its message (bytes); false if there is none.
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then return false end
local at = string.find(record, '\n', 1, true)
return {string.sub(record, 1, at - 1), #record - at}
