-- Requests to webhook addresses that started no run, as they came. Accepted ones are in their run's journal.
create table inbound (
    id uuid primary key not null,             -- UUIDv7, so newer ones sort later
    received_at bigint not null,
    bucket text not null,                   -- the recipe's slug, empty when no recipe is at the address; bounds count by it
    address text not null,                  -- what stood after /hooks/ up to the next slash
    method text not null,
    path text not null,                     -- what followed the address
    query text not null,                    -- without its question mark
    headers text not null,                  -- JSON list of name and value; secrets masked
    body bytea not null,                       -- as received, cut where the bound for one body lies
    body_bytes bigint not null,                 -- how long it was; more than body has when it was cut
    verdict smallint not null,                    -- 1 unverified, 2 unknown, 3 switched off, 4 unparsable, 5 filtered
    code text not null,                     -- what the sender was told, as a code
    reason text not null,                   -- and as a sentence
    bytes bigint not null,                      -- what the row weighs against the bounds
    expires_at bigint not null,
    recipe_id uuid,                           -- set when somebody gave it to a recipe
    run_id uuid
);

create index inbound_by_bucket on inbound (bucket, id, bytes);
create index inbound_by_expiry on inbound (expires_at);
