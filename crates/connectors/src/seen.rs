//! Rows of a list that has no time of its own: what was there at the last look is not new at the next.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use connector::{ErrorClass, StepError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Rows that are remembered, so that a cursor stays small: 80 kB for them all.
pub(crate) const ROWS_MAX: usize = 10_000;
/// Bytes kept of a row's hash.
const HASH_BYTES: usize = 6;

/// What was seen, as a cursor keeps it: hashes, joined and written in Base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    /// Rows of the last whole look; nothing while the first one lasts.
    #[serde(default)]
    known: Option<String>,
    /// Rows of the look that is under way.
    #[serde(default)]
    found: String,
}

/// A look under way.
#[derive(Debug)]
pub(crate) struct Look {
    known: Option<BTreeSet<Vec<u8>>>,
    found: BTreeSet<Vec<u8>>,
}

impl Seen {
    /// Goes on with a look; nothing when this was kept by something else.
    pub(crate) fn look(&self) -> Option<Look> {
        let known = match &self.known {
            Some(known) => Some(split(known)?),
            None => None,
        };
        Some(Look { known, found: split(&self.found)? })
    }
}

impl Look {
    /// Takes a row by its key: true when the last look did not show it. The first look only remembers.
    pub(crate) fn is_new(&mut self, key: &str) -> Result<bool, StepError> {
        let hash = Sha256::digest(key)[..HASH_BYTES].to_vec();
        let new = self.known.as_ref().is_some_and(|known| !known.contains(&hash));
        self.found.insert(hash);
        if self.found.len() > ROWS_MAX {
            return Err(StepError::new(
                ErrorClass::Invalid,
                "TOO_MANY_ITEMS",
                format!("there are more than {ROWS_MAX} rows, too many to tell which of them are new"),
            )
            .with_next("Narrow the search or report down to the rows that may be new."));
        }
        Ok(new)
    }

    /// What to keep while there are more pages.
    pub(crate) fn under_way(&self) -> Seen {
        Seen { known: self.known.as_ref().map(joined), found: joined(&self.found) }
    }

    /// What to keep after the last page.
    pub(crate) fn over(&self) -> Seen {
        Seen { known: Some(joined(&self.found)), found: String::new() }
    }

    /// The same before its first page.
    pub(crate) fn anew(self) -> Self {
        Self { found: BTreeSet::new(), ..self }
    }
}

fn joined(hashes: &BTreeSet<Vec<u8>>) -> String {
    BASE64_STANDARD_NO_PAD.encode(hashes.iter().flatten().copied().collect::<Vec<u8>>())
}

fn split(text: &str) -> Option<BTreeSet<Vec<u8>>> {
    let bytes = BASE64_STANDARD_NO_PAD.decode(text).ok()?;
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    rest.is_empty().then(|| hashes.iter().map(|hash| hash.to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_new_once_and_only_after_the_first_look() {
        let mut look = Seen::default().look().unwrap();
        assert!(!look.is_new("a").unwrap());
        let kept: Seen = serde_json::from_value(serde_json::json!(look.under_way())).unwrap();
        let mut look = kept.look().unwrap();
        assert!(!look.is_new("b").unwrap(), "the first look has two pages");
        let mut next = look.over().look().unwrap();
        assert!(!next.is_new("a").unwrap() && !next.is_new("b").unwrap() && next.is_new("c").unwrap());
        let mut again = next.anew();
        assert!(again.is_new("c").unwrap(), "a look that is begun again finds the same");
        assert!(again.over().look().unwrap().is_new("a").unwrap(), "what went and came back is new");
        assert!(Seen { known: Some("abc".to_owned()), found: String::new() }.look().is_none());
    }

    #[test]
    fn more_rows_than_are_remembered_are_refused() {
        let mut look = Seen::default().look().unwrap();
        let error = (0..=ROWS_MAX).find_map(|row| look.is_new(&row.to_string()).err()).unwrap();
        assert_eq!(error.code, "TOO_MANY_ITEMS");
    }
}
