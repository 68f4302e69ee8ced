-- What a store of an older version lacks, as views and empty tables of one connection that reads: they hide the tables of the
-- file that have the same name, and nothing is written.

-- :version 1 2 3 4 5 6 7
create temp table tokens (
    token integer, name text, role text, hash text, made_at real, expires_at real, used_at real, revoked_at real
);
create temp table sessions (hash text, token text, made_at real, expires_at real);
create temp table audit (
    number integer, at real, who text, role text, what text, about text, address text, details text, outcome integer
);

-- :version 1 2 3 4 5 6
create temp table schedules (
    schedule integer, name text, form text, submission text, params text, overlap text, catch_up text, jitter real, grace real, source text,
    state text, reason text, next_at real, held integer, version integer, noted integer, created_at real, changed_at real
);
create temp table firings (
    firing integer, schedule integer, at real, until real, number integer, kind text, state text, reason text, run text,
    submission text, noted_at real
);
create temp table backfills (
    backfill integer, schedule integer, begins_at real, ends_at real, most integer, newest_first integer, params text, cursor real,
    state text, reason text, submitted integer, known integer, version integer, created_at real
);
create temp table freed (freed integer, kind text, name text);

-- :version 1 2 3 4 5
create temp table waits (
    wait integer, run integer, number integer, kind text, topic text, key text, since real, due_at real, grouped integer, settled integer,
    message integer
);
create temp table messages (
    message integer, topic text, id text, keys text, payload text, headers text, to_all integer, at real, expires_at real,
    forget_at real, dedup real, state text, reason text, repeats integer, takers integer, run text
);
create temp table message_keys (topic text, key text, message integer);
create temp table outbox (
    number integer, topic text, keys text, id text, payload text, headers text, via text, to_all integer, at real
);
create temp table relays (topic text, owner text, until real);
create temp table starters (topic text, target text, entry text, name text, queue text, parameter text, declared_in text,
    owner text);

-- :version 1 2 3 4
create temp table timers (timer integer, due_at real, kind text, run integer);
create temp table names (name text, max_active integer);
create temp table queues (name text, state text, rate integer, per real, next_at real);
create temp table workers (owner text, queues text, most integer, started_at real, lease real, state text);
create temp table refusals (owner text, target text, reason text);
create temp table shared_limits (name text, next_at real);
create temp table shared_places (name text, owner text, part integer, held text, wanted text, since real);

-- :version 6
create temp view runs as select *, null as schedule, null as backfill, null as concurrency, 0 as held, 0 as cancels from main.runs;

-- :version 5
create temp view runs as select *, 0 as generation, null as parent_run, null as parent_node, null as turn, null as schedule, null as backfill, null as concurrency, 0 as held, 0 as cancels from main.runs;

-- :version 4
create temp view runs as select *, null as queue, 0 as priority, null as submission, null as target, null as code, 1 as ready, 0 as retries,
    0 as deaths, 0 as successes, 0 as generation, null as parent_run, null as parent_node, null as turn, null as schedule, null as backfill, null as concurrency, 0 as held, 0 as cancels from main.runs;

-- :version 1 2 3
create temp table leases (owner text, until real);
create temp view tags as
    select key as name, value, created_at, run from runs, json_each(case when json_valid(tags) then tags else '{}' end)
    where json_each.type = 'text';

-- :version 1 2
create temp view nodes as select *, null as void, 0 as failures, 0 as turn from main.nodes;
create temp table functions (run integer, name text, module text, main integer);

-- :version 3
create temp view runs as select *, null as counts, null as queue, 0 as priority, null as submission, null as target, null as code, 1 as ready, 0 as retries,
    0 as deaths, 0 as successes, 0 as generation, null as parent_run, null as parent_node, null as turn, null as schedule, null as backfill, null as concurrency, 0 as held, 0 as cancels
    from main.runs;

-- :version 2
create temp view runs as select *, 1 as begun, null as counts, null as queue, 0 as priority, null as submission, null as target, null as code, 1 as ready, 0 as retries,
    0 as deaths, 0 as successes, 0 as generation, null as parent_run, null as parent_node, null as turn, null as schedule, null as backfill, null as concurrency, 0 as held, 0 as cancels
    from main.runs;

-- :version 1
create temp view runs as select *, '{}' as tags, 1 as begun, null as counts, null as queue, 0 as priority, null as submission, null as target, null as code, 1 as ready, 0 as retries,
    0 as deaths, 0 as successes, 0 as generation, null as parent_run, null as parent_node, null as turn, null as schedule, null as backfill, null as concurrency, 0 as held, 0 as cancels
    from main.runs;
create temp table definitions (run integer, execution integer, document text);
create temp table facts (run integer, number integer, attempt integer, facts text);
create temp table output (
    part integer, run integer, number integer, attempt integer, stream text, start integer, at real, bytes blob
);
create temp table workflows (name text, target text, document text, tags text, registered_at real);
