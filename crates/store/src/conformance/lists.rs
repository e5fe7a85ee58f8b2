//! A row that makes no sense is named to whoever asks for it, hides none of its neighbours, and keeps
//! nobody else from going on.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use serde_json::{Map, json};

use super::{
    Bed,
    parts::{
        accept, accept_all, at, dice, failed, first_commit, new_run, recipe, row, run_id, running, succeeded, worker, write,
    },
};
use crate::{
    AlarmRow, Answer, Approval, ApprovalId, AuditId, AuditRow, Beside, BudgetAsk, BudgetLimits, ConnectionId, ConnectionRow,
    GateClass, GateRow, GateState, InboundBounds, InboundFilter, InboundId, InboundRow, Lane, NewRun, NoticeId, NoticeRow,
    NoticeState, Operation, OperationId, OperationKind, OperationOptions, OperationState, RunCommit, RunFilter, RunStatus,
    Selection, Store, StoreError, Then, Verdict, WorkerId,
};

#[track_caller]
fn names<T: Debug>(outcome: Result<T, StoreError>, place: &str, whose: &str) {
    match outcome {
        Err(StoreError::Corrupt(what)) => {
            assert!(what.contains(place) && what.contains(whose), "{what:?} does not name {place} of {whose}");
        }
        other => panic!("{place} of {whose} is damaged, but the answer is {other:?}"),
    }
}

/// Three runs, of which the middle one is damaged, page by page.
pub async fn runs(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, [1, 3].map(|number| new_run(recipe, number))).await;
    accept(&*store, NewRun { then: succeeded(9), ..new_run(recipe, 2) }).await;
    for (damage, place) in [
        ("status = 77", "status"),
        ("status = 3, via = 99", "via"),
        ("via = 1, error = '['", "error"),
        ("error = null, waiting_for = -1", "waiting_for"),
    ] {
        bed.execute(&format!("update runs set {damage} where ended_at is not null")).await;
        names(store.run(run_id(2)).await, place, &run_id(2).to_string());
        let page = |before| RunFilter { limit: 1, before, ..RunFilter::default() };
        let first = store.runs(&page(None)).await.unwrap();
        let second = store.runs(&page(Some(first[0].id))).await.unwrap();
        assert_eq!((first[0].id, second[0].id), (run_id(3), run_id(1)), "{place}");
    }
    bed.execute("update runs set waiting_for = null, status = 77 where ended_at is not null").await;
    assert_eq!(store.run_counts(None, at(0)).await.unwrap(), [(RunStatus::Queued, 2)]);
    assert_eq!(store.recipe_stats(at(0)).await.unwrap().len(), 1);
}

/// Recipes and connections, two of each.
pub async fn recipes_and_connections(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for (number, name) in [(1, "crm"), (2, "erp")] {
        let id = recipe(&*store, name).await;
        store.activate(id, Some(1), &json!({}), at(1)).await.unwrap();
        let row = ConnectionRow {
            id: ConnectionId::new(at(0), [number; 10]),
            name: name.to_owned(),
            connector: "http".to_owned(),
            config: json!({}),
            sealed: Vec::new(),
            revision: 1,
            created_at: at(0),
            updated_at: at(0),
        };
        store.create_connection(row).await.unwrap();
    }
    bed.execute("update recipes set params = '{' where slug = 'crm'").await;
    bed.execute("update connections set config = 'nothing' where name = 'crm'").await;
    names(store.recipe("crm").await, "recipes.params", "crm");
    names(store.connection("crm").await, "connections.config", "crm");
    let slugs: Vec<String> = store.recipes().await.unwrap().into_iter().map(|row| row.slug).collect();
    let active: Vec<String> = store.active_recipes().await.unwrap().into_iter().map(|active| active.row.slug).collect();
    let connections: Vec<String> = store.connections().await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!((slugs, active, connections), (vec!["erp".to_owned()], vec!["erp".to_owned()], vec!["erp".to_owned()]));
}

