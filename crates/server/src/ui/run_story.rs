//! The words of a run: how it failed and what to do, its event log, what one step sent and received.

use std::collections::HashMap;

use engine::{OutlineStep, idempotency_key, trial::short_name, uses_in};
use http::StatusCode;
use serde_json::Value as Json;
use store::{Ending, Entry, ErrorRecord, Keeps, Timestamp, Via};

use super::run_rows::{apart_of, data_of};
use crate::{
    detail::{RunDetail, StepDetail},
    pages::{ErrorCard, LogEntry, NextAction, Payload, Request, RunLink, StepError, StepKind, StepRow, StepStatus, format},
};

/// What went wrong with one try, in few words: "too many requests (429)".
pub(super) fn try_words(error: &ErrorRecord) -> String {
    let status = error.code.strip_prefix("HTTP_").and_then(|code| code.parse::<u16>().ok());
    if let Some(reason) = status.and_then(|code| StatusCode::from_u16(code).ok()).and_then(|code| code.canonical_reason()) {
        return format!("{} ({})", reason.to_lowercase(), &error.code[5..]);
    }
    match error.class.as_str() {
        "timeout" => "no answer in time",
        "network" => "not reachable",
        "rate_limited" => "asked to slow down",
        "server" => "failed on its side",
        "auth" => "sign-in not accepted",
        "not_found" => "not found",
        "conflict" => "changed or there already",
        "invalid" => "data not accepted",
        "denied" => "not allowed",
        "partial" => "partly refused",
        "cancelled" => "ended",
        "recipe" if error.code == "FAILED_BY_RECIPE" => "ended by the recipe",
        "recipe" => "could not be worked out",
        _ => "Liaison failed",
    }
    .to_owned()
}

/// The three parts of a failure.
pub(super) fn card(detail: &RunDetail, rows: &[StepRow]) -> Option<ErrorCard> {
    let error = detail.error.as_ref().or(detail.row.error.as_ref())?;
    let row = error.path.as_deref().and_then(|path| rows.iter().find(|row| row.path == path));
    let app = row.and_then(|row| row.system.as_deref()).unwrap_or("the other system");
    let mut next: Vec<NextAction> = error.next.iter().map(|text| NextAction { text: text.clone(), link: None }).collect();
    if rows.iter().any(StepRow::took_back) && !rows.iter().any(|row| row.is_undo() && !row.took_back()) {
        let text = "What the run had done was taken back. Replay its event as a new run once the cause is put right.";
        next.push(NextAction { text: text.to_owned(), link: None });
    }
    Some(ErrorCard {
        what: what(error, row, app),
        why: why(error),
        said: None,
        retried: retried(error, row),
        next,
        codes: vec![error.code.clone(), error.class.clone()],
        others: None,
    })
}

/// What went wrong, and what had gone wrong before and led there.
fn why(error: &ErrorRecord) -> String {
    // A called run's error stands in the message already.
    error.causes.iter().filter(|earlier| earlier.run.is_none()).fold(error.message.clone(), |why, earlier| match &earlier.path {
        Some(path) => format!("{why} Before that {path} had failed: {}", earlier.message),
        None => format!("{why} Before that: {}", earlier.message),
    })
}

