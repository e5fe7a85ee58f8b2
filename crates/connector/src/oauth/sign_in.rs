//! What people agree to in a browser: the authorization code grant (RFC 6749, 4.1) with PKCE (RFC 7636).

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Client, Grant, Pair, Place,
    order::{Order, Refusal, user_fingerprint},
    slot,
};
use crate::{Connection, Secret, StepError, http::Http};

/// Bytes of chance in a state or verifier; 43 characters when written.
const CHANCE_BYTES: usize = 32;
/// Parameters that are ours: a connector's own must not replace them.
const OURS: [&str; 7] =
    ["response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"];

/// Reads from a connection how its people sign in.
type Read = dyn Fn(&Connection) -> Result<Option<Authorize>, String> + Send + Sync;

/// How a connection's people sign in; the function reads it from the connection.
#[derive(Clone)]
pub struct SignIn {
    read: Arc<Read>,
    idle_life: Option<Duration>,
}

/// Where people agree, and where what they agreed to is turned into tokens.
#[derive(Clone, Debug)]
pub struct Authorize {
    /// The page people agree on.
    pub authorize_url: Url,
    /// Where tokens are given out.
    pub token_url: Url,
    /// Who we are.
    pub id: String,
    /// What proves it, if the client has such.
    pub secret: Option<Secret>,
    /// Sends id and secret in the body; otherwise as basic authentication.
    pub in_body: bool,
    /// What the token shall be good for.
    pub scope: Option<String>,
    /// Proves that whoever brings the code is who asked for it (S256). Only a system that refuses it should go without.
    pub pkce: bool,
    /// What else the page wants to be told, such as `access_type=offline` or `prompt=consent`.
    pub params: Vec<(String, String)>,
    /// What else the token service wants to be told, such as an audience.
    pub token_params: Vec<(String, String)>,
    /// The system ends what people agreed to so long after they did, however much it is used.
    pub lasts: Option<Duration>,
}

/// A sign-in that begins.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The address to open in a browser.
    pub url: Url,
    /// What comes back with the code, and proves that it belongs to this sign-in.
    pub state: Secret,
    /// What proves that the code was asked for by us.
    pub verifier: Option<Secret>,
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignIn")
    }
}

impl SignIn {
    /// Read from a connection by this function: `None` for one that signs in otherwise, a sentence for one that cannot.
    #[must_use]
    pub fn new(read: impl Fn(&Connection) -> Result<Option<Authorize>, String> + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), idle_life: None }
    }

    /// What people agreed to ends at the system once it was not used for so long. It is renewed long before, also when no
    /// recipe asks for it.
    #[must_use]
    pub const fn idle_life(mut self, life: Duration) -> Self {
        self.idle_life = Some(life);
        self
    }

    /// How long what people agreed to lasts unused, where the system ends it.
    #[must_use]
    pub const fn lasts_unused(&self) -> Option<Duration> {
        self.idle_life
    }

    /// How the people of this connection sign in, if they do.
    ///
    /// # Errors
    /// A sentence: what is missing.
    pub fn of(&self, connection: &Connection) -> Result<Option<Authorize>, String> {
        (self.read)(connection)
    }
}

impl Authorize {
    /// Begins a sign-in whose code comes back to `redirect`.
    ///
    /// # Errors
    /// When this machine gives no random numbers.
    pub fn begin(&self, redirect: &str) -> Result<Begun, String> {
        let state = chance()?;
        let verifier = if self.pkce { Some(chance()?) } else { None };
        let mut url = self.authorize_url.clone();
        let own: Vec<(String, String)> = url
            .query_pairs()
            .chain(self.params.iter().map(|(name, value)| (name.into(), value.into())))
            .filter(|(name, _)| !OURS.contains(&&**name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.set_query(None);
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code").append_pair("client_id", &self.id).append_pair("redirect_uri", redirect);
        if let Some(scope) = &self.scope {
            query.append_pair("scope", scope);
        }
        query.append_pair("state", state.expose());
        if let Some(verifier) = &verifier {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()));
            query.append_pair("code_challenge", &challenge).append_pair("code_challenge_method", "S256");
        }
        query.extend_pairs(own);
        drop(query);
        Ok(Begun { url, state, verifier })
    }
}

