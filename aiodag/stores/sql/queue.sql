-- The statements of the queue, as every database understands them.

-- :name run_of_submission
select id, name, entry, target,
    (select document from definitions where definitions.run = runs.run order by execution desc limit 1)
from runs where submission = :submission

-- :name add_submitted
insert into runs (id, name, state, entry, created_at, started_at, tags, execution, queue, priority, submission, target, code,
    ready, retries, parent_run, parent_node, schedule, backfill, concurrency, cancels)
values (:id, :name, :state, :entry, :at, :started_at, :tags, :execution, :queue, :priority, :submission, :target, :code, :ready, :retries,
    :parent_run, :parent_node, :schedule, :backfill, :concurrency, :cancels)
on conflict do nothing returning run

-- :name put_timer
insert into timers (due_at, kind, run) values (?, ?, ?)

-- :name put_max_active
insert into names (name, max_active) values (?, ?) on conflict (name) do update set max_active = excluded.max_active

-- :name state_of_queue
select state from queues where name = ?

-- :name due_timers
select timer, kind, run, due_at from timers where due_at <= ? and kind in ('start', 'expire') order by due_at limit 512

-- :name drop_timers
delete from timers where timer in (?...)

-- :name drop_timers_of_run
delete from timers where run = ?

-- :name drop_timers_of_runs
delete from timers where run in (?...)

-- :name make_ready
update runs set ready = 1 where run in (?...) and concurrency is null

-- :name due_timers_of_groups
select timer, runs.run, id, concurrency, cancels, backfill is not null from timers join runs using (run)
where due_at <= ? and kind = 'start' and concurrency is not null and state = 'queued' order by runs.run

-- :name never_begun
select run from runs where run in (?...) and state = 'queued' and execution = 0 order by run

-- :name owners_in_queues
select owner, (select until from leases where leases.owner = held.owner)
from (select distinct owner from runs where state = 'running' and queue is not null and owner is not null) as held
order by owner

-- :name runs_of_lost
select run, deaths, successes, (select count(*) from nodes where nodes.run = runs.run and nodes.state = 'succeeded')
from runs where state = 'running' and queue is not null and owner = ? order by run

-- :name runs_left
select run, deaths, successes, (select count(*) from nodes where nodes.run = runs.run and nodes.state = 'succeeded')
from runs where run in (?...) and state = 'running' and queue is not null and owner is not null and leased_until = 0.0
order by run

-- :name requeue
update runs set state = ?, owner = null, leased_until = null, ready = 1, deaths = ?, successes = ? where run = ?

-- :name cut_off_nodes
update nodes set error = case when state = 'running' then 'cut off: its process ended' else error end,
    state = 'cancelled', ended_at = ? where state in ('waiting', 'queued', 'running') and run = ?

-- :name retry_run
update runs set state = ?, retries = retries - 1, begun = begun + 1, ended_at = null, error = ''
where run = ? and state = 'failed' and queue is not null and retries > 0

-- :name submit_again
update runs set state = ?, begun = begun + 1, ended_at = null, error = '', cancel = 0, deaths = 0, held = 0,
    ready = case when concurrency is null then 1 else 0 end
where id = ? and ended_at is not null and queue is not null returning run, id, concurrency, cancels, backfill is not null

-- :name resubmit
update runs set state = :state, begun = begun + case when ended_at is null then 0 else 1 end, ended_at = null, error = '',
    cancel = 0, deaths = 0, held = 0, owner = null, leased_until = null, queue = :queue, target = :target,
    code = coalesce(:code, code), entry = coalesce(:entry, entry), tags = case :tags when '{}' then tags else :tags end,
    ready = case when concurrency is null or ended_at is null then 1 else 0 end
where run = :run returning run, id, concurrency, cancels, backfill is not null

-- :name queues_there
select name, state, rate, per from queues

-- :name take_turn
update queues set next_at = :now + per / rate where name = :name and next_at <= :now

-- :name limited_names
select name, max_active from names where max_active is not null
    and exists (select 1 from runs where runs.name = names.name and runs.state = 'queued') order by name

-- :name has_limited_names
select 1 from names where max_active is not null
    and exists (select 1 from runs where runs.name = names.name and runs.state = 'queued') limit 1

-- :name active_of_names
select name, (select count(*) from runs where runs.name = names.name and state = 'running' and queue is not null)
from names where max_active is not null

-- :name next_in_queue
select run, priority from runs
where state = 'queued' and queue = :queue and ready = 1
    and (target is null or target not in (select refusals.target from refusals where refusals.owner = :owner))
    and (name not in (select names.name from names where max_active is not null){with_room})
order by priority desc, run limit :limit

-- :name runs_to_take
select run, id, name, state, execution, entry, error, created_at, started_at, ended_at, owner, tags, queue, priority, null,
    deaths, (select document from definitions where definitions.run = runs.run order by execution desc limit 1),
    parent_run, generation, turn, schedule, concurrency, held = 1 and state = 'queued', counts, target, code, cancel, begun
from runs where run in (?...)

-- :name take_queued_run
update runs set state = ?, execution = execution + 1, started_at = ?, ended_at = null, error = '', owner = ?, leased_until = ?
where run = ?

-- :name put_refusal
insert into refusals (owner, target, reason)
select owner, target, ? from runs where run = ? and execution = ? and owner is not null and target is not null
on conflict (owner, target) do update set reason = excluded.reason

-- :name target_given_back
select queue, target from runs where run = ? and execution = ? and owner is not null

-- :name give_back
update runs set state = ?, owner = null, leased_until = null
where run = ? and execution = ? and state = 'running' and queue is not null and owner is not null

-- :name targets_refused
select distinct runs.queue, runs.target from runs where state = 'queued' and queue is not null
    and target in (select refusals.target from refusals) order by runs.queue, runs.target

-- :name refusals_of_target
select owner, reason from refusals where target = ?

-- :name waiting_for_target
select run from runs where state = 'queued' and queue = ? and target = ? order by run

-- :name put_worker
insert into workers (owner, queues, most, started_at, lease, state) values (?, ?, ?, ?, ?, 'working')
on conflict (owner) do update set queues = excluded.queues, most = excluded.most, started_at = excluded.started_at,
    lease = excluded.lease, state = excluded.state

-- :name end_worker
update workers set state = 'ending' where owner = ?

-- :name drop_worker
delete from workers where owner = ?

-- :name drop_refusals
delete from refusals where owner = ?

-- :name workers_there
select workers.owner, queues, most, state, started_at, lease, coalesce(until, 0.0), until
from workers left join leases on leases.owner = workers.owner order by started_at, workers.owner

-- :name ids_of_owner
select id from runs where owner = ? order by started_at, run

-- :name put_queue
insert into queues (name, state, rate, per) values (:name, coalesce(:state, 'open'), nullif(:rate, 0), :per)
on conflict (name) do update set state = coalesce(:state, queues.state),
    rate = nullif(coalesce(:rate, queues.rate), 0), per = coalesce(:per, queues.per)

-- :name queues_listed
select name, state, rate, per from queues order by name

-- :name waiting_in_queues
select queue, count(*) from runs where state = 'queued' and queue is not null group by queue

-- :name running_in_queues
select queue, count(*) from runs where state = 'running' and queue is not null group by queue

-- :name turns_to_come
select next_at from queues where rate is not null
    and exists (select 1 from runs where state = 'queued' and runs.queue = queues.name and ready = 1)

-- :name end_waiting
update runs set state = ?, ended_at = ? where id = ? and state = 'queued' and execution = 0 returning run

-- :name queue_of_run
select queue from runs where id = ?
