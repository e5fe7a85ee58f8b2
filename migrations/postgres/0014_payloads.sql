-- Runs whose data goes once they are over, because their recipe says so.
create table run_payloads (
    run_id uuid primary key,
    keeps smallint not null,                -- what stays of each value: 1 its shape, 2 nothing
    forgotten_at bigint                     -- when it went; null while it is there
);

create index run_payloads_due on run_payloads (run_id) where forgotten_at is null;
