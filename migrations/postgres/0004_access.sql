-- Only hashes are kept: whoever reads this table cannot come in with it.
create table api_keys (
    id uuid primary key,
    name text not null,
    hash bytea not null unique,             -- SHA-256 of the key text
    scopes text not null,                   -- words, separated by spaces
    created_at bigint not null,
    expires_at bigint
);

create table signins (
    hash bytea primary key,                 -- SHA-256 of the one-time token
    "user" text not null,
    expires_at bigint not null
);

create table sessions (
    hash bytea primary key,                 -- SHA-256 of the cookie
    "user" text not null,
    expires_at bigint not null
);
