-- What systems gave connections to sign in with. One process renews it, all use it.
create table tokens (
    connection text not null,
    place text not null,                    -- which sign-in of the connection
    sealed blob not null,                   -- the tokens, sealed by the vault; empty while there are none
    renew_at integer,                       -- null when the system did not say how long they are good
    revision integer not null,              -- goes up with every new token; 0 while there are none
    holder text,                            -- whose turn it is to renew them
    holder_until integer,                   -- it is anybody's turn after that
    primary key (connection, place)
) without rowid;

-- Whether connections can sign in, and when they were used.
create table connection_states (
    connection text primary key not null,
    needs_sign_in integer not null,         -- 0 or 1
    reason text not null,                   -- why, as a sentence for people
    since integer,                          -- when needs_sign_in changed last; null when it never did
    retry_at integer,                       -- needs sign-in: from then on one call may see whether it still does
    last_used_at integer                    -- the last call that was answered
) without rowid;

-- Sign-ins that people began at another system and did not come back from yet. Each is good once.
create table begun_sign_ins (
    hash blob primary key not null,         -- SHA-256 of the state that is sent along
    connection_id blob not null,
    sealed blob not null,                   -- the rest that is needed to end it, sealed by the vault
    who text not null,                      -- who began it
    expires_at integer not null
) without rowid;

-- What systems say of their own limit for a day.
alter table budgets add column told_limit integer;      -- calls of the day in all
alter table budgets add column told_left integer;       -- calls left, those leased since taken off
alter table budgets add column told_at integer;
alter table budgets add column told_ends_at integer;    -- when it is whole again, if the system says so
alter table budgets add column paused_at integer;       -- when it was asked to wait
