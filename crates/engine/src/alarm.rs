//! Alarms: what somebody wants to be told when it happens, or when nothing does.
//!
//! Every scheduling process looks; the store makes one notice of what several of them find. Notices carry names,
//! numbers and codes, never payloads or messages, which may hold what was sent.

mod deliver;
mod find;
mod usual;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::civil::{Time, Weekday};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{AlarmRow, NoticeId, NoticeRow, NoticeState, Raised, RunId, StoreError, Timestamp};
use tokio::sync::Notify;

use crate::Engine;

pub(crate) use deliver::keep_delivering;

/// How often alarms are looked at where there are none: another process may have been told of one.
const LOOK_IDLE_EVERY: Duration = Duration::from_secs(60);
/// How long notices are kept.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);
/// Notices removed at once.
const PRUNE_MAX: u32 = 1_000;
/// How long a cause, or an unusual result, is not told again unless the alarm says so.
const QUIET: Duration = Duration::from_secs(3600);
/// A quiet time is not shorter.
const QUIET_MIN: Duration = Duration::from_secs(60);
/// Runs an unusual result is compared with, unless the alarm says so.
const LAST: u32 = 20;
/// Runs it is compared with at most.
const LAST_MAX: u32 = 200;
/// What happened lately is remembered for so many groups.
const REMEMBERED_MAX: usize = 10_000;

/// What an alarm watches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// No run of the recipe began on a day until a time of it.
    NoRunBy {
        /// The time, `09:30`.
        at: String,
        /// The zone, by its IANA name.
        zone: String,
        /// Only on these days, `mon` to `sun`; every day when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        days: Vec<String>,
    },
    /// No run of the recipe began for so long.
    NoRunFor {
        /// How long, `2h`.
        #[serde(rename = "for")]
        span: String,
    },
    /// A number in a run's result is far from what earlier runs gave.
    Unusual {
        /// Its place in the result, such as `total` or `counts.written`.
        value: String,
        /// How many earlier runs it is compared with.
        #[serde(default = "last")]
        last: u32,
    },
    /// Runs failed. One cause is told once in a while, with its number.
    Failures {
        /// How long a cause is not told again, `1h`.
        #[serde(default = "every")]
        every: String,
    },
}

const fn last() -> u32 {
    LAST
}

fn every() -> String {
    "1h".to_owned()
}

impl Rule {
    /// Reads a rule. The error is a sentence for whoever wrote it.
    ///
    /// # Errors
    /// When it is none that can be kept.
    pub fn read(rule: &Json) -> Result<Self, String> {
        let rule: Self = serde_json::from_value(rule.clone()).map_err(|error| format!("The rule cannot be read: {error}."))?;
        match &rule {
            Self::NoRunBy { at, zone, days } => {
                time(at)?;
                zone_of(zone)?;
                days.iter().try_for_each(|day| weekday(day).map(drop))?;
            }
            Self::NoRunFor { span } => drop(duration(span, QUIET_MIN)?),
            Self::Failures { every } => drop(duration(every, QUIET_MIN)?),
            Self::Unusual { value, last } => {
                if value.is_empty() || value.len() > 200 {
                    return Err("value names a place in the result, such as total or counts.written.".to_owned());
                }
                if !(u32::try_from(usual::KNOWN_MIN).unwrap_or(0)..=LAST_MAX).contains(last) {
                    return Err(format!("last is {last}; it must be between {} and {LAST_MAX}.", usual::KNOWN_MIN));
                }
            }
        }
        Ok(rule)
    }

    /// The word its notices carry.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoRunBy { .. } => "no_run_by",
            Self::NoRunFor { .. } => "no_run_for",
            Self::Unusual { .. } => "unusual",
            Self::Failures { .. } => "failures",
        }
    }

    /// True when it can watch all recipes at once.
    #[must_use]
    pub const fn watches_all(&self) -> bool {
        matches!(self, Self::Failures { .. })
    }
}

fn time(text: &str) -> Result<Time, String> {
    Time::strptime("%H:%M", text).map_err(|_| format!("at is {text:?}; write a time of the day like 09:30."))
}

fn zone_of(name: &str) -> Result<jiff::tz::TimeZone, String> {
    jiff::tz::TimeZone::get(name)
        .map_err(|_| format!("zone is {name:?}, which is no time zone. Write one like Europe/Berlin or UTC."))
}

fn weekday(word: &str) -> Result<Weekday, String> {
    Ok(match word {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        other => return Err(format!("days has {other:?}; it knows mon, tue, wed, thu, fri, sat and sun.")),
    })
}

fn duration(text: &str, min: Duration) -> Result<Duration, String> {
    match recipe::parse_duration(text) {
        Some(span) if span >= min => Ok(span),
        Some(_) => Err(format!("{text} is too short; it must be at least {} s.", min.as_secs())),
        None => Err(format!("{text:?} is no duration. Write it like 30m or 2h.")),
    }
}

