-- SQLite uses and gives back the room of removed rows by itself; the number is kept in step with PostgreSQL.
select 1;
