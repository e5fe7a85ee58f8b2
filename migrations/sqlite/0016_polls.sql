-- Triggers that ask a system for what happened: how far each came, and when it asks again.

create table polls (
    recipe_id blob primary key not null,
    source text not null,                   -- the `connection.trigger` the position is of
    position text not null,                 -- JSON: {"since": microseconds} before the first answer, {"after": cursor} later
    seq integer not null,                   -- grows with every move; an answer asked for before it is refused
    due_at integer not null,                -- asks again then
    pause_us integer not null,              -- the pause after the last question; it adapts
    asked_at integer,                       -- the last answer
    found_at integer,                       -- the last answer with events
    events integer not null,                -- runs it started in all
    failures integer not null,              -- questions that failed since the last answer
    error text,                             -- JSON: why the last question failed; null after an answer
    owner integer,                          -- the worker that asks just now
    lease_until integer                     -- until then; afterwards anybody may ask
) without rowid;

create index polls_due on polls (due_at);
