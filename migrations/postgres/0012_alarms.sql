-- Alarms people set, and what they told.

create table alarms (
    name text primary key not null,
    recipe_id uuid,                         -- null for all recipes
    rule text not null,                     -- JSON: what it watches for
    deliver text not null,                  -- JSON: how it tells
    set_by text not null,
    set_at bigint not null                  -- what happened before raises nothing
);

-- When a notice about the same was raised last, so that one cause gives one notice in a while.
create table alarm_groups (
    alarm text not null,
    grp text not null,
    raised_at bigint not null,
    primary key (alarm, grp)
);

create table notices (
    id uuid primary key,                    -- UUIDv7
    alarm text not null,
    grp text not null,
    raised_at bigint not null,
    body text not null,                     -- JSON: what is told
    state smallint not null,                -- 0 waiting, 1 sent, 2 given up
    tries integer not null,
    next_at bigint not null,                -- waiting: not tried before; it moves on while somebody delivers it
    error text                              -- why the last delivery failed
);

create index notices_due on notices (next_at) where state = 0;
create index notices_by_alarm on notices (alarm, id);
