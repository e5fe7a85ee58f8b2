-- What systems gave connections to sign in with. One process renews it, all use it.
create table tokens (
    connection text collate "C" not null,
    place text collate "C" not null,        -- which sign-in of the connection
    sealed bytea not null,                  -- the tokens, sealed by the vault; empty while there are none
    renew_at bigint,                        -- null when the system did not say how long they are good
    revision bigint not null,               -- goes up with every new token; 0 while there are none
    holder text,                            -- whose turn it is to renew them
    holder_until bigint,                    -- it is anybody's turn after that
    primary key (connection, place)
);

-- Whether connections can sign in, and when they were used.
create table connection_states (
    connection text collate "C" primary key,
    needs_sign_in boolean not null,
    reason text not null,                   -- why, as a sentence for people
    since bigint,                           -- when needs_sign_in changed last; null when it never did
    retry_at bigint,                        -- needs sign-in: from then on one call may see whether it still does
    last_used_at bigint                     -- the last call that was answered
);

-- Sign-ins that people began at another system and did not come back from yet. Each is good once.
create table begun_sign_ins (
    hash bytea primary key,                 -- SHA-256 of the state that is sent along
    connection_id uuid not null,
    sealed bytea not null,                  -- the rest that is needed to end it, sealed by the vault
    who text not null,                      -- who began it
    expires_at bigint not null
);

-- What systems say of their own limit for a day.
alter table budgets add column told_limit bigint;       -- calls of the day in all
alter table budgets add column told_left bigint;        -- calls left, those leased since taken off
alter table budgets add column told_at bigint;
alter table budgets add column told_ends_at bigint;     -- when it is whole again, if the system says so
alter table budgets add column paused_at bigint;        -- when it was asked to wait
