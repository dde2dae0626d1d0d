/**
 * What happens inside Redis, each script one atomic step. `test/integration/session/session-scripts.test.ts`
 * takes them through the orders that break simpler designs; why they are as they are: docs/revocation.md.
 *
 *   {sg}:s:<h>     an entry     bind|user|generation|body          h = hex sha256 of the token
 *   {sg}:l:<h>     fill lease   who may fill the entry; deleted with it
 *   {sg}:ug:<user> generation   random; missing or other than the entry's: the entry is no hit
 *   {sg}:q         mark         changes with every user-level event
 *   {sg}:state2    how current  database|epoch|nonce|beats|cursor: every event that the cursor, a snapshot of PostgreSQL,
 *                               sees is applied in here. 2: the format; nodes of another one keep a state of their own
 *   {sg}:alive     heartbeat    database.epoch.nonce, ends three seconds after the clock read before the poll behind it
 *
 * bind = format:run id.heartbeat value. One hash tag: on a cluster all of it is one slot.
 * `q` and the generations are random, not counted: evicted and begun again, a counter would repeat itself.
 * The cursor lies beside the data it speaks of: an older copy of the data brings its older cursor along.
 */
export const PREFIX = '{sg}:'
const HASH_LENGTH = 64

/**
 * KEYS alive q  ARGV bind-prefix lease lease-ms database hashes, all of them in one string: as keys of their own, two
 * for each, they would be most of what a look-up costs this end.
 * → {} bypass | {alive, q, answer…}, an answer being the body of a hit, 1 a miss with the lease, 0 a miss without.
 * The DEL of nothing is a write, and ends the script where writes are refused: a demoted master serves no hits.
 * A SET refused for want of memory is no reason to refuse hits: the miss is without a lease then.
 */
export const LOOKUP = `
local alive = redis.call('GET', KEYS[1])
if not alive or string.sub(alive, 1, #ARGV[4] + 1) ~= ARGV[4] .. '.' then return {} end
local function try(...)
  local reply = redis.pcall('SET', ...)
  return reply and reply.ok
end
local bind = ARGV[1] .. alive
local q = redis.call('GET', KEYS[2]) or (try(KEYS[2], ARGV[2]) and ARGV[2]) or ''
local answers = { alive, q }
for i = 1, #ARGV[5], ${HASH_LENGTH} do
  local hash = string.sub(ARGV[5], i, i + ${HASH_LENGTH - 1})
  local answer
  local entry = redis.call('GET', '${PREFIX}s:' .. hash)
  if entry then
    local bound, user, generation, body = string.match(entry, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
    if bound == bind and redis.call('GET', '${PREFIX}ug:' .. user) == generation then answer = body end
  end
  if not answer then
    answer = q ~= '' and try('${PREFIX}l:' .. hash, ARGV[2], 'NX', 'PX', ARGV[3]) and 1 or 0
  end
  answers[#answers + 1] = answer
end
redis.call('DEL', '${PREFIX}none')
return answers`

/**
 * KEYS alive q (s l ug)…  ARGV bind-prefix alive-then q-then lease generation generation-ms (user body ms)…
 * → how many were filled. Only under the lease, the heartbeat value and the mark of the look-up. The SETs come
 * before the DEL: Redis checks its memory limit at the first write of a script only.
 */
export const FILL = `
local current = redis.call('GET', KEYS[1]) == ARGV[2] and redis.call('GET', KEYS[2]) == ARGV[3]
local filled, a = 0, 7
for i = 3, #KEYS, 3 do
  if redis.call('GET', KEYS[i + 1]) == ARGV[4] then
    if current then
      local generation = redis.call('GET', KEYS[i + 2]) or ARGV[5]
      local entry = ARGV[1] .. ARGV[2] .. '|' .. ARGV[a] .. '|' .. generation .. '|' .. ARGV[a + 1]
      redis.call('SET', KEYS[i + 2], generation, 'PX', ARGV[6])
      redis.call('SET', KEYS[i], entry, 'PX', ARGV[a + 2])
      filled = filled + 1
    end
    redis.call('DEL', KEYS[i + 1])
  end
  a = a + 3
end
return filled`

/**
 * KEYS q  ARGV mark (kind key)…, kind 's' a token's hash, 'u' a user. Safe to repeat. The DELs come first: they
 * work without memory, and after a first write so does the SET.
 */
export const INVALIDATE = `
local users = 0
for i = 2, #ARGV, 2 do
  if ARGV[i] == 's' then
    redis.call('DEL', '${PREFIX}s:' .. ARGV[i + 1], '${PREFIX}l:' .. ARGV[i + 1])
  else
    redis.call('DEL', '${PREFIX}ug:' .. ARGV[i + 1])
    users = users + 1
  end
end
if users > 0 then redis.call('SET', KEYS[1], ARGV[1]) end
return users`

/** KEYS state → {milliseconds of the clock, state or ''} */
export const OPEN = `
local time = redis.call('TIME')
return { time[1] * 1000 + math.floor(time[2] / 1000), redis.call('GET', KEYS[1]) or '' }`

/** KEYS state alive  ARGV expected state → 1, or 0 when somebody was faster. Ends every entry: the nonce is new. */
export const RESET = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[2])
return 1`

/**
 * KEYS state alive  ARGV nonce beats epoch next-cursor until-ms, the first two as the poll began with them
 * → the number of this beat, or 0 when the state is not one that the poll can speak for: begun anew, gone back
 * (a failover to a replica that lags), or already of a later epoch; or when its time was over before it came, since
 * the cursor may move only together with the heartbeat. The later of two cursors stays, as in snapshot.ts.
 */
export const BEAT = `
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[5]) then return 0 end
local state = redis.call('GET', KEYS[1]) or ''
local database, epoch, nonce, beats, cursor = string.match(state, '^([^|]*)|(%d+)|([^|]*)|(%d+)|(%d+:%d+:[%d,]*)$')
if nonce ~= ARGV[1] or tonumber(beats) < tonumber(ARGV[2]) or tonumber(epoch) > tonumber(ARGV[3]) then return 0 end
local xmax, xip = string.match(cursor, ':(%d+):(.*)')
local nextMax, nextXip = string.match(ARGV[4], ':(%d+):(.*)')
xmax, nextMax = tonumber(xmax), tonumber(nextMax)
if xmax < nextMax or xmax == nextMax and #nextXip < #xip then cursor = ARGV[4] end
beats = beats + 1
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], string.format('%s|%s|%s|%d|%s', database, ARGV[3], nonce, beats, cursor))
redis.call('SET', KEYS[2], string.format('%s.%s.%s', database, ARGV[3], nonce), 'PXAT', ARGV[5])
return beats`
