-- Moments are seconds since the epoch, UTC. Each version is a step of its own, and they go only forward: a step that has
-- been published is never changed.

-- :step 1
create table runs (
    run integer primary key autoincrement, -- a deleted run's number is given to no other: its owner may still write
    id text not null unique,
    name text not null,
    state text not null,
    execution integer not null,
    entry text,
    error text not null default '',
    created_at real not null,
    started_at real not null,
    ended_at real,
    owner text,
    leased_until real,
    cancel integer not null default 0
);
create table nodes (
    run integer not null references runs on delete cascade,
    number integer not null,
    execution integer not null,
    recalled integer not null,
    key text not null,
    name text not null,
    version text not null,
    label text not null,
    state text not null,
    attempt integer not null,
    parent integer,
    codec text not null,
    value,
    error text not null,
    site text not null,
    created_at real not null,
    started_at real,
    ended_at real,
    primary key (run, number)
) without rowid;
create table edges (
    run integer not null references runs on delete cascade,
    down integer not null,
    up integer not null,
    exogenous integer not null,
    tolerant integer not null,
    primary key (run, down, up, exogenous, tolerant)
) without rowid;
create table attempts (
    run integer not null references runs on delete cascade,
    number integer not null,
    attempt integer not null,
    state text not null,
    started_at real,
    ended_at real,
    error text not null,
    primary key (run, number, attempt)
) without rowid;
create table logs (
    run integer not null references runs on delete cascade,
    at real not null,
    number integer,
    level text not null,
    logger text not null,
    text text not null
);
create index logs_of_run on logs (run, at);
create table cache (
    key text primary key,
    task text not null,
    codec text not null,
    value,
    at real not null
) without rowid;

-- :step 2
alter table runs add column tags text not null default '{}';
create table definitions (
    run integer not null references runs on delete cascade,
    execution integer not null,
    document text not null,
    primary key (run, execution)
);
create table facts (
    run integer not null references runs on delete cascade,
    number integer not null,
    attempt integer not null,
    facts text not null,
    primary key (run, number, attempt)
) without rowid;
create table output (
    part integer primary key autoincrement, -- who has seen one asks for what came later, also when that one has gone
    run integer not null references runs on delete cascade,
    number integer not null,
    attempt integer not null,
    stream text not null,
    start integer not null,
    at real not null,
    bytes blob not null
);
create index output_of_run on output (run);
create index output_of_node on output (run, number, attempt, stream, start);
create table workflows (
    name text primary key,
    target text not null,
    document text not null,
    tags text not null,
    registered_at real not null
);

-- :step 3
alter table runs add column begun integer not null default 1; -- how often: again after it had ended
alter table nodes add column void integer; -- null where version 1.2 has written
alter table nodes add column failures integer not null default 0;
alter table nodes add column turn integer not null default 0;
create table functions ( -- what a run has called: tasks that are known by the module and the name of their function
    run integer not null references runs on delete cascade,
    name text not null,
    module text not null,
    main integer not null, -- whether that was the module that the run began in, which counts as none
    primary key (run, name, module, main)
) without rowid;

-- :step 4
create table leases ( -- until when the runs of a process are its own, unless `leased_until` of one says that it ends before
    owner text primary key,
    until real not null
) without rowid;
create index runs_of_owner on runs (owner) where owner is not null;

-- Who lists runs reads those that are listed: an index for each question, in the order of the answer.
create index runs_by_age on runs (created_at);
create index runs_by_name on runs (name, created_at);
create index runs_by_state on runs (state, created_at);
create index runs_by_name_and_state on runs (name, state, created_at);
create index runs_by_end on runs (ended_at) where ended_at is not null;
create index runs_begun_again on runs (started_at) where execution > 1;
create table tags (
    name text not null,
    value text not null,
    created_at real not null, -- of the run
    run integer not null references runs on delete cascade,
    primary key (name, value, created_at, run)
) without rowid;
create index tags_of_run on tags (run);
-- Triggers, so that an aiodag before 1.4 that still has the file open keeps them too: it writes only what is in `runs`.
create trigger tags_of_new_run after insert on runs when new.tags <> '{}' begin
    insert into tags select key, value, new.created_at, new.run
    from json_each(case when json_valid(new.tags) then new.tags else '{}' end) where type = 'text';
end;
create trigger tags_of_taken_run after update of tags on runs when new.tags is not old.tags begin
    delete from tags where run = new.run;
    insert into tags select key, value, new.created_at, new.run
    from json_each(case when json_valid(new.tags) then new.tags else '{}' end) where type = 'text';
