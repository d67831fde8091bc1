-- Removes the dead letters that are too many and too old.
-- KEYS  dead letters, dead records
-- ARGV  dead letters kept (count, milliseconds), how many of each to remove at most
-- Returns how many were removed.
begin_writing(KEYS[2])
return prune(KEYS[1], KEYS[2], {count = tonumber(ARGV[1]), ms = tonumber(ARGV[2])},
  tonumber(ARGV[3]))
