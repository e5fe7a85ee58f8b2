-- What runs keep, ask, answer and wait for beside their own journal.

alter table runs add column parent_run uuid;                    -- the run that called this one and waits for its end
alter table runs add column parent_path text;                   -- the step of it that does
alter table runs add column lane bytea;                          -- runs of one lane go one after the other
alter table runs add column room integer;                       -- how many of a lane may go at once
alter table runs add column answered smallint not null default 0; -- 1 once an answer may lie in `answers`

-- Runs of a lane that are not over, in the order they were accepted.
create table lanes (
    position bigint generated always as identity primary key,                 -- never used twice
    lane bytea not null,
    run_id uuid not null unique
);
create index lanes_by_lane on lanes (lane, position);

-- What waiting steps got: a caller's body, a person's decision, the end of a called run. One a step.
create table answers (
    run_id uuid not null,
    path text not null,
    at bigint not null,
    answer text not null,                                       -- JSON: by, out, err
    taken smallint not null default 0,                           -- 1 once it stands in the run's journal
    primary key (run_id, path)
);

-- What people are asked.
create table approvals (
    id uuid primary key not null,
    run_id uuid not null,
    path text not null,
    recipe_id uuid not null,
    question text not null,                                     -- JSON: from, ask, form
    asked_at bigint not null,
    expires_at bigint,
    decided_at bigint,
    decision text                                               -- JSON: by, out
);
create index approvals_open on approvals (id) where decided_at is null;
create index approvals_by_run on approvals (run_id);

-- What a recipe keeps between its runs.
create table recipe_state (
    recipe_id uuid not null,
    name text not null,
    value text not null,                                        -- JSON
    run_id uuid not null,                                       -- the run that wrote it
    updated_at bigint not null,
    primary key (recipe_id, name)
);
