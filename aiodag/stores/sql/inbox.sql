-- The statements of the inbox, as every database understands them.

-- :name put_waits
insert into waits (run, number, kind, topic, key, since, due_at, grouped) values (?...)
    on conflict (run, number) do update set grouped = excluded.grouped,
        settled = case when waits.settled = 2 then 0 else waits.settled end
    returning wait, run, number, kind, topic, key, grouped, since, due_at, settled

-- :name open_waits_of_key
select wait, run, number, kind, topic, key, grouped, since, due_at, settled,
    (select id from runs where runs.run = waits.run)
from waits
where topic = ? and key = ? and settled = 0 and kind = 'message' order by wait limit ?

-- :name lock_waits
select wait, run, number, kind, topic, key, grouped, since, due_at, settled from waits
where wait in (?...) and settled = 0 order by wait

-- :name lock_group
select wait from waits where run = ? and grouped = ? and settled = 0 order by wait

-- :name waits_numbered
select wait, run, number, kind, topic, key, grouped, since, due_at, settled, message from waits
where run = ? and number in (?...) order by wait

-- :name waits_of_runs
select wait, run, number, kind, topic, key, grouped, since, due_at, settled, message from waits
where run in (?...) order by wait

-- :name waits_due
select wait, run, number, kind, topic, key, grouped, since, due_at, settled from waits
where settled = 0 and due_at is not null and due_at <= ? order by due_at, wait limit 512

-- :name messages_of_runs
select messages.topic, keys from waits join messages using (message) where waits.run in (?...)

-- :name settle_wait
update waits set settled = 1, message = ? where wait = ?

-- :name open_wait
update waits set settled = 0, message = null where wait = ?

-- :name lose_waits
-- With the moments that were noted first: should what came for the winner not fit, all of them wait on.
update waits set settled = 2 where run = ? and grouped = ? and settled = 0

-- :name drop_waits
delete from waits where wait in (?...)

-- :name groups_settled
select distinct grouped from waits where run = ? and grouped is not null and settled = 1

-- :name drop_lost
delete from waits where run = ? and settled = 2 and grouped in (
    select grouped from waits where run = ? and settled = 1 and number in (?...))

-- :name drop_heard
delete from waits where run = ? and settled = 1 and number in (?...)

-- :name settle_node
update nodes set state = ?, codec = ?, value = ?, error = ?, ended_at = ?
where run = ? and number = ? and state in ('waiting', 'queued', 'running')

-- :name open_node
update nodes set state = ?, codec = '', value = null, error = '', ended_at = null where run = ? and number = ?

-- :name take_back_node
update nodes set state = ?, codec = '', value = null, ended_at = ?
where run = ? and number = ? and state = 'succeeded' and codec = 'message'

-- :name wake_run
update runs set state = ? where run = ? and state = 'parked'

-- :name wake_cancelled
update runs set state = ? where id = ? and state = 'parked'

-- :name park_run
update runs set state = ?, owner = null, leased_until = null where run = ?

-- :name run_to_park
select run, id, execution, owner, state, cancel, queue from runs where run in (?...)

-- :name waits_to_park
select settled from waits where run = ? and settled < 2 order by wait

-- :name seen_waits
select number, settled, due_at from waits where run = ?

-- :name settled_of_owner
select waits.run, waits.number, waits.kind, nodes.state, nodes.codec, nodes.value, nodes.error
from runs join waits on waits.run = runs.run join nodes on nodes.run = waits.run and nodes.number = waits.number
where runs.owner = ? and settled = 1 and kind <> 'deadline' order by wait

-- :name forget_message
delete from messages where topic = ? and id = ? and forget_at <= ? and state <> 'kept'

-- :name put_message
insert into messages (topic, id, keys, payload, headers, to_all, at, expires_at, forget_at, dedup, state, reason) values (?...)
    on conflict (topic, id) do update set repeats = messages.repeats + 1 returning topic, id, message, repeats

-- :name put_message_keys
insert into message_keys (topic, key, message) values (?...) on conflict do nothing

-- :name drop_message_keys
delete from message_keys where message in (?...)

-- :name first_kept
select messages.message, payload from message_keys join messages using (message)
where message_keys.topic = ? and message_keys.key = ? and state = 'kept' and expires_at > ? order by message_keys.message limit 1

-- :name take_kept
update messages set state = 'taken', takers = takers + 1, run = (select id from runs where runs.run = ?)
where message = ? and state = 'kept' returning message

-- :name note_taken
update messages set state = 'taken', takers = takers + ?, run = ? where message = ?

-- :name note_started
update messages set state = 'started', run = ? where message = ?

-- :name give_back_message
update messages set takers = takers - 1, state = case when takers > 1 then state else 'kept' end,
    run = case when takers > 1 then run end
