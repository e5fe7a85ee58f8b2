-- Triggers that ask a system for what happened: how far each came, and when it asks again.

create table polls (
    recipe_id uuid primary key,
    source text not null,                   -- the `connection.trigger` the position is of
    position text not null,                 -- JSON: {"since": microseconds} before the first answer, {"after": cursor} later
    seq bigint not null,                    -- grows with every move; an answer asked for before it is refused
    due_at bigint not null,                 -- asks again then
    pause_us bigint not null,               -- the pause after the last question; it adapts
    asked_at bigint,                        -- the last answer
    found_at bigint,                        -- the last answer with events
    events bigint not null,                 -- runs it started in all
    failures bigint not null,               -- questions that failed since the last answer
    error text,                             -- JSON: why the last question failed; null after an answer
    owner bigint,                           -- the worker that asks just now
    lease_until bigint                      -- until then; afterwards anybody may ask
);

create index polls_due on polls (due_at);
