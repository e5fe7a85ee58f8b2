//! `/readyz` tells the truth while the database goes away, refuses writes, comes back, and the process stops.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    harness::{Process, Target, database},
    proxy::Proxy,
};

/// Asks until the answer is as wanted.
async fn until(process: &Process, status: u16, why: Option<&str>) -> Value {
    let began = Instant::now();
    loop {
        let (got, told) = process.api("GET", "/readyz", None).await;
        if got == status && told["why"].as_str() == why {
            return told;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "never {status} {why:?}: {got} {told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn check<'t>(told: &'t Value, name: &str) -> &'t Value {
    told["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {told}"))
}

async fn sql(url: &str, text: &str) {
    let pool = sqlx::PgPool::connect(url).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(&pool).await.unwrap();
    pool.close().await;
}

fn name(url: &str) -> &str {
    url.rsplit_once('/').unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_ready_only_while_it_can_do_its_work() {
    let url = database().await;
    let proxy = Proxy::start(&url).await;
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--ready-within", "3s"];
    let server = Process::start("serve", folder.path(), Some(&proxy.url(&url)), &flags);
    let worker = Process::start("worker", folder.path(), Some(&url), &flags);
    for process in [&server, &worker] {
        let told = until(process, 200, None).await;
        for name in ["not_stopping", "store_answers", "schema", "store_writable", "claims"] {
            assert_eq!(check(&told, name)["ok"], true, "{told}");
        }
        assert!(check(&told, "store_writable")["ago_ms"].as_u64().unwrap() <= 2_000, "{told}");
        assert!(check(&told, "claims")["ago_ms"].as_u64().unwrap() <= 3_000, "{told}");
    }
    proxy.cut();
    let told = until(&server, 503, Some("the database does not answer")).await;
    assert_eq!(check(&told, "not_stopping")["ok"], true);
    // What holds up one process is not told of another.
    until(&worker, 200, None).await;
    proxy.mend();
    until(&server, 200, None).await;
    let hang_up = format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'", name(&url));
    // It answers, but takes no writes, as a standby after a failover.
    let elsewhere = std::env::var("LIAISON_TEST_POSTGRES_URL").unwrap();
    sql(&elsewhere, &format!("alter database {} set default_transaction_read_only = on", name(&url))).await;
    sql(&elsewhere, &hang_up).await;
    let told = until(&server, 503, Some("this process cannot write to the database")).await;
    assert_eq!(check(&told, "store_answers")["ok"], true, "{told}");
    sql(&elsewhere, &format!("alter database {} reset default_transaction_read_only", name(&url))).await;
    sql(&elsewhere, &hang_up).await;
    until(&server, 200, None).await;
    // Tables older than the build, as after a restored backup.
    sql(&url, "create table kept as select * from _sqlx_migrations; delete from _sqlx_migrations where version > 3").await;
    until(&server, 503, Some("the database's tables are older than this build")).await;
    sql(&url, "insert into _sqlx_migrations select * from kept where version > 3").await;
    until(&server, 200, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_says_so_while_calls_under_way_end() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    server.set_up(&target.recipe(1, false)).await;
    target.hold(1);
    server.send("one").await.unwrap();
    target.wait_for(1).await;
    until(&server, 200, None).await;
    server.signal("TERM");
    until(&server, 503, Some("this process is stopping")).await;
    target.release();
    assert!(server.stop());
}
