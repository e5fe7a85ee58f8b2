//! Databases of every schema there ever was: filled as they were then, opened by this build, read back.
//!
//! Rows are written in SQL, because the verbs of today do not know the tables of then. A dialect says how
//! it writes ids and bytes; everything else is the same in both.

use std::sync::Arc;

use serde_json::json;

use crate::conformance::parts::{accept, accept_all, at, dice, first_chunk, keyed, new_run, run_id, worker};
use crate::{
    Accepted, Answer, ApprovalId, AuditId, BlobId, BudgetAsk, BudgetLimits, ConnectionId, DataKeyId, DeadLetter, InboundId,
    Journal, Keeps, KeyId, NewRun, NoticeId, NoticeRow, NoticeState, OperationId, PollPosition, Purge, Raised, RecipeId,
    RunFilter, RunStatus, Store, StoreError, Then, UploadId, WorkerId,
};

/// How a dialect writes bytes: `x'00ff'`, or `'\x00ff'::bytea`.
pub type Bytes = fn(&[u8]) -> String;

fn recipe() -> RecipeId {
    RecipeId::new(at(0), dice(9))
}

fn connection() -> ConnectionId {
    ConnectionId::new(at(0), dice(3))
}

const BLOB: BlobId = BlobId([9; 32]);

fn text(value: impl std::fmt::Display) -> String {
    format!("'{value}'")
}

