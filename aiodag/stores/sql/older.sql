-- What a store of an older version lacks, as views and empty tables of one connection that reads: they hide the tables of the
-- file that have the same name, and nothing is written.

-- :version 1 2 3
create temp table leases (owner text, until real);
create temp view tags as
    select key as name, value, created_at, run from runs, json_each(case when json_valid(tags) then tags else '{}' end)
    where json_each.type = 'text';

-- :version 1 2
create temp view nodes as select *, null as void, 0 as failures, 0 as turn from main.nodes;
create temp table functions (run integer, name text, module text, main integer);

-- :version 3
create temp view runs as select *, null as counts from main.runs;

-- :version 2
create temp view runs as select *, 1 as begun, null as counts from main.runs;

-- :version 1
create temp view runs as select *, '{}' as tags, 1 as begun, null as counts from main.runs;
create temp table definitions (run integer, execution integer, document text);
create temp table facts (run integer, number integer, attempt integer, facts text);
create temp table output (
    part integer, run integer, number integer, attempt integer, stream text, start integer, at real, bytes blob
);
create temp table workflows (name text, target text, document text, tags text, registered_at real);
