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

#[cfg(test)]
mod tests {
    use super::*;

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
