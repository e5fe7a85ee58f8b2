//! What the server's errors mean: for a person who opens the store, and for a caller of its verbs.

use std::{fmt, time::Duration};

use sqlx::{migrate::MigrateError, postgres::PgConnectOptions};
use store::StoreError;

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address makes no sense. It is not repeated: it may hold a password.
    #[error("the database address is not one of PostgreSQL; it must look like postgres://user:password@host:5432/liaison")]
    Address,
    /// Nobody answers there.
    #[error("PostgreSQL cannot be reached at {place}: {reason}")]
    Unreachable {
        /// Host, port and database.
        place: String,
        /// What the machine says.
        reason: String,
    },
    /// The user or the password is wrong.
    #[error("PostgreSQL at {place} does not let user \"{user}\" in: {reason}")]
    Refused {
        /// Host, port and database.
        place: String,
        /// The user.
        user: String,
        /// What the server says.
        reason: String,
    },
    /// There is no such database.
    #[error("there is no database \"{database}\" at {place}; make it with: createdb {database}")]
    NoDatabase {
        /// Host, port and database.
        place: String,
        /// The database.
        database: String,
    },
    /// The server is older than we are tested with.
    #[error("PostgreSQL at {place} is version {found}; version {needed} or newer is needed")]
    TooOld {
        /// Host, port and database.
        place: String,
        /// Its version.
        found: u32,
        /// The oldest that will do.
        needed: u32,
    },
    /// The server only reads: a standby.
    #[error("PostgreSQL at {place} accepts no writes; is it a standby?")]
    ReadOnly {
        /// Host, port and database.
        place: String,
    },
    /// The user may not make or change tables.
    #[error("user \"{user}\" may not make the tables at {place}: {reason}")]
    Forbidden {
        /// Host, port and database.
        place: String,
        /// The user.
        user: String,
        /// What the server says.
        reason: String,
    },
    /// A newer build worked on the database.
    #[error("the database at {place} was brought up to date by a newer liaison (its schema has step {step}); use that build")]
    Newer {
        /// Host, port and database.
        place: String,
        /// The step this build does not know.
        step: i64,
    },
    /// Its schema cannot be brought up to date.
    #[error("the database at {place} cannot be brought up to date: {reason}")]
    Schema {
        /// Host, port and database.
        place: String,
        /// What the server says.
        reason: String,
    },
}

/// Where the database is, without the password.
pub(crate) struct Place {
    host: String,
    user: String,
    database: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.database)
    }
}

impl Place {
    pub(crate) fn of(options: &PgConnectOptions) -> Self {
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let user = options.get_username().to_owned();
        // The server's own default.
        let database = options.get_database().unwrap_or(&user).to_owned();
        Self { host, user, database }
    }

    /// The server did not let us in.
    pub(crate) fn refused(&self, error: &sqlx::Error) -> OpenError {
        let place = self.to_string();
        let Some(answer) = error.as_database_error() else {
            return OpenError::Unreachable { place, reason: error.to_string() };
        };
        let reason = answer.message().to_owned();
        match answer.code().as_deref() {
            Some("28P01" | "28000") => OpenError::Refused { place, user: self.user.clone(), reason },
            Some("3D000") => OpenError::NoDatabase { place: self.host.clone(), database: self.database.clone() },
            Some("42501") => OpenError::Forbidden { place, user: self.user.clone(), reason },
            Some("25006") => OpenError::ReadOnly { place },
            _ => OpenError::Unreachable { place, reason },
        }
    }

    pub(crate) fn silent(&self, patience: Duration) -> OpenError {
        OpenError::Unreachable { place: self.to_string(), reason: format!("no answer within {} s", patience.as_secs()) }
    }

    pub(crate) fn not_migrated(&self, error: &MigrateError) -> OpenError {
        let place = self.to_string();
        match error {
            MigrateError::VersionMissing(step) | MigrateError::VersionTooNew(step, _) => OpenError::Newer { place, step: *step },
            MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => match inner.as_database_error() {
                Some(answer) if matches!(answer.code().as_deref(), Some("42501" | "25006")) => self.refused(inner),
                _ => OpenError::Schema { place, reason: error.to_string() },
            },
            _ => OpenError::Schema { place, reason: error.to_string() },
        }
    }
}

const IN_THE_WAY: &str = "another transaction was in the way";

/// What the caller can do about an error of PostgreSQL's.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    let error = sorted(error);
    // That is everyday work; it is tried again at once.
    if in_the_way(&error) { error } else { store::counted(error) }
}

/// The same of an error while something sealed was written: its key may be gone.
pub(crate) fn sealed_failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) if inner.is_foreign_key_violation() => StoreError::KeyGone,
        _ => failed(error),
    }
}

fn sorted(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(inner) => {
            // https://www.postgresql.org/docs/current/errcodes-appendix.html
            let code = inner.code().unwrap_or_default();
            match &*code {
                // Serialization failure, deadlock.
                "40001" | "40P01" => StoreError::Unavailable(format!("{IN_THE_WAY}: {error}")),
                // Cancelled by a time limit, stopping, read-only (a standby), lock not available, I/O error.
                "57014" | "57P01" | "57P02" | "57P03" | "25006" | "55P03" | "58030" => StoreError::Unavailable(error.to_string()),
                // Out of disk.
                "53100" => StoreError::Unavailable(format!("{}: {error}", store::NO_ROOM)),
                // Damaged data or index.
                "XX001" | "XX002" => StoreError::Corrupt(error.to_string()),
                // Connection lost; out of memory or connections.
                code if code.starts_with("08") || code.starts_with("53") => StoreError::Unavailable(error.to_string()),
                _ => StoreError::Internal(error.to_string()),
            }
        }
        sqlx::Error::ColumnDecode { .. } => StoreError::Corrupt(error.to_string()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Internal(error.to_string()),
    }
}

/// True when nothing is wrong but the moment: doing it again at once helps.
pub(crate) fn in_the_way(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(reason) if reason.starts_with(IN_THE_WAY))
}
