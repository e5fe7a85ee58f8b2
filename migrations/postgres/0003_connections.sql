create table connections (
    id uuid primary key,
    name text collate "C" not null unique,  -- recipes' logical names bind to it
    connector text not null,
    config text not null,                   -- JSON record, nothing secret
    sealed bytea not null,                  -- credentials, sealed by the vault; empty when there are none
    revision bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);