/// What a recipe keeps, and answers.
pub async fn what_runs_say(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [1, 2].map(|number| running(recipe, number, owner))).await;
    let keeps = |name: &str| Map::from_iter([(name.to_owned(), json!(1))]);
    for number in [1, 2] {
        let then = Then::Waiting { reason: crate::WaitingFor::Approval, due_at: at(900) };
        let keep = Beside::Keep { recipe, values: keeps(&format!("name{number}")), at: at(5) };
        write(&*store, &RunCommit { beside: vec![keep], ..first_commit(number, owner, then) }).await;
        let answer = Answer { path: "ask".into(), at: at(6), by: "ines".to_owned(), out: Some(Arc::new(json!(1))), err: None };
        store.answer(run_id(number), &answer).await.unwrap();
    }
    bed.execute("update recipe_state set value = '' where name = 'name2'").await;
    names(store.recipe_state(recipe).await, "recipe_state.value", "name2");
    bed.execute("update answers set answer = '{\"by\":'").await;
    // A run whose answer is damaged goes on, and its step fails in words; it keeps nobody else waiting.
    let claims = store.claim(owner, at(100), 10).await.unwrap();
    assert_eq!(claims.len(), 2);
    let told = claims[0].answers[0].err.as_ref().expect("it fails");
    assert!(told.code == "ANSWER_DAMAGED" && told.next.is_some() && told.message.contains("ask"), "{told:?}");
}

/// Alarms and notices.
pub async fn alarms_and_notices(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for (number, name) in [(1, "a"), (2, "b")] {
        let alarm = AlarmRow {
            name: name.to_owned(),
            recipe: None,
            rule: json!({}),
            deliver: json!({}),
            set_by: "ann".to_owned(),
            set_at: at(1),
        };
        store.set_alarm(&alarm).await.unwrap();
        let notice = NoticeRow {
            id: NoticeId::new(at(10), [number; 10]),
            alarm: name.to_owned(),
            group: "all".to_owned(),
            raised_at: at(10),
            body: json!({}),
            state: NoticeState::Waiting,
            tries: 0,
            next_at: at(10),
            error: None,
        };
        store.raise(&notice, at(0)).await.unwrap();
    }
    for damage in ["rule = '{'", "rule = '{}', deliver = 'no'"] {
        bed.execute(&format!("update alarms set {damage} where name = 'a'")).await;
        let left: Vec<String> = store.alarms().await.unwrap().into_iter().map(|alarm| alarm.name).collect();
        assert_eq!(left, ["b"], "{damage}");
    }
    for damage in ["state = 9", "state = -1", "state = 0, body = '{'"] {
        bed.execute(&format!("update notices set {damage} where alarm = 'a'")).await;
        let left: Vec<String> = store.notices(None, None, 1).await.unwrap().into_iter().map(|notice| notice.alarm).collect();
        assert_eq!(left, ["b"], "{damage}");
    }
    // The damaged one is due first; it is named, and then the other one's turn comes.
    let id = NoticeId::new(at(10), [1; 10]).to_string();
    names(store.take_notice(at(20), at(50)).await, "notices.body", &id);
    assert_eq!(store.take_notice(at(20), at(50)).await.unwrap().map(|notice| notice.alarm).as_deref(), Some("b"));
}

/// Requests that started no run.
pub async fn inbound(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let wide = InboundBounds { address_rows_max: 9, address_bytes_max: 90_000, rows_max: 9, bytes_max: 90_000 };
    let request = |number: u64, address: &str| InboundRow {
        id: InboundId::new(at(i64::try_from(number).unwrap()), dice(number)),
        received_at: at(1),
        bucket: String::new(),
        address: address.to_owned(),
        method: "POST".to_owned(),
        path: String::new(),
        query: String::new(),
        headers: json!([]),
        body: Vec::new(),
        body_bytes: 0,
        verdict: Verdict::Unknown,
        code: "UNKNOWN".to_owned(),
        reason: "nobody is there".to_owned(),
        expires_at: at(1000),
        recipe: None,
        run: None,
    };
    let rows = [request(1, "whole"), request(2, "torn")];
    store.keep_inbound(&rows, &wide).await.unwrap();
    for (damage, place) in [("headers = '['", "inbound.headers"), ("headers = '[]', verdict = -4", "inbound.verdict")] {
        bed.execute(&format!("update inbound set {damage} where address = 'torn'")).await;
        names(store.inbound_by_id(rows[1].id).await, place, &rows[1].id.to_string());
        let left = store.inbound(&InboundFilter { limit: 1, ..InboundFilter::default() }).await.unwrap();
        assert_eq!(left.iter().map(|row| row.address.as_str()).collect::<Vec<_>>(), ["whole"], "{place}");
    }
}

