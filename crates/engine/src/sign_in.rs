//! Sign-ins of people at other systems, in their browser: begun here, ended by the code that comes back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use connector::{Connection, ErrorClass, Secret, StepError, oauth};
use sha2::{Digest, Sha256};
use store::{BegunSignIn, ConnectionRow, Put, SealedAt, StoreError, Timestamp};

use crate::{Engine, registry};

/// People have so long to agree.
const BEGUN_LASTS: Duration = Duration::from_secs(600);
/// The token service may take so long to take a code.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(30);
/// A new token is tried so often against those that renewals keep meanwhile.
const KEEP_TRIES: u32 = 10;
/// The page the code comes back to.
pub const CALLBACK_PATH: &str = "/oauth/callback";

/// A sign-in that began.
#[derive(Debug)]
pub struct Begun {
    /// The address to open in a browser.
    pub url: String,
    /// The address people come back to; the other system must know it.
    pub redirect: String,
    /// It must be done by then.
    pub expires_at: Timestamp,
}

/// Why a sign-in cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// There is no such connection.
    #[error("there is no connection {0:?}")]
    NotFound(String),
    /// People do not sign in to it with a browser, or it lacks something for it.
    #[error("{0}")]
    Unfit(String),
    /// The state is unknown, was used before, or its time is over; or another browser brings it.
    #[error("this sign-in is not known, was used already, or took longer than ten minutes")]
    Over,
    /// The token service refused the code.
    #[error("{}", .1.message)]
    Refused(String, Box<StepError>),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Begins a sign-in. With the hash of a browser's session it ends only in that browser.
    ///
    /// # Errors
    /// [`SignInError`]; nothing was kept then.
    pub async fn begin_sign_in(&self, name: &str, who: &str, session: Option<[u8; 32]>) -> Result<Begun, SignInError> {
        let (row, connection) = self.opened(name).await?;
        let authorize = self.authorize(&connection)?;
        let redirect = format!("{}{CALLBACK_PATH}", self.settings.public_url.trim_end_matches('/'));
        let begun = authorize.begin(&redirect).map_err(StoreError::Internal)?;
        let (hash, expires_at) = (hash(begun.state.expose()), self.now().after(BEGUN_LASTS));
        let mut secrets = BTreeMap::from([("redirect".to_owned(), redirect.clone())]);
        secrets.extend(begun.verifier.as_ref().map(|verifier| ("verifier".to_owned(), verifier.expose().to_owned())));
        secrets.extend(session.map(|session| ("session".to_owned(), hex::encode(session))));
        let keep = |sealed| async move {
            let begun = BegunSignIn { hash, connection: row.id, sealed, who: who.to_owned(), expires_at };
            self.store.begin_sign_in(&begun).await
        };
        self.vault.keep(&SealedAt::SignIn(hash), &secrets, keep).await?;
        Ok(Begun { url: begun.url.into(), redirect, expires_at })
    }

    /// Takes out the sign-in that a state belongs to: it is good once. Gives the connection's name, and what ends it.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn take_sign_in(&self, state: &str, session: Option<[u8; 32]>) -> Result<PendingSignIn, SignInError> {
        let hash = hash(state);
        self.vault.learn().await?;
        let begun = self.store.spend_sign_in(&hash, self.now()).await?.ok_or(SignInError::Over)?;
        let mut secrets = self.vault.open(&SealedAt::SignIn(hash), &begun.sealed).await?;
        if secrets.get("session").is_some_and(|wanted| Some(wanted) != session.map(hex::encode).as_ref()) {
            return Err(SignInError::Over);
        }
        let rows = self.store.connections().await?;
        let row = rows.into_iter().find(|row| row.id == begun.connection);
        let row = row.ok_or_else(|| SignInError::NotFound("that this sign-in was for".to_owned()))?;
        Ok(PendingSignIn {
            connection: row.name,
            who: begun.who,
            redirect: secrets.remove("redirect").unwrap_or_default(),
            verifier: secrets.remove("verifier").map(Secret::new),
        })
    }

    /// Turns the code that came back into tokens, keeps them, and lets the connection work again.
    ///
    /// # Errors
    /// [`SignInError`]; what was kept before stays.
    pub async fn end_sign_in(&self, pending: &PendingSignIn, code: &Secret) -> Result<(), SignInError> {
        let (row, connection) = self.opened(&pending.connection).await?;
        let authorize = self.authorize(&connection)?;
        let within = (EXCHANGE_WITHIN, self.now().micros());
        let verifier = pending.verifier.as_ref();
        let exchanged = oauth::exchange(&self.http, &connection, &authorize, code, &pending.redirect, verifier, within).await;
        let (place, mut pair) = exchanged.map_err(|error| SignInError::Refused(row.name.clone(), Box::new(error)))?;
        let mut kept = false;
        for _ in 0..KEEP_TRIES {
            pair.revision = self.store.token(&place.connection, &place.name).await?.map_or(0, |row| row.revision);
            kept = self.keep_token(&place, "", &pair).await?;
            if kept {
                break;
            }
        }
        if !kept {
            return Err(StoreError::Unavailable("the token is renewed by others all the time".to_owned()).into());
        }
        let note = format!("{} signed in at {}.", pending.who, authorize.authorize_url.host_str().unwrap_or_default());
        if !self.signed_in(&row.name, &pending.who, &note).await? {
            let audit = self.connection_audit("signed_in", &row.name, &pending.who, note);
            self.store.add_audit(&audit).await?;
        }
        self.tell_others(row).await;
        Ok(())
    }

    /// Other processes look up a token once the connection changed.
    async fn tell_others(&self, row: ConnectionRow) {
        let name = row.name.clone();
        self.http.recheck_tokens(&name);
        let changed = self.store.update_connection(ConnectionRow { updated_at: self.now(), ..row }).await;
        // Whoever changed it at the same time told them, too.
        if !matches!(changed, Ok(Put::Done(_) | Put::Gone)) {
            tracing::warn!(connection = name, "connection.signed_in: other processes learn of it when their token ends");
        }
        if let Err(error) = self.refresh().await {
            tracing::warn!(connection = name, %error, "connection.signed_in: the store did not answer");
        }
    }

    async fn opened(&self, name: &str) -> Result<(ConnectionRow, Arc<Connection>), SignInError> {
        let row = self.store.connection(name).await?.ok_or_else(|| SignInError::NotFound(name.to_owned()))?;
        let connection = registry::open(&self.vault, &row).await?;
        Ok((row, Arc::new(connection)))
    }

    fn authorize(&self, connection: &Connection) -> Result<oauth::Authorize, SignInError> {
        let known = self.connectors.iter().find(|known| known.id == connection.connector);
        let unfit = || {
            let name = &connection.name;
            SignInError::Unfit(format!(
                "The connection \"{name}\" does not sign in with a browser. Change its credentials instead (PATCH /connections/{name})."
            ))
        };
        let sign_in = known.and_then(|known| known.sign_in.as_ref()).ok_or_else(unfit)?;
        let lacks = |why| SignInError::Unfit(format!("The connection \"{}\" cannot sign in: {why}.", connection.name));
        sign_in.of(connection).map_err(lacks)?.ok_or_else(unfit)
    }

    /// Whether people sign in to this connection with a browser.
    ///
    /// # Errors
    /// When its secrets cannot be opened.
    pub async fn signs_in_by_browser(&self, row: &ConnectionRow) -> Result<bool, StoreError> {
        let connection = registry::open(&self.vault, row).await?;
        Ok(self.authorize(&connection).is_ok())
    }
}

/// A sign-in that came back.
#[derive(Debug)]
pub struct PendingSignIn {
    /// For which connection.
    pub connection: String,
    /// Who began it.
    pub who: String,
    redirect: String,
    verifier: Option<Secret>,
}

impl SignInError {
    /// What to do next, as a sentence.
    #[must_use]
    pub fn next(&self) -> &str {
        match self {
            Self::Refused(_, error) if error.class == ErrorClass::Auth => {
                "Check the connection's client id, its secret and the return address at the other system, then sign in anew."
            }
            _ => "Begin the sign-in anew.",
        }
    }
}

fn hash(state: &str) -> [u8; 32] {
    Sha256::digest(state.as_bytes()).into()
}
