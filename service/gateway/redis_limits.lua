--[[ Limits counted in one Redis for many gateways. One call is one step: nobody sees half of it.

Keys: 1 state: a hash of `second` (the last that was), `offset`, `beat` and `gateway:ID` (the
              connection of a gateway that may reserve)
      2 gateways: a sorted set of their ids by when they last gave a sign of life
      3 open: a hash of what a gateway has reserved, by permit
      4 returned: the same, once another gateway has given it back
      5 and on: the counters
Arguments: what to do, the gateway's id, its connection; then those of each function below.

A window is a hash of amounts by second, with their sum `total` as of `second`. A budget is a hash
of `period` and `total`. Requests at once are a number. ]]

local WINDOW_S, SPAN_S, DAY_S = 60, 61, 86400
local KEEP_S = 40 * DAY_S -- longer than any month
local AT_ONCE = 200 -- so many reservations are given back in one step: about a millisecond

local call = redis.call
local state, gateways, open, returned = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local gateway, connection = ARGV[2], ARGV[3]

-- Seconds that never go back, also when Redis's own clock does: they go on from where they were.
-- Returns them with the microseconds, the clock's own seconds, and whether the gateway has joined.
local function clock()
  local time = call('TIME')
  local at = tonumber(time[1])
  local known = call('HMGET', state, 'second', 'offset', 'gateway:' .. gateway)
  local second, offset = tonumber(known[1]) or 0, tonumber(known[2]) or 0
  local now = at + offset
  if now < second then
    call('HSET', state, 'offset', second - at)
    now = second
  elseif now > second then
    call('HSET', state, 'second', now)
  end
  return now, tonumber(time[2]), at, known[3] == connection
end

