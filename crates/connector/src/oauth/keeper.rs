//! Keeps the tokens of all processes in one place, and says whose turn it is to renew one.

use std::{future::Future, pin::Pin, sync::Arc};

use serde_json::{Map, Value as Json};

use crate::Secret;

/// What a token service gave, as it is kept.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The access token.
    pub access: Secret,
    /// What gets the next one, if the service gave it.
    pub refresh: Option<Secret>,
    /// What else the answer held, without tokens.
    pub told: Arc<Map<String, Json>>,
    /// A fingerprint of the credentials it was made of: a token of others is worth nothing.
    pub of: String,
    /// When the access token ends, in microseconds of the keeper's clock; `None` when the service did not say.
    pub ends_us: Option<i64>,
    /// When to renew it, likewise.
    pub renew_us: Option<i64>,
    /// When the system gave what gets the next one, in microseconds of the keeper's clock; `None` when somebody else was given it.
    pub since_us: Option<i64>,
    /// Goes up with every new token; 0 for one that was never kept.
    pub revision: i64,
}

/// Which token: the connection's name, and which of its sign-ins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The connection's name.
    pub connection: String,
    /// The sign-in.
    pub name: String,
}

/// Whose turn it is to renew a token.
#[derive(Debug)]
pub enum Turn {
    /// The asker's. It asks again from time to time until it is done.
    Mine,
    /// Somebody else's.
    Taken,
    /// Nobody's: there is a newer one.
    Moved(Pair),
    /// Nobody's: the service refused it since the asker began, and this is why.
    Refused(String),
}

/// Asks for a turn.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Which token.
    pub place: &'a Place,
    /// Who asks; each renewal has a name of its own.
    pub holder: &'a str,
    /// The revision that is no good any more.
    pub seen: i64,
    /// When the asker began, in microseconds of the keeper's clock.
    pub began_us: i64,
}

/// The future of a keeper's answer.
pub type Kept<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Keeps tokens so that every process uses the same ones and none is lost with a process. An error is a sentence for
/// the log: the keeper did not answer.
pub trait Keeper: Send + Sync {
    /// Now, in microseconds, by a clock all processes share.
    fn now_us(&self) -> i64;

    /// The token as it is kept now.
    fn kept<'a>(&'a self, place: &'a Place) -> Kept<'a, Option<Pair>>;

    /// Whose turn it is to renew a token. Of many who ask, in however many processes, one has it.
    fn turn<'a>(&'a self, ask: Ask<'a>) -> Kept<'a, Turn>;

    /// No new token came; others may have their turn.
    fn give_back<'a>(&'a self, place: &'a Place, holder: &'a str) -> Kept<'a, ()>;

    /// Makes a new token durable and ends the turn; `pair.revision` is that of the one it replaces. False when another one
    /// came meanwhile.
    fn keep<'a>(&'a self, place: &'a Place, holder: &'a str, pair: &'a Pair) -> Kept<'a, bool>;

    /// The service refused the connection's credentials for good: a person must sign in anew.
    fn refused<'a>(&'a self, connection: &'a str, reason: &'a str, began_us: i64) -> Kept<'a, ()>;
}