fn what(error: &ErrorRecord, row: Option<&StepRow>, app: &str) -> String {
    let step = row.map_or_else(|| "a step".to_owned(), StepRow::called);
    let text = match error.class.as_str() {
        "timeout" if error.code == "RUN_TIMEOUT" => "the run took too long".to_owned(),
        "timeout" => format!("{app} did not answer in time"),
        "network" => format!("{app} could not be reached"),
        "rate_limited" => format!("{app} asked Liaison to slow down"),
        "server" => format!("{app} failed on its side"),
        "auth" => format!("{app} did not accept the sign-in"),
        "not_found" => format!("{app} does not have what {step} asked for"),
        "conflict" => format!("{app} has the record already, or it changed"),
        "invalid" => format!("{app} did not accept what {step} sent"),
        "denied" => format!("{app} does not allow what {step} asked for"),
        "partial" if error.code == "ITEMS_FAILED" => "some items failed, everything else is done".to_owned(),
        "partial" => format!("{app} refused some of the records"),
        "cancelled" => format!("{step} was ended"),
        "recipe" if error.code == "FAILED_BY_RECIPE" => format!("the recipe ended the run at {step}"),
        "recipe" => format!("{step} could not be worked out"),
        _ => format!("Liaison failed at {step}"),
    };
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Why it was not tried again, or that the tries ran out.
fn retried(error: &ErrorRecord, row: Option<&StepRow>) -> String {
    let tries = row.map_or(0, |row| row.attempts.len());
    let allowed = row.and_then(|row| row.tries_max).unwrap_or(1);
    if tries > 1 {
        let ended = if tries >= usize::try_from(allowed).unwrap_or(usize::MAX) {
            "Those were all the tries the recipe allows."
        } else {
            "The last answer was one that trying again does not change."
        };
        return format!("Liaison tried {tries} times, with pauses between. {ended}");
    }
    match error.class.as_str() {
        "timeout" | "network" | "rate_limited" | "server" if allowed <= 1 && row.is_some() => {
            "The recipe allows one try of this step.".to_owned()
        }
        "timeout" if error.code == "RUN_TIMEOUT" => "The time the recipe allows for a whole run was over.".to_owned(),
        "timeout" | "network" | "rate_limited" | "server" => "The time allowed for tries was over.".to_owned(),
        "partial" if error.code == "ITEMS_FAILED" => "Each of these items had the tries its steps allow.".to_owned(),
        "auth" => "The sign-in must be mended first.".to_owned(),
        "recipe" => "The same data would give the same result.".to_owned(),
        "internal" => "Liaison does not repeat what it does not understand.".to_owned(),
        _ => "Sending the same again would give the same answer.".to_owned(),
    }
}

/// What started the run.
pub(super) fn started_by(via: Via) -> &'static str {
    match via {
        Via::Webhook => "a webhook",
        Via::Api => "the API",
        Via::Schedule => "its schedule",
        Via::Replay => "a replay",
        Via::Call => "another recipe",
        Via::Failure => "a failed run",
        Via::Poll => "something found in its system",
    }
}

/// The runs this one belongs to.
pub(super) fn links(detail: &RunDetail) -> Vec<RunLink> {
    let link = |relation: &str, id: String| RunLink { relation: relation.to_owned(), id };
    let mut out: Vec<RunLink> = detail.row.replay_of.iter().map(|run| link("Replay of", run.to_string())).collect();
    out.extend(detail.row.parent.iter().map(|parent| link("Called by", parent.run.to_string())));
    out.extend(detail.entries.iter().filter_map(|entry| match entry {
        Entry::Replayed { run, .. } => Some(link("Replayed as", run.to_string())),
        Entry::Waits { what, ask: Some(ask), .. } if what == "call" => Some(link("Called", ask["run"].as_str()?.to_owned())),
        _ => None,
    }));
    out
}

/// What is said of a run whose data is gone.
pub(super) fn data_gone(detail: &RunDetail) -> Option<&'static str> {
    Some(match detail.left()? {
        Keeps::Nothing => {
            "The data of this run is gone, because its recipe keeps none. What it did and when is still here. It cannot be replayed; \
             let the sender send the event again."
        }
        Keeps::Shapes => {
            "The values of this run are gone, because its recipe keeps only their names. What it did and when is still here. It cannot \
             be replayed; let the sender send the event again."
        }
    })
}

/// What became of a failed run that waits for nobody any more.
pub(super) fn settled(detail: &RunDetail) -> Option<String> {
    detail.entries.iter().rev().find_map(|entry| match entry {
        Entry::Discarded { by, reason, .. } => Some(format!("Put aside by {by}: {reason}.")),
        Entry::Replayed { .. } => Some("Replayed as a new run.".to_owned()),
        _ => None,
    })
}

