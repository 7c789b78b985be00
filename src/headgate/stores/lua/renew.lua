-- Renews the leases of calls that are under way, also of those that a restart of the server has forgotten.
-- KEYS  what they hold, one a grant.
-- ARGV  the lease in microseconds; then the grants' ids.

local clock = redis.call('TIME')
local till = clock[1] * 1000000 + clock[2] + ARGV[1]
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, till, ARGV[i + 1])
  redis.call('PEXPIREAT', key, math.ceil(till / 1000) + 1000)
end
return #KEYS
