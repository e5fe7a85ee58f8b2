//! Circuits, budgets and the audit list.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Bed,
    parts::{accept_all, at, commit, dice, new_run, recipe, row, worker, write},
};
use crate::{
    AuditId, AuditRow, BudgetAsk, BudgetLease, BudgetLimits, ConnectionId, ConnectionRow, GateClass, GateRow, GateState, NewRun,
    Then, Told, WaitingFor, WorkerId, class_budget,
};

fn open(name: &str) -> GateRow {
    GateRow {
        connection: name.to_owned(),
        class: GateClass::Write,
        state: GateState::Open,
        cause: "5 calls in a row failed: it's \u{e4}rgerlich.".to_owned(),
        changed_by: "liaison".to_owned(),
        since: at(1),
        next_probe: Some(at(31)),
        prober: None,
        openings: 1,
        successes: 0,
        revision: 0,
    }
}

fn entry(number: u64, about: &str) -> AuditRow {
    let seconds = i64::try_from(number).unwrap();
    AuditRow {
        id: AuditId::new(at(seconds), dice(number)),
        at: at(seconds),
        who: "ann".to_owned(),
        what: "circuit.opened".to_owned(),
        about: about.to_owned(),
        note: format!("number {number}"),
    }
}

fn ask(worker: i64, limits: BudgetLimits, tokens: u32, seconds: i64) -> BudgetAsk {
    BudgetAsk {
        connection: "crm".to_owned(),
        worker: WorkerId(worker),
        limits,
        tokens,
        back: 0,
        unspent: 0,
        at_once: tokens,
        lent_until: at(seconds + 1),
        busy: 0,
        wanted: 0,
        now: at(seconds),
        hold_until: at(seconds + 30),
    }
}

const TWO_A_SECOND: BudgetLimits = BudgetLimits { per_second: Some(2.0), burst: 10, per_day: None, in_flight: None };
const FIVE_IN_FLIGHT: BudgetLimits = BudgetLimits { per_second: None, burst: 1, per_day: None, in_flight: Some(5) };

/// What one process writes the others read, whole.
pub async fn a_circuit_is_shared(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    assert!(store.gates().await.unwrap().is_empty());
    assert!(store.move_gate(&open("crm"), None).await.unwrap());
    let probing = GateRow {
        state: GateState::HalfOpen,
        prober: Some(WorkerId(7)),
        next_probe: Some(at(90)),
        successes: 2,
        revision: 1,
        ..open("crm")
    };
    assert!(other.move_gate(&probing, None).await.unwrap());
    let read = GateRow { class: GateClass::Read, next_probe: None, ..open("crm") };
    assert!(store.move_gate(&read, None).await.unwrap());
    let there = |row: GateRow, revision| GateRow { revision, ..row };
    assert_eq!(other.gates().await.unwrap(), [there(read, 1), there(probing, 2)]);
}

/// Of many who change a circuit they all read the same way, one does; its audit entry is kept, and no other.
pub async fn one_of_many_changes_a_circuit(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    for revision in 0..3 {
        let mut racers = JoinSet::new();
        for number in 0..8_u64 {
            let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
            racers.spawn(async move {
                let row = GateRow { prober: Some(WorkerId(number.cast_signed())), revision, ..open("crm") };
                let audit = entry(number + 100 * revision.unsigned_abs(), "connection crm");
                store.move_gate(&row, Some(&audit)).await.unwrap()
            });
        }
        let won = racers.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "revision {revision}");
        let audit = store.audit(None, None, 100).await.unwrap();
        assert_eq!(i64::try_from(audit.len()).unwrap(), revision + 1);
        let prober = store.gates().await.unwrap()[0].prober.unwrap().0;
        assert!(audit[0].note.ends_with(&prober.to_string()), "the entry of the one who won");
    }
}

/// A rate gives its burst, then so many a second, whoever asks; what was not used can be given back.
pub async fn a_rate_is_shared(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let lease = store.lease_budget(&ask(1, TWO_A_SECOND, 7, 0)).await.unwrap();
    assert_eq!((lease.tokens, lease.more_at), (7, None));
    let lease = other.lease_budget(&ask(2, TWO_A_SECOND, 7, 0)).await.unwrap();
    assert_eq!((lease.tokens, lease.more_at.map(|at_| at_.micros() - at(0).micros())), (3, Some(500_000)));
    assert_eq!(store.lease_budget(&ask(1, TWO_A_SECOND, 9, 3)).await.unwrap().tokens, 6);
    let back = BudgetAsk { back: 4, ..ask(2, TWO_A_SECOND, 9, 3) };
    assert_eq!(other.lease_budget(&back).await.unwrap().tokens, 4);
    // No more than the burst gathers, and a clock that goes back brings nothing.
    assert_eq!(store.lease_budget(&ask(1, TWO_A_SECOND, 99, 1000)).await.unwrap().tokens, 10);
    assert_eq!(store.lease_budget(&ask(1, TWO_A_SECOND, 99, 500)).await.unwrap().tokens, 0);
}

