-- Takes, prolongs or gives up (for 0 ms) the right to make a value.
-- KEYS  the claim.
-- ARGV  who claims, for how many ms.
-- Answers 1, or 0 where somebody else has it.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
