//! One question to a token service, and how its answer is read.

use std::{sync::Arc, time::Duration};

use ::http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{Client, Grant, Place};
use crate::{
    Mask, Secret,
    api::retry_after,
    error::{Doubt, ErrorClass, StepError},
    http::{Http, Request, Response},
    skew,
};

/// Longest life of a token that is believed.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most of a token service's own words put into a message.
const WORDS_CHARS_MAX: usize = 200;
/// What tokens of a person's sign-in are kept under: however it came about, a connection has one.
const USER: &str = "user";

/// A client's wish for a token, complete and free of whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) place: Place,
    /// See [`super::Pair::of`].
    pub(super) of: String,
    pub(super) grant: Grant,
    /// The refresh token people gave the connection.
    pub(super) given: Option<Secret>,
    token_url: Url,
    id: String,
    secret: Option<Secret>,
    in_body: bool,
    scope: Option<String>,
    params: Vec<(String, String)>,
    assertion: Option<Result<Secret, String>>,
    /// When that was signed, by our clock, in seconds.
    signed_s: i64,
}

/// What a service gave.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    pub(super) life: Option<Duration>,
    pub(super) told: Arc<Map<String, Json>>,
}

/// Why it gave nothing.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: StepError,
    /// It said so in the words of the standard: asking again gives the same.
    pub(super) for_good: bool,
}

#[derive(Deserialize)]
struct GrantedBody {
    access_token: String,
    #[serde(default)]
    expires_in: Option<Json>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(flatten)]
    told: Map<String, Json>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RefusedBody {
    error: String,
    error_description: String,
}

impl Order {
    pub(super) fn of(client: &Client<'_>) -> Self {
        let by_person = client.grant == Grant::RefreshToken;
        let scope = client.scope.as_deref().unwrap_or_default();
        let name = if by_person {
            USER.to_owned()
        } else {
            fingerprint([client.token_url.as_str(), client.id, scope]).chars().take(32).collect()
        };
        let secret = client.secret.map(Secret::expose).unwrap_or_default();
        let given = client.refresh_token.map(Secret::expose).unwrap_or_default();
        // Whoever acts as somebody else begins anew.
        let signs = |assertion: &crate::jwt::Assertion<'_>| format!("{}{}", assertion.key.expose(), json!(assertion.claims));
        let signs = client.assertion.as_ref().map(signs).unwrap_or_default();
        // A new secret of the client does not end what a person agreed to.
        let of = if by_person { user_fingerprint(client.id, given) } else { fingerprint([client.id, secret, &signs]) };
        Self {
            place: Place { connection: client.connection.to_owned(), name },
            of,
            grant: client.grant,
            given: client.refresh_token.cloned(),
            token_url: client.token_url.clone(),
            id: client.id.to_owned(),
            secret: client.secret.cloned(),
            in_body: client.in_body,
            scope: client.scope.clone(),
            params: client.params.clone(),
            assertion: None,
            signed_s: 0,
        }
    }

    /// With the assertion that is good from now on.
    pub(super) fn signed(mut self, client: &Client<'_>) -> Self {
        self.signed_s = client.now_s;
        self.assertion = client.assertion.as_ref().map(|assertion| {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(|error| format!("this machine gives no random numbers: {error}"))?;
            assertion.signed(client.now_s, &hex::encode(id))
        });
        self
    }

    /// It proves who we are with an assertion, which a service may take only once (RFC 7523, section 3).
    pub(super) const fn signs(&self) -> bool {
        self.assertion.is_some()
    }

    /// Where tokens of a person's sign-in are kept.
    pub(super) fn user_place(connection: &str) -> Place {
        Place { connection: connection.to_owned(), name: USER.to_owned() }
    }

    /// Asks for a token with the client's own grant.
    pub(super) async fn ask(&self, http: &Http, refresh: Option<&Secret>, timeout: Duration) -> Result<Granted, Refusal> {
        let form = self.form(refresh).map_err(|error| Refusal { error, for_good: true })?;
        self.send(http, &form, refresh, timeout).await
    }

