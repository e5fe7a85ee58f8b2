//! Values of a query.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime};

use super::dates;
use crate::netsuite::settings::Settings;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Val {
    Null,
    Text(String),
    Number(f64),
    Day(Date),
    /// In the account's zone.
    Moment(DateTime),
}

impl Val {
    /// An empty text is null.
    pub(super) fn of(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Null } else { Self::Text(text) }
    }

    pub(super) fn flag(on: bool) -> Self {
        Self::Text(if on { "T" } else { "F" }.to_owned())
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As answers write it: dates in the user's format, whatever the time of the day.
    pub(super) fn text(&self, settings: &Settings) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(plain(*number)),
            Self::Day(day) => Some(settings.date(*day)),
            Self::Moment(at) => Some(settings.date(at.date())),
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A moment, reading text in the user's format or ISO's.
    pub(super) fn moment(&self, settings: &Settings) -> Option<DateTime> {
        match self {
            Self::Moment(at) => Some(*at),
            Self::Day(day) => Some(day.at(0, 0, 0, 0)),
            Self::Text(text) => dates::read_any(text, settings),
            _ => None,
        }
    }

    /// Two values in order; nothing when one is null or they cannot be compared.
    pub(super) fn order(&self, other: &Self, settings: &Settings) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::Text(one), Self::Text(two)) => Some(one.cmp(two)),
            (Self::Day(_) | Self::Moment(_), _) | (_, Self::Day(_) | Self::Moment(_)) => {
                Some(self.moment(settings)?.cmp(&other.moment(settings)?))
            }
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    /// Equal values have equal keys.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Null => "\u{0}".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => plain(*number),
            Self::Day(day) => day.at(0, 0, 0, 0).to_string(),
            Self::Moment(at) => at.to_string(),
        }
    }
}

/// A number without a point when it is whole.
pub(super) fn plain(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    let text = format!("{number:.10}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
