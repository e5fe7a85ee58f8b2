//! Groups that answer, keep, cancel and let go in every order: nobody waits for each other in a circle.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use sqlx::{Connection, PgConnection};
use store::{
    Answer, Batch, Beside, Committed, Lane, NewRun, Pages, RecipeId, RunCommit, RunId, RunStatus, Store, Then, WaitingFor,
    WorkerId,
};
use store_postgres::{PostgresStore, testing::FreshDatabase};
use tokio::task::JoinSet;

use crate::parts::{LATER, NOW, end, new_run, recipe};

const WRITERS: u16 = 6;
/// Callers and called runs of each writer.
const RUNS: u16 = 12;
const ROUNDS: u16 = 3;
/// Numbers of a round: callers, then called runs, then what people cancel, then what waits in lanes.
const ROUND: u16 = 4 * WRITERS * RUNS;

/// A place where each writer has callers of its own, and runs that callers of others wait for.
struct Place {
    recipe: RecipeId,
    owner: WorkerId,
    begin: u16,
}

impl Place {
    fn run(&self, kind: u16, writer: u16, number: u16) -> NewRun {
        let number = self.begin + kind * WRITERS * RUNS + (writer % WRITERS) * RUNS + number;
        NewRun { key: None, ..new_run(self.recipe, number, self.owner, Then::Running) }
    }

    fn id(&self, kind: u16, writer: u16, number: u16) -> RunId {
        self.run(kind, writer, number).id
    }

    fn answer(&self, kind: u16, writer: u16, number: u16, path: &str) -> Beside {
        let answer = Answer { path: path.into(), at: NOW, by: "run".to_owned(), out: Some(Arc::new(json!(1))), err: None };
        Beside::Answer { run: self.id(kind, writer, number), answer }
    }

    /// Everything that is there before a round begins: callers, called runs and, in one lane, one run
    /// that goes and others that wait for it.
    fn runs(&self) -> Vec<Arc<NewRun>> {
        let lanes = every().map(|(writer, number)| NewRun {
            lane: Some(lane(writer)),
            then: Then::Queued { due_at: NOW },
            ..self.run(3, writer, number)
        });
        let others = (0..3).flat_map(|kind| every().map(move |(writer, number)| (kind, writer, number)));
        let others = others.map(|(kind, writer, number)| self.run(kind, writer, number));
        others.chain(lanes).map(Arc::new).collect()
    }

    /// What a writer writes: its callers park, its called runs end and answer callers of the next two
    /// writers, and all of them keep something; each writer in another order.
    fn batch(&self, writer: u16) -> Batch {
        let mut commits = Vec::new();
        for number in 0..RUNS {
            let mut parked = end(self.id(0, writer, number), self.owner);
            parked.then = Then::Waiting { reason: WaitingFor::Call, due_at: LATER };
            parked.listens = vec!["one".into(), "two".into()];
            let mut ended = end(self.id(1, writer, number), self.owner);
            ended.beside = vec![
                self.answer(0, writer + 1, number, "one"),
                self.answer(3, writer + 1, number, "of somebody in a lane"),
                self.answer(0, writer + 2, number, "two"),
            ];
            let name = format!("name {}", (number + 5 * writer) % RUNS);
            let values = json!({ name: number }).as_object().unwrap().clone();
            ended.beside.push(Beside::Keep { recipe: self.recipe, values, at: NOW });
            commits.extend([parked, ended]);
        }
        if writer.is_multiple_of(2) {
            commits.reverse();
        }
        commits.rotate_left(usize::from(writer * 3));
        Batch { accepts: Vec::new(), commits: commits.into_iter().map(Arc::new).collect() }
    }
}

async fn cancel_all(store: &PostgresStore, place: &Place, writer: u16) {
    for number in 0..RUNS {
        // The caller's id is lower than that of the run that answers it.
        let beside = [place.answer(0, writer, number, "three"), place.answer(0, writer + 3, RUNS - 1 - number, "four")];
        assert!(store.cancel(place.id(2, writer, number), b"cancelled", &beside, NOW).await.unwrap());
    }
}

/// The runs of a lane end one after the other while others answer those that wait in it.
async fn go_in_order(store: &PostgresStore, place: &Place, writer: u16) {
    for number in 0..RUNS {
        let id = place.id(3, writer, number);
        while store.run(id).await.unwrap().unwrap().status != RunStatus::Running {
            store.claim(place.owner, LATER, 1000).await.unwrap();
        }
        let mut ended = RunCommit { epoch: 2, lane: Some(lane(writer).key), ..end(id, place.owner) };
        ended.beside = vec![place.answer(0, writer + 1, RUNS - 1 - number, "five")];
        let batch = Batch { accepts: Vec::new(), commits: vec![Arc::new(ended)] };
        assert_eq!(store.write(&batch).await.unwrap().commits, [Committed::Done], "{number} of lane {writer}");
    }
}

fn lane(writer: u16) -> Lane {
    Lane { key: [u8::try_from(writer).unwrap() + 1; 16], room: 1 }
}

fn every() -> impl Iterator<Item = (u16, u16)> {
    (0..WRITERS).flat_map(|writer| (0..RUNS).map(move |number| (writer, number)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn groups_that_answer_each_other() {
    let database = FreshDatabase::database().await;
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let recipe = recipe(&stores[0]).await;
    let owner = stores[0].register_worker("a", NOW, LATER).await.unwrap();
    for round in 0..ROUNDS {
        let place = Arc::new(Place { recipe, owner, begin: round * ROUND });
        stores[0].write(&Batch { accepts: place.runs(), commits: Vec::new() }).await.unwrap();
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            for kind in 0..3 {
                let (store, place) = (Arc::clone(&stores[usize::from(writer % 2)]), Arc::clone(&place));
                writers.spawn(async move {
                    match kind {
                        0 => {
                            let outcome = store.write(&place.batch(writer)).await.unwrap();
                            assert_eq!(outcome.commits, vec![Committed::Done; usize::from(2 * RUNS)]);
                        }
                        1 => cancel_all(&store, &place, writer).await,
                        _ => go_in_order(&store, &place, writer).await,
                    }
                });
            }
        }
        writers.join_all().await;
        for (writer, number) in every() {
            assert_eq!(stores[0].untaken_answers(place.id(0, writer, number)).await.unwrap().len(), 5, "{writer}, {number}");
        }
    }
    for store in stores {
        store.close().await;
    }
    assert_eq!(deadlocks(&database).await, 0);
    database.remove().await;
}

/// How often the server had to break a circle in this database.
async fn deadlocks(database: &FreshDatabase) -> i64 {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    // A server process tells its figures when it ends.
    loop {
        let others: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if others == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let count = sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()");
    let count = count.fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count
}
