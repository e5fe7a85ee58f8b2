//! Requests to webhook addresses that started no run, kept as they came so that people can see them and
//! give them to a recipe after all.

use serde_json::Value as Json;

use crate::{InboundId, RecipeId, RunId, Timestamp};

/// Why a request started no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The sender did not prove itself.
    Unverified,
    /// No recipe is at the address.
    Unknown,
    /// The recipe at the address is switched off.
    SwitchedOff,
    /// The body is not what it says it is, or too large.
    Unparsable,
    /// The recipe's trigger does not want it.
    Filtered,
}

impl Verdict {
    /// Every verdict, in the order of their numbers, which begin at 1.
    pub const ALL: [Self; 5] = [Self::Unverified, Self::Unknown, Self::SwitchedOff, Self::Unparsable, Self::Filtered];

    /// The number stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16 + 1
    }

    /// From the number stored.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.number() == number)
    }

    /// The word used in the API and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Unknown => "unknown",
            Self::SwitchedOff => "switched_off",
            Self::Unparsable => "unparsable",
            Self::Filtered => "filtered",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == word)
    }
}

/// One request that started no run.
#[derive(Debug, Clone, PartialEq)]
pub struct InboundRow {
    /// Its id.
    pub id: InboundId,
    /// When it came.
    pub received_at: Timestamp,
    /// What the bounds count by: the recipe's slug; empty when no recipe is at the address.
    pub bucket: String,
    /// What stood after `/hooks/` up to the next slash.
    pub address: String,
    /// The method.
    pub method: String,
    /// What followed the address.
    pub path: String,
    /// The query without its question mark.
    pub query: String,
    /// Names and values in the order they came, secrets masked: a list of pairs.
    pub headers: Json,
    /// The body as received, cut where the bound for one body lies. Lists leave it empty.
    pub body: Vec<u8>,
    /// How long the body was.
    pub body_bytes: i64,
    /// Why it started no run.
    pub verdict: Verdict,
    /// What the sender was told, as a code.
    pub code: String,
    /// And as a sentence.
    pub reason: String,
    /// When it is removed.
    pub expires_at: Timestamp,
    /// The recipe somebody gave it to.
    pub recipe: Option<RecipeId>,
    /// The run that started then.
    pub run: Option<RunId>,
}

impl InboundRow {
    /// What it weighs against the bounds, in bytes.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        // Fixed columns and what the index takes.
        const OWN_BYTES: usize = 256;
        let texts = [&self.bucket, &self.address, &self.method, &self.path, &self.query, &self.code, &self.reason];
        let sum = texts.iter().map(|text| text.len()).sum::<usize>() + self.headers.to_string().len() + self.body.len();
        i64::try_from(sum + OWN_BYTES).unwrap_or(i64::MAX)
    }
}

/// How much is kept; the oldest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboundBounds {
    /// Requests of one address. All addresses without a recipe count as one.
    pub address_rows_max: u32,
    /// Bytes of one address.
    pub address_bytes_max: i64,
    /// Requests in all.
    pub rows_max: u32,
    /// Bytes in all.
    pub bytes_max: i64,
}

/// Which requests a list shows, newest first.
#[derive(Debug, Clone, Default)]
pub struct InboundFilter {
    /// Only with this verdict.
    pub verdict: Option<Verdict>,
    /// Only at this address, or for the recipe of this slug.
    pub address: Option<String>,
    /// Only received at or after.
    pub since: Option<Timestamp>,
    /// Only received before.
    pub until: Option<Timestamp>,
    /// Only before this one: the last of the page before.
    pub before: Option<InboundId>,
    /// At most so many.
    pub limit: u32,
}
