-- Of a stopped operation somebody looks at the runs it had begun; there are few, among very many that were dealt with.
create index operation_items_begun on operation_items (operation_id) where state = 1;
