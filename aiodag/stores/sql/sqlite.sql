-- What SQLite says in its own way.

-- :name version
select user_version, (select count(*) from sqlite_master) from pragma_user_version

-- :name owners_of_runs
select id, owner, leased_until from runs where owner is not null

-- :name find_run
select run, execution, name, owner,
    min(leased_until, coalesce((select until from leases where leases.owner = runs.owner), leased_until)),
    state, error, begun + (ended_at is not null)
from runs where id = :id

-- :name summary_of_known
select count(*), coalesce(max(number), -1), coalesce(max(turn), 0), count(*) filter (where state = 'succeeded') from nodes
where run = ? and number >= 0 and typeof(number) = 'integer' and typeof(turn) = 'integer'

-- :name make_key_index
create temp table key_index (key text primary key, number integer not null) without rowid

-- :name fill_key_index
insert or replace into key_index select key, number from nodes -- of the rows that are summed up, for no number is above theirs
where run = ? and number >= 0 and typeof(number) = 'integer' and typeof(turn) = 'integer' and typeof(key) = 'text'
order by key, number

-- :name number_of_key
select number from key_index where key = :key

-- :name last_attempt
select max(attempt) from nodes indexed by nodes_by_name -- which, without statistics, is not taken by itself
where run = ? and name = ? and attempt > 0 and codec <> 'barrier'

-- :name counts
select runs.run, count(*) filter (where nodes.state = 'waiting'), count(*) filter (where nodes.state = 'queued'),
    count(*) filter (where nodes.state = 'running'), count(*) filter (where nodes.state = 'succeeded'),
    count(*) filter (where nodes.state = 'failed'), count(*) filter (where nodes.state = 'skipped'),
    count(*) filter (where nodes.state = 'cancelled')
from runs cross join nodes using (run, execution) where runs.run in (?...) and codec <> 'barrier' group by runs.run

-- :name is_made_of
 and number in (
    select called.number from nodes as called join runs as theirs using (run)
    where theirs.id = :id and called.name > :which || '[' and called.name < :which || '\' -- the letter behind [
        and substr(called.name, -1) = ']')

-- :name logs_of_nodes
select at, number, level, logger, text, logs.rowid from logs join runs using (run)
where id = :id and number in (select value from json_each(:numbers)) and logs.rowid > :beyond
order by +logs.rowid limit :limit offset :after

-- :name is_numbered
 and number in (select value from json_each(:numbers))

-- :name runs_with_tag
tags as tagged cross join runs using (run)

-- :name lock_pool
update shared_limits set next_at = next_at where name = ? and false -- one process writes at a time

-- :name shares_of_pool
select moment.now, owner, part, held, wanted, since, until
from (select (julianday('now') - 2440587.5) * 86400.0 as now) as moment
left join shared_places on name = :name left join leases using (owner)

-- :name next_start
select moment.now, next_at
from (select (julianday('now') - 2440587.5) * 86400.0 as now) as moment left join shared_limits on name = :name

-- :name lock_topics
select :names -- one process writes at a time

-- :name lock_relay
select ?

-- :name change_schedules
update schedules set state = json_extract(row.value, '$[1]'), reason = json_extract(row.value, '$[2]'),
    next_at = json_extract(row.value, '$[3]'), held = json_extract(row.value, '$[4]'), noted = json_extract(row.value, '$[5]'),
    version = version + 1, changed_at = :now
from json_each(:rows) as row where schedules.schedule = json_extract(row.value, '$[0]')

-- :name has_text
(runs.id like :text escape '!' or runs.name like :text escape '!' or (runs.tags like :quoted escape '!' and exists (
    select 1 from tags as words where words.run = runs.run
    and (words.name like :text escape '!' or words.value like :text escape '!'))))

-- :name waiting_in_queues
select queue, count(*) from runs indexed by queued_runs -- which, without statistics, is not taken by itself
where state = 'queued' and queue is not null group by queue