/// How an alarm tells: an action, and what it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    /// The action, as a step names it: `http.request`, or `mail.send` through the connection `mail`.
    #[serde(rename = "do")]
    pub action: String,
    /// What it is given. `${ notice }` stands for the whole notice, `${ notice.subject }` for a part of it.
    #[serde(default)]
    pub with: Json,
}

/// What this process remembers besides the store.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When a group was raised last, by alarm and when it was set.
    raised: Mutex<HashMap<(String, Timestamp, String), Timestamp>>,
    /// Numbers that runs gave, by run and place.
    values: Mutex<HashMap<(RunId, String), Option<f64>>>,
    changed: Notify,
    raised_some: Notify,
}

/// Something an alarm found.
struct Finding {
    /// What is about the same is told once, or once in a while.
    group: String,
    again: Again,
    subject: String,
    text: String,
    /// What else programs may want to know.
    fields: Json,
}

/// When the same is told again.
#[derive(Clone, Copy)]
enum Again {
    Never,
    /// When it happened again, and not within so long.
    After {
        quiet: Duration,
        last: Timestamp,
    },
}

impl Engine {
    /// Looks at every alarm once. False when there is none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn look_at_alarms(&self) -> Result<bool, StoreError> {
        let alarms = self.store.alarms().await?;
        for row in &alarms {
            let rule = match Rule::read(&row.rule) {
                Ok(rule) => rule,
                Err(why) => {
                    tracing::warn!(alarm = row.name, why, "alarm.look: the rule cannot be kept");
                    continue;
                }
            };
            for finding in self.found_by(row, &rule).await? {
                self.tell(row, rule.kind(), finding).await?;
            }
        }
        Ok(!alarms.is_empty())
    }

    /// Raises a notice that says that it is a test.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn test_alarm(&self, row: &AlarmRow) -> Result<NoticeId, StoreError> {
        let finding = Finding {
            group: format!("test:{}", self.now().micros()),
            again: Again::Never,
            subject: format!("Test of the alarm {}", row.name),
            text: "Somebody tests this alarm. Nothing is wrong.".to_owned(),
            fields: json!({}),
        };
        let notice = self.notice(row, "test", finding);
        self.store.raise(&notice, never()).await?;
        self.alarms.raised_some.notify_one();
        Ok(notice.id)
    }

    /// An alarm was set or removed in this process.
    pub fn alarms_changed(&self) {
        self.alarms.changed.notify_one();
    }

    async fn tell(&self, row: &AlarmRow, kind: &'static str, finding: Finding) -> Result<(), StoreError> {
        let quiet_since = match finding.again {
            Again::Never => never(),
            Again::After { quiet, last } => {
                let earlier = i64::try_from(quiet.as_micros()).unwrap_or(i64::MAX);
                Timestamp::from_micros(self.now().micros().saturating_sub(earlier).min(last.micros() - 1))
            }
        };
        let key = (row.name.clone(), row.set_at, finding.group.clone());
        if self.alarms.raised.lock().get(&key).is_some_and(|at| *at > quiet_since) {
            return Ok(());
        }
        let notice = self.notice(row, kind, finding);
        let raised_at = match self.store.raise(&notice, quiet_since).await? {
            Raised::Before(at) => at,
            Raised::New => {
                metrics::counter!("liaison_notices_raised_total", "kind" => kind).increment(1);
                tracing::info!(alarm = row.name, kind, "alarm.raise");
                self.alarms.raised_some.notify_one();
                notice.raised_at
            }
        };
        let mut raised = self.alarms.raised.lock();
        if raised.len() >= REMEMBERED_MAX {
            // The store remembers as well; it is only asked more often.
            raised.clear();
        }
        raised.insert(key, raised_at);
        Ok(())
    }

    fn notice(&self, row: &AlarmRow, kind: &str, finding: Finding) -> NoticeRow {
        let now = self.now();
        let id = NoticeId::new(now, self.random());
        let mut body = json!({
            "id": id.to_string(),
            "alarm": row.name,
            "kind": kind,
            "at": crate::frame::instant_text(now),
            "subject": finding.subject,
            "text": finding.text,
        });
        if let (Json::Object(body), Json::Object(fields)) = (&mut body, finding.fields) {
            body.extend(fields);
        }
        NoticeRow {
            id,
            alarm: row.name.clone(),
            group: finding.group,
            raised_at: now,
            body,
            state: NoticeState::Waiting,
            tries: 0,
            next_at: now,
            error: None,
        }
    }
}

fn never() -> Timestamp {
    Timestamp::from_micros(i64::MIN)
}

/// Looks at alarms as time goes by.
pub(crate) async fn keep_looking(engine: Arc<Engine>) {
    while !engine.is_stopping() {
        let pause = match engine.look_at_alarms().await {
            Ok(true) => engine.settings.alarm_interval,
            Ok(false) => LOOK_IDLE_EVERY,
            Err(error) => {
                tracing::warn!(%error, "alarm.look: the store did not answer");
                engine.settings.alarm_interval
            }
        };
        tokio::select! {
            biased;
            () = engine.alarms.changed.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = engine.stopping.cancelled() => return,
        }
    }
}
