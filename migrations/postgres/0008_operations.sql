-- Dead letters by cause, and what people do to many of them at once.

alter table runs add column cause bytea;    -- fingerprint of why it failed; null until it is worked out
create index runs_by_cause on runs (cause, recipe_id, ended_at, id) where dead_letter = 1 and cause is not null;
create index runs_without_cause on runs (id) where dead_letter = 1 and cause is null;

create table operations (
    id uuid primary key,                    -- UUIDv7
    kind smallint not null,                 -- 0 resume, 1 replay, 2 discard
    state smallint not null,                -- 0 running, 1 paused, 2 done, 3 stopped
    selection text not null,                -- JSON: which dead letters, as they were asked for
    options text not null,                  -- JSON: version, uncertain, reason, rate
    first integer not null,                 -- so many go first and must end well; 0 once the rest may go
    total integer not null,
    done integer not null,
    failed integer not null,                -- could not be dealt with; `operation_items` says why
    note text,                              -- why it was stopped
    made_by text not null,
    made_at bigint not null,
    ended_at bigint,
    next_at bigint not null,                -- its next batch is not due before
    owner bigint,                           -- the worker that has a batch of it under way
    lease_until bigint                      -- until then; afterwards anybody goes on with it
);

create index operations_due on operations (next_at) where state = 0;

-- The runs of an operation. Each is dealt with once, whoever dies meanwhile.
create table operation_items (
    operation_id uuid not null,
    run_id uuid not null,
    failed_at bigint,                       -- when the run had failed when it was chosen; a run that failed anew is left alone
    state smallint not null,                -- 0 pending, 1 begun, 2 done, 3 failed
    result uuid,                            -- the new run of a replay
    message text,                           -- why it failed
    primary key (operation_id, run_id)
);

create index operation_items_open on operation_items (operation_id, run_id) where state < 2;
