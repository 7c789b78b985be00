-- Takes an amount of every rule, or of none; with an empty id it only looks. An amount below 0 always fits: it is an
-- allowance on top of the limit, for one window.
-- KEYS  one a rule.
-- ARGV  the grant's id, its lease and the moment after which nobody waits for the answer (0: none); then for each rule
--       its window (0: concurrent), the amount, and its room: the most that may be used already for the amount to fit.
-- Answers 1 (taken), 0 (not) or -1 (too late), the time; then for each rule what is used, the grant in it, the time
-- until all of it is free, and the slot that holds the amount or, where it does not fit, the time until it does.
--
-- All times are microseconds of the server's clock. Amounts stay text: Lua's numbers end at 2^53, Redis's at 2^63.
-- A rule is a sorted set of slots, each a thousandth of the window wide, by the time of their latest amount, with which
-- they leave the window; beside it a hash of the slots' amounts and their sum `used`. What is concurrent is a sorted set
-- of grants by the end of their lease. The hash of a rule that was reset has an `epoch`, with which its slots begin, so
-- that no earlier grant is settled in them.

local SLOTS = 1000
local POLITE = 1000000
local CHUNK = 100
local EXACT = 2 ^ 53

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local id, lease, deadline = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if deadline > 0 and now > deadline then return {-1, now} end

local function negative(number) return string.sub(number, 1, 1) == '-' end

local function fits(used, room)
  if #used < 16 and #room < 16 then return tonumber(used) <= tonumber(room) end
  if negative(used) ~= negative(room) then return negative(used) end
  if negative(used) then used, room = string.sub(room, 2), string.sub(used, 2) end
  return #used < #room or (#used == #room and used <= room)
end

local function opposite(number)
  if negative(number) then return string.sub(number, 2) end
  return '-' .. number
end

local function expire(key, sums, window)
  local old = redis.call('ZRANGEBYSCORE', key, '-inf', now - window)
  if #old == 0 then return end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  for _, amount in ipairs(redis.call('HMGET', sums, unpack(old))) do
    if amount and amount ~= '0' then redis.call('HINCRBY', sums, 'used', opposite(amount)) end
  end
  redis.call('HDEL', sums, unpack(old))
end

local function wait(key, sums, window, excess)
  local start = 0
  while true do
    local slots = redis.call('ZRANGE', key, start, start + CHUNK - 1, 'WITHSCORES')
    if #slots == 0 then return window end
    for i = 1, #slots, 2 do
      excess = excess - (redis.call('HGET', sums, slots[i]) or 0)
      if excess <= 0 then return slots[i + 1] + window - now end
    end
    start = start + CHUNK
  end
end

local function reset_after(key, window)
  local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
  return last[2] and last[2] + window - now or 0
end

local rules = {}
local all_fit = true
for i, key in ipairs(KEYS) do
  local at = 3 * i + 1
  local rule = {key = key, sums = key .. ':sums', window = tonumber(ARGV[at]), amount = ARGV[at + 1], room = ARGV[at + 2]}
  if rule.window == 0 then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    rule.used = tostring(redis.call('ZCARD', key))
  else
    expire(key, rule.sums, rule.window)
    local known = redis.call('HMGET', rule.sums, 'used', 'epoch')
    rule.used, rule.epoch = known[1] or '0', known[2] or ''
  end
  rule.fits = rule.amount == '0' or negative(rule.amount) or fits(rule.used, rule.room)
  all_fit = all_fit and rule.fits
  rules[i] = rule
end

local answer = {(all_fit and id ~= '') and 1 or 0, now}
for _, rule in ipairs(rules) do
  local key, sums, window, used, reset, place = rule.key, rule.sums, rule.window, rule.used, 0, 0
  if answer[1] == 1 then
    if window == 0 then
      if rule.amount ~= '0' then
        redis.call('ZADD', key, now + lease, id)
        redis.call('PEXPIREAT', key, math.ceil((now + lease) / 1000) + 1000)
        used = used + 1
      end
    else
      local slot = rule.epoch .. string.format('%.0f', math.floor(now / (window / SLOTS)))
      redis.call('HINCRBY', sums, slot, rule.amount)
      used = redis.call('HINCRBY', sums, 'used', rule.amount)
      if math.abs(used) > EXACT then used = redis.call('HGET', sums, 'used') end
      if redis.call('ZADD', key, now, slot) == 1 then
        local life = math.ceil(window / 1000 * (1 + 1 / SLOTS)) + 1000
        redis.call('PEXPIRE', key, life)
        redis.call('PEXPIRE', sums, life)
      end
      reset, place = window, slot
    end
  elseif window == 0 then
    if not rule.fits then place = POLITE end
  else
    reset = reset_after(key, window)
    if negative(rule.room) and not rule.fits then
      place = window
    elseif not rule.fits then
      place = wait(key, sums, window, rule.used - rule.room)
    end
  end
  answer[#answer + 1] = used
  answer[#answer + 1] = reset
  answer[#answer + 1] = place
end
return answer
