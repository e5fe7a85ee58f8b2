//! Data keys, the records sealed under them, and what a change of keys asks of a store.

use std::fmt;

use async_trait::async_trait;

use crate::{ConnectionId, StoreError, Timestamp};

/// What is sealed under a data key begins with this byte; 1 is what is sealed under the master key itself.
const FORMAT: u8 = 2;
const ID_BYTES: usize = 8;
/// What stands in the open before a text sealed under a data key.
pub(crate) const HEAD_BYTES: usize = 1 + ID_BYTES;

/// The number of a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataKeyId(pub i64);

impl fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl DataKeyId {
    /// The key a text is sealed under; `None` when there is nothing, or it was sealed before there were data keys.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Option<Self> {
        let id: [u8; ID_BYTES] = sealed.get(1..HEAD_BYTES)?.try_into().ok()?;
        (sealed[0] == FORMAT).then(|| Self(i64::from_be_bytes(id)))
    }

    /// Where the key itself is sealed under the master key.
    #[must_use]
    pub fn place(self) -> String {
        format!("data key {self}")
    }

    pub(crate) fn head(self) -> [u8; HEAD_BYTES] {
        let mut head = [FORMAT; HEAD_BYTES];
        head[1..].copy_from_slice(&self.0.to_be_bytes());
        head
    }
}

/// A key that seals secrets, itself sealed under the master key.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKeyRow {
    /// Its number; each new key has the next one.
    pub id: DataKeyId,
    /// The key, sealed for [`DataKeyId::place`].
    pub wrapped: Vec<u8>,
    /// The id of the master key it is sealed under.
    pub master_key: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When another one came; `None` while it is the current one.
    pub retired_at: Option<Timestamp>,
}

impl fmt::Debug for DataKeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKeyRow")
            .field("id", &self.id)
            .field("master_key", &self.master_key)
            .field("retired_at", &self.retired_at)
            .finish_non_exhaustive()
    }
}

/// Where something sealed is kept. The order is the one [`DataKeys::sealed`] goes by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SealedAt {
    /// A secret of the installation itself, by name.
    Secret(String),
    /// The credentials of a connection.
    Connection(ConnectionId),
    /// What a system gave a connection to sign in with.
    Token {
        /// The connection's name.
        connection: String,
        /// Which of its sign-ins.
        place: String,
    },
    /// A sign-in that somebody began, by the hash of its state.
    SignIn([u8; 32]),
}

impl SealedAt {
    /// The place it is sealed for: it opens nowhere else.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Secret(name) => name.clone(),
            Self::Connection(id) => id.to_string(),
            Self::Token { connection, place } => format!("token {connection}/{place}"),
            Self::SignIn(hash) => format!("sign-in {}", hex::encode(hash)),
        }
    }

    /// What it is, as a word: `secret`, `connection`, `token` or `sign_in`.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret",
            Self::Connection(_) => "connection",
            Self::Token { .. } => "token",
            Self::SignIn(_) => "sign_in",
        }
    }

    /// As a kind and two texts, which sort as it does; for tables.
    #[must_use]
    pub fn key(&self) -> (i32, String, String) {
        match self {
            Self::Secret(name) => (0, name.clone(), String::new()),
            Self::Connection(id) => (1, id.0.simple().to_string(), String::new()),
            Self::Token { connection, place } => (2, connection.clone(), place.clone()),
            Self::SignIn(hash) => (3, hex::encode(hash), String::new()),
        }
    }

    /// Back from [`SealedAt::key`].
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it makes no sense.
    pub fn from_key(kind: i32, first: String, second: String) -> Result<Self, StoreError> {
        let nonsense =
            |first: &str| StoreError::Corrupt(format!("{first:?} is no place of kind {kind} where something is sealed"));
        match kind {
            0 => Ok(Self::Secret(first)),
            1 => uuid::Uuid::try_parse(&first).map(|id| Self::Connection(ConnectionId(id))).map_err(|_| nonsense(&first)),
            2 => Ok(Self::Token { connection: first, place: second }),
            3 => {
                let mut hash = [0; 32];
                hex::decode_to_slice(&first, &mut hash).map_err(|_| nonsense(&first))?;
                Ok(Self::SignIn(hash))
            }
            _ => Err(nonsense(&first)),
        }
    }
}

/// Something sealed, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Where it is kept.
    pub at: SealedAt,
    /// The sealed text; never empty.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("at", &self.at).field("key", &DataKeyId::of(&self.sealed)).finish_non_exhaustive()
    }
}

/// All data keys under another master key.
#[derive(Debug, Clone)]
pub struct Rewrap {
    /// The id of the master key they are sealed under now.
    pub from: String,
    /// The id of the new one.
    pub to: String,
    /// Each key, sealed under the new one.
    pub wrapped: Vec<(DataKeyId, Vec<u8>)>,
    /// The new check value, for the setting [`KEY_CHECK_SETTING`](crate::KEY_CHECK_SETTING).
    pub check: String,
}

/// What sealing asks of a store. Each verb is one transaction.
#[async_trait]
pub trait DataKeys: Send + Sync + 'static {
    /// All data keys, oldest first; the last one is current.
    async fn data_keys(&self) -> Result<Vec<DataKeyRow>, StoreError>;

    /// Makes a key the current one, and retires the one before at `row.created_at`. False, and nothing kept, when its
    /// number is not the next one or the current one is sealed under another master key.
    async fn add_data_key(&self, row: &DataKeyRow) -> Result<bool, StoreError>;

    /// Removes retired keys under which nothing is sealed any more, and tells which.
    async fn remove_data_keys(&self) -> Result<Vec<DataKeyId>, StoreError>;

    /// Seals all data keys under another master key, keeps the new check value and forgets a master key kept in the
    /// database. False, and nothing changed, when the keys are not all of those, not all under `from`, or something is
    /// still sealed under the master key itself.
    async fn rewrap(&self, rewrap: &Rewrap) -> Result<bool, StoreError>;

    /// Writes a secret of the installation only if it is not there yet, and returns what is there then.
    async fn secret(&self, name: &str, initial: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// What is sealed, in the order of its places: what comes after `after`, at most `limit`.
    async fn sealed(&self, after: Option<&SealedAt>, limit: u32) -> Result<Vec<Sealed>, StoreError>;

    /// What is sealed there now; `None` when there is no such record.
    async fn sealed_at(&self, at: &SealedAt) -> Result<Option<Vec<u8>>, StoreError>;

    /// Replaces a sealed text by the same secrets sealed anew; nothing else of its record changes. False when it is not
    /// the text any more, or gone.
    async fn reseal(&self, known: &Sealed, anew: &[u8]) -> Result<bool, StoreError>;
}
