-- Large content, kept once under its hash: payloads of runs and files. In this dialect the content itself
-- is a file, blobs/<first two digits of the hash>/<hash>.zst in the data folder; blob_parts stays empty.
create table blobs (
    hash blob primary key not null,         -- SHA-256 of the content
    upload blob not null,                   -- the upload that brought it
    size integer not null,                  -- bytes of the content
    packed integer not null,                -- bytes it takes, compressed
    kept_at integer not null,
    touched_at integer not null             -- somebody wanted it last; without a reference it goes some time after
) without rowid;

create index blobs_by_touch on blobs (touched_at);

-- Which run speaks of which content. Content goes when the last of its runs is gone.
create table blob_refs (
    run_id blob not null,
    hash blob not null,
    primary key (run_id, hash)
) without rowid;

create index blob_refs_by_hash on blob_refs (hash);

create table blob_parts (
    upload blob not null,                   -- UUIDv7
    seq integer not null,                   -- counts from 0
    data blob not null,                     -- zstd; every part but the last is equally long
    primary key (upload, seq)
) without rowid;