/// What a process took ahead counts against the burst until it is made or given back: else it would come on top of it.
pub async fn what_is_lent_counts_against_the_burst(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let five = BudgetLimits { per_second: Some(10.0), burst: 5, per_day: None, in_flight: None };
    assert_eq!(store.lease_budget(&BudgetAsk { at_once: 0, ..ask(1, five, 3, 0) }).await.unwrap().tokens, 3);
    // Long enough to fill up, but three may be made at any moment.
    let late = BudgetAsk { lent_until: at(5), unspent: 3, ..ask(1, five, 0, 2) };
    assert_eq!(store.lease_budget(&late).await.unwrap().tokens, 0);
    assert_eq!(other.lease_budget(&ask(2, five, 9, 4)).await.unwrap().tokens, 2);
    // The first made one and gives two back: these, and no others.
    let back = BudgetAsk { back: 2, ..ask(1, five, 9, 4) };
    assert_eq!(store.lease_budget(&back).await.unwrap().tokens, 2);
    assert_eq!(other.lease_budget(&BudgetAsk { at_once: 0, ..ask(2, five, 9, 60) }).await.unwrap().tokens, 5);
    // Whoever is not heard of again made them, at the last moment.
    assert_eq!(store.lease_budget(&ask(1, five, 9, 70)).await.unwrap().tokens, 0);
    assert_eq!(store.lease_budget(&ask(1, five, 9, 80)).await.unwrap().tokens, 5);
}

/// A day gives so many, and the next one as many again.
pub async fn a_day_is_shared(bed: Arc<dyn Bed>) {
    const DAY_S: i64 = 24 * 3600;
    let (store, other) = (bed.store(), bed.another().await);
    let limits = BudgetLimits { per_day: Some(100), ..BudgetLimits::default() };
    let lease = store.lease_budget(&ask(1, limits, 60, 0)).await.unwrap();
    assert_eq!((lease.tokens, lease.day_left), (60, Some(40)));
    let lease = other.lease_budget(&ask(2, limits, 60, 1)).await.unwrap();
    assert_eq!((lease.tokens, lease.day_left), (40, Some(0)));
    let next = lease.more_at.unwrap();
    assert_eq!(next.micros() % (DAY_S * 1_000_000), 0, "midnight UTC");
    assert!(next > at(1) && next.since(at(1)).as_secs() <= 24 * 3600);
    assert_eq!(store.budget("crm").await.unwrap().unwrap().day_left(&limits, at(2)), Some(0));
    let lease = store.lease_budget(&ask(1, limits, 60, DAY_S)).await.unwrap();
    assert_eq!((lease.tokens, lease.day_left), (60, Some(40)));
}

/// Calls in flight: together never more than the limit, a fair part for everybody who wants some, and
/// what a silent process held is free again.
pub async fn calls_in_flight_are_shared(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let slots = |worker, busy, wanted, seconds| BudgetAsk { busy, wanted, ..ask(worker, FIVE_IN_FLIGHT, 0, seconds) };
    assert_eq!(store.lease_budget(&slots(1, 0, 9, 0)).await.unwrap().slots, 5);
    assert_eq!(other.lease_budget(&slots(2, 0, 9, 1)).await.unwrap().slots, 0, "all are held");
    // The first has all five under way: it begins no more than its part, and holds what it cannot take back.
    assert_eq!(store.lease_budget(&slots(1, 5, 9, 2)).await.unwrap().slots, 3);
    assert_eq!(other.lease_budget(&slots(2, 0, 9, 3)).await.unwrap().slots, 0);
    assert_eq!(store.lease_budget(&slots(1, 3, 9, 4)).await.unwrap().slots, 3);
    assert_eq!(other.lease_budget(&slots(2, 0, 9, 5)).await.unwrap().slots, 2);
    // The first wants nothing any more; then the second is silent for too long.
    assert_eq!(store.lease_budget(&slots(1, 0, 0, 6)).await.unwrap().slots, 0);
    assert_eq!(other.lease_budget(&slots(2, 2, 9, 7)).await.unwrap().slots, 5);
    assert_eq!(store.lease_budget(&slots(1, 0, 4, 36)).await.unwrap().slots, 0);
    assert_eq!(store.lease_budget(&slots(1, 0, 4, 38)).await.unwrap().slots, 4);
}

