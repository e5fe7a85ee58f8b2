//! Promise 7: a worker frozen past its lease wakes up; its write is refused and the run is unchanged.

use std::time::Duration;

use crate::harness::{Process, Target, database};

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_cannot_write() {
    let url = database().await;
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let first = Process::serve(folder.path(), Some(&url));
    first.set_up(&target.recipe(2, false)).await;
    target.hold(1);
    let run = first.send("one").await.expect("the event is taken");
    target.wait_for(1).await;
    first.signal("STOP");
    let second = Process::serve(folder.path(), Some(&url));
    // The second one takes the run over once the lease has ended, and makes the call again.
    target.wait_for(2).await;
    target.release();
    let ended = second.wait(&run, "succeeded").await;
    first.signal("CONT");
    // The first one gets its answer now, and tells in its metrics that it was refused.
    let mut refused = false;
    for _ in 0..200 {
        #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        if let Ok(answer) = client.get(format!("http://{}/metrics", first.address)).send().await {
            refused = answer.text().await.unwrap_or_default().contains("liaison_lease_lost_total 1");
        }
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refused, "the frozen process was not refused");
    assert_eq!(second.run(&run).await, ended, "the run changed");
    let keys: std::collections::HashSet<_> =
        target.calls().into_iter().filter(|call| call.step == 1).map(|call| call.key).collect();
    assert_eq!(keys.len(), 1, "the repeated call carries the same key");
}
