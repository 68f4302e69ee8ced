-- The statements of a store by name, as every database understands them. What ends in `(?...)` is repeated for many rows at
-- once, `?...` is a list, and what stands in braces is filled by `listing.py`. What a database says in its own way stands in
-- sqlite.sql and postgres.sql, under the same name.

-- :name ids_there
select id from runs where id in (?...) order by run

-- :name add_runs
insert into runs (id, name, state, entry, created_at, started_at, owner, leased_until, tags, execution, parent_run,
    parent_node)
values (?...) on conflict (id) do nothing returning run, id

-- :name take_run
update runs set deaths = case when ended_at is null then deaths else 0 end,
    state = :state, execution = execution + 1, begun = begun + case when ended_at is null then 0 else 1 end, started_at = :at,
    ended_at = null, error = '', cancel = 0, held = 0,
    owner = :owner, leased_until = :until, entry = coalesce(:entry, entry),
    tags = case :tags when '{}' then tags else :tags end
where run = :run

-- :name put_definition
insert into definitions (run, execution, document) select :run, :execution, :document
where coalesce(:document <> (select document from definitions where run = :run order by execution desc limit 1), true)
on conflict (run, execution) do update set document = excluded.document -- of one that was queued again, and never taken

-- :name known
select key, number, nodes.state, attempt, codec, value,
    case when nodes.state in ('failed', 'skipped') then nodes.error else '' end,
    case when nodes.state = 'skipped' and nodes.started_at is null then 1 else void end, failures, turn, nodes.execution
from nodes where run = ? and number >= ? and number < ?

-- :name count_up_to
select count(*) from (select 1 from nodes where run = ? limit ?) as few

-- :name put_lease
insert into leases (owner, until) values (:owner, :until)
    on conflict (owner) do update set until = case when leases.until > excluded.until then leases.until else excluded.until end

-- :name sweep_leases
delete from leases where until < ? and owner not in (select owner from runs where owner is not null)

-- :name held
select run, execution, cancel from runs where owner = ?

-- :name owned_runs
select run, id, execution, owner, (exists (select 1 from waits where waits.run = runs.run)), parent_run is not null
from runs
where run in (?...) order by run

-- :name release
update runs set leased_until = 0.0 where run = ? and execution = ? and owner is not null

-- :name put_nodes
insert into nodes (run, execution, recalled, void, number, key, name, version, label, state, attempt, parent,
    codec, value, error, site, created_at, started_at, ended_at, failures, turn) values (?...)
    on conflict (run, number) do update set
    execution = excluded.execution, recalled = excluded.recalled, void = excluded.void, key = excluded.key,
    name = excluded.name, version = excluded.version, label = excluded.label, state = excluded.state,
    attempt = excluded.attempt, parent = excluded.parent, codec = excluded.codec, value = excluded.value,
    error = excluded.error, site = excluded.site, created_at = excluded.created_at,
    started_at = excluded.started_at, ended_at = excluded.ended_at, failures = excluded.failures,
    turn = excluded.turn

-- :name keep_attempts
insert into attempts (run, number, attempt, state, started_at, ended_at, error)
    select run, number, attempt,
    case when state in ('queued', 'running') then 'cancelled' else state end, started_at, ended_at,
    case when state = 'running' then 'cut off: its process ended' else error end
from nodes where run = ? and attempt > 0 and started_at is not null and codec <> 'barrier' and number in (?...) on conflict do nothing

-- :name put_edges
insert into edges (run, down, up, exogenous, tolerant) values (?...) on conflict do nothing

-- :name put_attempts
insert into attempts (run, number, attempt, state, started_at, ended_at, error) values (?...)
    on conflict (run, number, attempt) do update set
    state = excluded.state, started_at = excluded.started_at, ended_at = excluded.ended_at, error = excluded.error

-- :name put_logs
insert into logs (run, at, number, level, logger, text) values (?...)

-- :name put_functions
insert into functions (run, name, module, main) values (?...) on conflict do nothing