end;
insert into tags
    select key, value, created_at, run from runs, json_each(case when json_valid(tags) then tags else '{}' end)
    where json_each.type = 'text';
-- How many nodes of the last execution are in which state, in the order of the states: kept when a run ends, since a list of
-- large runs would count them each time. By a trigger, as above. Null in a run that goes on, or had ended before this step.
alter table runs add column counts text;
create trigger counts_of_run after update of ended_at on runs begin
    update runs set counts = case when new.ended_at is not null then (
        select json_array(
            count(*) filter (where state = 'waiting'), count(*) filter (where state = 'queued'),
            count(*) filter (where state = 'running'), count(*) filter (where state = 'succeeded'),
            count(*) filter (where state = 'failed'), count(*) filter (where state = 'skipped'),
            count(*) filter (where state = 'cancelled'))
        from nodes where nodes.run = new.run and nodes.execution = new.execution and codec <> 'barrier'
    ) end where run = new.run;
end;
-- Who asks for a task or a label does not read the values of all nodes. Most labels are the names: only others have an entry.
create index nodes_by_name on nodes (run, name);
create index nodes_by_label on nodes (run, label) where label <> name;
create index failed_nodes on nodes (run, ended_at) where state = 'failed';
create index failed_attempts on attempts (run, ended_at) where state = 'failed';
drop index logs_of_run;
create index logs_of_run on logs (run); -- in the order of their rows, which is that of the lines
create index logs_of_node on logs (run, number);
create table deleted ( -- runs of which there still are rows in other tables
    run integer primary key
);
insert into deleted
    with recursive
        seen(run) as (
            select min(run) from nodes
            union all
            select (select min(nodes.run) from nodes where nodes.run > seen.run) from seen where seen.run is not null
        ),
        logged(run) as (
            select min(run) from logs
            union all
            select (select min(logs.run) from logs where logs.run > logged.run) from logged where logged.run is not null
        )
    select run from (select run from seen union select run from logged)
    where run is not null and run not in (select run from runs);

-- :step 5
-- A run that was submitted waits in a queue until a worker takes it. One that its own process began is in none.
alter table runs add column queue text;
alter table runs add column priority integer not null default 0; -- higher first
alter table runs add column submission text; -- the key under which it was submitted: once
alter table runs add column target text; -- which code it needs, whatever its arguments
alter table runs add column code text; -- a digest of that code, when it was submitted
alter table runs add column ready integer not null default 1; -- 0 until its time has come
alter table runs add column retries integer not null default 0; -- how often it may still begin again after a failure
alter table runs add column deaths integer not null default 0; -- owners that died since a node last succeeded
alter table runs add column successes integer not null default 0; -- nodes that had succeeded when the last owner died
create unique index runs_by_submission on runs (submission) where submission is not null;
-- In the order in which they are taken, with what a worker leaves out: so it passes by those of a full name without reading them.
create index queued_runs on runs (queue, ready, priority desc, run, name, target) where state = 'queued';
create index taken_runs on runs (owner, queue) where state = 'running' and queue is not null;
drop index runs_begun_again; -- or, of those that waited before they began, for the first time
create index runs_begun_again on runs (started_at) where execution > 1 or queue is not null;
create index runs_by_queue on runs (queue, created_at) where queue is not null;
create table timers ( -- what is to happen at a moment
    timer integer primary key autoincrement,
    due_at real not null,
    kind text not null, -- start: a run becomes ready; expire: a run that never began fails
    run integer references runs on delete cascade
);
create index timers_by_moment on timers (due_at);
create index timers_of_run on timers (run) where run is not null;
create table names ( -- what holds for all runs of a name
    name text primary key,
    max_active integer -- how many of them may go on at once
) without rowid;
create table queues (
    name text primary key,
    state text not null default 'open', -- open, paused: nothing is taken; draining: nothing is submitted
    rate integer, -- how many runs may begin
    per real, -- in so many seconds
    next_at real not null default 0.0 -- when the next one may: they are evenly spaced
) without rowid;
create table workers ( -- each is there for as long as the lease of its process
    owner text primary key,
    queues text not null, -- a JSON list
    most integer not null, -- runs at once
    started_at real not null,
    lease real not null, -- how many seconds a renewal lasts
    state text not null default 'working' -- or ending: it takes no more
) without rowid;
create table refusals ( -- code that a worker does not have
    owner text not null,
    target text not null,
    reason text not null,
    primary key (owner, target)
) without rowid;
create table shared_limits ( -- limits and capacities that hold for all processes of the store
    name text primary key,
    next_at real not null default 0.0 -- when the next attempt may start, of those that are spaced
) without rowid;
create table shared_places ( -- what each process has of them
    name text not null,
    owner text not null,
    part integer not null, -- a process that has the store open under two addresses counts for each by itself
    held text not null, -- a JSON object: how many attempts, and the amounts in each place, in millionths
    wanted text, -- as JSON, what the first attempt that waits asks for; null if none does
    since real not null, -- since when one waits, without another having got something
    primary key (name, owner, part)
) without rowid;
alter table deleted add column until real; -- a run that is being copied in, not deleted: its rows are left alone until then

