//! Groups what many tasks want to write into few transactions.
//!
//! One task owns the writing. While a transaction is being made durable, the next group gathers, so
//! a busy store commits large groups and an idle one commits at once: nothing waits for a timer.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics::Histogram;
use tokio::sync::{mpsc, oneshot};

use crate::{Accepted, Batch, BatchOutcome, Committed, NewRun, RunCommit, Store, StoreError};

/// Bounds of the grouping.
#[derive(Debug, Clone, Copy)]
pub struct GroupSettings {
    /// Transitions in one transaction at most.
    pub group_max: usize,
    /// Transitions waiting at most; more wait for room.
    pub queue_max: usize,
    /// How long a group is tried again while the database does not answer.
    pub retry_for: Duration,
    /// How many groups may be on their way at once. SQLite has one writer; PostgreSQL profits from two.
    pub lanes: usize,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self { group_max: 128, queue_max: 4096, retry_for: Duration::from_secs(5), lanes: 1 }
    }
}

enum Wish {
    Accept(Arc<NewRun>, oneshot::Sender<Result<Accepted, StoreError>>),
    Commit(Arc<RunCommit>, oneshot::Sender<Result<Committed, StoreError>>),
}

/// The way to a store's grouped writes. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    wishes: mpsc::Sender<Wish>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// Starts the writing task; it ends when the last clone is dropped and everything is written.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, settings: GroupSettings) -> Self {
        let (wishes, inbox) = mpsc::channel(settings.queue_max);
        let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
        for _ in 0..settings.lanes.max(1) {
            tokio::spawn(write_all(Arc::clone(&store), settings, Arc::clone(&inbox)));
        }
        Self { wishes }
    }

    /// Makes a new run durable.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database did not answer in time; whether the run was
    /// written is then unknown, and the same run may be written again.
    pub async fn accept(&self, run: NewRun) -> Result<Accepted, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.wishes.send(Wish::Accept(Arc::new(run), reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Makes one more chunk of a run durable.
    ///
    /// # Errors
    /// As [`Writer::accept`].
    pub async fn commit(&self, commit: impl Into<Arc<RunCommit>>) -> Result<Committed, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.wishes.send(Wish::Commit(commit.into(), reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("this process is stopping".to_owned())
}

async fn write_all(store: Arc<dyn Store>, settings: GroupSettings, inbox: Arc<tokio::sync::Mutex<mpsc::Receiver<Wish>>>) {
    let mut wishes = Vec::with_capacity(settings.group_max);
    loop {
        gather(&mut *inbox.lock().await, &mut wishes, settings.group_max).await;
        if wishes.is_empty() {
            return;
        }
        write_group(&*store, settings, std::mem::take(&mut wishes)).await;
    }
}

/// Takes the next group; none when nobody can ask any more.
async fn gather(inbox: &mut mpsc::Receiver<Wish>, wishes: &mut Vec<Wish>, most: usize) {
    inbox.recv_many(wishes, most).await;
    // Senders wait for the answer to a new run. With commits among them, whoever can ask by now does so first: a group costs
    // little more for being larger. With nobody else at work that takes no time, and no clock is waited for.
    if wishes.iter().any(|wish| matches!(wish, Wish::Commit(..))) {
        tokio::task::yield_now().await;
        while wishes.len() < most
            && let Ok(wish) = inbox.try_recv()
        {
            wishes.push(wish);
        }
    }
}

/// How long groups took and how large they were; looked up once, because to find one costs more than to count.
static SECONDS: OnceLock<Histogram> = OnceLock::new();
static SIZES: OnceLock<Histogram> = OnceLock::new();

async fn write_group(store: &dyn Store, settings: GroupSettings, wishes: Vec<Wish>) {
    let size = u32::try_from(wishes.len()).map_or(f64::MAX, f64::from);
    let mut batch = Batch::default();
    let (mut accept_replies, mut commit_replies) = (Vec::new(), Vec::new());
    for wish in wishes {
        match wish {
            Wish::Accept(run, reply) => {
                batch.accepts.push(run);
                accept_replies.push(reply);
            }
            Wish::Commit(commit, reply) => {
                batch.commits.push(commit);
                commit_replies.push(reply);
            }
        }
    }
    let began = tokio::time::Instant::now();
    let outcome = write_patiently(store, settings, &batch).await;
    SECONDS.get_or_init(|| metrics::histogram!("liaison_write_seconds")).record(began.elapsed());
    SIZES.get_or_init(|| metrics::histogram!("liaison_write_group_size")).record(size);
    match outcome {
        Ok(BatchOutcome { accepts, commits }) => {
            // A reply nobody waits for any more is no error: what was written stays written.
            accept_replies.into_iter().zip(accepts).for_each(|(reply, accepted)| drop(reply.send(Ok(accepted))));
            commit_replies.into_iter().zip(commits).for_each(|(reply, committed)| drop(reply.send(Ok(committed))));
        }
        // One bad transition must not fail its neighbours: each is tried by itself.
        Err(StoreError::Corrupt(_) | StoreError::Internal(_) | StoreError::WrongKey { .. } | StoreError::KeyGone)
            if batch.accepts.len() + batch.commits.len() > 1 =>
        {
            for (run, reply) in batch.accepts.into_iter().zip(accept_replies) {
                let alone = Batch { accepts: vec![run], commits: Vec::new() };
                drop(
                    reply.send(
                        write_patiently(store, settings, &alone).await.and_then(|mut outcome| first(outcome.accepts.pop())),
                    ),
                );
            }
            for (commit, reply) in batch.commits.into_iter().zip(commit_replies) {
                let alone = Batch { accepts: Vec::new(), commits: vec![commit] };
                drop(
                    reply.send(
                        write_patiently(store, settings, &alone).await.and_then(|mut outcome| first(outcome.commits.pop())),
                    ),
                );
            }
        }
        Err(error) => {
            accept_replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
            commit_replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
        }
    }
}

fn first<T>(outcome: Option<T>) -> Result<T, StoreError> {
    outcome.ok_or_else(|| StoreError::Internal("the store answered fewer outcomes than it was asked for".to_owned()))
}

/// Tries again while the database does not answer: writing the same batch twice changes nothing.
async fn write_patiently(store: &dyn Store, settings: GroupSettings, batch: &Batch) -> Result<BatchOutcome, StoreError> {
    const PAUSE: Duration = Duration::from_millis(50);
    let started = tokio::time::Instant::now();
    loop {
        match store.write(batch).await {
            Err(StoreError::Unavailable(_)) if started.elapsed() + PAUSE < settings.retry_for => tokio::time::sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

#[cfg(all(test, any(feature = "conformance", debug_assertions)))]
mod tests {
    use super::*;
    use crate::{
        RecipeId, Then, WorkerId,
        conformance::parts::{at, dice, first_commit, new_run},
    };

    fn accept() -> Wish {
        Wish::Accept(Arc::new(new_run(RecipeId::new(at(0), dice(9)), 1)), oneshot::channel().0)
    }

    fn commit() -> Wish {
        Wish::Commit(Arc::new(first_commit(1, WorkerId(1), Then::Running)), oneshot::channel().0)
    }

    /// How many make the first group when five more ask as soon as they get a turn.
    async fn first_group(first: Wish, most: usize) -> usize {
        let (wishes, mut inbox) = mpsc::channel(16);
        wishes.send(first).await.unwrap();
        let others = async move {
            for _ in 0..5 {
                wishes.send(commit()).await.unwrap();
            }
        };
        let others = tokio::spawn(others);
        let mut group = Vec::new();
        gather(&mut inbox, &mut group, most).await;
        others.await.unwrap();
        group.len()
    }

    #[tokio::test]
    async fn commits_that_can_be_had_by_now_share_a_group_and_a_new_run_does_not_wait_for_them() {
        assert_eq!(first_group(commit(), 128).await, 6);
        assert_eq!(first_group(commit(), 4).await, 4);
        assert_eq!(first_group(accept(), 128).await, 1);
    }

    #[tokio::test]
    async fn nobody_left_to_ask_is_an_empty_group() {
        let (wishes, mut inbox) = mpsc::channel(1);
        drop(wishes);
        let mut group = Vec::new();
        gather(&mut inbox, &mut group, 128).await;
        assert!(group.is_empty());
    }
}
