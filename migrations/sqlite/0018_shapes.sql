-- What systems told of their objects, kept for a while: which there are, and the fields of one.
create table shapes (
    connection_id blob not null,
    object text not null,                   -- its name; empty for the list of all
    revision integer not null,              -- of the connection it was asked through
    told text not null,                     -- JSON: a list of objects, or the schema of one
    asked_at integer not null,
    primary key (connection_id, object)
) without rowid;

create index shapes_by_age on shapes (asked_at);
