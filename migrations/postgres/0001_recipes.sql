-- Recipes and their immutable versions. Instants are microseconds since 1970 UTC everywhere.
-- Names that lists are sorted by compare by bytes (collate "C"), as in SQLite.
create table recipes (
    id uuid primary key,                    -- UUIDv7
    slug text collate "C" not null unique,
    title text not null,
    latest_version integer not null,
    active_version integer,                 -- null: switched off
    params text not null default '{}',      -- JSON record set at activation
    hook_token text not null unique,        -- the unguessable part of the web address
    revision bigint not null,               -- goes up with every write, compared with If-Match
    schedule_cursor bigint,                 -- fire times up to here are done
    created_at bigint not null,
    updated_at bigint not null
);

create table recipe_versions (
    recipe_id uuid not null references recipes (id),
    version integer not null,               -- counts from 1
    text text not null,
    hash text not null,                     -- SHA-256 of the text in hex
    created_at bigint not null,
    created_by text not null,
    primary key (recipe_id, version)
);

-- Small facts about the installation: the check value of the master key, the catalogue's revision.
create table settings (
    name text primary key,
    value text not null
);

insert into settings (name, value) values ('catalogue_revision', '1');
