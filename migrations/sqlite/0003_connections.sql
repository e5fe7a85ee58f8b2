create table connections (
    id blob primary key not null,
    name text not null unique,              -- recipes' logical names bind to it
    connector text not null,
    config text not null,                   -- JSON record, nothing secret
    sealed blob not null,                   -- credentials, sealed by the vault; empty when there are none
    revision integer not null,
    created_at integer not null,
    updated_at integer not null
) without rowid;
