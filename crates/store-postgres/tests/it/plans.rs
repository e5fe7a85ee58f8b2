//! What statements read. Plans are made once, maybe while tables are empty, and without a look at parameters: a list whose
//! length only a parameter says counts as a tenth of its table, and a join with it or a sort would read all there is.

use store::Store;
use store_postgres::{PostgresOptions, PostgresStore, testing::FreshDatabase};

use crate::parts::{LATER, NOW, recipe};

/// Runs of the past, and such as are due.
const ENDED: i64 = 20_000;
const DUE: i64 = 20_000;
/// So many claims of so many runs, of all recipes and in turns.
const CLAIMS: usize = 20;
const CLAIMED: u32 = 10;

#[tokio::test]
async fn a_claim_reads_what_it_takes_and_not_the_history_nor_the_backlog() {
    let database = FreshDatabase::schema().await;
    // One connection each: one plans while the table is empty, the other once the server knows how large it is.
    let options = PostgresOptions { connections: 1, ..PostgresOptions::default() };
    let early = PostgresStore::open(&database.url, options.clone()).await.unwrap();
    let recipe = recipe(&early).await.0;
    let worker = early.register_worker("a", NOW, LATER).await.unwrap();
    assert!(early.claim(worker, NOW, CLAIMED).await.unwrap().is_empty());
    let columns = "insert into runs (id, recipe_id, version, status, epoch, via, attempts, accepted_at, due_at, ended_at)";
    database
        .execute(&format!(
            "{columns} select gen_random_uuid(), '{recipe}', 1, 3, 1, 0, 0, i, null, i from generate_series(1, {ENDED}) i; \
             {columns} select gen_random_uuid(), '{recipe}', 1, 0, 1, 0, 0, i, i, null from generate_series(1, {DUE}) i; \
             analyze runs"
        ))
        .await;
    let late = PostgresStore::open(&database.url, options).await.unwrap();
    for store in [early, late] {
        for _ in 0..CLAIMS {
            assert_eq!(store.claim(worker, NOW, CLAIMED).await.unwrap().len(), CLAIMED as usize);
        }
        store.close().await;
    }
    // The server counts what a connection read once that has ended.
    let read = database
        .number(
            "select (sum(s.seq_tup_read) + (select sum(idx_tup_read) from pg_stat_user_indexes i \
             where i.schemaname = current_schema() and i.relname = 'runs'))::bigint \
             from pg_stat_user_tables s where s.schemaname = current_schema() and s.relname = 'runs'",
        )
        .await;
    database.remove().await;
    assert!((1..DUE).contains(&read), "{CLAIMS} claims twice of {CLAIMED} runs read {read} rows or entries of indexes");
}
