//! Calls of one system's API: signed, tried once more when the sign-in ran out, and told in the system's own terms
//! when they fail.
//!
//! A connector says once how its system refuses things ([`Dialect`]) and how it signs in ([`Sign`]); every call of it
//! is then a [`Call`]. What goes wrong ends in one class, with a sentence, what to do next, and the request and answer
//! without secrets.

mod told;

use std::{sync::Arc, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value as Json;
use url::Url;

pub use self::told::{own_words, retry_after, unanswered};
use crate::{
    Connection, Cx, Secret,
    error::{ErrorClass, StepError},
    http::{Pieces, Request, Response, Sink, again},
    skew,
};

/// Which trace a call is part of: <https://www.w3.org/TR/trace-context/>. Systems that do not know it ignore it.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// One error of a system, as people are told of it. Connectors list them; documents are made of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// The system's own code.
    pub code: &'static str,
    /// What it means for the run.
    pub class: ErrorClass,
    /// What happened, as a sentence without its full stop: "Salesforce does not know a field that was sent".
    pub sentence: &'static str,
    /// What to do next, as a sentence.
    pub next: &'static str,
}

/// What a system says when it refuses a call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Refusal {
    /// Its code; what the table of errors is asked with.
    pub code: String,
    /// Its own words; they may be empty.
    pub words: String,
    /// What it means for the run, when the table does not decide.
    pub class: Option<ErrorClass>,
    /// When to try again, when it says so elsewhere than in `Retry-After`.
    pub retry_after: Option<Duration>,
    /// True when the sign-in ran out: a new one is made, and the call is made once more.
    pub signed_out: bool,
    /// True when what was asked may have been done all the same, whatever the table says.
    pub in_doubt: bool,
}

impl Refusal {
    /// A refusal with this code and these words.
    #[must_use]
    pub fn new(code: impl Into<String>, words: impl Into<String>) -> Self {
        Self { code: code.into(), words: words.into(), ..Self::default() }
    }

    /// It means that the sign-in ran out.
    #[must_use]
    pub fn signed_out(mut self) -> Self {
        self.signed_out = true;
        self
    }

    /// It leaves open whether what was asked was done.
    #[must_use]
    pub fn in_doubt(mut self, is_so: bool) -> Self {
        self.in_doubt = is_so;
        self
    }

    /// It means this, whatever the table says.
    #[must_use]
    pub fn class(mut self, class: ErrorClass) -> Self {
        self.class = Some(class);
        self
    }
}

/// How a system refuses things.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// The system's name in sentences.
    pub system: &'static str,
    /// Its errors.
    pub errors: &'static [ErrorRow],
    /// Finds the refusal in an answer of any status: some systems refuse with 200. `None` for an answer that is fine;
    /// an answer of 400 or more without a refusal is judged by its status.
    pub refusal: fn(&Answer) -> Option<Refusal>,
    /// True when it may answer with a status of 500 after it did what was asked; a code of the table still decides, unless
    /// it only says that the system failed.
    pub fails_late: bool,
}

impl Dialect {
    /// What is known of a code.
    #[must_use]
    pub fn error(&self, code: &str) -> Option<&'static ErrorRow> {
        self.errors.iter().find(|row| row.code == code)
    }
}

/// Proves who we are.
#[async_trait]
pub trait Sign: Send + Sync {
    /// Adds the proof to a request that is otherwise complete. `refused` is the token that the system just refused;
    /// another one is wanted then. Gives the token used, or nothing when there is none that could be renewed.
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError>;

    /// Whether the proof holds the time, so that a wrong clock makes it worthless.
    fn is_timed(&self) -> bool {
        false
    }
}

/// A proof that never changes: one header.
#[derive(Debug, Clone)]
pub struct Header {
    /// Its name.
    pub name: HeaderName,
    /// What it holds, whole.
    pub value: Secret,
}