/// The whole journal in words, oldest first.
pub(super) fn log<'a>(detail: &'a RunDetail) -> Vec<LogEntry> {
    let mut begun: HashMap<&str, i64> = HashMap::new();
    let entry = |(place, entry): (usize, &'a Entry)| {
        let (what, tone, mut detail) = told(entry);
        match entry {
            Entry::Started { p, at, .. } => drop(begun.insert(p, at.micros())),
            Entry::Succeeded { p, at, .. } => {
                detail =
                    begun.get(&**p).map(|from| format!("After {}", format::duration(at.micros() - from))).unwrap_or_default();
            }
            _ => {}
        }
        let step = entry.path().map(ToString::to_string);
        LogEntry { seq: place as u64 + 1, at_us: entry.at().micros(), what, step, detail, tone }
    };
    detail.entries.iter().enumerate().map(entry).collect()
}

fn waits_for(what: &str) -> &str {
    match what {
        "approval" => "a decision",
        "callback" => "a call from outside",
        "call" => "the end of the called run",
        _ => "a time",
    }
}

fn told(entry: &Entry) -> (String, &'static str, String) {
    let words = |text: &str| text.to_owned();
    match entry {
        Entry::Accepted { via, .. } => (words("Run accepted"), "idle", format!("Started by {}", via_words(via))),
        Entry::Computed { .. } => (words("Step done"), "ok", words("Worked out without a call")),
        Entry::Skipped { .. } => (words("Step skipped"), "idle", words("Its condition was not met")),
        Entry::Started { n, .. } => (format!("Try {n} started"), "run", String::new()),
        Entry::Succeeded { n, .. } => (format!("Try {n} succeeded"), "ok", String::new()),
        Entry::Failed { n, at, err, retry, .. } => {
            let codes = format!("{} {}, {}", err.message, err.code, err.class);
            match retry {
                Some(retry) => {
                    let pause = format::duration(retry.micros() - at.micros());
                    (format!("Try {n} failed"), "warn", format!("{codes}. Next try after {pause}"))
                }
                None if *n == 0 => (words("Step failed"), "fail", codes),
                None => (format!("Try {n} failed, no further try"), "fail", codes),
            }
        }
        Entry::Uncertain { err, .. } if err.code == engine::REPEAT_TOO_LATE => {
            (words("An earlier try may have happened"), "warn", err.message.clone())
        }
        Entry::Uncertain { n, err, .. } => (format!("Try {n} may have happened"), "warn", err.message.clone()),
        Entry::Caught { err, out: Some(_), .. } => (words("Run goes on in spite of it"), "warn", err.message.clone()),
        Entry::Caught { err, held: true, .. } => (words("Item failed and is kept for you"), "fail", err.message.clone()),
        Entry::Caught { err, out: None, .. } => (words("Failure caught"), "warn", err.message.clone()),
        Entry::Paged { page, count, failed, filtered, .. } => {
            let told = match (failed, filtered.unwrap_or_default()) {
                (0, 0) => format!("{count} items"),
                (failed, 0) => format!("{count} items, {failed} of them failed"),
                (0, filtered) => format!("{count} items, {filtered} of them gave nothing"),
                (failed, filtered) => format!("{count} items, {failed} of them failed and {filtered} gave nothing"),
            };
            (format!("Page {} done", page + 1), "ok", told)
        }
        Entry::Waits { what, until, at, .. } => {
            let limit = until.map(|until| format!(", at most {}", format::duration(until.micros() - at.micros())));
            (words("Step waits"), "run", format!("For {}{}", waits_for(what), limit.unwrap_or_default()))
        }
        Entry::Reopened { by, .. } => (words("Step may run again"), "run", format!("By {by}")),
        Entry::Settled { by, .. } => (words("Step has its answer"), "ok", format!("From {by}")),
        Entry::Found { .. } => (words("State read"), "idle", words("What earlier runs of the recipe kept")),
        Entry::Resumed { by, .. } => (words("Run goes on"), "run", format!("By {by}")),
        Entry::GivenUp { by, reason, .. } => (words("Run given up"), "idle", format!("By {by}: {reason}")),
        Entry::Replayed { run, .. } => (words("Run replayed"), "idle", format!("As {run}")),
        Entry::Discarded { by, reason, .. } => (words("Run put aside"), "idle", format!("By {by}: {reason}")),
        Entry::Ended { how: Ending::Succeeded, .. } => (words("Run succeeded"), "ok", String::new()),
        Entry::Ended { how: Ending::Failed, err, .. } => {
            (words("Run failed"), "fail", err.as_ref().map(|err| err.message.clone()).unwrap_or_default())
        }
        Entry::Ended { how: Ending::Cancelled, by, .. } => {
            (words("Run cancelled"), "idle", by.as_ref().map(|by| format!("By {by}")).unwrap_or_default())
        }
    }
}