/// Statements that fill a database whose schema ends with step `schema`. `id` writes 16 bytes as an id.
#[must_use]
pub fn filling(schema: i64, id: Bytes, bytes: Bytes) -> Vec<String> {
    let recipe = id(recipe().0.as_bytes());
    let run = |number: u64| id(run_id(number).0.as_bytes());
    let now = at(0).micros();
    let mut steps: Vec<Vec<String>> = vec![
        vec![
            format!(
                "insert into recipes (id, slug, title, latest_version, active_version, params, hook_token, revision, created_at, \
                 updated_at) values ({recipe}, 'orders', 'Orders', 2, 1, '{{\"min\":5}}', 'token', 3, {now}, {now})"
            ),
            format!(
                "insert into recipe_versions (recipe_id, version, text, hash, created_at, created_by) values \
                 ({recipe}, 1, 'steps: []', 'one', {now}, 'ann'), ({recipe}, 2, 'steps: [two]', 'two', {now}, 'bob')"
            ),
            "insert into settings (name, value) values ('master_key_check', 'kept')".to_owned(),
            match schema {
                ..17 => "insert into settings (name, value) values ('callback_key', '01fe')".to_owned(),
                _ => format!("insert into secrets (name, sealed) values ('callback_key', {})", bytes(&[1, 0xfe])),
            },
        ],
        (1..=3)
            .flat_map(|number| {
                let (status, due, ended, dead_letter, error) = match number {
                    1 => (3, "null".to_owned(), at(9).micros().to_string(), "null", "null".to_owned()),
                    2 => (
                        4,
                        "null".to_owned(),
                        at(9).micros().to_string(),
                        "1",
                        text(json!({"class": "server", "code": "HTTP_500", "message": "it broke"})),
                    ),
                    _ => (0, at(3).micros().to_string(), "null".to_owned(), "null", "null".to_owned()),
                };
                [
                    format!(
                        "insert into runs (id, recipe_id, version, status, due_at, epoch, via, attempts, accepted_at, ended_at, label, \
                         dead_letter, error) values ({}, {recipe}, 1, {status}, {due}, 1, 1, 1, {}, {ended}, 'number {number}', \
                         {dead_letter}, {error})",
                        run(number),
                        at(i64::try_from(number).unwrap_or(0)).micros(),
                    ),
                    format!("insert into journal (run_id, seq, chunk) values ({}, 0, {})", run(number), bytes(&first_chunk(number))),
                    format!(
                        "insert into event_keys (recipe_id, key, run_id, expires_at) values ({recipe}, {}, {}, {})",
                        bytes(&[u8::try_from(number).unwrap_or(0); 16]),
                        run(number),
                        at(50).micros()
                    ),
                ]
            })
            .collect(),
        vec![format!(
            "insert into connections (id, name, connector, config, sealed, revision, created_at, updated_at) values \
             ({}, 'crm', 'http', '{{\"a\":1}}', {}, 4, {now}, {now})",
            id(connection().0.as_bytes()),
            bytes(b"sealed")
        )],
        vec![
            format!(
                "insert into api_keys (id, name, hash, scopes, created_at) values ({}, 'ci', {}, 'runs:read runs:write', {now})",
                id(KeyId::new(at(0), dice(4)).0.as_bytes()),
                bytes(&[4; 32])
            ),
            format!("insert into sessions (hash, \"user\", expires_at) values ({}, 'ann', {})", bytes(&[5; 32]), at(500).micros()),
        ],
        vec![
            format!(
                "insert into approvals (id, run_id, path, recipe_id, question, asked_at) values ({}, {}, 'ask', {recipe}, '{{}}', {now})",
                id(ApprovalId::new(at(0), dice(5)).0.as_bytes()),
                run(3)
            ),
            format!(
                "insert into recipe_state (recipe_id, name, value, run_id, updated_at) values ({recipe}, 'last', '7', {}, {now})",
                run(1)
            ),
        ],
        vec![format!(
            "insert into inbound (id, received_at, bucket, address, method, path, query, headers, body, body_bytes, verdict, code, \
             reason, bytes, expires_at) values ({}, {now}, '', 'gone', 'POST', '', '', '[]', {}, 4, 2, 'NOT_FOUND', 'nobody', 100, {})",
            id(InboundId::new(at(0), dice(6)).0.as_bytes()),
            bytes(b"body"),
            at(500).micros()
        )],
        vec![
            format!(
                "insert into gates (connection, class, state, cause, changed_by, since, openings, successes, revision) values \
                 ('crm', 1, 1, 'five in a row', 'liaison', {now}, 1, 0, 2)"
            ),
            format!(
                "insert into audit (id, at, who, what, about, note) values ({}, {now}, 'ann', 'circuit.opened', 'connection crm', 'down')",
                id(AuditId::new(at(0), dice(7)).0.as_bytes())
            ),
            format!(
                "insert into budgets (connection, tokens, refreshed_at, day, day_used, paused_until) values \
                 ('crm', 2000000, {now}, 20000, 77, {})",
                at(30).micros()
            ),
        ],
        vec![
            format!(
                "insert into operations (id, kind, state, selection, options, first, total, done, failed, made_by, made_at, ended_at, \
                 next_at) values ({}, 2, 2, '{{}}', '{{}}', 0, 1, 1, 0, 'ann', {now}, {}, {now})",
                id(OperationId::new(at(0), dice(8)).0.as_bytes()),
                at(10).micros()
            ),
            format!(
                "insert into operation_items (operation_id, run_id, state) values ({}, {}, 2)",
                id(OperationId::new(at(0), dice(8)).0.as_bytes()),
                run(1)
            ),
        ],
    ];
    steps.extend(later(id, bytes));
    steps.into_iter().take(usize::try_from(schema).unwrap_or(0)).flatten().collect()
}