-- :name put_cache
insert into cache (key, task, codec, value, at) values (?...)
    on conflict (key) do update set
    task = excluded.task, codec = excluded.codec, value = excluded.value, at = excluded.at

-- :name put_facts
insert into facts (run, number, attempt, facts) values (?...)
    on conflict (run, number, attempt) do update set
    facts = excluded.facts

-- :name put_output
insert into output (run, number, attempt, stream, start, at, bytes) values (?...)

-- :name trim_output
delete from output
where run = ? and number = ? and attempt = ? and stream = ? and start >= ? and start + length(bytes) <= ?

-- :name void_attempt
update nodes set void = 1 where run = ? and number = ? and attempt <= ? and state in ('failed', 'skipped')

-- :name void_nodes
update nodes set void = 1 where run = ? and number in (?...)

-- :name mark_recalled
update nodes set execution = ?, recalled = 1 where run = ? and number in (?...)

-- :name end_run
update runs set state = ?, error = ?, ended_at = ?, owner = null, leased_until = null where run = ?

-- :name cached
select codec, value from cache where key = ? and at >= ?

-- :name values_elsewhere
select value from nodes where codec = :codec union select value from cache where codec = :codec

-- :name one_run
select run, id, name, state, execution, entry, error, created_at, started_at, ended_at, owner, tags, queue, priority,
    case when queue is not null and ready = 0 then
        (select min(due_at) from timers where timers.run = runs.run and kind = 'start') end,
    deaths, (select document from definitions where definitions.run = runs.run order by execution desc limit 1),
    parent_run, generation, turn, schedule, concurrency, held = 1 and state = 'queued', counts
from runs where id = :id

-- :name list_runs
select run, id, runs.name, state, execution, entry, error, {made_at}, started_at, ended_at, owner, tags, queue, priority,
    case when queue is not null and ready = 0 then
        (select min(due_at) from timers where timers.run = runs.run and kind = 'start') end,
    deaths, null, parent_run, generation, null, schedule, concurrency, held = 1 and state = 'queued', counts
from {source} where {condition}

-- :name apart
select * from ({statement} limit 9223372036854775807) as apart

-- :name has_tag
exists (select 1 from tags as also
    where also.name = :name{place} and also.value = :value{place} and also.run = runs.run)

-- :name place_of_run
select created_at, run from runs where id = ?

-- :name count_runs
select count(*) from runs where name = ?

-- :name ids_near
select id from (select id from runs where id < :id order by id desc limit 16) as near
union all select id from (select id from runs where id > :id order by id limit 16) as near
union all select id from (select id from runs order by created_at desc limit 64) as newest

-- :name names_of_runs
with recursive there(name) as (
    select min(name) from runs
    union all
    select (select min(runs.name) from runs where runs.name > there.name) from there where there.name is not null
)
select name from there where name is not null limit 1000

-- :name ended_before
select id from runs where ended_at < :before order by ended_at

-- :name beyond_the_newest
select id from (
    select id, ended_at, row_number() over (partition by name order by created_at desc, run desc) as place from runs
) as placed where place > :keep and ended_at is not null and (:before is null or ended_at < :before)

-- :name nodes
select number, key, nodes.name, version, label, nodes.state, attempt, parent, codec, value, nodes.error, site,
    nodes.created_at, nodes.started_at, nodes.ended_at, recalled
from nodes join runs using (run) where id = :id and (:every or nodes.execution = runs.execution){some} order by number

-- :name is_failed
 and number in (select failed.number from nodes as failed join runs as theirs using (run)
    where theirs.id = :id and failed.state = 'failed' and failed.ended_at >= 0) -- all of them: it is the index that asks

-- :name is_called
 and number in (
    select called.number from nodes as called join runs as theirs using (run)
    where theirs.id = :id and called.name = :which
    union all -- between, for SQLite would put the text into what the index is limited to, and then not know it again
    select called.number from nodes as called join runs as theirs using (run)
    where theirs.id = :id and called.label between :which and :which and called.label <> called.name
    union all
    select :number)

-- :name names_of_nodes
select distinct nodes.name from nodes join runs using (run) where id = ? and codec <> 'barrier' limit 1000

