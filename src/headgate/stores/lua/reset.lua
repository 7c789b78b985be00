-- Forgets what is counted under rules, and what runs or was allowed on top.
-- KEYS  one a rule.
-- ARGV  each rule's window in microseconds (0: concurrent).
--
-- A grant from before must find no slot of its own again, so slots get other names for as long as such a grant can live.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
for i, key in ipairs(KEYS) do
  local window, sums = tonumber(ARGV[i]), key .. ':sums'
  redis.call('DEL', key, sums)
  if window > 0 then
    redis.call('HSET', sums, 'epoch', string.format('%.0f.', now))
    redis.call('PEXPIRE', sums, math.ceil(window / 1000))
  end
end
return #KEYS
