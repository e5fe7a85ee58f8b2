-- Runs whose data goes once they are over, because their recipe says so.
create table run_payloads (
    run_id blob primary key not null,
    keeps integer not null,                 -- what stays of each value: 1 its shape, 2 nothing
    forgotten_at integer                    -- when it went; null while it is there
) without rowid;

create index run_payloads_due on run_payloads (run_id) where forgotten_at is null;