impl Header {
    /// `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(token: &Secret) -> Self {
        Self { name: header::AUTHORIZATION, value: Secret::new(format!("Bearer {}", token.expose())) }
    }

    /// `Authorization: Basic …` (RFC 7617), in UTF-8.
    #[must_use]
    pub fn basic(user: &str, password: &Secret) -> Self {
        let mut value = "Basic ".to_owned();
        let pair = format!("{user}:{}", password.expose());
        base64::Engine::encode_string(&base64::engine::general_purpose::STANDARD, pair, &mut value);
        Self { name: header::AUTHORIZATION, value: Secret::new(value) }
    }
}

#[async_trait]
impl Sign for Header {
    async fn sign(&self, _cx: &Cx, request: &mut Request, _refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        put_secret(&mut request.headers, &self.name, &self.value)?;
        Ok(None)
    }
}

/// Writes a header that is never shown.
///
/// # Errors
/// When the secret holds what a header may not.
pub fn put_secret(headers: &mut HeaderMap, name: &HeaderName, value: &Secret) -> Result<(), StepError> {
    let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
        StepError::new(
            ErrorClass::Auth,
            "CREDENTIAL_UNUSABLE",
            "a credential of the connection holds characters that cannot be sent",
        )
        .with_next("Enter the credential again; a line break at its end is a usual cause.")
    })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// One call to make.
#[derive(Clone)]
pub struct Call<'a> {
    cx: &'a Cx,
    dialect: &'a Dialect,
    sign: &'a dyn Sign,
    request: Request,
    accepts: &'a [u16],
    refusal: Option<FindRefusal<'a>>,
}

/// Finds the refusal in an answer, where what to look for is only known while the process runs.
pub type FindRefusal<'a> = &'a (dyn Fn(&Answer) -> Option<Refusal> + Send + Sync);

impl<'a> Call<'a> {
    /// A call without headers or body.
    #[must_use]
    pub fn new(cx: &'a Cx, dialect: &'a Dialect, sign: &'a dyn Sign, method: Method, url: Url) -> Self {
        let mut request = Request::new(method, url);
        // A vendor's API does not move while it is called; a redirect could lead credentials elsewhere.
        request.follow_redirects = false;
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Self { cx, dialect, sign, request, accepts: &[], refusal: None }
    }

    /// Adds names and values to the address.
    #[must_use]
    pub fn query<N: AsRef<str>, V: AsRef<str>>(mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs = pairs.into_iter().peekable();
        if pairs.peek().is_some() {
            self.request.url.query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    /// Sets a header. A value that no header may hold is left out; check what people wrote before.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.request.headers.insert(name, value);
        }
        self
    }

    /// Sends a JSON body.
    #[must_use]
    pub fn json(self, body: &Json) -> Self {
        self.body("application/json", body.to_string().into())
    }

