-- Removes the dead letters that are too many and too old, a hundred of each at most.
-- KEYS  dead letters, dead records
-- ARGV  dead letters kept (count, milliseconds)
-- Returns how many were removed.
begin_writing(KEYS[2])
return prune(KEYS[1], KEYS[2], {count = tonumber(ARGV[1]), ms = tonumber(ARGV[2])}, now_ms())
