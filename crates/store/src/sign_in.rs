//! How connections sign in: the tokens they got, whether they can, and sign-ins that people began.

use async_trait::async_trait;

use crate::{AuditRow, ConnectionId, StoreError, Timestamp};

/// What a system gave a connection to sign in with, sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The connection's name.
    pub connection: String,
    /// Which of its sign-ins.
    pub place: String,
    /// The tokens, sealed by the vault; empty while there are none.
    pub sealed: Vec<u8>,
    /// When to renew them; `None` when the system did not say how long they are good.
    pub renew_at: Option<Timestamp>,
    /// Goes up with every new token; 0 while there are none.
    pub revision: i64,
}

impl std::fmt::Debug for TokenRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRow")
            .field("connection", &self.connection)
            .field("place", &self.place)
            .field("renew_at", &self.renew_at)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// Somebody wants to renew a token.
#[derive(Debug, Clone)]
pub struct TurnAsk<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// Which of its sign-ins.
    pub place: &'a str,
    /// Who asks; each renewal has a name of its own.
    pub holder: &'a str,
    /// The revision of the token that is no good any more.
    pub seen: i64,
    /// Now, by the clock the processes share.
    pub now: Timestamp,
    /// It is anybody's turn after that.
    pub until: Timestamp,
}

/// Whose turn it is to renew a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The asker's.
    Mine,
    /// Somebody else's, until then at the longest.
    Taken(Timestamp),
    /// Nobody's: there is a newer token.
    Moved(TokenRow),
}

/// Whether a connection can sign in, and when it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionState {
    /// The connection's name.
    pub connection: String,
    /// Why a person must sign in anew, as a sentence; `None` when nobody must.
    pub needs_sign_in: Option<String>,
    /// When that changed last.
    pub since: Option<Timestamp>,
    /// From then on one call may see whether a sign-in is still needed.
    pub retry_at: Option<Timestamp>,
    /// The last call that was answered.
    pub last_used_at: Option<Timestamp>,
}

/// A connection's sign-in was refused.
#[derive(Debug, Clone)]
pub struct SignInRefused<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// Why, as a sentence.
    pub reason: &'a str,
    /// When what was refused began: a person may have signed in anew since, and then it says nothing.
    pub began: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// One call may see from then on whether it is still so.
    pub retry_at: Timestamp,
}

/// A sign-in that somebody began at another system.
#[derive(Clone, PartialEq, Eq)]
pub struct BegunSignIn {
    /// SHA-256 of the state that is sent along.
    pub hash: [u8; 32],
    /// For which connection.
    pub connection: ConnectionId,
    /// The rest that is needed to end it, sealed by the vault.
    pub sealed: Vec<u8>,
    /// Who began it.
    pub who: String,
    /// It is no good after that.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for BegunSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BegunSignIn")
            .field("connection", &self.connection)
            .field("who", &self.who)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What sign-ins ask of a store. Each verb is one transaction.
#[async_trait]
pub trait SignIns: Send + Sync + 'static {
    /// The token of one sign-in of a connection.
    async fn token(&self, connection: &str, place: &str) -> Result<Option<TokenRow>, StoreError>;

    /// Whose turn it is to renew a token. Of many who ask, one has it; whoever has it keeps it longer by asking again.
    async fn take_turn(&self, ask: &TurnAsk<'_>) -> Result<Turn, StoreError>;

    /// Lets others have their turn: no new token came.
    async fn end_turn(&self, connection: &str, place: &str, holder: &str) -> Result<(), StoreError>;

    /// Keeps a new token and ends the turn; `row.revision` is that of the one it replaces. False, and nothing kept,
    /// when another one came meanwhile.
    async fn keep_token(&self, row: &TokenRow, holder: &str) -> Result<bool, StoreError>;

    /// What is known of connections that were ever used or refused.
    async fn connection_states(&self) -> Result<Vec<ConnectionState>, StoreError>;

    /// A connection needs a person to sign in. False when that was known, or somebody has signed in since it began; then
    /// no audit entry is kept.
    async fn need_sign_in(&self, refused: &SignInRefused<'_>, audit: &AuditRow) -> Result<bool, StoreError>;

    /// Lets one caller see whether a sign-in is still needed; nobody else may before `next`. False when it is too early.
    async fn try_sign_in(&self, connection: &str, now: Timestamp, next: Timestamp) -> Result<bool, StoreError>;

    /// A connection can sign in. False when nothing else was known; then no audit entry is kept.
    async fn signed_in(&self, connection: &str, now: Timestamp, audit: &AuditRow) -> Result<bool, StoreError>;

    /// A call through a connection was answered then.
    async fn note_use(&self, connection: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Keeps a sign-in that somebody began.
    async fn begin_sign_in(&self, begun: &BegunSignIn) -> Result<(), StoreError>;

    /// Takes a begun sign-in out: it is good once. `None` when it is unknown, spent or over.
    async fn spend_sign_in(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<BegunSignIn>, StoreError>;
}