    /// Asks with what a person agreed to in the browser (RFC 6749, 4.1.3; RFC 7636, 4.5).
    pub(super) async fn exchange(
        &self,
        http: &Http,
        code: &Secret,
        redirect: &str,
        verifier: Option<&Secret>,
        timeout: Duration,
    ) -> Result<Granted, Refusal> {
        let mut form = vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("code".to_owned(), code.expose().to_owned()),
            ("redirect_uri".to_owned(), redirect.to_owned()),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier".to_owned(), verifier.expose().to_owned())));
        form.extend(self.params.iter().cloned());
        self.send(http, &form, Some(code), timeout).await
    }

    /// Nobody has signed in yet.
    pub(super) fn nobody(&self) -> StepError {
        self.problem(ErrorClass::Auth, "SIGN_IN_NEEDED", "nobody has signed in yet".to_owned())
            .with_next("Open the connection's sign-in address in a browser and agree; then resume the run.")
    }

    fn form(&self, refresh: Option<&Secret>) -> Result<Vec<(String, String)>, StepError> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut form = match (self.grant, refresh) {
            (Grant::ClientCredentials, _) => {
                let mut form = vec![pair("grant_type", "client_credentials")];
                if self.assertion.is_some() {
                    form.push(pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
                    form.push(pair("client_assertion", self.assertion()?.expose()));
                }
                form
            }
            (Grant::RefreshToken, Some(refresh)) => {
                vec![pair("grant_type", "refresh_token"), pair("refresh_token", refresh.expose())]
            }
            (Grant::JwtBearer, _) => {
                let kind = pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                vec![kind, pair("assertion", self.assertion()?.expose())]
            }
            (Grant::RefreshToken, None) => return Err(self.nobody()),
        };
        form.extend(self.scope.as_ref().map(|scope| pair("scope", scope)));
        form.extend(self.params.iter().cloned());
        Ok(form)
    }

    async fn send(
        &self,
        http: &Http,
        form: &[(String, String)],
        used: Option<&Secret>,
        timeout: Duration,
    ) -> Result<Granted, Refusal> {
        let request = self.request(form).map_err(|error| Refusal { error, for_good: false })?;
        let response = http.send(Request { timeout, ..request }).await.map_err(|error| {
            let message = format!("the sign-in of the connection \"{}\" failed: {}", self.place.connection, error.message);
            Refusal { error: StepError { message, ..error }, for_good: false }
        })?;
        if !response.status.is_success() {
            return Err(self.refused(&response, used));
        }
        let granted: GrantedBody = serde_json::from_slice(&response.body).map_err(|_| {
            let error = self.problem(ErrorClass::Auth, "SIGN_IN_UNREADABLE", "its answer holds no access token".to_owned());
            // Some services refuse with 200.
            let for_good = serde_json::from_slice::<RefusedBody>(&response.body).is_ok_and(|body| !body.error.is_empty());
            Refusal { error: error.with_next("Check the token address of the connection."), for_good }
        })?;
        Ok(Granted {
            access: Secret::new(granted.access_token),
            refresh: granted.refresh_token.filter(|text| !text.is_empty()).map(Secret::new),
            life: granted.expires_in.as_ref().and_then(seconds).map(|life| life.min(LIFE_MAX)),
            // An id token says who signed in; nobody here asks, and it must not be shown.
            told: Arc::new(granted.told.into_iter().filter(|(name, _)| !name.ends_with("token")).collect()),
        })
    }

