-- What PostgreSQL says in its own way. Most of it is there because SQLite has to be told which index it takes.

-- :name find_run
select run, execution, name, owner,
    case when leased_until = 0.0 then 0.0 else least(leased_until, greatest(
        coalesce((select until from leases where leases.owner = runs.owner), leased_until),
        -- Owners could not renew while the server was away: none loses its runs before it could have.
        extract(epoch from pg_postmaster_start_time()) + :grace))::double precision end,
    state, error, begun + case when ended_at is null then 0 else 1 end
from runs where id = :id

-- :name summary_of_known
select count(*), coalesce(max(number), -1), coalesce(max(turn), 0), count(*) filter (where state = 'succeeded') from nodes
where run = ? and number >= 0

-- :name make_key_index
-- Nothing: the table has an index of its own for that, and a session could not keep a temporary one.
select

-- :name fill_key_index
select where ? is null

-- :name number_of_key
select number from nodes where run = :run and key = :key and number >= 0 limit 1

-- :name last_attempt
select max(attempt) from nodes where run = ? and name = ? and attempt > 0 and codec <> 'barrier'

-- :name counts
select runs.run, count(*) filter (where nodes.state = 'waiting'), count(*) filter (where nodes.state = 'queued'),
    count(*) filter (where nodes.state = 'running'), count(*) filter (where nodes.state = 'succeeded'),
    count(*) filter (where nodes.state = 'failed'), count(*) filter (where nodes.state = 'skipped'),
    count(*) filter (where nodes.state = 'cancelled')
from runs join nodes using (run, execution) where runs.run in (?...) and codec <> 'barrier' group by runs.run

-- :name is_made_of
 and number in (
    select called.number from nodes as called join runs as theirs using (run)
    where theirs.id = :id and called.name > :which || '[' and called.name < :which || '\' -- the letter behind [
        and right(called.name, 1) = ']')

-- :name logs_of_nodes
select at, number, level, logger, text, logs.rowid from logs join runs using (run)
where id = :id and number in (select value::bigint from json_array_elements_text(:numbers)) and logs.rowid > :beyond
order by logs.rowid limit :limit offset :after

-- :name is_numbered
 and number in (select value::bigint from json_array_elements_text(:numbers))

-- :name runs_with_tag
tags as tagged join runs using (run)

-- :name now
select extract(epoch from clock_timestamp())::double precision

-- :name tables_of_schema
select to_regclass(quote_ident(:schema) || '.store') is not null, to_regnamespace(quote_ident(:schema)) is not null,
    (select count(*) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = :schema and relkind in ('r', 'p', 'v', 'm', 'f'))

-- :name version
select version from store

-- :name lock_schema
select pg_advisory_xact_lock(hashtext('aiodag'), hashtext(:schema))

-- :name note_version
with former as (delete from store) insert into store (version) values (:version)

-- :name next_in_queue
-- Who takes or fires something has it alone: others pass by it, and do not wait.
select run, priority from runs
where state = 'queued' and queue = :queue and ready = 1
    and (target is null or target not in (select refusals.target from refusals where refusals.owner = :owner))
    and (name not in (select names.name from names where max_active is not null){with_room})
order by priority desc, run limit :limit for no key update of runs skip locked

-- :name due_timers
select timer, kind, run, due_at from timers where due_at <= ? and kind in ('start', 'expire') order by due_at limit 512
for update skip locked

-- :name due_timers_of_groups
select timer, runs.run, id, concurrency, cancels, backfill is not null from timers join runs using (run)
where due_at <= ? and kind = 'start' and concurrency is not null and state = 'queued' order by runs.run
for update of timers skip locked

-- :name limited_names
-- Two that count the running ones of a name at once would both find room: the second waits until the first has taken its own.
select name, max_active from names where max_active is not null
    and exists (select 1 from runs where runs.name = names.name and runs.state = 'queued') order by name for update

-- :name take_turn
-- Who comes while another takes a turn has none. Of two workers of two queues, each would have one and wait for the other.
update queues set next_at = :now + per / rate
where name in (select name from queues where name = :name and next_at <= :now for no key update skip locked)

-- :name owners_in_queues
select owner, greatest((select until from leases where leases.owner = held.owner),
    extract(epoch from pg_postmaster_start_time())::double precision + :grace)