-- The month of a day: 12 for each year, and 0 to 11. Howard Hinnant, "chrono-Compatible Low-Level
-- Date Algorithms", civil_from_days.
local function month_of(day)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor(
    (doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return year * 12 + month - 1
end

local function window_total(key, now)
  local known = call('HMGET', key, 'second', 'total')
  local second = tonumber(known[1])
  if not second then return 0 end
  if now - second >= SPAN_S then
    call('DEL', key)
    return 0
  end
  local total = tonumber(known[2])
  if now > second then -- forget what has left since
    local gone = {}
    for left = second - WINDOW_S, now - SPAN_S do gone[#gone + 1] = left end
    for _, amount in ipairs(call('HMGET', key, unpack(gone))) do
      total = total - (tonumber(amount) or 0)
    end
    call('HDEL', key, unpack(gone))
    call('HSET', key, 'second', now, 'total', total)
  end
  return total
end

local function add_to_window(key, now, total, amount)
  if call('HINCRBY', key, now, amount) == amount then call('EXPIRE', key, 2 * SPAN_S) end
  call('HSET', key, 'second', now, 'total', total + amount)
end

-- When no more than `room` is left of a window, and when nothing is.
local function window_ends(key, now, room)
  local left, free_at, empty_at, flat = 0, now, now, call('HGETALL', key)
  local amounts = {}
  for i = 1, #flat, 2 do
    local second = tonumber(flat[i])
    if second then amounts[second] = tonumber(flat[i + 1]) else
      if flat[i] == 'total' then left = tonumber(flat[i + 1]) end
    end
  end
  for second = now - WINDOW_S, now do
    local amount = amounts[second] or 0
    if left > room and amount > 0 then
      left, free_at = left - amount, second + SPAN_S
    end
    if amount > 0 then empty_at = second + SPAN_S end
  end
  return free_at, empty_at
end

local function budget_total(key, period)
  local known = call('HMGET', key, 'period', 'total')
  local kept = tonumber(known[1]) or -1
  if kept < period then return 0, period, true end
  return tonumber(known[2]), kept, false -- a clock that was set back starts no period again
end

-- Arguments: permit, tokens, kinds (a letter for each counter), then the counters' limits.
-- Returns {1, second, microseconds, clock's seconds, left of each counter …}, or {0, the same three,
-- then for each counter without room its place, total, and for windows when there is room and when
-- nothing is left, for budgets the period and 0}, or {-1}: the gateway has to join first.
local function admit()
  local now, micros, at, has_joined = clock()
  if not has_joined then return {-1} end
  local permit, tokens, kinds = ARGV[4], tonumber(ARGV[5]), ARGV[6]
  local day = math.floor(at / DAY_S)
  local totals, periods, is_new, refused = {}, {}, {}, {0, now, micros, at}
  for i = 1, #kinds do
    local kind, key, limit = kinds:sub(i, i), KEYS[4 + i], tonumber(ARGV[6 + i])
    local cost = (kind == 'r' or kind == 'c') and 1 or tokens
    if kind == 'r' or kind == 't' then
      totals[i] = window_total(key, now)
    elseif kind == 'c' then
      totals[i] = tonumber(call('GET', key)) or 0
    else
      local period = kind == 'd' and day or month_of(day)
      totals[i], periods[i], is_new[i] = budget_total(key, period)
    end
    if totals[i] + cost > limit then
      local free_at, empty_at = periods[i] or 0, 0
      if kind == 'r' or kind == 't' then free_at, empty_at = window_ends(key, now, limit - cost) end
      for _, number in ipairs({i - 1, totals[i], free_at, empty_at}) do
        refused[#refused + 1] = number
      end
    end
  end
  if #refused > 4 then return refused end
  local reply, held = {1, now, micros, at}, {}
  for i = 1, #kinds do
    local kind, key = kinds:sub(i, i), KEYS[4 + i]
    local cost = (kind == 'r' or kind == 'c') and 1 or tokens
    if kind == 'r' or kind == 't' then
      add_to_window(key, now, totals[i], cost)
    elseif kind == 'c' then
      call('INCR', key)
      call('EXPIRE', key, KEEP_S)
    else
      call('HSET', key, 'period', periods[i], 'total', totals[i] + cost)
      if is_new[i] then call('EXPIRE', key, kind == 'd' and 2 * DAY_S or KEEP_S) end
    end
    if kind ~= 'r' then held[#held + 1] = {kind, key, periods[i] or 0} end
    reply[4 + i] = tonumber(ARGV[6 + i]) - totals[i] - cost
  end
  call('HSET', open, permit, cmsgpack.pack({now, tokens, held}))
  return reply
end

local function settle_window(key, second, change)
  local there = tonumber(call('HGET', key, second))
  if there and change ~= 0 then
    change = math.max(change, -there)
    call('HINCRBY', key, second, change)
    call('HINCRBY', key, 'total', change)
  end
end

local function settle_budget(key, period, change)
  local known = call('HMGET', key, 'period', 'total')
  if tonumber(known[1]) == period and change ~= 0 then
    call('HSET', key, 'total', math.max(0, tonumber(known[2]) + change))
  end
end

local function free_slot(key)
  if call('EXISTS', key) == 1 and call('DECR', key) <= 0 then call('DEL', key) end
end

-- Argument: permit, and what was used (-1: all that was reserved). Once: a second call does nothing.
-- What another gateway gave back already is taken again as far as it was used.
local function settle()
  local permit, used = ARGV[4], tonumber(ARGV[5])
  local packed, was_returned = call('HGET', open, permit), false
  if packed then
    call('HDEL', open, permit)
  else
    packed, was_returned = call('HGET', returned, permit), true
    if not packed then return 0 end
    call('HDEL', returned, permit)
  end
  local second, tokens, held = unpack(cmsgpack.unpack(packed))
  if used < 0 then used = tokens end
  for _, it in ipairs(held) do
    local kind, key, period = unpack(it)
    if kind == 't' then
      settle_window(key, second, used - tokens)
    elseif kind ~= 'c' then
      settle_budget(key, period, was_returned and used or used - tokens)
    elseif not was_returned then
      free_slot(key)
    end
  end
  return 1
end

-- Gives back what a silent gateway has reserved, but for the windows: nobody knows what was used of
-- it, and what is in a window leaves it within a minute. Returns how many reservations that were.
local function give_back(silent, open_of, returned_of)
  call('HDEL', state, 'gateway:' .. silent) -- from now on it reserves nothing until it joins again
  local page, count = call('HSCAN', open_of, 0, 'COUNT', AT_ONCE)[2], 0
  for i = 1, #page, 2 do
    call('HDEL', open_of, page[i])
    call('HSET', returned_of, page[i], page[i + 1])
    local _, tokens, held = unpack(cmsgpack.unpack(page[i + 1]))
    for _, it in ipairs(held) do
      local kind, key, period = unpack(it)
      if kind == 'c' then free_slot(key) end
      if kind == 'd' or kind == 'm' then settle_budget(key, period, -tokens) end
    end
    count = count + 1
  end
  call('EXPIRE', returned_of, DAY_S)
  if call('EXISTS', open_of) == 0 then call('ZREM', gateways, silent) end
  return count
end

-- Argument: the lease in seconds, and what names of `open` and `returned` start with. Returns how
-- many reservations of a silent gateway were given back, or -1: this gateway has to join first.
local function beat()
  local second, micros, _, has_joined = clock()
  if not has_joined then return -1 end
  local now = second + micros / 1e6
  local lease_s = tonumber(ARGV[4])
  local last = tonumber(call('HGET', state, 'beat') or now)
  call('HSET', state, 'beat', now)
  call('ZADD', gateways, now, gateway)
  for i = 1, 3 do call('EXPIRE', KEYS[i], KEEP_S) end
  if now - last > lease_s / 2 then -- nobody was heard: Redis itself was away, or all gateways were
    for _, one in ipairs(call('ZRANGE', gateways, 0, -1)) do call('ZADD', gateways, now, one) end
    return 0
  end
  local silent = call('ZRANGEBYSCORE', gateways, '-inf', '(' .. (now - lease_s), 'LIMIT', 0, 1)[1]
  return silent and give_back(silent, ARGV[5] .. silent, ARGV[6] .. silent) or 0
end

-- Lets a gateway reserve on this connection, and on none that it had before. What an older
-- connection had still to say may come behind what a newer one said: then nothing changes.
local function join()
  local second, micros = clock()
  local joined = tonumber(call('HGET', state, 'gateway:' .. gateway) or 0)
  if joined > tonumber(connection) then return 0 end
  call('HSET', state, 'gateway:' .. gateway, connection)
  call('ZADD', gateways, second + micros / 1e6, gateway)
  return 1
end

-- Lets a gateway go; what it could not settle is given back with the next beat of another.
local function leave()
  call('HDEL', state, 'gateway:' .. gateway)
  if call('EXISTS', open) == 0 then
    call('ZREM', gateways, gateway)
  else
    call('ZADD', gateways, 0, gateway)
  end
  return 1
end

return ({admit = admit, settle = settle, beat = beat, join = join, leave = leave})[ARGV[1]]()
