-- Calls a process took ahead and has not made: they count against the burst until it says so, so that a rate is kept to the letter.
alter table budget_holders add column lent bigint not null default 0;
alter table budget_holders add column lent_until bigint not null default 0;   -- it makes none of them after that
