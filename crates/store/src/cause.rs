//! Why runs failed, and which failed for the same reason.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ErrorRecord, RecipeId, RunId, Timestamp};

/// What failures of one cause have in common. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub [u8; 16]);

/// The text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 32 hexadecimal digits")]
pub struct BadFingerprint;

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes)).map_err(|_| BadFingerprint)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = BadFingerprint;

    fn try_from(text: String) -> Result<Self, BadFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// A dead letter whose cause is not worked out yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsorted {
    /// The run.
    pub run: RunId,
    /// Its recipe.
    pub recipe: RecipeId,
    /// When it failed.
    pub failed_at: Timestamp,
    /// Why; `None` when that cannot be read any more.
    pub error: Option<ErrorRecord>,
}

/// A dead letter with its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sorted {
    /// The run.
    pub run: RunId,
    /// When it failed: a run that was resumed and failed anew is left alone.
    pub failed_at: Timestamp,
    /// Its cause.
    pub cause: Fingerprint,
}

/// Open dead letters that failed for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// What they have in common.
    pub fingerprint: Fingerprint,
    /// Their recipe.
    pub recipe: RecipeId,
    /// Its slug.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// How many there are.
    pub count: i64,
    /// When the first of them failed.
    pub first: Timestamp,
    /// When the last did.
    pub last: Timestamp,
    /// The newest of them.
    pub sample: RunId,
    /// Why that one failed.
    pub error: Option<ErrorRecord>,
}

/// Hours a cause's failures are told by.
pub const CAUSE_HOURS: usize = 24;

/// Failures in each of the last [`CAUSE_HOURS`] hours, the oldest first; the last is the hour up to now.
pub type CauseHours = [i64; CAUSE_HOURS];

/// When the oldest of the hours begins.
#[must_use]
pub const fn hours_begin(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_sub(CAUSE_HOURS as i64 * HOUR_US))
}

/// An hour in microseconds, as stores count with.
pub const HOUR_US: i64 = 3_600_000_000;

/// What a store counted, by cause. Each of `counted` is the place of the cause among those asked for, how
/// many whole hours ago, and how many failures; what is outside is left out.
#[must_use]
pub fn by_hour(causes: usize, counted: impl IntoIterator<Item = (i64, i64, i64)>) -> Vec<CauseHours> {
    let mut out = vec![[0; CAUSE_HOURS]; causes];
    for (cause, ago, failures) in counted {
        let of = usize::try_from(cause).ok().and_then(|cause| out.get_mut(cause));
        let hour = usize::try_from(ago).ok().and_then(|ago| (CAUSE_HOURS - 1).checked_sub(ago));
        if let (Some(hours), Some(hour)) = (of, hour) {
            hours[hour] += failures;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_put_in_its_hour() {
        let counted = [(1, 0, 5), (1, 23, 2), (1, 24, 9), (1, -1, 9), (2, 0, 9), (-1, 0, 9)];
        let hours = by_hour(2, counted);
        assert_eq!((hours.len(), hours[0]), (2, [0; CAUSE_HOURS]));
        assert_eq!((hours[1][23], hours[1][0], hours[1].iter().sum::<i64>()), (5, 2, 7));
    }

    #[test]
    fn fingerprints_are_read_back_as_written() {
        let fingerprint = Fingerprint([0xa5; 16]);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(fingerprint.to_string().to_uppercase().parse(), Ok(fingerprint));
        for text in ["", "a5", &"a5".repeat(17), &"g5".repeat(16), &"é".repeat(16)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint), "{text}");
        }
    }
}