-- :step 6
-- What runs wait for. One that does nothing else is parked: nobody has it until a wait of its is settled.
alter table runs add column generation integer not null default 0; -- how often it has begun again with a new history
alter table runs add column parent_run text; -- the id of the run that has begun it
alter table runs add column parent_node integer;
alter table runs add column turn text; -- what its generation began with, but for the first
create index runs_of_parent on runs (parent_run) where parent_run is not null;
create table waits (
    wait integer primary key autoincrement, -- the oldest is served first
    run integer not null references runs on delete cascade,
    number integer not null, -- of the node
    kind text not null, -- message, moment, run (topic is its id), deadline
    topic text not null,
    key text not null,
    since real not null,
    due_at real,
    grouped integer, -- the node that takes the first of several
    settled integer not null default 0, -- 1: and its run has not heard of it; 2: another of its group was
    message integer, -- that it was given
    unique (run, number)
);
create index open_waits on waits (topic, key, wait) where settled = 0;
create index due_waits on waits (due_at) where settled = 0 and due_at is not null;
create index settled_waits on waits (run) where settled = 1;
create table messages (
    message integer primary key autoincrement, -- the oldest of a key is taken first
    topic text not null,
    id text not null,
    keys text not null, -- a JSON list
    payload text not null,
    headers text not null,
    to_all integer not null default 0,
    at real not null,
    expires_at real not null, -- what is kept is dead from then on
    forget_at real not null, -- what is not kept is forgotten then
    dedup real not null, -- for how many seconds it is remembered
    state text not null, -- kept, taken, started, dead
    reason text not null default '', -- why it is dead
    repeats integer not null default 0, -- how often its id has come again
    takers integer not null default 0, -- waits that were given it
    run text -- the id of the run that has it
);
create unique index messages_by_id on messages (topic, id);
create index messages_by_state on messages (topic, state, message);
create index kept_messages on messages (expires_at) where state = 'kept';
create index messages_to_forget on messages (forget_at) where state <> 'kept';
create table message_keys ( -- of those that are kept
    topic text not null,
    key text not null,
    message integer not null references messages on delete cascade,
    primary key (topic, key, message)
) without rowid;
create index keys_of_message on message_keys (message);
create table outbox ( -- messages that leave by a transport
    number integer primary key autoincrement,
    topic text not null,
    keys text not null,
    id text not null,
    payload text not null,
    headers text not null,
    via text not null,
    to_all integer not null,
    at real not null
);
create unique index outbox_by_id on outbox (topic, id);
create index outbox_by_topic on outbox (topic, number);
create table relays ( -- who passes on what leaves
    topic text primary key,
    owner text not null,
    until real not null
) without rowid;
create table starters ( -- what the messages of a topic begin
    topic text not null,
    target text not null,
    entry text not null,
    name text not null,
    queue text not null,
    parameter text not null,
    declared_in text not null, -- the file that says so
    owner text not null, -- the worker that has imported it
    primary key (topic, target)
) without rowid;