/// Turns a code into tokens, and says under which place they are kept. The code is spent then, whatever comes of it.
///
/// # Errors
/// Why the token service gave none.
pub async fn exchange(
    http: &Http,
    connection: &Connection,
    authorize: &Authorize,
    code: &Secret,
    redirect: &str,
    verifier: Option<&Secret>,
    (timeout, now_us): (Duration, i64),
) -> Result<(Place, Pair), StepError> {
    let client = client(connection, authorize, None);
    let granted = Order::of(&client).exchange(http, code, redirect, verifier, timeout).await.map_err(Refusal::settled)?;
    let given = connection.credentials.get("refresh_token").map(Secret::expose).unwrap_or_default();
    let pair = slot::signed_in(granted, user_fingerprint(&authorize.id, given), now_us);
    Ok((Order::user_place(&connection.name), pair))
}

/// When the system ends what people agreed to, in microseconds of the keeper's clock: known where it ends by itself, and
/// they agreed in a browser to the client the connection still has.
#[must_use]
pub fn ends_us(connection: &Connection, authorize: &Authorize, pair: &Pair) -> Option<i64> {
    let given = connection.credentials.get("refresh_token").map(Secret::expose).unwrap_or_default();
    let lasts = i64::try_from(authorize.lasts?.as_micros()).ok()?;
    let since = pair.since_us.filter(|_| pair.of == user_fingerprint(&authorize.id, given))?;
    Some(since.saturating_add(lasts))
}

/// Where the tokens of a connection that people sign in to are kept.
#[must_use]
pub fn kept_at(connection: &Connection) -> Place {
    Order::user_place(&connection.name)
}

/// Renews what people agreed to although nobody asks for it. Where another token than `known` came meanwhile, that is it.
///
/// # Errors
/// Why the token service gave none; a refusal for good is told to the keeper.
pub async fn renew(
    http: &Http,
    connection: &Connection,
    authorize: &Authorize,
    known: Option<&Secret>,
    timeout: Duration,
) -> Result<(), StepError> {
    let given = connection.credentials.get("refresh_token");
    client(connection, authorize, given).signed_in(http, known, timeout).await.map(drop)
}

fn client<'a>(connection: &'a Connection, authorize: &'a Authorize, given: Option<&'a Secret>) -> Client<'a> {
    Client {
        connection: &connection.name,
        grant: Grant::RefreshToken,
        token_url: authorize.token_url.clone(),
        id: &authorize.id,
        secret: authorize.secret.as_ref(),
        refresh_token: given,
        in_body: authorize.in_body,
        scope: None,
        params: authorize.token_params.clone(),
        assertion: None,
        now_s: 0,
    }
}

fn chance() -> Result<Secret, String> {
    let mut bytes = [0; CHANCE_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("this machine gives no random numbers: {error}"))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn authorize() -> Authorize {
        Authorize {
            authorize_url: Url::parse("https://id.example/authorize?tenant=a&state=mine").unwrap(),
            token_url: Url::parse("https://id.example/token").unwrap(),
            id: "client 1".to_owned(),
            secret: None,
            in_body: false,
            scope: Some("read write".to_owned()),
            pkce: true,
            params: vec![("prompt".to_owned(), "consent".to_owned()), ("redirect_uri".to_owned(), "https://evil".to_owned())],
            token_params: Vec::new(),
            lasts: None,
        }
    }

    #[test]
    fn the_address_holds_what_the_standard_wants_and_nothing_of_it_twice() {
        let begun = authorize().begin("https://us.example/oauth/callback").unwrap();
        let pairs: HashMap<_, _> = begun.url.query_pairs().into_owned().collect();
        assert_eq!(begun.url.query_pairs().count(), pairs.len(), "{}", begun.url);
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "client 1"),
            ("redirect_uri", "https://us.example/oauth/callback"),
            ("scope", "read write"),
            ("tenant", "a"),
            ("prompt", "consent"),
            ("code_challenge_method", "S256"),
            ("state", begun.state.expose()),
        ] {
            assert_eq!(pairs.get(name).map(String::as_str), Some(value), "{name}");
        }
        let verifier = begun.verifier.unwrap();
        assert!((43..=128).contains(&verifier.expose().len()), "RFC 7636, 4.1");
        assert_eq!(pairs["code_challenge"], URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose())));
        let other = authorize().begin("https://us.example/oauth/callback").unwrap();
        assert_ne!((other.state.expose(), other.verifier.unwrap().expose()), (begun.state.expose(), verifier.expose()));
    }

    #[test]
    fn a_challenge_is_made_as_the_standard_does() {
        // RFC 7636, appendix B.
        let digest = Sha256::digest("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(URL_SAFE_NO_PAD.encode(digest), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
