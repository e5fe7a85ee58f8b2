//! Delivers notices, again and again until somebody takes them.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use connector::{Action, Connection, Cx, StepError};
use futures_util::FutureExt;
use serde_json::Value as Json;
use store::{AlarmRow, Delivered, NoticeRow, NoticeState, StoreError};

use super::{Deliver, KEEP, LOOK_IDLE_EVERY, PRUNE_MAX};
use crate::Engine;

/// One delivery may take so long.
const DELIVER_WITHIN: Duration = Duration::from_secs(30);
/// Whoever delivers a notice and does not come back within this is followed by another.
const LEASE: Duration = Duration::from_secs(60);
/// The pause after the first failed delivery; it doubles.
const PAUSE: Duration = Duration::from_secs(15);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Deliveries tried: about a day.
const TRIES_MAX: i32 = 32;
/// Why a delivery failed is kept up to here, in characters.
const ERROR_CHARS_MAX: usize = 300;
/// A delivery's `with` may hold so many bytes.
const WITH_BYTES_MAX: usize = 16_384;

/// An action that can be called.
struct Way {
    action: Action,
    connection: Option<Arc<Connection>>,
}

impl Engine {
    /// Reads how an alarm tells. The error is a sentence for whoever wrote it.
    ///
    /// # Errors
    /// When it cannot be delivered that way.
    pub fn read_delivery(&self, deliver: &Json) -> Result<Deliver, String> {
        let read: Deliver =
            serde_json::from_value(deliver.clone()).map_err(|error| format!("The delivery cannot be read: {error}."))?;
        self.way(&read.action)?;
        if read.with.to_string().len() > WITH_BYTES_MAX {
            return Err(format!("with is larger than {WITH_BYTES_MAX} bytes."));
        }
        // A part that no notice has is told now, not when something is wrong.
        let sample = serde_json::json!({ "id": "", "alarm": "", "kind": "", "at": "", "subject": "", "text": "" });
        fill(&read.with, &sample)?;
        Ok(read)
    }

    fn way(&self, name: &str) -> Result<Way, String> {
        let (owner, id) =
            name.split_once('.').ok_or_else(|| format!("do is {name:?}; write it like http.request or mail.send."))?;
        let connection = self.connection(owner);
        let connector = connection.as_ref().map_or(owner, |connection| connection.connector.as_str());
        let found = self.connectors.iter().find(|candidate| candidate.id == connector);
        let found = found.filter(|candidate| connection.is_some() || candidate.builtin);
        let found = found.ok_or_else(|| format!("There is no connection named {owner:?}. Create it, then set the alarm."))?;
        let action = found.action(id).ok_or_else(|| format!("{} has no action {id:?}.", found.title))?;
        if action.needs_connection && connection.is_none() {
            return Err(format!("{name} needs a connection. Create one of {}, and write its name before the dot.", found.title));
        }
        Ok(Way { action: action.clone(), connection })
    }

    /// Delivers one notice that is due. False when none is.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn deliver_notice(&self) -> Result<bool, StoreError> {
        let now = self.now();
        let Some(notice) = self.store.take_notice(now, now.after(LEASE)).await? else { return Ok(false) };
        let alarm = self.store.alarms().await?.into_iter().find(|row| row.name == notice.alarm);
        let outcome = match &alarm {
            None => Err("The alarm was removed.".to_owned()),
            Some(row) => self.hand_over(row, &notice).await,
        };
        let delivered = self.judged(&notice, outcome, alarm.is_some());
        metrics::counter!("liaison_notices_total", "outcome" => match delivered.state {
            NoticeState::Sent => "sent",
            NoticeState::Waiting => "failed",
            NoticeState::GivenUp => "given_up",
        })
        .increment(1);
        if let Some(error) = &delivered.error {
            tracing::warn!(alarm = notice.alarm, notice = %notice.id, error, "alarm.deliver");
        }
        self.store.notice_delivered(notice.id, &delivered).await?;
        Ok(true)
    }

    async fn hand_over(&self, row: &AlarmRow, notice: &NoticeRow) -> Result<(), String> {
        let deliver = self.read_delivery(&row.deliver)?;
        let Way { action, connection } = self.way(&deliver.action)?;
        let input = fill(&deliver.with, &notice.body)?;
        let cx = Cx {
            http: self.http.clone(),
            connection,
            idempotency_key: notice.id.to_string().into(),
            timeout: DELIVER_WITHIN,
            run_id: notice.id.to_string().into(),
            path: row.name.as_str().into(),
            began: tokio::time::Instant::now(),
            began_us: self.now().micros(),
            attempt: 1,
            in_doubt: false,
            traceparent: None,
            turns: None,
        };
        let call = AssertUnwindSafe(async { (action.run)(cx, input).await }).catch_unwind();
        match tokio::time::timeout(DELIVER_WITHIN + Duration::from_secs(1), call).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err(error))) => Err(sentence(&error)),
            Ok(Err(_panic)) => Err(format!("{} failed inside Liaison.", deliver.action)),
            Err(_elapsed) => Err(format!("{} did not answer within {} s.", deliver.action, DELIVER_WITHIN.as_secs())),
        }
    }

    fn judged(&self, notice: &NoticeRow, outcome: Result<(), String>, wanted: bool) -> Delivered {
        let now = self.now();
        let Err(error) = outcome else { return Delivered { state: NoticeState::Sent, at: now, error: None } };
        let error = Some(error.chars().take(ERROR_CHARS_MAX).collect());
        if notice.tries >= TRIES_MAX || !wanted {
            return Delivered { state: NoticeState::GivenUp, at: now, error };
        }
        Delivered { state: NoticeState::Waiting, at: now.after(pause(notice.tries)), error }
    }
}

