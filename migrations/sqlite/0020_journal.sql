-- Chunks lie in the order they were written, and are found by run. Sorted by run, as before, each chunk of a run that is
-- under way was a page of its own to write, and one of more than a kilobyte took a page besides; now a group of them shares
-- a page or two.
create table journal_as_written (
    run_id blob not null,
    seq integer not null,                   -- counts from 0
    chunk blob not null
);
insert into journal_as_written (run_id, seq, chunk) select run_id, seq, chunk from journal order by run_id, seq;
drop table journal;
alter table journal_as_written rename to journal;
create unique index journal_by_run on journal (run_id, seq);
