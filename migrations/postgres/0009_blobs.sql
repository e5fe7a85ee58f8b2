-- Large content, kept once under its hash: payloads of runs and files.
create table blobs (
    hash bytea primary key not null,        -- SHA-256 of the content
    upload uuid not null,                   -- the upload that brought it; its parts are the content
    size bigint not null,                   -- bytes of the content
    packed bigint not null,                 -- bytes it takes, compressed
    kept_at bigint not null,
    touched_at bigint not null              -- somebody wanted it last; without a reference it goes some time after
);

create index blobs_by_touch on blobs (touched_at);
create index blobs_by_upload on blobs (upload);

-- Which run speaks of which content. Content goes when the last of its runs is gone.
create table blob_refs (
    run_id uuid not null,
    hash bytea not null,
    primary key (run_id, hash)
);

create index blob_refs_by_hash on blob_refs (hash);

create table blob_parts (
    upload uuid not null,                   -- UUIDv7
    seq integer not null,                   -- counts from 0
    data bytea not null,                    -- zstd; every part but the last is equally long
    primary key (upload, seq)
);

-- It is compressed already.
alter table blob_parts alter column data set storage external;