/// What the steps from the ninth on brought, step by step.
fn later(id: Bytes, bytes: Bytes) -> [Vec<String>; 13] {
    let now = at(0).micros();
    let (recipe, waits) = (id(recipe().0.as_bytes()), id(run_id(3).0.as_bytes()));
    let connection = id(connection().0.as_bytes());
    let upload = id(UploadId::new(at(0), dice(9)).0.as_bytes());
    [
        vec![
            format!(
                "insert into blobs (hash, upload, size, packed, kept_at, touched_at) values ({}, {upload}, 500, 40, {now}, {now})",
                bytes(&BLOB.0)
            ),
            format!("insert into blob_refs (run_id, hash) values ({waits}, {})", bytes(&BLOB.0)),
            format!("insert into blob_parts (upload, seq, data) values ({upload}, 0, {})", bytes(b"part")),
        ],
        Vec::new(),
        Vec::new(),
        vec![
            format!(
                "insert into alarms (name, recipe_id, rule, deliver, set_by, set_at) values \
                 ('late', {recipe}, '{{\"a\":1}}', '{{\"b\":2}}', 'ann', {now})"
            ),
            format!("insert into alarm_groups (alarm, grp, raised_at) values ('late', 'orders', {})", at(5).micros()),
            format!(
                "insert into notices (id, alarm, grp, raised_at, body, state, tries, next_at, error) values \
                 ({}, 'late', 'orders', {}, '{{}}', 0, 3, {}, 'no answer')",
                id(NoticeId::new(at(5), dice(12)).0.as_bytes()),
                at(5).micros(),
                at(500).micros()
            ),
        ],
        Vec::new(),
        vec![format!("insert into run_payloads (run_id, keeps) values ({waits}, 1)")],
        vec![
            format!(
                "insert into tokens (connection, place, sealed, renew_at, revision) values ('crm', 'user', {}, {}, 6)",
                bytes(b"token"),
                at(400).micros()
            ),
            format!(
                "insert into connection_states (connection, needs_sign_in, reason, since, last_used_at) values \
                 ('crm', true, 'refused', {now}, {})",
                at(2).micros()
            ),
            format!(
                "insert into begun_sign_ins (hash, connection_id, sealed, who, expires_at) values ({}, {connection}, {}, 'ann', {})",
                bytes(&[15; 32]),
                bytes(b"begun"),
                at(900).micros()
            ),
            format!("update budgets set told_limit = 1000, told_left = 600, told_at = {now}, paused_at = {now}"),
        ],
        vec![format!(
            "insert into polls (recipe_id, source, position, seq, due_at, pause_us, events, failures) values \
             ({recipe}, 'crm.changed', '{{\"after\":\"c7\"}}', 5, {}, 60000000, 7, 1)",
            at(800).micros()
        )],
        vec![format!(
            "insert into data_keys (id, wrapped, master_key, created_at) values (1, {}, 'master', {now})",
            bytes(b"wrapped")
        )],
        vec![format!(
            "insert into shapes (connection_id, object, revision, told, asked_at) values ({connection}, 'Order', 4, '{{}}', {now})"
        )],
        vec![format!(
            "insert into budget_holders (connection, worker, held, wanted, hold_until, lent, lent_until) values \
             ('crm', 9, 0, 1, {}, 2, {})",
            at(900).micros(),
            at(900).micros()
        )],
        Vec::new(),
        Vec::new(),
    ]
}