/// What a system says of its day holds for all, as far as it is not used since.
pub async fn what_a_system_says_is_shared(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let told = Told { limit: 1000, left: 30, at: at(0), ends_at: Some(at(600)) };
    store.hear_limit("crm", &told).await.unwrap();
    let free = BudgetLimits::default();
    assert_eq!(other.lease_budget(&ask(2, free, 20, 1)).await.unwrap().tokens, 20);
    let lease = store.lease_budget(&ask(1, free, 20, 2)).await.unwrap();
    assert_eq!((lease.tokens, lease.more_at, lease.day.unwrap().limit), (10, Some(at(600)), 1000));
    assert_eq!(other.told_limits().await.unwrap(), [("crm".to_owned(), Told { left: 0, ..told })]);
    store.hear_limit("erp", &Told { ends_at: None, ..told }).await.unwrap();
    assert_eq!(other.told_limits().await.unwrap().len(), 2);
    other.pause_budget("crm", at(60), at(5)).await.unwrap();
    other.pause_budget("crm", at(90), at(6)).await.unwrap();
    assert_eq!(store.budget("crm").await.unwrap().unwrap().paused_at, Some(at(5)), "it began with the first");
}

/// Many who lease at once get no more together than there is.
pub async fn nobody_leases_what_is_not_there(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let limits = BudgetLimits { per_day: Some(50), in_flight: Some(20), ..BudgetLimits::default() };
    let mut askers = JoinSet::new();
    for number in 0..12_i64 {
        let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
        askers.spawn(async move {
            let ask = BudgetAsk { wanted: 6, ..ask(number, limits, 7, 0) };
            store.lease_budget(&ask).await.unwrap()
        });
    }
    let leases: Vec<BudgetLease> = askers.join_all().await;
    assert_eq!(leases.iter().map(|lease| lease.tokens).sum::<u32>(), 50);
    assert!(leases.iter().map(|lease| lease.slots).sum::<u32>() <= 20, "{leases:?}");
}

/// A pause holds everybody back; a shorter one does not end a longer one.
pub async fn a_pause_is_shared(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    store.pause_budget("crm", at(60), at(0)).await.unwrap();
    other.pause_budget("crm", at(30), at(0)).await.unwrap();
    assert_eq!(other.pauses(at(10)).await.unwrap(), [("crm".to_owned(), at(60))]);
    let lease = other.lease_budget(&ask(2, TWO_A_SECOND, 5, 10)).await.unwrap();
    assert_eq!((lease.tokens, lease.more_at, lease.paused_until), (0, Some(at(60)), Some(at(60))));
    assert!(store.pauses(at(60)).await.unwrap().is_empty());
    assert!(other.lease_budget(&ask(2, TWO_A_SECOND, 5, 61)).await.unwrap().tokens > 0);
}

/// A pause is ended or said by hand, whatever the system asked for, and who did it is kept.
pub async fn a_pause_is_set_by_hand(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let about = "connection crm";
    assert!(!store.set_pause("crm", None, at(0), &entry(1, about)).await.unwrap(), "nobody was asked to wait");
    store.pause_budget("crm", at(60), at(0)).await.unwrap();
    store.pause_budget("erp", at(60), at(0)).await.unwrap();
    assert!(other.set_pause("crm", None, at(10), &entry(2, about)).await.unwrap());
    assert_eq!(store.pauses(at(10)).await.unwrap(), [("erp".to_owned(), at(60))]);
    assert!(!store.set_pause("crm", None, at(11), &entry(3, about)).await.unwrap(), "it is over");
    assert!(!store.set_pause("erp", None, at(60), &entry(4, about)).await.unwrap(), "that ended by itself");
    for (until, number) in [(90, 5), (30, 6)] {
        assert!(store.set_pause("crm", Some(at(until)), at(20), &entry(number, about)).await.unwrap());
        let mut pauses = other.pauses(at(20)).await.unwrap();
        pauses.sort();
        assert_eq!(pauses, [("crm".to_owned(), at(until)), ("erp".to_owned(), at(60))]);
    }
    assert!(store.set_pause("new", Some(at(30)), at(20), &entry(7, "connection new")).await.unwrap());
    let notes: Vec<String> = store.audit(Some(about), None, 9).await.unwrap().into_iter().map(|row| row.note).collect();
    assert_eq!(notes, ["number 6", "number 5", "number 2"]);
    // Somebody who was told to wait longer meanwhile waits longer.
    store.pause_budget("crm", at(40), at(25)).await.unwrap();
    assert_eq!(store.budget("crm").await.unwrap().unwrap().paused_until, Some(at(40)));
}

