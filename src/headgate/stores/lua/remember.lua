-- Keeps a value for a while; what was kept first goes where there is no room for all.
-- KEYS  the prefix of all keys, in braces: every key of a cache is in one place.
-- ARGV  the value's name, the value, its time in ms, and the most bytes of all values.
-- Answers 1 (kept) or 0 (too large).
--
-- Beside the values: a sorted set of their names by the time they end, and a hash of their sizes and the sum `all`.

local ENTRY = 200
local CHUNK = 100

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local name, value, ttl, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local ends, sizes = KEYS[1] .. 'ends', KEYS[1] .. 'sizes'
local all = tonumber(redis.call('HGET', sizes, 'all') or 0)

local function forget(gone)
  all = all - tonumber(redis.call('HGET', sizes, '=' .. gone) or 0)
  redis.call('HDEL', sizes, '=' .. gone)
  redis.call('ZREM', ends, gone)
  redis.call('DEL', KEYS[1] .. '=' .. gone)
end

for _, old in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, CHUNK)) do forget(old) end
forget(name)
local size = #value + ENTRY
local fits = size <= most
if fits then
  while all > 0 and all + size > most do
    local first = redis.call('ZRANGE', ends, 0, 0)[1]
    if first then
      forget(first)
    else -- the server made room for itself: what is left over ends by itself
      redis.call('DEL', sizes)
      all = 0
    end
  end
  all = all + size
  redis.call('SET', KEYS[1] .. '=' .. name, value, 'PX', ARGV[3])
  redis.call('ZADD', ends, now + ttl, name)
  redis.call('HSET', sizes, '=' .. name, size, 'all', all)
else
  redis.call('HSET', sizes, 'all', all)
end
return fits and 1 or 0
