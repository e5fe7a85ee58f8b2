//! What runs and the outside say to each other: answers to callers, calls to one-time addresses,
//! decisions of people.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Map, Value as Json, json};
use store::{
    Answer, Answered, Approval, ApprovalId, Entry, Journal, RunId, SealedAt, StepPath, StepState, Store, StoreError, Vault,
};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    Addresses, Engine, id_of,
    program::{Kind, Program, Wait, WaitKind},
};

/// The secret of one-time addresses.
const KEY_SECRET: &str = "callback_key";
/// Another process may write the answer: its runs are looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why an answer to a waiting step was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TalkError {
    /// There is no such address or question.
    #[error("there is nothing here that waits for an answer")]
    NotFound,
    /// Somebody answered before.
    #[error("{0}")]
    Already(String),
    /// Nobody waits any more.
    #[error("{0}")]
    Over(String),
    /// The answer does not fit; place and sentence.
    #[error("{1}")]
    Unfit(String, String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person decides.
#[derive(Debug, Clone)]
pub struct Decision {
    /// `approved` or `declined`.
    pub approved: bool,
    /// What they filled in.
    pub form: Map<String, Json>,
    /// What they say to it.
    pub comment: Option<String>,
    /// Who.
    pub by: String,
}

/// The addresses of this installation; their secret is made once and kept sealed.
pub(crate) async fn addresses(store: &dyn Store, vault: &Vault, base: &str) -> Result<Addresses, StoreError> {
    let at = SealedAt::Secret(KEY_SECRET.to_owned());
    let fresh = BTreeMap::from([("key".to_owned(), hex::encode(store::new_key()?))]);
    let kept = vault.keep(&at, &fresh, |sealed| async move { store.secret(KEY_SECRET, &sealed).await }).await?;
    let secrets = vault.open(&at, &kept).await?;
    let key = secrets.get("key").and_then(|key| hex::decode(key).ok()).and_then(|key| <[u8; 32]>::try_from(key).ok());
    Ok(Addresses::new(base, key.ok_or_else(damaged)?))
}

fn damaged() -> StoreError {
    StoreError::Corrupt(format!("the secret {KEY_SECRET} cannot be read"))
}

impl Engine {
    /// What a run answers its caller (`status`, `headers`, `body`), once a `respond` step was reached;
    /// `None` when the run ends without one or `patience` runs out.
    ///
    /// # Errors
    /// When the store does not answer or the journal is damaged.
    pub async fn response(&self, program: &Program, run: RunId, patience: Duration) -> Result<Option<Arc<Json>>, StoreError> {
        if program.responds { Box::pin(self.awaited(program, run, patience)).await } else { Ok(None) }
    }

    async fn awaited(&self, program: &Program, run: RunId, patience: Duration) -> Result<Option<Arc<Json>>, StoreError> {
        // A repeated event may come when what its run answered is gone.
        if program.keeps.is_some() && self.forgotten(run).await?.is_some() {
            return Ok(None);
        }
        let mut changes = self.live.watch();
        let until = tokio::time::Instant::now() + patience;
        let (mut next, mut said, mut over) = (0, None, false);
        let answers = |path: &StepPath| program.find(id_of(path)).is_some_and(|step| matches!(step.kind, Kind::Respond(_)));
        let wanted = |entry: &Entry| matches!(entry, Entry::Computed { p, .. } if answers(p));
        loop {
            let look = |entry: Entry| {
                over = matches!(entry, Entry::Ended { .. });
                match entry {
                    Entry::Computed { p, out, .. } if said.is_none() && answers(&p) => said = Some(out),
                    _ => {}
                }
            };
            next = self.for_each_entry(run, next, wanted, look).await?;
            if said.is_some() || over || tokio::time::Instant::now() >= until {
                return Ok(said);
            }
            let look = (tokio::time::Instant::now() + LOOK_EVERY).min(until);
            let changed = async {
                loop {
                    match changes.recv().await {
                        Ok(id) if id != run => {}
                        Ok(_) | Err(RecvError::Lagged(_)) => return,
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            // Only other processes' news must be looked for; ours wake us.
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(if self.settings.shared_store { look } else { until }) => {}
            }
        }
    }

    /// Takes a call to the address of a step.
    ///
    /// # Errors
    /// [`TalkError`]; nothing changed then.
    pub async fn call_back(&self, run: RunId, path: &str, proof: &str, headers: Json, body: Json) -> Result<(), TalkError> {
        if !self.addresses.proves(run, path, proof) {
            return Err(TalkError::NotFound);
        }
        let row = self.store.run(run).await?.ok_or(TalkError::NotFound)?;
        let program = self.program(row.recipe, row.version).await?;
        let wait = program.find(id_of(path)).ok_or(TalkError::NotFound)?;
        let Kind::Wait(wait) = &wait.kind else { return Err(TalkError::NotFound) };
        fits(wait, &body)?;
        if row.status.is_final() {
            return Err(TalkError::Over(format!("The run is over: it {}.", row.status.as_str())));
        }
        let journal = self.outline(run).await?;
        if done(&journal, path) {
            return Err(TalkError::Already("This address was used before, or the run stopped waiting for it.".to_owned()));
        }
        let out = json!({ "outcome": "called", "body": body, "headers": headers });
        let answer = Answer { path: path.into(), at: self.now(), by: "callback".to_owned(), out: Some(Arc::new(out)), err: None };
        let answered = self.store.answer(run, &answer).await?;
        self.heard(run, answered, "This address was used before.")
    }

    /// Takes a person's decision.
    ///
    /// # Errors
    /// [`TalkError`]; nothing changed then.
    pub async fn decide_approval(&self, id: ApprovalId, decision: Decision) -> Result<Approval, TalkError> {
        let approval = self.store.approval(id).await?.ok_or(TalkError::NotFound)?;
        if let (Some(at), Some(known)) = (approval.decided_at, &approval.decision) {
            return Err(TalkError::Already(already(at, known)));
        }
        let form = filled(&approval.question["form"], decision.form)?;
        let outcome = if decision.approved { "approved" } else { "declined" };
        let out = json!({ "outcome": outcome, "form": form, "by": decision.by, "comment": decision.comment });
        let answer =
            Answer { path: Arc::clone(&approval.path), at: self.now(), by: decision.by, out: Some(Arc::new(out)), err: None };
        let answered = self.store.decide(id, &answer).await?;
        self.heard(approval.run, answered, "Somebody decided this just now.")?;
        self.store.approval(id).await?.ok_or(TalkError::NotFound)
    }

    fn heard(&self, run: RunId, answered: Answered, already: &str) -> Result<(), TalkError> {
        match answered {
            Answered::Kept => {
                self.live.changed(run);
                self.wake_at(self.now());
                Ok(())
            }
            Answered::Already => Err(TalkError::Already(already.to_owned())),
            Answered::Over => Err(TalkError::Over("Nobody waits for this answer any more.".to_owned())),
        }
    }
}

/// "Already approved by Ines at 10:02."
fn already(at: store::Timestamp, known: &Answer) -> String {
    let outcome = known.out.as_ref().and_then(|out| out["outcome"].as_str()).unwrap_or("decided").to_owned();
    format!("Already {outcome} by {} at {}.", known.by, crate::frame::instant_text(at))
}

fn done(journal: &Journal, path: &str) -> bool {
    !matches!(journal.steps.get(path), None | Some(StepState::Waiting { .. } | StepState::Ready { .. }))
}

fn fits(wait: &Wait, body: &Json) -> Result<(), TalkError> {
    let WaitKind::Callback { input } = &wait.what else { return Err(TalkError::NotFound) };
    match input.as_ref().and_then(|schema| schema.iter_errors(body).next()) {
        None => Ok(()),
        Some(error) => {
            let place = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
            Err(TalkError::Unfit(place, format!("The body does not fit what this step waits for: {error}.")))
        }
    }
}

/// What was filled in, with the defaults of what was not.
fn filled(fields: &Json, mut given: Map<String, Json>) -> Result<Map<String, Json>, TalkError> {
    let mut out = Map::new();
    for field in fields.as_array().into_iter().flatten() {
        let (name, kind) = (field["name"].as_str().unwrap_or_default(), field["type"].as_str().unwrap_or_default());
        let value = given.remove(name).unwrap_or_else(|| field["default"].clone());
        let right = match kind {
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            "list" => value.is_array(),
            "record" => value.is_object(),
            _ => value.is_string(),
        };
        if !right && !value.is_null() {
            return Err(TalkError::Unfit(name.to_owned(), format!("{name:?} must be a {kind}.")));
        }
        out.insert(name.to_owned(), value);
    }
    match given.keys().next() {
        None => Ok(out),
        Some(name) => Err(TalkError::Unfit(name.clone(), format!("The form has no field {name:?}."))),
    }
}
