//! Walks records by (time, id), so that none is missed and none is taken twice.
//!
//! A cursor by time alone loses records that share an instant with the last one of a page; a cursor by page number
//! loses records when others are deleted. A record whose transaction commits late has an older time than what was
//! read already: so the newest moments are left for later (`lag`), and the last stretch is read again (`overlap`).
//! What is read again has the same key and starts nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Position, StepError, trigger::read_cursor};

/// A place in the order of (time, id), as a cursor keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyset {
    /// The time of the last record taken, in the system's own spelling, which sorts as text; microseconds since the
    /// epoch when nothing was taken yet.
    pub at: At,
    /// Its id; empty before the first record of that instant.
    pub id: String,
}

/// A time in a cursor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum At {
    /// Microseconds since the epoch.
    Micros(i64),
    /// As the system spells it.
    Told(String),
}

impl Keyset {
    /// The place a question begins at.
    ///
    /// # Errors
    /// When the cursor was made by something else.
    pub fn of(position: &Position) -> Result<Self, StepError> {
        match position {
            Position::Since(micros) => Ok(Self { at: At::Micros(*micros), id: String::new() }),
            Position::After(cursor) => read_cursor(cursor),
        }
    }

    /// The cursor that goes on after a record.
    #[must_use]
    pub fn after(at: impl Into<String>, id: impl Into<String>) -> Self {
        Self { at: At::Told(at.into()), id: id.into() }
    }

    /// As it is kept.
    #[must_use]
    pub fn cursor(&self) -> Json {
        serde_json::json!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_kept_and_a_strange_one_is_refused() {
        let place = Keyset::after("2026-01-02T03:04:05.000+0000", "001A");
        assert_eq!(Keyset::of(&Position::After(place.cursor())).unwrap(), place);
        assert_eq!(Keyset::of(&Position::Since(5)).unwrap(), Keyset { at: At::Micros(5), id: String::new() });
        assert_eq!(Keyset::of(&Position::After(serde_json::json!({"page": 3}))).unwrap_err().code, "CURSOR_INVALID");
    }
}
