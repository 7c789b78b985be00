-- Corrects what a grant took, in the slots that hold it; a slot that has left its window is let be.
-- KEYS  one a rule.
-- ARGV  the grant's id; then for each rule the slot (empty: concurrent, to be freed) and the difference.

local TOO_MUCH = 5e18 -- sums end at 2^63

for i, key in ipairs(KEYS) do
  local slot, difference = ARGV[2 * i], ARGV[2 * i + 1]
  local sums = key .. ':sums'
  if slot == '' then
    redis.call('ZREM', key, ARGV[1])
  elseif redis.call('HEXISTS', sums, slot) == 1 then
    local less = string.sub(difference, 1, 1) == '-'
    if less or tonumber(redis.call('HGET', sums, 'used')) < TOO_MUCH then
      redis.call('HINCRBY', sums, slot, difference)
      redis.call('HINCRBY', sums, 'used', difference)
    end
  end
end
return 1
