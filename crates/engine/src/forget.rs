//! Takes the data out of runs that are over, when their recipe does not want it kept (`settings.keep.payloads`).
//!
//! What is to go is noted with the run, when it is accepted, and crossed off with its going: whoever dies in
//! between, the next look finds it. Until then it stays whole, for that is what the run goes on with. What
//! remains is the story: which steps, when, how often, how it ended, and the codes of what went wrong.

use std::{sync::Arc, time::Duration};

use connector::ErrorClass;
use recipe::ast::Payloads;
use serde_json::{Map, Value as Json};
use store::{Beside, EarlierError, Entry, ErrorRecord, Forgetting, Keeps, RunId, StoreError, Timestamp, open_chunk, write_chunk};

use crate::{Engine, program::Program, reading::PART_CHUNKS};

/// How often it is looked for while such runs are there.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often otherwise; a run that is accepted here is seen at once.
const IDLE_LOOK_EVERY: Duration = Duration::from_secs(60);
/// A run that ended is left alone for so long: whoever waits for its end reads what it gave.
const GRACE: Duration = Duration::from_secs(5);
/// What stands in place of a value of which the shape stays.
const MASK: &str = "•••";
/// What stands in place of what an error said.
const SAID: &str = "What was said is gone with the run's data.";

/// What stays of the runs of a recipe; `None` when everything does.
pub(crate) fn keeps(recipe: &recipe::ast::Recipe) -> Option<Keeps> {
    match recipe.settings.keep.as_ref()?.payloads {
        Payloads::Full => None,
        Payloads::Redacted => Some(Keeps::Shapes),
        Payloads::None => Some(Keeps::Nothing),
    }
}

