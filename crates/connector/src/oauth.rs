//! OAuth 2.0 sign-in (RFC 6749): client credentials, refresh tokens, assertions, and what people agree to in a browser.
//!
//! One token per connection, whichever process uses it. It is renewed before it runs out, by one caller while the others
//! wait, and once more when a system refuses it although it should still be good. With a [`Keeper`] that holds for all
//! processes: one has the turn, and a new token is durable before anybody uses it, because the refresh token it came
//! with may replace the old one for good. Nothing here is ever logged with a secret in it.

mod keeper;
mod order;
mod sign_in;
mod slot;

use std::{sync::Arc, time::Duration};

use url::Url;

use self::order::Order;
pub(crate) use self::slot::Tokens;
pub use self::{
    keeper::{Ask, Keeper, Kept, Pair, Place, Turn},
    sign_in::{Authorize, Begun, SignIn, ends_us, exchange, kept_at, renew},
};
use crate::{
    Secret,
    error::{ErrorClass, StepError},
    http::Http,
    jwt::Assertion,
};

/// How a client gets its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// With its own id and secret (RFC 6749, 4.4).
    ClientCredentials,
    /// With a refresh token: one that people gave the connection, or that came when somebody signed in (RFC 6749, 6).
    RefreshToken,
    /// With an assertion it signs itself (RFC 7523, 2.1).
    JwtBearer,
}

/// A token, and what the service said beside it.
#[derive(Clone, Debug)]
pub struct Token {
    /// The access token.
    pub access: Secret,
    /// What else the answer held, without tokens: `instance_url`, `scope`.
    pub told: Arc<serde_json::Map<String, serde_json::Value>>,
}

/// A connection's sign-in.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    /// The connection's name.
    pub connection: &'a str,
    /// How it gets its token.
    pub grant: Grant,
    /// Where tokens are given out.
    pub token_url: Url,
    /// Who we are.
    pub id: &'a str,
    /// What proves it; clients of a refresh token may have none.
    pub secret: Option<&'a Secret>,
    /// The refresh token that people gave the connection, if they did; one that came with a sign-in or replaced it is
    /// found by itself.
    pub refresh_token: Option<&'a Secret>,
    /// Sends id and secret in the body; otherwise as basic authentication.
    pub in_body: bool,
    /// What the token shall be good for.
    pub scope: Option<String>,
    /// Whatever else the token service wants to be told, such as an audience.
    pub params: Vec<(String, String)>,
    /// What it signs itself: the grant of [`Grant::JwtBearer`]; with [`Grant::ClientCredentials`] it proves the client
    /// in place of a secret (RFC 7523, 2.2).
    pub assertion: Option<Assertion<'a>>,
    /// Now, in seconds since the epoch, for the assertion.
    pub now_s: i64,
}

impl Client<'_> {
    /// A token that is good now.
    ///
    /// # Errors
    /// When the token service does not give one; nothing else was sent then.
    pub async fn token(&self, http: &Http, timeout: Duration) -> Result<Secret, StepError> {
        self.obtain(http, None, timeout).await.map(|token| token.access)
    }

    /// A token that is good now, other than the one the system just refused, and what the service said beside it.
    ///
    /// # Errors
    /// As [`Client::token`].
    pub async fn signed_in(&self, http: &Http, refused: Option<&Secret>, timeout: Duration) -> Result<Token, StepError> {
        self.obtain(http, refused, timeout).await
    }

    /// A token other than the one the system just refused.
    ///
    /// # Errors
    /// As [`Client::token`].
    pub async fn renewed(&self, http: &Http, refused: &Secret, timeout: Duration) -> Result<Secret, StepError> {
        self.obtain(http, Some(refused), timeout).await.map(|token| token.access)
    }

    async fn obtain(&self, http: &Http, refused: Option<&Secret>, timeout: Duration) -> Result<Token, StepError> {
        let order = Order::of(self);
        let slot = http.tokens().slot(&order.place);
        if let Ok(mut slot) = slot.try_lock()
            && let Some(token) = slot.good(&order, refused)
        {
            return Ok(token);
        }
        let (http, order, refused) = (http.clone(), order.signed(self), refused.cloned());
        let late = order.problem(ErrorClass::Timeout, "SIGN_IN_TIMEOUT", "no token came in time".to_owned());
        // A task of its own: whoever waits may go, and the token that comes must not be lost.
        let renewing = tokio::spawn(async move { slot.lock().await.renewed(&http, &order, refused.as_ref()).await });
        match tokio::time::timeout(timeout, renewing).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err(StepError { class: ErrorClass::Internal, code: "SIGN_IN_PANICKED".to_owned(), ..late }),
            Err(_elapsed) => Err(late.with_next("It is tried again by itself.")),
        }
    }
}