where message = ? and state = 'taken' returning message, topic, keys, payload, to_all, expires_at, state

-- :name reject_message
update messages set state = 'dead', reason = ?, takers = takers - 1, forget_at = ? + dedup where message = ?

-- :name dead_letter
select message, keys, payload, headers, to_all, at, expires_at, dedup from messages
where topic = ? and id = ? and (state = 'dead' or (state = 'kept' and expires_at <= ?))

-- :name revive_message
update messages set state = 'kept', reason = '', takers = 0, run = null, at = ?, expires_at = ?, forget_at = ?
where message = ? and (state = 'dead' or (state = 'kept' and expires_at <= ?)) returning message

-- :name messages_expired
select message from messages where state = 'kept' and expires_at <= ? order by expires_at limit 512

-- :name expire_messages
update messages set state = 'dead', reason = ?, forget_at = ? + dedup where state = 'kept' and message in (?...)

-- :name forget_messages
delete from messages where message in (
    select message from messages where state <> 'kept' and forget_at <= ? order by forget_at limit 512)

-- :name next_timer
select min(due_at) from timers where kind in ('start', 'expire')
union all select min(due_at) from waits where settled = 0 and due_at is not null
union all select min(expires_at) from messages where state = 'kept'
union all select min(forget_at) from messages where state <> 'kept'
union all select 0.0 where exists (select 1 from freed where freed > 0)

-- :name waits_listed
select runs.id, waits.number, label, kind, waits.topic, waits.key, since, due_at, grouped, settled
from waits join runs using (run) left join nodes on nodes.run = waits.run and nodes.number = waits.number
where settled < 2 and {condition} order by wait limit :limit

-- :name messages_listed
select topic, id, keys, payload, state, at, expires_at, repeats, reason, run, headers from messages
where {condition} order by message desc limit :limit

-- :name topics_waited_for
select topic, count(*) from waits where settled = 0 and kind = 'message' group by topic

-- :name topics_of_messages
select topic, sum(case when state = 'kept' and expires_at > ? then 1 else 0 end),
    sum(case when state = 'dead' or (state = 'kept' and expires_at <= ?) then 1 else 0 end)
from messages group by topic

-- :name topics_outgoing
select topic, count(*) from outbox group by topic

-- :name topics_that_start
select topic, name from starters order by topic, target

-- :name starters_there
select topic, target, declared_in from starters order by topic, target

-- :name drop_starter
delete from starters where topic = ? and target = ?

-- :name kept_of_topic
select message, id, keys, payload, to_all from messages where topic = ? and state = 'kept' and expires_at > ? order by message

-- :name put_starter
insert into starters (topic, target, entry, name, queue, parameter, declared_in, owner) values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (topic, target) do update set entry = excluded.entry, name = excluded.name, queue = excluded.queue,
    parameter = excluded.parameter, declared_in = excluded.declared_in, owner = excluded.owner

-- :name starters_of_topic
select target, entry, name, queue, parameter from starters where topic = ? order by target

-- :name put_outbox
insert into outbox (topic, keys, id, payload, headers, via, to_all, at) values (?...) on conflict (topic, id) do nothing

-- :name outgoing
select number, topic, keys, id, payload, headers, via, to_all from outbox
where number in (
    select number from (
        select number, sum(length(payload)) over (order by number) - length(payload) as before
        from (select number, payload from outbox where topic = ? order by number limit ?) as first_ones
    ) as portion where before < ?)
order by number

-- :name drop_sent
delete from outbox where topic = ? and number in (?...)

-- :name relays
select distinct topic, via from outbox order by topic, via

-- :name relay_of_topic
select owner, until from relays where topic = ?

-- :name lease_relay
insert into relays (topic, owner, until) values (?, ?, ?)
    on conflict (topic) do update set owner = excluded.owner, until = excluded.until

-- :name children_among
select id from runs where run in (?...) and parent_run is not null

-- :name ends_of_children
select id, runs.name, runs.state, runs.ended_at, runs.error, codec, value,
    exists (select 1 from definitions where definitions.run = runs.run)
from runs left join nodes on nodes.run = runs.run and nodes.number = 0
where runs.run in (?...) and parent_run is not null

-- :name runs_named
select id, runs.name, runs.state, runs.ended_at, runs.error, codec, value,
    exists (select 1 from definitions where definitions.run = runs.run)
from runs left join nodes on nodes.run = runs.run and nodes.number = 0
where id in (?...)

-- :name runs_awaited
select runs.run from waits join runs on runs.id = waits.topic
where waits.run in (?...) and kind = 'run' and settled = 0 order by runs.run

-- :name waits_for_runs
select wait, run, number, kind, topic, key, grouped, since, due_at, settled from waits
where topic in (?...) and key = '' and settled = 0 and kind = 'run' order by wait