/// Reads back through today's verbs what [`filling`] wrote, and goes on working with it.
///
/// # Errors
/// When a verb fails.
///
/// # Panics
/// When something is not as it was.
pub async fn read_back(store: Arc<dyn Store>, schema: i64) -> Result<(), StoreError> {
    let since = |step: i64| schema >= step;
    let row = store.recipe("orders").await?.expect("the recipe is there");
    assert_eq!((row.id, row.active_version, row.latest_version, &row.params), (recipe(), Some(1), 2, &json!({"min": 5})));
    assert_eq!(store.version(recipe(), 2).await?.expect("both versions").text, "steps: [two]");
    assert_eq!(store.active_recipes().await?.len(), 1);
    assert_eq!(store.setting("master_key_check", "another").await?, "kept");
    assert_eq!(store.secret("callback_key", b"another").await?, [1, 0xfe]);
    if since(2) {
        runs(&*store).await?;
    }
    if since(3) {
        let connection = store.connection("crm").await?.expect("the connection is there");
        assert_eq!((connection.sealed.as_slice(), connection.revision), (b"sealed".as_slice(), 4));
    }
    if since(4) {
        let key = store.key_by_hash(&[4; 32]).await?.expect("the key is there");
        assert_eq!(key.scopes, ["runs:read", "runs:write"]);
        assert_eq!(store.session_by_hash(&[5; 32], at(1)).await?.expect("the session goes on").user, "ann");
    }
    if since(5) {
        assert_eq!(store.recipe_state(recipe()).await?["last"], json!(7));
        let asked = store.approvals(true, None, 10).await?;
        assert_eq!(asked.len(), 1, "the question is still open");
        let answer = Answer { path: "ask".into(), at: at(60), by: "ann".to_owned(), out: Some(Arc::new(json!(1))), err: None };
        store.decide(asked[0].id, &answer).await?;
    }
    if since(6) {
        let kept = store.inbound_by_id(InboundId::new(at(0), dice(6))).await?.expect("the request is there");
        assert_eq!((kept.body.as_ref(), kept.code.as_str()), (b"body".as_slice(), "NOT_FOUND"));
    }
    if since(7) {
        let gates = store.gates().await?;
        assert_eq!((gates.len(), gates[0].cause.as_str()), (1, "five in a row"));
        assert_eq!(store.audit(None, None, 10).await?[0].note, "down");
        let budget = store.budget("crm").await?.expect("the budget is there");
        assert_eq!((budget.tokens, budget.day_used, budget.paused_until), (2_000_000, 77, Some(at(30))));
        let told = since(15).then_some((1000, 600, at(0)));
        assert_eq!(budget.told.map(|told| (told.limit, told.left, told.at)), told);
    }
    if since(8) {
        let operation = store.operation(OperationId::new(at(0), dice(8))).await?.expect("the operation is there");
        assert_eq!((operation.total, operation.by.as_str()), (1, "ann"));
    }
    read_back_later(&*store, since).await?;
    goes_on(&*store).await
}

async fn read_back_later(store: &dyn Store, since: impl Fn(i64) -> bool) -> Result<(), StoreError> {
    if since(9) {
        let blob = store.blob(BLOB).await?.expect("the content is there");
        assert_eq!((blob.size, blob.packed, blob.touched_at), (500, 40, at(0)));
        assert!(store.refers(run_id(3), BLOB).await?, "its run still speaks of it");
    }
    if since(12) {
        let alarms = store.alarms().await?;
        let told: Vec<_> = alarms.iter().map(|alarm| (alarm.name.as_str(), alarm.recipe, &alarm.rule, &alarm.deliver)).collect();
        assert_eq!(told, [("late", Some(recipe()), &json!({"a": 1}), &json!({"b": 2}))]);
        let notices = store.notices(Some("late"), None, 10).await?;
        assert_eq!(notices.len(), 1, "what was told is there");
        assert_eq!(
            (notices[0].state, notices[0].tries, notices[0].error.as_deref()),
            (NoticeState::Waiting, 3, Some("no answer"))
        );
        let again = NoticeRow { id: NoticeId::new(at(6), dice(13)), raised_at: at(6), ..notices[0].clone() };
        assert_eq!(store.raise(&again, at(4)).await?, Raised::Before(at(5)), "the same is not told twice in a while");
    }
    if since(14) {
        assert_eq!(store.keeps(run_id(3)).await?, Some((Keeps::Shapes, None)), "its data still goes one day");
    }
    if since(15) {
        let token = store.token("crm", "user").await?.expect("the token is there");
        assert_eq!((token.sealed.as_slice(), token.revision, token.renew_at), (b"token".as_slice(), 6, Some(at(400))));
        let states = store.connection_states().await?;
        let told: Vec<_> = states.iter().map(|state| (state.needs_sign_in.as_deref(), state.since, state.last_used_at)).collect();
        assert_eq!(told, [(Some("refused"), Some(at(0)), Some(at(2)))]);
        let begun = store.spend_sign_in(&[15; 32], at(1)).await?.expect("who began to sign in may come back");
        assert_eq!((begun.connection, begun.sealed.as_slice(), begun.who.as_str()), (connection(), b"begun".as_slice(), "ann"));
    }
    if since(16) {
        let poll = store.poll(recipe()).await?.expect("the place of the trigger is there");
        assert_eq!((poll.position, poll.seq, poll.events), (PollPosition::After(json!("c7")), 5, 7));
        assert_eq!((poll.source.as_str(), poll.due_at, poll.failures), ("crm.changed", at(800), 1));
    }
    if since(17) {
        let keys = store.data_keys().await?;
        let told: Vec<_> = keys.iter().map(|key| (key.id, key.wrapped.as_slice(), key.master_key.as_str())).collect();
        assert_eq!(told, [(DataKeyId(1), b"wrapped".as_slice(), "master")]);
    }
    if since(18) {
        let shape = store.shape(connection(), "Order").await?.expect("what the system told is there");
        assert_eq!((shape.revision, shape.told.as_str()), (4, "{}"));
    }
    if since(19) {
        let limits = BudgetLimits { per_second: Some(1.0), burst: 5, per_day: None, in_flight: None };
        let (connection, worker, now) = ("crm".to_owned(), WorkerId(8), at(40));
        let (back, unspent, at_once, busy, wanted) = (0, 0, 9, 0, 9);
        let (lent_until, hold_until) = (at(41), at(70));
        let ask = BudgetAsk {
            connection,
            worker,
            limits,
            tokens: 9,
            back,
            unspent,
            at_once,
            lent_until,
            busy,
            wanted,
            now,
            hold_until,
        };
        assert_eq!(store.lease_budget(&ask).await?.tokens, 3, "two are lent");
    }
    Ok(())
}