from (select distinct owner from runs where state = 'running' and queue is not null and owner is not null) as held
order by owner -- whose runs are locked then: in one order, or two that look would wait for each other

-- :name workers_there
select workers.owner, queues, most, state, started_at, lease, coalesce(until, 0.0),
    greatest(until, extract(epoch from pg_postmaster_start_time())::double precision + :grace)
from workers left join leases on leases.owner = workers.owner order by started_at, workers.owner

-- :name lock_pool
-- Not a row of it, whose lock would be written to disk: most looks change nothing.
select pg_advisory_xact_lock(hashtextextended(current_schema() || ' ' || ?, 0))

-- :name shares_of_pool
select moment.now, owner, part, held, wanted, since,
    greatest(until, extract(epoch from pg_postmaster_start_time())::double precision + :grace)
from (select extract(epoch from clock_timestamp())::double precision as now) as moment
left join shared_places on name = :name left join leases using (owner)

-- :name next_start
select moment.now, next_at
from (select extract(epoch from clock_timestamp())::double precision as now) as moment
left join shared_limits on name = :name

-- :name note_commit
update leases set token = ? where owner = ?

-- :name last_commit
-- By its owner alone: one that is still under way holds this row, and a row of which the token is not yet the one that is
-- asked for would be passed by, not waited for.
select token from leases where owner = ? for no key update

-- :name lock_topics
-- Whoever looks for a message and then waits, and whoever looks for one who waits and then keeps a message: one after the other,
-- or both would find nothing. All at once and in one order, or two of them would wait for each other.
select pg_advisory_xact_lock(place) from (
    select distinct hashtextextended(current_schema() || ' ' || name.value, 1) as place
    from json_array_elements_text(:names) as name order by place) as places

-- :name lock_relay
select pg_advisory_xact_lock(hashtextextended(current_schema() || ' ' || ?, 2))

-- :name lock_waits
select wait, run, number, kind, topic, key, grouped, since, due_at, settled from waits
where wait in (?...) and settled = 0 order by wait for update

-- :name lock_group
-- In one order: two messages for two waits of one group come at once, and each would hold the one that the other drops.
select wait from waits where run = ? and grouped = ? and settled = 0 order by wait for update

-- :name waits_numbered
select wait, run, number, kind, topic, key, grouped, since, due_at, settled, message from waits
where run = ? and number in (?...) order by wait for update

-- :name waits_of_runs
select wait, run, number, kind, topic, key, grouped, since, due_at, settled, message from waits
where run in (?...) order by wait for update

-- :name waits_to_park
-- Locked: whoever settles one of them meanwhile commits before, and is seen here, or finds the run parked.
select settled from waits where run = ? and settled < 2 order by wait for update

-- :name messages_expired
select message from messages where state = 'kept' and expires_at <= ? order by expires_at limit 512 for update skip locked

-- :name forget_messages
delete from messages where message in (
    select message from messages where state <> 'kept' and forget_at <= ? order by forget_at limit 512 for update skip locked)

-- :name lock_schedules
-- Who releases moments of a schedule has it alone: its version decides who is second.
select schedule, name, version, overlap, state, noted, held from schedules where schedule in (?...) order by schedule for update

-- :name lock_schedules_named
select schedule, name, version, overlap, state, noted, held from schedules where name in (?...) order by schedule for update

-- :name lock_backfills
select backfill, schedule, version, submitted, known from backfills where backfill in (?...) order by backfill for update

-- :name freed_there
select freed, kind, name from freed where freed > 0 order by freed limit 512 for update skip locked

-- :name lock_groups
-- Two that are submitted at once would both find nobody of their group.
select pg_advisory_xact_lock(place) from (
    select distinct hashtextextended(current_schema() || ' ' || name.value, 3) as place
    from json_array_elements_text(:names) as name order by place) as places

-- :name change_schedules
update schedules set state = e->>1, reason = e->>2, next_at = (e->>3)::double precision, held = (e->>4)::bigint,
    noted = (e->>5)::bigint, version = version + 1, changed_at = :now
from jsonb_array_elements(:rows) as e where schedules.schedule = (e->>0)::bigint

-- :name has_text
(runs.id ilike :text escape '!' or runs.name ilike :text escape '!' or (runs.tags <> '{}' and exists (
    select 1 from tags as words where words.run = runs.run
    and (words.name ilike :text escape '!' or words.value ilike :text escape '!'))))
