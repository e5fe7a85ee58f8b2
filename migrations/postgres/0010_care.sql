-- Ended runs are removed when their time is over, but not while a relative of theirs is under way.
create index runs_by_parent on runs (parent_run) where parent_run is not null;
create index runs_by_source on runs (replay_of) where replay_of is not null;
create index operation_items_by_run on operation_items (run_id) where state < 2;
