-- Recipes and their immutable versions. Instants are microseconds since 1970 UTC everywhere.
create table recipes (
    id blob primary key not null,           -- UUIDv7, 16 bytes
    slug text not null unique,
    title text not null,
    latest_version integer not null,
    active_version integer,                 -- null: switched off
    params text not null default '{}',      -- JSON record set at activation
    hook_token text not null unique,        -- the unguessable part of the web address
    revision integer not null,              -- goes up with every write, compared with If-Match
    schedule_cursor integer,                -- fire times up to here are done
    created_at integer not null,
    updated_at integer not null
) without rowid;

create table recipe_versions (
    recipe_id blob not null references recipes (id),
    version integer not null,               -- counts from 1
    text text not null,
    hash text not null,                     -- SHA-256 of the text in hex
    created_at integer not null,
    created_by text not null,
    primary key (recipe_id, version)
) without rowid;

-- Small facts about the installation: the check value of the master key, the catalogue's revision.
create table settings (
    name text primary key not null,
    value text not null
) without rowid;

insert into settings (name, value) values ('catalogue_revision', '1');