    /// Sends a form.
    #[must_use]
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body("application/x-www-form-urlencoded", body.into())
    }

    /// Sends a body of any kind.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: Bytes) -> Self {
        self.request.body = body;
        self.header(header::CONTENT_TYPE, content_type)
    }

    /// Sends a body piece by piece, such as a file.
    #[must_use]
    pub fn pieces(mut self, content_type: &str, pieces: Pieces) -> Self {
        self.request.pieces = Some(pieces);
        self.header(header::CONTENT_TYPE, content_type)
    }

    /// Takes these statuses as answers although they are 300 or more: 304, or 404 where nothing being there is fine.
    #[must_use]
    pub fn accepts(mut self, statuses: &'a [u16]) -> Self {
        self.accepts = statuses;
        self
    }

    /// Finds refusals with this function in place of the dialect's own: what a file declares is no `fn`.
    #[must_use]
    pub fn refusals(mut self, find: FindRefusal<'a>) -> Self {
        self.refusal = Some(find);
        self
    }

    /// Makes the call.
    ///
    /// # Errors
    /// When there is no answer, or the system refuses.
    pub async fn send(self) -> Result<Answer, StepError> {
        self.send_into(None).await
    }

    /// The same, with the body of an accepted answer given to a sink as it comes; it is missing in the answer then.
    ///
    /// # Errors
    /// As there, and those of the sink.
    pub async fn send_into(self, mut sink: Option<&mut dyn Sink>) -> Result<Answer, StepError> {
        let mut refused = None;
        loop {
            // Before the proof, which may hold the time.
            self.cx.turn().await?;
            let mut request = self.request.clone();
            request.timeout = self.cx.left();
            if let Some(trace) = self.cx.traceparent.as_deref().filter(|_| !request.headers.contains_key(TRACEPARENT)) {
                request.headers.extend(HeaderValue::from_str(trace).map(|value| (TRACEPARENT, value)));
            }
            let token = self.sign.sign(self.cx, &mut request, refused.as_ref()).await?;
            request.timeout = self.cx.left();
            let sent = Arc::new(Sent {
                method: request.method.clone(),
                url: request.url.clone(),
                headers: request.headers.clone(),
                body: request.body.clone(),
                connection: self.cx.connection.clone(),
                token: token.clone(),
                system: self.dialect.system,
            });
            let response = match self.cx.http.send_into(request, again(&mut sink)).await {
                Ok(response) => response,
                Err(error) => return Err(sent.describe(error, None)),
            };
            let Response { status, headers, body, .. } = response;
            let answer = Answer { status, headers, body, sent };
            let refusal = match self.refusal {
                Some(find) => find(&answer),
                None => (self.dialect.refusal)(&answer),
            };
            // A refused sign-in is a definite answer: nothing was done, so that even a `once` effect may be asked for again.
            if refused.is_none() && token.is_some() && refusal.as_ref().is_some_and(|refusal| refusal.signed_out) {
                refused = token;
                continue;
            }
            let fine = answer.status.is_success() || self.accepts.contains(&answer.status.as_u16());
            return match refusal {
                Some(refusal) if !(fine && self.accepts.contains(&answer.status.as_u16())) => Err(self.refused(&answer, refusal)),
                None if !fine => Err(self.refused(&answer, Refusal::default())),
                _ => Ok(answer),
            };
        }
    }
}

impl Call<'_> {
    fn refused(&self, answer: &Answer, refusal: Refusal) -> StepError {
        let error = told::refused(self.dialect, answer, refusal);
        let timed = error.class == ErrorClass::Auth && self.sign.is_timed();
        match timed.then(|| skew::clock_gap(&answer.headers, self.cx.now_s())).flatten() {
            Some(gap) => StepError { message: format!("{}; {gap}", error.message), ..error }.with_next(skew::NEXT),
            None => error,
        }
    }
}

/// What was sent, for people who ask what went wrong.
struct Sent {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    connection: Option<Arc<Connection>>,
    token: Option<Secret>,
    system: &'static str,
}

/// What came back.
#[derive(Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, unpacked.
    pub body: Bytes,
    sent: Arc<Sent>,
}

impl Answer {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON, if it is some; a byte order mark before it is passed over. For dialects, which must not fail.
    #[must_use]
    pub fn peek(&self) -> Option<Json> {
        serde_json::from_slice(self.without_mark()).ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none. The call was answered with success, so that it may have had its effect.
    pub fn json(&self) -> Result<Json, StepError> {
        self.read()
    }

    /// The body as a value of a type.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, StepError> {
        serde_json::from_slice(self.without_mark()).map_err(|error| told::unreadable(self, &error.to_string()))
    }

    /// An error about this answer: what it says makes no sense for what was asked.
    #[must_use]
    pub fn unreadable(&self, why: &str) -> StepError {
        told::unreadable(self, why)
    }

    /// Adds this call, without secrets, to an error that the connector found in its answer.
    #[must_use]
    pub fn describe(&self, error: StepError) -> StepError {
        self.sent.describe(error, Some(self))
    }

    fn without_mark(&self) -> &[u8] {
        self.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.body)
    }
}

#[cfg(test)]
mod tests;