fn via_words(via: &str) -> &'static str {
    Via::ALL.into_iter().find(|known| known.as_str() == via).map_or("an event", started_by)
}

/// Puts the data of its step into a row: only the chosen one is looked into.
pub(super) fn complete(row: &mut StepRow, detail: &RunDetail, outline: &[OutlineStep]) {
    let payload = |input| match apart_of(detail, outline, &row.path, input) {
        Some(apart) => Some(Payload::Apart { bytes: usize::try_from(apart.size).unwrap_or(usize::MAX) }),
        None => data_of(detail, outline, &row.path, input).map(|value| match detail.left() {
            Some(Keeps::Nothing) => Payload::NotKept,
            _ => Payload::from(value),
        }),
    };
    (row.input, row.output) = (payload(true), payload(false));
    if row.kind == StepKind::Trigger {
        return;
    }
    let Some(step) = detail.steps.iter().find(|step| *step.path == *row.path) else { return };
    row.request = request(detail, step, outline);
    if let Some(error) = step.error.as_ref().filter(|_| row.status != StepStatus::Succeeded) {
        row.error = Some(StepError {
            message: error.message.clone(),
            class: error.class.clone(),
            code: Some(error.code.clone()),
            ..StepError::default()
        });
    }
}

/// What was sent last and what came back: from the error if the last try failed, else from input and output.
fn request(detail: &RunDetail, step: &StepDetail, outline: &[OutlineStep]) -> Option<Request> {
    let calls = uses_in(outline, short_name(&step.path)).is_some_and(|uses| uses.contains('.'));
    let sent = |entry: &&Entry| matches!(entry, Entry::Started { p, input: Some(_), .. } if *p == step.path);
    let turns = detail.entries.iter().filter(sent).count().saturating_sub(1);
    let key = || idempotency_key(detail.row.id, &step.path, u32::try_from(turns).unwrap_or(u32::MAX));
    if let Some(error) = step.error.as_ref()
        && let Some(sent) = error.request.as_ref().filter(|sent| sent["url"].is_string())
    {
        let headers = sent["headers"].as_object().into_iter().flatten();
        let headers: Vec<_> = headers.map(|(name, value)| (name.clone(), plain(value))).collect();
        let response = error.response.as_ref();
        return Some(Request {
            method: plain(&sent["method"]),
            url: plain(&sent["url"]),
            answer: response.and_then(answer),
            idempotency_key: headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"))
                .map(|(_, key)| key.clone()),
            request_id: response.and_then(request_id),
            headers: headers.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("idempotency-key")).collect(),
            sent: None,
            received: None,
        });
    }
    let input = step.input.as_deref().filter(|_| calls)?;
    let url = input["url"].as_str().or_else(|| input["path"].as_str())?;
    Some(Request {
        method: input["method"].as_str().unwrap_or("GET").to_owned(),
        url: url.to_owned(),
        answer: step.output.as_deref().and_then(answer),
        idempotency_key: (input["idempotent"] == true).then(key),
        request_id: step.output.as_deref().and_then(request_id),
        ..Request::default()
    })
}

/// `404 Not Found`
fn answer(response: &Json) -> Option<String> {
    let code = u16::try_from(response["status"].as_u64()?).ok()?;
    let reason = StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason());
    Some(reason.map_or_else(|| code.to_string(), |reason| format!("{code} {reason}")))
}

fn request_id(response: &Json) -> Option<String> {
    ["x-request-id", "request-id", "x-correlation-id"]
        .iter()
        .find_map(|name| response["headers"][name].as_str())
        .map(str::to_owned)
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// When a retrying run tries again, and which try of how many that is.
pub(super) fn coming(rows: &[StepRow]) -> Option<(u32, u32)> {
    let row = rows.iter().find(|row| row.status == StepStatus::Retrying)?;
    Some((u32::try_from(row.attempts.len()).ok()? + 1, row.tries_max?))
}

/// An instant of the store as the pages take it.
pub(super) fn us(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::micros)
}