/// Operations, whose turn it is, and their runs.
pub async fn operations(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let recipe = recipe(&*store, "orders").await;
    accept_all(&*store, (1..=3).map(|number| NewRun { then: failed(9), ..new_run(recipe, number) })).await;
    let owner = worker(&*store).await;
    let id = |number: u64| OperationId::new(at(i64::try_from(number).unwrap()), dice(number));
    for number in [1, 2] {
        let operation = Operation {
            id: id(number),
            kind: OperationKind::Replay,
            state: OperationState::Running,
            selection: json!({}),
            options: OperationOptions::default(),
            first: 0,
            total: 0,
            done: 0,
            failed: 0,
            note: None,
            by: format!("author {number}"),
            at: at(500),
            ended_at: None,
            next_at: at(500),
        };
        let all = Selection::Runs((1..=3).map(run_id).collect());
        store.create_operation(&operation, &all).await.unwrap().unwrap();
    }
    let of = |set: &str| format!("update operations set {set} where made_by = 'author 1'");
    for (damage, place) in
        [("kind = 9", "kind"), ("kind = 1, selection = ''", "selection"), ("selection = '{}', options = '7'", "options")]
    {
        bed.execute(&of(damage)).await;
        names(store.operation(id(1)).await, place, &id(1).to_string());
        let left: Vec<_> = store.operations(None, 1).await.unwrap().into_iter().map(|operation| operation.id).collect();
        assert_eq!(left, [id(2)], "{place}");
    }
    // The damaged one comes first; it is named, and does not keep the other one waiting.
    names(store.take_operation(owner, at(600), at(700)).await, "options", &id(1).to_string());
    assert_eq!(store.take_operation(owner, at(600), at(700)).await.unwrap().map(|operation| operation.id), Some(id(2)));
    bed.execute("update operation_items set state = 9 where run_id = (select id from runs where accepted_at = (select min(accepted_at) from runs))").await;
    let left: Vec<_> = store.operation_items(id(2), None, None, 2).await.unwrap().into_iter().map(|item| item.run).collect();
    assert_eq!(left, [run_id(2), run_id(3)]);
}

/// Circuits, budgets and the audit list.
pub async fn gates(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for name in ["crm", "erp"] {
        let gate = GateRow {
            connection: name.to_owned(),
            class: GateClass::Write,
            state: GateState::Open,
            cause: "down".to_owned(),
            changed_by: "liaison".to_owned(),
            since: at(1),
            next_probe: Some(at(31)),
            prober: None,
            openings: 1,
            successes: 0,
            revision: 0,
        };
        let audit = AuditRow {
            id: AuditId::new(at(1), dice(u64::from(name.as_bytes()[0]))),
            at: at(1),
            who: "ann".to_owned(),
            what: "circuit.opened".to_owned(),
            about: name.to_owned(),
            note: String::new(),
        };
        assert!(store.move_gate(&gate, Some(&audit)).await.unwrap());
    }
    for damage in ["state = 9", "state = -1", "state = 1, class = 7"] {
        bed.execute(&format!("update gates set {damage} where connection = 'crm'")).await;
        let left: Vec<String> = store.gates().await.unwrap().into_iter().map(|gate| gate.connection).collect();
        assert_eq!(left, ["erp"], "{damage}");
    }
    assert_eq!(store.audit(None, None, 9).await.unwrap().len(), 2);
}