    fn request(&self, form: &[(String, String)]) -> Result<Request, StepError> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = Request { follow_redirects: false, ..Request::new(Method::POST, self.token_url.clone()) };
        match self.secret.as_ref().filter(|_| !self.in_body) {
            Some(secret) => {
                let mut value = HeaderValue::from_str(&basic(&self.id, secret.expose()))
                    .map_err(|_| self.problem(ErrorClass::Auth, "SIGN_IN_FAILED", "its id cannot be sent".to_owned()))?;
                value.set_sensitive(true);
                request.headers.insert(header::AUTHORIZATION, value);
            }
            // An assertion names the client itself.
            None if self.assertion.is_some() && self.secret.is_none() => {}
            None => {
                body.append_pair("client_id", &self.id);
                if let Some(secret) = &self.secret {
                    body.append_pair("client_secret", secret.expose());
                }
            }
        }
        request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request.body = body.finish().into();
        Ok(request)
    }

    fn assertion(&self) -> Result<&Secret, StepError> {
        let unusable = |why: String| self.problem(ErrorClass::Auth, "SIGN_IN_FAILED", why);
        match &self.assertion {
            Some(Ok(assertion)) => Ok(assertion),
            Some(Err(why)) => Err(unusable(why.clone())),
            None => Err(unusable("the connection has no private key".to_owned())),
        }
    }

    fn refused(&self, response: &Response, used: Option<&Secret>) -> Refusal {
        let status = response.status.as_u16();
        let body: RefusedBody = serde_json::from_slice(&response.body).unwrap_or_default();
        let mut mask = Mask::new(self.secret.iter().chain(used));
        mask.add(&self.id);
        let words: String =
            mask.text(&format!("{} {}", body.error, body.error_description)).chars().take(WORDS_CHARS_MAX).collect();
        let class = match status {
            429 => ErrorClass::RateLimited,
            408 => ErrorClass::Timeout,
            500..=599 => ErrorClass::Server,
            _ => ErrorClass::Auth,
        };
        let words = words.trim();
        let why = if words.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {words}") };
        // RFC 6749, 5.2: 400, or 401 for the client itself, and a code.
        let in_words = !body.error.is_empty() && !matches!(body.error.as_str(), "temporarily_unavailable" | "server_error");
        let definite = matches!(response.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let timed = class == ErrorClass::Auth && self.assertion.is_some();
        let gap = timed.then(|| skew::clock_gap(&response.headers, self.signed_s)).flatten();
        let error = match &gap {
            Some(gap) => self.problem(class, "SIGN_IN_FAILED", format!("{why}; {gap}")).with_next(skew::NEXT),
            None => self.problem(class, "SIGN_IN_FAILED", why),
        };
        Refusal {
            error: StepError { retry_after: retry_after(&response.headers), ..error },
            // Nobody has to sign in anew for a wrong clock.
            for_good: class == ErrorClass::Auth && definite && in_words && gap.is_none(),
        }
    }

    pub(super) fn problem(&self, class: ErrorClass, code: &str, why: String) -> StepError {
        let place = &self.token_url[..url::Position::AfterPath];
        let connection = &self.place.connection;
        StepError::new(class, code, format!("the connection \"{connection}\" could not sign in at {place}: {why}"))
            .with_next("Check the connection's credentials; if they were revoked, sign in anew and store the new ones.")
    }
}

impl Refusal {
    /// As the step's own error: what it wanted to do has not been sent.
    pub(super) fn settled(self) -> StepError {
        StepError { doubt: Doubt::Settled, ..self.error }
    }
}

/// The fingerprint of a person's sign-in.
pub(super) fn user_fingerprint(id: &str, given: &str) -> String {
    fingerprint([id, given, USER])
}

fn fingerprint(parts: [&str; 3]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// RFC 6749, 2.3.1: id and secret are form-encoded before they are joined. A space becomes %20: every server reads that, also one
/// that takes them for the parts of an address.
fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let mut value = "Basic ".to_owned();
    base64::Engine::encode_string(
        &base64::engine::general_purpose::STANDARD,
        format!("{}:{}", encoded(id), encoded(secret)),
        &mut value,
    );
    value
}

/// Some services write the number as text.
fn seconds(value: &Json) -> Option<Duration> {
    let number = value.as_u64().or_else(|| value.as_f64().map(|n| n as u64)).or_else(|| value.as_str()?.trim().parse().ok());
    number.map(Duration::from_secs)
}