/// Looks for what is to go, round after round.
pub(crate) async fn keep_forgetting(engine: Arc<Engine>) {
    // A process that died may have left it to us.
    let mut unwiped = true;
    let mut rest = LOOK_EVERY;
    loop {
        let pause = match round(&engine, &mut unwiped).await {
            Ok(Found::Later) => rest,
            Ok(Found::Nothing) => IDLE_LOOK_EVERY,
            Ok(Found::Some) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(%error, "forget: the store did not answer; data that is to go goes later");
                LOOK_EVERY
            }
        };
        // What may go later may take months: it is looked at less and less often, until something new is there.
        rest = (pause * 2).min(IDLE_LOOK_EVERY);
        tokio::select! {
            biased;
            () = engine.stopping.cancelled() => return,
            // The run is not durable yet, and is left alone for a while once it is over.
            () = engine.forgets.notified() => tokio::select! {
                biased;
                () = engine.stopping.cancelled() => return,
                () = tokio::time::sleep(GRACE) => rest = LOOK_EVERY,
            },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What a round found.
enum Found {
    /// No run whose data is to go.
    Nothing,
    /// Data that went, or has to be tried again.
    Some,
    /// Only runs that are not over, or that somebody has to deal with first.
    Later,
}

/// Takes the data out of all runs that are due.
async fn round(engine: &Engine, unwiped: &mut bool) -> Result<Found, StoreError> {
    let before = engine.now().micros().saturating_sub(i64::try_from(GRACE.as_micros()).unwrap_or(i64::MAX));
    let (mut after, mut left, mut went) = (None, false, false);
    loop {
        let found = engine.store.forgettable(after, Timestamp::from_micros(before)).await?;
        left |= found.seen as usize > found.runs.len();
        for (run, keeps) in found.runs {
            // One damaged run keeps nobody else's data.
            match engine.forget_data(run, keeps).await {
                Ok(true) => {
                    (*unwiped, went) = (true, true);
                    metrics::counter!("liaison_runs_forgotten_total").increment(1);
                }
                Ok(false) => left = true,
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(error) => {
                    left = true;
                    tracing::error!(run.id = %run, %error, "forget: the data of this run cannot be taken out; remove the run by hand");
                }
            }
            if engine.is_stopping() {
                return Ok(Found::Some);
            }
        }
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    if *unwiped {
        *unwiped = !engine.store.wipe().await?;
    }
    Ok(match (went || *unwiped, left) {
        (true, _) => Found::Some,
        (false, true) => Found::Later,
        (false, false) => Found::Nothing,
    })
}

impl Engine {
    /// Notes with a new run that its data is to go.
    pub(crate) fn note_forgetting(&self, program: &Program, beside: &mut Vec<Beside>) {
        if let Some(keeps) = program.keeps {
            beside.push(Beside::Forgets(keeps));
            self.forgets.notify_one();
        }
    }

    /// Since when a run's data is gone; `None` while it is there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn forgotten(&self, run: RunId) -> Result<Option<Keeps>, StoreError> {
        Ok(self.store.keeps(run).await?.and_then(|(keeps, at)| at.map(|_| keeps)))
    }

    async fn forget_data(&self, run: RunId, keeps: Keeps) -> Result<bool, StoreError> {
        let Some(row) = self.store.run(run).await? else { return Ok(false) };
        let error = row.error.map(|error| without_words(error, keeps));
        let length = self.store.next_seq(run).await?;
        let part = i32::try_from(PART_CHUNKS).unwrap_or(i32::MAX);
        let mut from = length - 1 - (length - 1).max(0) % part;
        loop {
            let mut chunks = Vec::new();
            for (seq, bytes) in self.store.chunks(run, from, PART_CHUNKS).await? {
                // Values that are kept apart are null here: they are not fetched, and nothing refers to them any more.
                let mut entries = open_chunk(&bytes)?.entries;
                entries.iter_mut().for_each(|entry| forget(entry, keeps));
                chunks.push((seq, write_chunk(&entries)?));
            }
            let finishes = from <= 0;
            let wish = Forgetting { run, length, chunks, finishes, error: error.clone(), at: self.now() };
            if !self.store.forget(&wish).await? {
                return Ok(false);
            }
            if finishes {
                break;
            }
            from -= part;
        }
        self.live.changed(run);
        Ok(true)
    }
}

/// Takes the values out of an entry.
fn forget(entry: &mut Entry, keeps: Keeps) {
    let value = |value: &mut Arc<Json>| *value = Arc::new(left_of(value, keeps));
    let maybe = |found: &mut Option<Arc<Json>>| {
        if let Some(found) = found {
            value(found);
        }
    };
    let words = |error: &mut Box<ErrorRecord>| **error = without_words((**error).clone(), keeps);
    match entry {
        Entry::Accepted { event, state, .. } => {
            value(event);
            value(state);
        }
        Entry::Found { state, .. } => value(state),
        Entry::Computed { out, .. } | Entry::Succeeded { out, .. } | Entry::Settled { out, .. } => value(out),
        Entry::Started { input, .. } => maybe(input),
        Entry::Failed { err, .. } | Entry::Uncertain { err, .. } => words(err),
        Entry::Caught { err, out, .. } => {
            words(err);
            maybe(out);
        }
        Entry::Paged { out, rows, next, .. } => {
            maybe(rows);
            *out = out.iter().map(|item| left_of(item, keeps)).collect();
            *next = next.as_ref().map(|next| left_of(next, keeps));
        }
        // Which run was called is no data of it.
        Entry::Waits { what, ask, .. } if what != "call" => maybe(ask),
        Entry::Ended { out, err, .. } => {
            maybe(out);
            if let Some(err) = err {
                words(err);
            }
        }
        Entry::Waits { .. }
        | Entry::Skipped { .. }
        | Entry::Reopened { .. }
        | Entry::Resumed { .. }
        | Entry::Replayed { .. }
        | Entry::GivenUp { .. }
        | Entry::Discarded { .. } => {}
    }
}

/// What stays of a value.
fn left_of(value: &Json, keeps: Keeps) -> Json {
    match (value, keeps) {
        (_, Keeps::Nothing) | (Json::Null, _) => Json::Null,
        (Json::Array(items), Keeps::Shapes) => items.iter().map(|item| left_of(item, keeps)).collect(),
        (Json::Object(fields), Keeps::Shapes) => {
            let left = fields.iter().map(|(name, value)| (name.clone(), left_of(value, keeps)));
            Json::Object(left.collect::<Map<_, _>>())
        }
        (Json::Bool(_) | Json::Number(_) | Json::String(_), Keeps::Shapes) => MASK.into(),
    }
}

/// What stays of an error: what kind it was, and where.
fn without_words(error: ErrorRecord, keeps: Keeps) -> ErrorRecord {
    let left = |value: Option<Json>| value.map(|value| left_of(&value, keeps)).filter(|value| !value.is_null());
    // A code of another system's own may say anything.
    let code = |code: String| {
        let own = code.len() <= 64 && code.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        if own { code } else { ErrorClass::Internal.as_str().to_uppercase() }
    };
    ErrorRecord {
        code: code(error.code),
        class: error.class,
        message: SAID.to_owned(),
        next: None,
        path: error.path,
        request: left(error.request),
        response: left(error.response),
        causes: error
            .causes
            .into_iter()
            .map(|earlier| EarlierError { code: code(earlier.code), message: SAID.to_owned(), ..earlier })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_numbers_of_values_stay_or_nothing_does() {
        let value = json!({ "id": "cus_1", "paid": true, "lines": [{ "sku": "A1" }, { "sku": null }], "total": 12.5 });
        let shapes = json!({ "id": "•••", "paid": "•••", "lines": [{ "sku": "•••" }, { "sku": null }], "total": "•••" });
        assert_eq!(left_of(&value, Keeps::Shapes), shapes);
        assert_eq!(left_of(&value, Keeps::Nothing), Json::Null);
    }

    #[test]
    fn no_entry_keeps_a_value() {
        const SECRET: &str = "x-very-private-x";
        let (p, at, n) = (|| "step".into(), Timestamp::from_micros(1), 1);
        let value = || Arc::new(json!({ "field": [SECRET] }));
        let error = || {
            let (request, response) = (Some(json!({ "body": SECRET })), Some(json!(SECRET)));
            let (class, code, message) = ("server".to_owned(), SECRET.to_owned(), SECRET.to_owned());
            let error = ErrorRecord {
                class,
                code,
                message,
                next: Some(SECRET.to_owned()),
                path: None,
                request,
                response,
                causes: Vec::new(),
            };
            Box::new(error.clone().caused_by(&error, None))
        };
        let entries = vec![
            Entry::Accepted { at, via: "api".into(), event: value(), params: Arc::default(), state: value(), trace: None },
            Entry::Found { at, state: value() },
            Entry::Computed { p: p(), at, out: value() },
            Entry::Started { p: p(), n, at, input: Some(value()) },
            Entry::Succeeded { p: p(), n, at, out: value() },
            Entry::Settled { p: p(), at, by: "ann".into(), out: value() },
            Entry::Failed { p: p(), n, at, err: error(), retry: None, doubt: false },
            Entry::Uncertain { p: p(), n, at, err: error() },
            Entry::Caught { p: p(), at, err: error(), out: Some(value()), held: false },
            Entry::Paged {
                p: p(),
                at,
                page: 0,
                first: 0,
                count: 1,
                failed: 0,
                filtered: None,
                rows: Some(value()),
                out: vec![json!(SECRET)],
                next: Some(json!({ "cursor": SECRET })),
                gone: false,
            },
            Entry::Waits { p: p(), at, what: "approval".into(), until: None, ask: Some(value()) },
            Entry::Ended { at, how: store::Ending::Failed, out: Some(value()), err: Some(error()), by: None },
        ];
        for keeps in [Keeps::Shapes, Keeps::Nothing] {
            for mut entry in entries.clone() {
                forget(&mut entry, keeps);
                let text = serde_json::to_string(&entry).unwrap();
                assert!(!text.contains(SECRET), "{text}");
                assert_eq!(text.contains("field"), keeps == Keeps::Shapes && text.contains("•••") && text.contains("field"));
            }
        }
    }

    #[test]
    fn which_run_was_called_stays() {
        let ask = Some(Arc::new(json!({ "run": "run_1" })));
        let mut entry = Entry::Waits { p: "c".into(), at: Timestamp::from_micros(1), what: "call".into(), until: None, ask };
        let before = entry.clone();
        forget(&mut entry, Keeps::Nothing);
        assert_eq!(entry, before);
    }
}
