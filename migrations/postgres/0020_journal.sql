-- PostgreSQL keeps rows in the order they were written; the number is kept in step with SQLite.
select 1;