-- :name edges
select up, down, exogenous, tolerant from edges join runs using (run) where id = ? order by down, up

-- :name attempts
with tries as (
    select run, number, attempt, attempts.state, attempts.started_at, attempts.ended_at, attempts.error
    from attempts join runs using (run) where id = :id{some}
    union all
    select run, number, attempt, nodes.state, nodes.started_at, nodes.ended_at, nodes.error
    from nodes join runs using (run)
    where id = :id and :every{some} and attempt > 0 and nodes.started_at is not null and codec <> 'barrier'
        and not exists (select 1 from attempts as kept
            where kept.run = nodes.run and kept.number = nodes.number and kept.attempt = nodes.attempt)
)
select number, attempt, state, started_at, ended_at, error, facts
from tries left join facts using (run, number, attempt) order by number, attempt

-- :name failures
with tries as (
    select run, number, attempt, attempts.state, attempts.started_at, attempts.ended_at, attempts.error
    from attempts join runs using (run) where id = :id and attempts.state = 'failed' and attempts.ended_at >= :since
    union all
    select run, number, attempt, nodes.state, nodes.started_at, nodes.ended_at, nodes.error
    from nodes join runs using (run)
    where id = :id and nodes.state = 'failed' and nodes.ended_at >= :since
        and attempt > 0 and nodes.started_at is not null and codec <> 'barrier'
        and not exists (select 1 from attempts as kept
            where kept.run = nodes.run and kept.number = nodes.number and kept.attempt = nodes.attempt)
)
select number, attempt, state, started_at, ended_at, error, null from tries order by ended_at, number, attempt

-- :name functions
select functions.name, module, main from functions join runs using (run) where id = ?

-- :name names_tried
select distinct name from nodes where run = ? and attempt > 0 and codec <> 'barrier'

-- :name tried
select nodes.name, max(attempt) from nodes join runs using (run)
where id = ? and attempt > 0 and codec <> 'barrier' group by nodes.name

-- :name output
select number, attempt, part, stream, start, at, bytes from output
where run = (select run from runs where id = :id) and part > :after and (:attempt is null or attempt = :attempt)
order by part limit :limit

-- :name output_of_node
select number, attempt, part, stream, start, at, bytes from output
where run = (select run from runs where id = :id) and number = :number and +part > :after
    and (:attempt is null or attempt = :attempt)
order by +part limit :limit

-- :name definitions
select definitions.execution, document from definitions join runs using (run) where id = ? order by definitions.execution

-- :name logs
select at, number, level, logger, text, logs.rowid from logs join runs using (run)
where id = :id and logs.rowid > :beyond order by logs.rowid limit :limit offset :after

-- :name last_parts
select coalesce((select max(rowid) from logs where logs.run = runs.run), 0),
    coalesce((select max(part) from output where output.run = runs.run), 0)
from runs where id = ?

-- :name last_moves
select number, nodes.state, attempt, coalesce(nodes.ended_at, nodes.started_at, nodes.created_at)
from nodes join runs using (run) where id = ? and nodes.execution = runs.execution and codec <> 'barrier' order by number

-- :name counts_by_state
select state, count(*) from runs group by state

-- :name oldest_waiting
select queue, min(created_at) from runs
where state = 'queued' and queue is not null and ready = 1 and held = 0 group by queue

-- :name end_of_some
select ended_at from runs where ended_at > ? and ended_at <= ? order by ended_at limit 1 offset ?

-- :name task_seconds
select runs.name, nodes.name, nodes.state, count(*), sum(nodes.ended_at - nodes.started_at)
from runs join nodes using (run)
where runs.ended_at > ? and runs.ended_at <= ? and nodes.execution = runs.execution and codec <> 'barrier'
    and nodes.started_at is not null and nodes.ended_at is not null
group by runs.name, nodes.name, nodes.state order by runs.name, nodes.name, nodes.state

-- :name ask_cancel
update runs set cancel = 1 where id = ? and (owner is not null or queue is not null) and ended_at is null

