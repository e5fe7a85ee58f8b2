-- Operations that are over are removed when their time has come; the look for them is a look into this.
create index operations_ended on operations (ended_at) where state in (2, 3);