/// Whatever stands in a budget, no more is given than its limits say, and it fills up again.
pub async fn budgets(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let limits = BudgetLimits { per_second: Some(1.0), burst: 5, per_day: Some(100), in_flight: Some(3) };
    let ask = |seconds| BudgetAsk {
        connection: "crm".to_owned(),
        worker: WorkerId(1),
        limits,
        tokens: 50,
        back: 2,
        unspent: 0,
        at_once: 0,
        lent_until: at(seconds + 1),
        busy: 0,
        wanted: 50,
        now: at(seconds),
        hold_until: at(seconds + 30),
    };
    let mut seen = BTreeSet::new();
    for (round, damage) in [
        "tokens = -9000000000000000000",
        "tokens = 9000000000000000000",
        "day_used = -9000000000000000000",
        "day_used = 9000000000000000000",
        "day = 9000000000000000000",
        "refreshed_at = 9000000000000000000",
        "paused_until = -5",
    ]
    .into_iter()
    .enumerate()
    {
        bed.execute("delete from budget_holders").await;
        bed.execute("delete from budgets").await;
        let begin = 100 * i64::try_from(round).unwrap();
        store.lease_budget(&ask(begin)).await.unwrap();
        bed.execute("update budget_holders set held = -7, wanted = -1, lent = -3, worker = 2").await;
        bed.execute(&format!("update budgets set {damage}")).await;
        let lease = store.lease_budget(&ask(begin + 60)).await.unwrap();
        assert!(lease.tokens <= 5 && lease.slots <= 3, "{damage}: {lease:?}");
        let later = store.lease_budget(&ask(begin + 2 * 24 * 3600)).await.unwrap();
        assert!(later.tokens > 0, "{damage}: it never fills up again: {later:?}");
        seen.insert(lease.tokens);
    }
    assert!(!seen.is_empty());
}

/// A lane whose room makes no sense lets its runs go one after the other.
pub async fn lanes(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    let lane = Lane { key: [1; 16], room: 1 };
    accept_all(&*store, (1..=3).map(|number| NewRun { lane: Some(lane), ..new_run(recipe, number) })).await;
    bed.execute("update runs set room = -3").await;
    for number in 1..=3 {
        let claims = store.claim(owner, at(200), 10).await.unwrap();
        assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), [run_id(number)]);
        write(&*store, &super::parts::commit(&claims[0], owner, succeeded(101))).await;
    }
    assert_eq!(row(&*store, 3).await.status, RunStatus::Succeeded);
}

/// Questions to people.
pub async fn questions(bed: Arc<dyn Bed>) {
    let store: Arc<dyn Store> = bed.store();
    let (recipe, owner) = (recipe(&*store, "orders").await, worker(&*store).await);
    accept_all(&*store, [1, 2].map(|number| running(recipe, number, owner))).await;
    let question = |number: u64, path: &str| Approval {
        id: ApprovalId::new(at(i64::try_from(number).unwrap()), dice(number)),
        run: run_id(number),
        path: path.into(),
        recipe,
        question: Arc::new(json!({ "ask": "Pay?" })),
        asked_at: at(5),
        expires_at: None,
        decided_at: None,
        decision: None,
    };
    for (number, path) in [(1, "whole"), (2, "torn")] {
        let then = Then::Waiting { reason: crate::WaitingFor::Approval, due_at: at(900) };
        let beside = vec![Beside::Ask(Box::new(question(number, path)))];
        write(&*store, &RunCommit { beside, ..first_commit(number, owner, then) }).await;
    }
    bed.execute("update approvals set question = '[' where path = 'torn'").await;
    let torn = question(2, "torn").id;
    names(store.approval(torn).await, "approvals.question", &torn.to_string());
    let left: Vec<_> = store.approvals(true, None, 1).await.unwrap().into_iter().map(|one| one.id).collect();
    assert_eq!(left, [question(1, "whole").id]);
}