-- :name end_orphans_nodes
update nodes set error = case when state = 'running' then 'cut off: its process ended' else error end,
    state = 'cancelled', ended_at = ? where state in ('waiting', 'queued', 'running')
    and run = (select run from runs where id = ? and owner is not null)

-- :name end_orphan
update runs set state = 'cancelled', ended_at = ?, owner = null, leased_until = null where id = ? and owner is not null

-- :name delete_run
delete from runs where run = ?

-- :name note_deleted
insert into deleted (run) values (?)

-- :name deleted_runs
select run from deleted where until is null or until < ? order by run limit ?

-- :name take_reserved
update deleted set until = null where until < ?

-- :name sweep_edges
delete from edges where (run, down, up, exogenous, tolerant) in
    (select run, down, up, exogenous, tolerant from edges where run in (?...) limit ?)

-- :name sweep_attempts
delete from attempts where (run, number, attempt) in
    (select run, number, attempt from attempts where run in (?...) limit ?)

-- :name sweep_facts
delete from facts where (run, number, attempt) in
    (select run, number, attempt from facts where run in (?...) limit ?)

-- :name sweep_output
delete from output where part in (select part from output where run in (?...) limit ?)

-- :name sweep_definitions
delete from definitions where (run, execution) in
    (select run, execution from definitions where run in (?...) limit ?)

-- :name sweep_functions
delete from functions where (run, name, module, main) in
    (select run, name, module, main from functions where run in (?...) limit ?)

-- :name sweep_logs
delete from logs where rowid in (select rowid from logs where run in (?...) limit ?)

-- :name sweep_nodes
delete from nodes where (run, number) in (select run, number from nodes where run in (?...) limit ?)

-- :name sweep_tags
delete from tags where (name, value, created_at, run) in
    (select name, value, created_at, run from tags where run in (?...) limit ?)

-- :name forget_deleted
delete from deleted where run in (?...)

-- :name add_workflow
insert into workflows (name, target, document, tags, registered_at) values (?, ?, ?, ?, ?) on conflict do nothing

-- :name workflows
select name, target, document, tags, registered_at from workflows where :name is null or name = :name order by name

-- :name delete_workflow
delete from workflows where name = ?

-- :name run_to_copy
select {columns} from runs where run = ?

-- :name rows_to_copy
select {columns} from {table} where {condition} order by {order} limit :limit

-- :name add_cached
insert into cache (key, task, codec, value, at) values (?...) on conflict do nothing

-- :name reserve_number
insert into runs (id, name, state, execution, created_at, started_at) values (?...) returning run

-- :name note_reserved
insert into deleted (run, until) values (?, ?)

-- :name hold_reserved
update deleted set until = ? where run = ? and until is not null

-- :name forget_reserved
delete from deleted where run = ?

-- :name put_definitions
insert into definitions (run, execution, document) values (?...)

-- :name put_copy
insert into runs ({columns}) values ({values})

-- :name put_start
insert into shared_limits (name, next_at) values (?, ?) on conflict (name) do update set next_at = excluded.next_at

-- :name put_share
insert into shared_places (name, owner, part, held, wanted, since) values (?, ?, ?, ?, ?, ?)
    on conflict (name, owner, part) do update set held = excluded.held, wanted = excluded.wanted, since = excluded.since

-- :name drop_share
delete from shared_places where name = ? and owner = ? and part = ?

-- :name begin_generation
update runs set generation = ?, turn = ?, deaths = 0, successes = 0 where run = ? -- it has got on, though with fewer nodes

-- :name turn_of_run
select generation, turn from runs where run = ?

-- :name enclosed_nodes
select number, parent from nodes where run = ? and parent is not null

-- :name forget_nodes
delete from nodes where run = ? and number in (?...)

-- :name forget_edges
delete from edges where run = ? and down in (?...)

-- :name forget_attempts
delete from attempts where run = ? and number in (?...)

-- :name forget_facts
delete from facts where run = ? and number in (?...)

-- :name forget_output
delete from output where run = ? and number in (?...)

-- :name forget_logs
delete from logs where run = ? and number in (?...)
