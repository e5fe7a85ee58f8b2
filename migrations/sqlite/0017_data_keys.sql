-- Keys that seal secrets, each sealed under the master key. Exactly one is current: the one that is not retired.
create table data_keys (
    id integer primary key not null,        -- grows; never given twice
    wrapped blob not null,                  -- the key, sealed under the master key for the place "data key <id>"
    master_key text not null,               -- the id of that master key
    created_at integer not null,
    retired_at integer                      -- another one came then; null while it is current
);

-- Under which data key a record is sealed. Null: it holds nothing sealed, or was sealed under the master key itself, before
-- there were data keys. A key goes only when no record names it, and no record is written under a key that is gone.
alter table connections add column key_id integer references data_keys (id);
alter table tokens add column key_id integer references data_keys (id);
alter table begun_sign_ins add column key_id integer references data_keys (id);

-- Secrets of the installation itself, by name.
create table secrets (
    name text primary key not null,
    sealed blob not null,
    key_id integer references data_keys (id)
) without rowid;

insert into secrets (name, sealed) select name, unhex(value) from settings where name = 'callback_key' and unhex(value) is not null;
delete from settings where name in (select name from secrets);