/// Runs that wait for one reason come due one after the other, the others stay where they are.
pub async fn those_who_wait_are_hastened(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    let waiting = |number, reason, due| NewRun { then: Then::Waiting { reason, due_at: at(due) }, ..new_run(recipe, number) };
    let circuit = WaitingFor::Circuit;
    let runs = [waiting(1, circuit, 900), waiting(2, circuit, 800), waiting(3, WaitingFor::Timer, 700), waiting(4, circuit, 50)];
    accept_all(&*store, runs).await;
    assert_eq!(store.hasten(circuit, at(100), 900_000_000).await.unwrap(), 2);
    assert_eq!(row(&*store, 1).await.due_at, Some(at(900)), "nobody is due later than before");
    store.hasten(circuit, at(99), 3_000_000).await.unwrap();
    let mut due = Vec::new();
    for number in 1..=4 {
        due.push(row(&*store, number).await.due_at);
    }
    assert_eq!(due, [Some(at(102)), Some(at(99)), Some(at(700)), Some(at(50))]);
    let owner = worker(&*store).await;
    let claims = store.claim(owner, at(101), 10).await.unwrap();
    assert_eq!(claims.len(), 2);
    for claim in &claims {
        let then = Then::Waiting { reason: circuit, due_at: at(1000) };
        write(&*store, &commit(claim, owner, then)).await;
    }
    assert_eq!(store.hasten(WaitingFor::Budget, at(100), 1).await.unwrap(), 0);
}

/// Entries are read newest first, page by page, and about one thing.
pub async fn who_did_what(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for number in 1..=5 {
        let row = entry(number, if number == 3 { "connection erp" } else { "connection crm" });
        store.add_audit(&row).await.unwrap();
        store.add_audit(&row).await.unwrap();
    }
    let first = store.audit(None, None, 2).await.unwrap();
    assert_eq!(first, [entry(5, "connection crm"), entry(4, "connection crm")]);
    let rest = store.audit(None, Some(first[1].id), 10).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.note.as_str()).collect::<Vec<_>>(), ["number 3", "number 2", "number 1"]);
    assert_eq!(store.audit(Some("connection erp"), None, 10).await.unwrap(), [entry(3, "connection erp")]);
}

/// A connection that is removed takes its gates along.
pub async fn a_removed_connection_is_forgotten(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let connection = ConnectionRow {
        id: ConnectionId::new(at(0), dice(1)),
        name: "crm".to_owned(),
        connector: "http".to_owned(),
        config: json!({}),
        sealed: Vec::new(),
        revision: 1,
        created_at: at(0),
        updated_at: at(0),
    };
    store.create_connection(connection.clone()).await.unwrap();
    let of_classes = GateClass::ALL.map(|class| class_budget("crm", class));
    for name in ["crm", "erp"] {
        store.move_gate(&open(name), None).await.unwrap();
    }
    for name in ["crm", "crm_2", "erp", "erp/read"].into_iter().chain(of_classes.iter().map(String::as_str)) {
        store.lease_budget(&BudgetAsk { connection: name.to_owned(), ..ask(1, TWO_A_SECOND, 10, 0) }).await.unwrap();
    }
    assert!(store.delete_connection(connection.id).await.unwrap());
    let left = store.gates().await.unwrap();
    assert_eq!(left.iter().map(|row| row.connection.as_str()).collect::<Vec<_>>(), ["erp"]);
    assert_eq!(store.budget("crm").await.unwrap(), None);
    for name in &of_classes {
        assert_eq!(store.budget(name).await.unwrap(), None, "{name}");
    }
    for name in ["crm_2", "erp", "erp/read"] {
        assert!(store.budget(name).await.unwrap().is_some(), "{name}");
    }
}
