//! Dates, date-times and durations among the values of a call: as such, or as text.

use jiff::{SignedDuration, Zoned, civil::Date, tz::TimeZone};

use super::Call;
use crate::{
    EvalError,
    machine::{Fault, fault},
    time::{self, Moment, Time},
    value::{self, Kind},
};

impl Call<'_, '_> {
    /// Whether this many values and one more were given.
    pub(super) fn given(&self, at: usize) -> bool {
        self.args.len() > at
    }

    /// A date, a date-time, or a text that says one.
    pub(super) fn moment(&self, at: usize) -> Result<Moment, Fault> {
        match self.arg(at).and_then(Time::of) {
            Some(Time::Date(date)) => return Ok(Moment::Date(date)),
            Some(Time::Instant(zoned)) => return Ok(Moment::Instant(zoned)),
            _ => {}
        }
        let Some(text) = self.arg(at).and_then(value::text) else { return Err(self.misfit(at, "a date")) };
        time::moment(&text).ok_or_else(|| fault(self.no_date(&text)))
    }

    /// The day of a date or a date-time, in the zone it is in.
    pub(super) fn date(&self, at: usize) -> Result<Date, Fault> {
        self.moment(at).map(|moment| moment.date())
    }

    /// A date-time.
    pub(super) fn instant(&self, at: usize) -> Result<Zoned, Fault> {
        match self.moment(at)? {
            Moment::Instant(zoned) => Ok(zoned),
            moment => Err(fault(self.nowhere(&moment))),
        }
    }

    /// A date or a date-time, but no time of day without a zone.
    pub(super) fn date_or_instant(&self, at: usize) -> Result<Time, Fault> {
        match self.moment(at)? {
            Moment::Date(date) => Ok(Time::Date(date)),
            Moment::Instant(zoned) => Ok(Time::Instant(zoned)),
            moment @ Moment::Local(_) => Err(fault(self.nowhere(&moment))),
        }
    }

    /// A duration, or a text that says one.
    pub(super) fn length(&self, at: usize) -> Result<SignedDuration, Fault> {
        if let Some(Time::Length(length)) = self.arg(at).and_then(Time::of) {
            return Ok(length);
        }
        let Some(text) = self.arg(at).and_then(value::text) else { return Err(self.misfit(at, "a duration")) };
        time::length(&text).ok_or_else(|| {
            fault(
                EvalError::new("bad_argument", format!("\"{}\" is no duration", shown(&text)))
                    .with_hint("Durations look like 500ms, 30s, 5m, 12h or 7d."),
            )
        })
    }

    /// The time zone of a name, if one is given.
    pub(super) fn zone(&self, at: usize) -> Result<Option<TimeZone>, Fault> {
        if !self.given(at) {
            return Ok(None);
        }
        time::zone(&self.text(at)?).map(Some).map_err(fault)
    }

    /// The dates of a list, such as holidays; none if it is not given.
    pub(super) fn dates(&self, at: usize) -> Result<Vec<Date>, Fault> {
        if !self.given(at) {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        for item in self.list(at)?.iter() {
            let item = item.map_err(fault)?;
            let day = match (Time::of(&item), value::text(&item)) {
                (Some(Time::Date(date)), _) => Some(date),
                (_, Some(text)) => match time::moment(&text) {
                    Some(Moment::Date(date)) => Some(date),
                    _ => return Err(fault(self.no_date(&text))),
                },
                _ => None,
            };
            let Some(day) = day else {
                let message =
                    format!("`{}` takes a list of dates, and one item is {}", self.function.name, Kind::of(&item).name());
                return Err(fault(
                    EvalError::new("type_mismatch", message).with_hint("A holiday is a date such as \"2026-12-25\"."),
                ));
            };
            out.push(day);
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    fn no_date(&self, text: &str) -> EvalError {
        EvalError::new("bad_argument", format!("`{}` gets \"{}\", which is no date", self.function.name, shown(text)))
            .with_hint("Dates look like 2026-01-31 or 2026-01-31T10:00:00Z. Read others with parse_date(…, \"%d.%m.%Y\").")
    }

    fn nowhere(&self, moment: &Moment) -> EvalError {
        let (what, why) = match moment {
            Moment::Date(date) => (date.to_string(), "has no time of day"),
            other => (other.local().to_string(), "does not say in which time zone"),
        };
        EvalError::new("bad_argument", format!("`{}` takes a date-time, and {what} {why}", self.function.name))
            .with_hint("Say where it counts: datetime(…, \"Europe/Berlin\"), or datetime(…, \"UTC\")")
    }
}

/// A short text for a sentence.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