/// How long to wait after so many tries.
fn pause(tries: i32) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(0).min(16);
    (PAUSE * 2_u32.pow(doublings)).min(PAUSE_MAX)
}

fn sentence(error: &StepError) -> String {
    format!("{} ({}, {})", error.message, error.class.as_str(), error.code)
}

/// Puts the notice in where `${ notice }` or `${ notice.name }` stands.
fn fill(with: &Json, notice: &Json) -> Result<Json, String> {
    Ok(match with {
        Json::String(text) => filled(text, notice)?,
        Json::Array(items) => Json::Array(items.iter().map(|item| fill(item, notice)).collect::<Result<_, _>>()?),
        Json::Object(fields) => Json::Object(
            fields.iter().map(|(name, value)| Ok((name.clone(), fill(value, notice)?))).collect::<Result<_, String>>()?,
        ),
        other => other.clone(),
    })
}

fn filled(text: &str, notice: &Json) -> Result<Json, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        let behind = &rest[begin + 2..];
        let end = behind.find('}').ok_or_else(|| format!("In {text:?} a ${{ has no end."))?;
        let place = behind[..end].trim();
        let value = match place.strip_prefix("notice") {
            Some("") => notice,
            Some(name) => name
                .strip_prefix('.')
                .and_then(|name| notice.get(name))
                .ok_or_else(|| format!("A notice has no {place:?}. It always has id, alarm, kind, at, subject and text."))?,
            None => {
                return Err(format!("{place:?} is not known here; write ${{ notice }} or a part such as ${{ notice.subject }}."));
            }
        };
        // Alone it keeps its kind.
        if begin == 0 && behind.len() == end + 1 && out.is_empty() {
            return Ok(value.clone());
        }
        out.push_str(&rest[..begin]);
        match value {
            Json::String(value) => out.push_str(value),
            other => out.push_str(&other.to_string()),
        }
        rest = &behind[end + 1..];
    }
    out.push_str(rest);
    Ok(Json::String(out))
}

/// Delivers notices as they come, and removes old ones.
pub(crate) async fn keep_delivering(engine: Arc<Engine>) {
    let mut tidied = engine.now();
    while !engine.is_stopping() {
        let mut pause = LOOK_IDLE_EVERY;
        loop {
            match engine.deliver_notice().await {
                Ok(true) => pause = engine.settings.alarm_interval,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "alarm.deliver: the store did not answer");
                    break;
                }
            }
            if engine.is_stopping() {
                return;
            }
        }
        let now = engine.now();
        if now.since(tidied) >= engine.settings.prune_interval {
            tidied = now;
            let before = store::Timestamp::from_micros(now.micros() - i64::try_from(KEEP.as_micros()).unwrap_or(0));
            if let Err(error) = engine.store.prune_notices(before, PRUNE_MAX).await {
                tracing::warn!(%error, "alarm.prune: the store did not answer");
            }
        }
        tokio::select! {
            biased;
            () = engine.alarms.raised_some.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notice_is_put_in_whole_and_in_parts() {
        let notice = json!({ "subject": "orders: no run", "count": 3, "text": "${ notice.count }" });
        let with = json!({ "json": "${ notice }", "title": "[ops] ${notice.subject} (${ notice.count })", "n": ["${ notice.count }", 1], "t": "${ notice.text }" });
        let expected = json!({ "json": notice, "title": "[ops] orders: no run (3)", "n": [3, 1], "t": "${ notice.count }" });
        assert_eq!(fill(&with, &notice), Ok(expected));
        for wrong in ["${ notice.lost }", "${ steps.a }", "${ notice.subject", "${ noticed }"] {
            assert!(fill(&json!(wrong), &notice).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pauses_grow_up_to_an_hour() {
        assert_eq!((pause(1), pause(2), pause(3)), (PAUSE, PAUSE * 2, PAUSE * 4));
        assert_eq!((pause(20), pause(i32::MAX)), (PAUSE_MAX, PAUSE_MAX));
    }
}