async fn runs(store: &dyn Store) -> Result<(), StoreError> {
    let rows = store.runs(&RunFilter { limit: 10, ..RunFilter::default() }).await?;
    let told: Vec<_> = rows.iter().map(|row| (row.label.as_deref(), row.status, row.dead_letter)).collect();
    let expected = [
        (Some("number 3"), RunStatus::Queued, None),
        (Some("number 2"), RunStatus::Failed, Some(DeadLetter::Open)),
        (Some("number 1"), RunStatus::Succeeded, None),
    ];
    assert_eq!(told, expected);
    for number in 1..=3 {
        let chunks = store.chunks(run_id(number), 0, u32::MAX).await?;
        let journal = Journal::replay(chunks.iter().map(|(seq, chunk)| (*seq, chunk.as_slice())))?;
        assert_eq!(journal.event["number"], json!(number));
    }
    // The same event is the same run, across every upgrade.
    let again = accept(store, keyed(new_run(recipe(), 40), 1, at(900))).await;
    assert_eq!(again, Accepted::Duplicate { run: run_id(1), same_content: true });
    let unsorted = store.unsorted_failures(10).await?;
    assert_eq!(unsorted.len(), 1, "dead letters of then get their cause now");
    let owner = worker(store).await;
    let claims = store.claim(owner, at(100), 10).await?;
    assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), [run_id(3)], "what waited goes on");
    assert!(store.resume(run_id(2), None, 1, &crate::conformance::parts::next_chunk(1, "ann"), at(100)).await?);
    let (before, limit) = (at(99), 10);
    let purge =
        Purge { recipe: recipe(), after: None, succeeded_before: before, failed_before: before, open_before: before, limit };
    assert_eq!(store.purge(&purge).await?.runs, 1, "what is over can go");
    Ok(())
}

/// Whatever it was, it works as a new one does.
async fn goes_on(store: &dyn Store) -> Result<(), StoreError> {
    let ended = NewRun { then: Then::Succeeded { at: at(70) }, ..new_run(recipe(), 60) };
    assert_eq!(accept_all(store, [keyed(ended, 60, at(900))]).await, [Accepted::New]);
    assert_eq!(store.run(run_id(60)).await?.expect("it is there").status, RunStatus::Succeeded);
    assert_eq!(store.faults().await?, [] as [String; 0]);
    Ok(())
}
