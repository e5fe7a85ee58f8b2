-- What is over goes row by row (decision 0014), and new rows use the room as soon as autovacuum has looked. It looks
-- after a fiftieth of a table was removed instead of a fifth: of a month of history that is half a day.
alter table runs set (autovacuum_vacuum_scale_factor = 0.02);
alter table journal set (autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_scale_factor = 0.02);
alter table event_keys set (autovacuum_vacuum_scale_factor = 0.02);
