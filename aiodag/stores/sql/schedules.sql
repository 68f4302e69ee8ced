-- The statements of schedules and groups, as every database understands them.

-- :name add_schedule
insert into schedules (name, form, submission, params, overlap, catch_up, jitter, grace, source, state, reason, next_at,
    created_at, changed_at)
values (:name, :form, :submission, :params, :overlap, :catch_up, :jitter, :late, :source, :state, :reason, :next_at, :at, :at)
on conflict (name) do nothing returning schedule

-- :name replace_schedule
update schedules set form = :form, submission = :submission, params = :params, overlap = :overlap, catch_up = :catch_up,
    jitter = :jitter, grace = :late, source = :source, state = :state, reason = :reason, next_at = :next_at, held = 0,
    version = version + 1, changed_at = :at
where name = :name and :version in (0, version)

-- :name drop_schedule
delete from schedules where name = ? returning schedule

-- :name drop_firings
delete from firings where schedule = ?

-- :name drop_backfills
delete from backfills where schedule = ?

-- :name set_schedule_state
update schedules set state = ?, reason = ?, next_at = ?, held = 0, version = version + 1, changed_at = ? where name = ?

-- :name break_schedule
update schedules set state = 'broken', reason = ?, next_at = null, version = version + 1, changed_at = ? where schedule = ?

-- :name schedules_listed
select schedule, name, form, submission, params, overlap, catch_up, jitter, grace, source, state, reason, next_at, held = 1,
    version, created_at, changed_at,
    (select id from runs where runs.schedule = schedules.name order by runs.created_at desc, run desc limit 1)
from schedules where {condition} order by name

-- :name due_schedules
select schedule, name, form, submission, params, overlap, catch_up, jitter, grace, source, state, reason, next_at, held = 1,
    version, created_at, changed_at, null
from schedules where state = 'active' and held = 0 and next_at <= ? order by next_at, schedule limit ?

-- :name next_due
select min(next_at) from schedules where state = 'active' and held = 0

-- :name lock_schedules
select schedule, name, version, overlap, state, noted, held from schedules where schedule in (?...) order by schedule

-- :name lock_schedules_named
select schedule, name, version, overlap, state, noted, held from schedules where name in (?...) order by schedule

-- :name count_noted
update schedules set noted = ? where schedule = ?

-- :name unhold_schedule
update schedules set held = 0, version = version + 1 where schedule = ? and held = 1

-- :name unfinished_of_schedules
select run, runs.schedule, id from runs
where runs.schedule in (?...) and ended_at is null and backfill is null order by run

-- :name waiting_of_schedules
select firing, schedule, at, submission from firings where state = 'waiting' and schedule in (?...) order by firing

-- :name released_between
select schedule, at from firings
where schedule in (?...) and at >= ? and at <= ? and kind <> 'manual' and state in ('submitted', 'waiting')

-- :name last_firings
select schedules.schedule, firing, kind, firings.state, firings.reason
from schedules join firings on firing = (
    select newest.firing from firings as newest where newest.schedule = schedules.schedule order by newest.firing desc limit 1)
where schedules.schedule in (?...)

-- :name draining_queues
select name from queues where state = 'draining'

-- :name put_firings
insert into firings (schedule, at, until, number, kind, state, reason, run, submission, noted_at) values (?...)
    on conflict do nothing returning schedule, at

-- :name extend_firing
update firings set until = ?, number = number + ?, noted_at = ? where firing = ?

-- :name end_waiting_firing
update firings set state = ?, run = ?, reason = ?, submission = null where firing = ? and state = 'waiting'

-- :name trim_firings
delete from firings where schedule = ? and state <> 'waiting' and firing <= (
    select firing from firings where schedule = ? order by firing desc limit 1 offset ?)

-- :name firings_listed
select firings.at, firings.kind, firings.state, firings.reason, firings.run, firings.until, firings.number, firings.noted_at
from firings join schedules using (schedule) where schedules.name = ? order by firing desc limit ?

-- :name add_submissions
insert into runs (id, name, state, entry, created_at, started_at, tags, execution, queue, priority, submission, target, code,
    ready, retries, parent_run, parent_node, schedule, backfill, concurrency, cancels)
values (?...) on conflict do nothing returning id, run

-- :name add_timers
insert into timers (due_at, kind, run) values (?...)

-- :name refused_targets
select distinct target from refusals

-- :name schedule_of_name
select schedule from schedules where name = ?

-- :name add_backfill
insert into backfills (schedule, begins_at, ends_at, most, newest_first, params, cursor, state, reason, created_at)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning backfill

-- :name backfills_listed
select backfill, schedules.name, begins_at, ends_at, most, newest_first, backfills.params, cursor, backfills.state,
    backfills.reason, submitted, known, backfills.version, backfills.created_at,
    (select count(*) from runs where runs.backfill = backfills.backfill and ended_at is null)
from backfills join schedules using (schedule) where {condition} order by backfill

-- :name schedules_of_backfills
select distinct schedule from backfills where backfill in (?...) order by schedule

-- :name lock_backfills
select backfill, schedule, version, submitted, known from backfills where backfill in (?...) order by backfill

-- :name change_backfill
update backfills set cursor = ?, state = ?, reason = ?, submitted = ?, known = ?, version = version + 1 where backfill = ?

-- :name cancel_backfill
update backfills set state = 'cancelled', version = version + 1 where backfill = ? and state = 'active'

-- :name break_backfill
update backfills set state = 'cancelled', reason = ?, version = version + 1 where backfill = ?

-- :name note_freed
insert into freed (kind, name) select 'schedule', name from schedules
where name = ? and exists (select 1 from firings where firings.schedule = schedules.schedule and firings.state = 'waiting')

-- :name freed_there
select freed, kind, name from freed where freed > 0 order by freed limit 512

-- :name drop_freed
delete from freed where freed in (?...)

-- :name lock_groups
select :names -- one process writes at a time

-- :name unfinished_of_group
select run, id, held = 1 and state = 'queued', backfill is not null from runs
where concurrency = ? and ended_at is null and (ready = 1 or held = 1) and run <> ? order by run

-- :name end_held
update runs set state = ?, error = ?, ended_at = ?, held = 0, ready = 1 where run = ?

-- :name hold_run
update runs set held = 1, ready = 0 where run = ?

-- :name let_begin
update runs set held = 0, ready = 1 where run = ?
