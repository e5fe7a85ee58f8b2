-- Processes that own runs. A process whose lease ended owns nothing any more.
create table workers (
    id bigint generated always as identity primary key, -- never used twice, so an old owner is never mistaken for a new one
    name text not null,
    started_at bigint not null,
    lease_until bigint not null
);

create table runs (
    id uuid primary key,                    -- UUIDv7, so newer runs sort later
    recipe_id uuid not null,
    version integer not null,
    status smallint not null,               -- 0 queued, 1 running, 2 waiting, 3 succeeded, 4 failed, 5 cancelled
    waiting_for smallint,                   -- 1 timer, 2 retry, 3 approval, 4 callback, 5 circuit, 6 budget, 7 order
    due_at bigint,                          -- set while anybody may claim the run from then on
    owner bigint,                           -- the worker it belongs to; null while nobody runs it
    epoch bigint not null,                  -- goes up with every change of owner
    via smallint not null,                  -- 0 webhook, 1 api, 2 schedule, 3 replay
    attempts integer not null,              -- the most attempts any step needed
    accepted_at bigint not null,
    ended_at bigint,
    label text,                             -- what people see and search for
    replay_of uuid,
    dead_letter smallint,                   -- 1 open, 2 replayed, 3 discarded; set only while failed
    error text                              -- JSON: class, code, message, path; set only while failed
);

create index runs_by_recipe on runs (recipe_id, id);
create index runs_due on runs (due_at, id) where due_at is not null;
create index runs_owned on runs (owner) where owner is not null;
-- Most runs succeed; lists by status ask for the others.
create index runs_by_status on runs (status, id) where status <> 3;

-- One chunk is everything a run made durable in one commit: entries as JSON, zstd when that is shorter.
create table journal (
    run_id uuid not null,
    seq integer not null,                   -- counts from 0
    chunk bytea not null,
    primary key (run_id, seq)
);

-- Chunks are packed already; PostgreSQL need not try again.
alter table journal alter column chunk set storage external;

-- One event, one run: the key is unique per recipe while it is kept.
create table event_keys (
    recipe_id uuid not null,
    key bytea not null,                     -- first 16 bytes of the key text's SHA-256
    run_id uuid not null,
    expires_at bigint not null,
    fingerprint bytea,                      -- tells a repeated event from another event under the same key
    primary key (recipe_id, key)
);
