-- Circuits of connections: one row per connection and class of calls, from its first opening on.
create table gates (
    connection text collate "C" not null,
    class smallint not null,                -- 0 read, 1 write
    state smallint not null,                -- 0 closed, 1 open, 2 half-open
    cause text not null,                    -- why, as a sentence for people
    changed_by text not null,
    since bigint not null,
    next_probe bigint,                      -- open: not before, null until somebody closes it; half-open: when the probe under way is given up
    prober bigint,                          -- the worker whose call is let through
    openings integer not null,              -- how often it opened since it was last closed
    successes integer not null,             -- probes that went well since it is half-open
    revision bigint not null,               -- goes up with every write; a write names the one it read
    primary key (connection, class)
);

-- How much of a connection's budget is left. Processes take from it in blocks.
create table budgets (
    connection text collate "C" primary key,
    tokens bigint not null,                 -- millionths of a call that may be made now
    refreshed_at bigint not null,
    day bigint not null,                    -- days since 1970 UTC
    day_used bigint not null,               -- calls of that day
    paused_until bigint                     -- the other system asked us to wait
);

-- Calls in flight by process.
create table budget_holders (
    connection text collate "C" not null,
    worker bigint not null,
    held bigint not null,                   -- calls it may have in flight
    wanted bigint not null,                 -- calls it would make if it could
    hold_until bigint not null,             -- what it holds is free after that
    primary key (connection, worker)
);

-- Who changed what, when and why.
create table audit (
    id uuid primary key,                    -- UUIDv7, so newer entries sort later
    at bigint not null,
    who text not null,
    what text not null,                     -- one word for a program: circuit.opened
    about text not null,                    -- the thing: connection crm
    note text not null                      -- a sentence for people
);

-- While more is due than fits into a claim, recipes take turns.
create index runs_due_by_recipe on runs (recipe_id, due_at, id) where due_at is not null;