-- :step 7
-- When runs begin, and what became of each moment.
alter table runs add column schedule text; -- the name of the schedule that it is a run of
alter table runs add column backfill integer; -- which then does not wait for other runs of the schedule
alter table runs add column concurrency text; -- the group of which one goes on at a time
alter table runs add column held integer not null default 0; -- 1: it waits until another one of its group has ended
alter table runs add column cancels integer not null default 0; -- 1: it cancels the one that goes on
create index runs_by_schedule on runs (schedule, created_at, run) where schedule is not null;
create index unfinished_of_schedule on runs (schedule, run) where schedule is not null and ended_at is null;
create index unfinished_of_backfill on runs (backfill) where backfill is not null and ended_at is null;
create index unfinished_of_group on runs (concurrency, run) where concurrency is not null and ended_at is null;
create table schedules (
    schedule integer primary key autoincrement,
    name text not null unique,
    form text not null, -- of its trigger, as JSON
    submission text not null, -- what its runs are submitted as, as JSON
    params text not null, -- as JSON
    overlap text not null, -- skip, queue, allow
    catch_up text not null, -- all, latest, none
    jitter real not null,
    grace real not null,
    source text not null, -- the file that says so
    state text not null, -- active, paused, ended, broken
    reason text not null,
    next_at real, -- null if it is not active
    held integer not null default 0, -- 1: the next moment is due when what waits has been submitted
    version integer not null default 1, -- another one after each change
    noted integer not null default 0, -- firings, those that are forgotten too
    created_at real not null,
    changed_at real not null
);
create index due_schedules on schedules (next_at, schedule) where state = 'active' and held = 0;
create index schedules_by_source on schedules (source) where source <> '';
create table firings ( -- what became of a moment, or of several in a row
    firing integer primary key autoincrement,
    schedule integer not null references schedules on delete cascade,
    at real not null,
    until real not null, -- the last of several
    number integer not null, -- of moments
    kind text not null, -- scheduled, backfill, manual
    state text not null, -- submitted, waiting, skipped, missed, refused
    reason text not null,
    run text, -- the id of the run that was made of it
    submission text, -- of one that waits, as JSON
    noted_at real not null
);
create index firings_of_schedule on firings (schedule, firing);
create unique index released_moments on firings (schedule, at) where kind <> 'manual' and state in ('submitted', 'waiting');
create index waiting_firings on firings (schedule) where state = 'waiting';
create table backfills (
    backfill integer primary key autoincrement,
    schedule integer not null references schedules on delete cascade,
    begins_at real not null,
    ends_at real not null,
    most integer not null, -- runs at once
    newest_first integer not null,
    params text not null,
    cursor real, -- where it stands
    state text not null, -- active, ended, cancelled
    reason text not null,
    submitted integer not null default 0,
    known integer not null default 0, -- moments of which a run was made already
    version integer not null default 1,
    created_at real not null
);
create index backfills_of_schedule on backfills (schedule);
create index active_backfills on backfills (backfill) where state = 'active';
create table freed ( -- schedules and groups of which a run has ended, while something waits for that
    freed integer primary key autoincrement,
    kind text not null, -- schedule, group
    name text not null
);
-- Triggers, so that an older aiodag that still has the file open notes it too.
create trigger freed_by_end after update of ended_at on runs
    when new.ended_at is not null and (new.schedule is not null or new.concurrency is not null) begin
    insert into freed (kind, name) select 'schedule', new.schedule where exists (
        select 1 from schedules join firings using (schedule) where schedules.name = new.schedule and firings.state = 'waiting');
    insert into freed (kind, name) select 'group', new.concurrency where exists (
        select 1 from runs where concurrency = new.concurrency and ended_at is null and held = 1);
end;
create trigger freed_by_deletion after delete on runs
    when old.ended_at is null and (old.schedule is not null or old.concurrency is not null) begin
    insert into freed (kind, name) select 'schedule', old.schedule where exists (
        select 1 from schedules join firings using (schedule) where schedules.name = old.schedule and firings.state = 'waiting');
    insert into freed (kind, name) select 'group', old.concurrency where exists (
        select 1 from runs where concurrency = old.concurrency and ended_at is null and held = 1);
end;
-- :step 8
create table tokens (
    token integer primary key autoincrement,
    name text not null,
    role text not null, -- read, operate
    hash text not null unique, -- SHA-256 of the token, which has 32 random bytes: nobody finds it by trying
    made_at real not null,
    expires_at real,
    used_at real, -- to some minutes
    revoked_at real
);
create unique index tokens_by_name on tokens (name) where revoked_at is null;
create table sessions ( -- of browsers
    hash text primary key, -- SHA-256 of the cookie
    token text not null, -- the hash of the token that it was begun with
    made_at real not null,
    expires_at real not null
);
create index sessions_of_token on sessions (token);
create index sessions_by_end on sessions (expires_at);
create table audit ( -- what was changed over HTTP
    number integer primary key autoincrement,
    at real not null,
    who text not null, -- the name of a token
    role text not null,
    what text not null, -- the operation
    about text not null, -- such as the id of a run
    address text not null, -- from where
    details text not null, -- JSON
    outcome integer -- the status of the answer; null until there is one
);
create index audit_about on audit (about, number);
create index audit_by_moment on audit (at);
