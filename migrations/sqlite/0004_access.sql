-- Only hashes are kept: whoever reads this table cannot come in with it.
create table api_keys (
    id blob primary key not null,
    name text not null,
    hash blob not null unique,              -- SHA-256 of the key text
    scopes text not null,                   -- words, separated by spaces
    created_at integer not null,
    expires_at integer
) without rowid;

create table signins (
    hash blob primary key not null,         -- SHA-256 of the one-time token
    user text not null,
    expires_at integer not null
) without rowid;

create table sessions (
    hash blob primary key not null,         -- SHA-256 of the cookie
    user text not null,
    expires_at integer not null
) without rowid;
