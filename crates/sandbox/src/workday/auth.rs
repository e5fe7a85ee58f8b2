//! Who calls: OAuth tokens, names with passwords, and the tenant's rate.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{Method, header};
use jsonwebtoken::Algorithm;
use serde_json::{Value as Json, json};
use url::Url;

use super::{
    TENANT,
    answer::{Answer, Call},
    state::State,
    wid,
};
use crate::tokens::{
    Agreed, Challenge, Codes, Grant, Policy, Tokens,
    assertion::{Expected, check_assertion, public_key, unverified_claim},
};

/// How long an authorization code is good for, in seconds.
const CODE_LIFE_S: i64 = 600;
/// Longest life of an assertion, and how far clocks may be apart, in seconds (unverified).
const ASSERTION_LIFE_S_MAX: i64 = 3600;
const LEEWAY_S: i64 = 60;
/// The password of the integration users; the sandbox holds no real secrets.
const PASSWORD: &str = "pw";
/// The user of whom nothing is kept away.
const USER: &str = "isu";
/// The user whose security group lacks domains.
const LIMITED: &str = "isu_limited";

/// What the domains and business processes of an account let it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rights {
    /// Domains of personal data: birth dates, private addresses.
    pub(super) personal: bool,
    pub(super) compensation: bool,
    /// Business processes, and Put of any domain.
    pub(super) write: bool,
}

/// A caller.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) user: String,
    pub(super) rights: Rights,
}

fn account(user: &str) -> Option<Who> {
    let full = user == USER;
    (full || user == LIMITED)
        .then(|| Who { user: user.to_owned(), rights: Rights { personal: full, compensation: full, write: full } })
}

/// Tokens, codes and the rate of the tenant.
pub(super) struct Sessions {
    pub(super) tokens: Tokens,
    codes: Codes,
    given: u64,
    pub(super) rate: Bucket,
    /// Certificates registered for assertions, as PEM.
    pub(super) certificates: Vec<String>,
    /// Users whose password has expired or who are locked.
    pub(super) locked: Vec<String>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Sessions {
    pub(super) fn new(seed: u64) -> Self {
        let policy = Policy { access_s: 3600, slides: false, refresh_s: None, rotates: false, refresh_per_subject: None };
        let tokens = Tokens::new(policy);
        for user in [USER, LIMITED] {
            tokens.issue(i64::MIN, &grant(seed, user), &format!("spent-{user}"), Some(&refresh_token(seed, user)));
        }
        Self { tokens, codes: Codes::default(), given: 0, rate: Bucket::default(), certificates: Vec::new(), locked: Vec::new() }
    }
}

/// Calls that may still come; it fills again by time.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Millionths of a call.
    left: i64,
    seen_us: Option<i64>,
}

impl Bucket {
    /// True when one more call may come.
    pub(super) fn take(&mut self, per_second: u32, burst: u32, now_us: i64) -> bool {
        if per_second == 0 {
            return true;
        }
        let most = i64::from(burst) * 1_000_000;
        let gained = self.seen_us.map_or(most, |seen| now_us.saturating_sub(seen).max(0).saturating_mul(i64::from(per_second)));
        self.seen_us = Some(now_us);
        self.left = self.left.saturating_add(gained).min(most);
        let allowed = self.left >= 1_000_000;
        if allowed {
            self.left -= 1_000_000;
        }
        allowed
    }
}

fn client_id(seed: u64) -> String {
    // As real ones: a UUID in base64, which needs no padding.
    let hex = wid(seed, "client");
    STANDARD.encode(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

fn client_secret(seed: u64) -> String {
    format!("{}{}", wid(seed, "client secret 1"), wid(seed, "client secret 2"))
}

fn refresh_token(seed: u64, user: &str) -> String {
    format!("{}{}", wid(seed, &format!("refresh 1 {user}")), wid(seed, &format!("refresh 2 {user}")))
}

fn grant(seed: u64, user: &str) -> Grant {
    Grant { client: client_id(seed), subject: user.to_owned(), scope: String::new() }
}

/// All that a client needs.
pub(super) fn credentials(state: &State, base: &str) -> Json {
    let seed = state.seed;
    let user = |user: &str| {
        json!({
            "username": format!("{user}@{TENANT}"),
            "password": PASSWORD,
            "refresh_token": refresh_token(seed, user),
        })
    };
    json!({
        "tenant": TENANT,
        "host": base,
        "rest_endpoint": format!("{base}/ccx/api/v1/{TENANT}"),
        "token_endpoint": format!("{base}/ccx/oauth2/{TENANT}/token"),
        "authorization_endpoint": format!("{base}/{TENANT}/authorize"),
        "service_endpoint": format!("{base}/ccx/service/{TENANT}"),
        "wsdl": format!("{base}/ccx/service/{TENANT}/Human_Resources/v44.2?wsdl"),
        "client_id": client_id(seed),
        "client_secret": client_secret(seed),
        "refresh_token": refresh_token(seed, USER),
        "username": format!("{USER}@{TENANT}"),
        "password": PASSWORD,
        "report": format!("{base}/ccx/service/customreport2/{TENANT}/{USER}/All_Workers"),
        "limited": user(LIMITED),
    })
}

/// Name and password of `Authorization: Basic`.
fn basic(call: &Call<'_>) -> Option<(String, String)> {
    let encoded = call.header(header::AUTHORIZATION)?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

/// A user by `name@tenant` and password.
pub(super) fn by_password(state: &State, name: &str, password: &str) -> Option<Who> {
    let user = name.strip_suffix(TENANT)?.strip_suffix('@')?;
    let open = password == PASSWORD && !state.sessions.locked.iter().any(|locked| locked == user);
    account(user).filter(|_| open)
}

/// The bearer of a token.
pub(super) fn by_bearer(state: &State, call: &Call<'_>) -> Option<Who> {
    let token = call.header(header::AUTHORIZATION)?.strip_prefix("Bearer ")?;
    let grant = state.sessions.tokens.check(call.now.as_second(), token.trim()).ok()?;
    account(&grant.subject).filter(|who| !state.sessions.locked.contains(&who.user))
}

/// The caller of a report: a name with a password, or a bearer.
pub(super) fn of_report(state: &State, call: &Call<'_>) -> Option<Who> {
    match basic(call) {
        Some((name, password)) => by_password(state, &name, &password),
        None => by_bearer(state, call),
    }
}

/// 401, with the way to sign in.
pub(super) fn unauthorized(report: bool) -> Answer {
    let answer = Answer::json(
        401,
        &json!({ "error": "invalid_token", "error_description": "The access token is invalid or has expired." }),
    );
    if report {
        return Answer::error(401, "invalid username or password").with(header::WWW_AUTHENTICATE, "Basic realm=\"Workday\"");
    }
    answer.with(header::WWW_AUTHENTICATE, "Bearer realm=\"Workday\", error=\"invalid_token\"")
}

fn refused(status: u16, error: &str) -> Answer {
    Answer::error(status, error).with(header::CACHE_CONTROL, "no-store")
}

/// `POST /ccx/oauth2/{tenant}/token`, also under `/v1/token` as newer clients have it.
pub(super) fn oauth(state: &mut State, call: &Call<'_>, tenant: &str, rest: &[&str]) -> Answer {
    if tenant != TENANT || !matches!(rest, ["token"] | ["v1", "token"]) {
        return Answer::error(404, "not found");
    }
    if call.method != Method::POST {
        return Answer::error(405, "method not allowed").with(header::ALLOW, "POST");
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(call.body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if field("grant_type") == Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
        return by_assertion(state, call, field("assertion").unwrap_or_default());
    }
    // RFC 6749, 2.3.1, wants both parts encoded like a form; many clients send them plainly.
    let decoded =
        |text: &str| url::form_urlencoded::parse(text.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default();
    let client = basic(call).map(|(id, secret)| (decoded(&id), decoded(&secret)));
    let client = client.or_else(|| Some((field("client_id")?.to_owned(), field("client_secret")?.to_owned())));
    if client != Some((client_id(state.seed), client_secret(state.seed))) {
        return refused(401, "invalid_client").with(header::WWW_AUTHENTICATE, "Basic realm=\"Workday\"");
    }
    match field("grant_type") {
        Some("refresh_token") => by_refresh(state, call, field("refresh_token").unwrap_or_default()),
        Some("authorization_code") => {
            let (code, uri) = (field("code").unwrap_or_default(), field("redirect_uri"));
            by_code(state, call, code, uri, field("code_verifier"))
        }
        Some(_) => refused(400, "unsupported_grant_type"),
        None => refused(400, "invalid_request"),
    }
}

/// The next texts of an access and a refresh token. Clients read from an access token when it ends (PyPI's wdsdk); nobody
/// checks its signature.
fn next(state: &mut State, now_s: i64) -> (String, String) {
    state.sessions.given += 1;
    let given = state.sessions.given;
    let mut policy = state.sessions.tokens.policy();
    policy.access_s = state.settings.token_life_s;
    state.sessions.tokens.set_policy(policy);
    let life = json!({ "jti": given.to_string(), "iat": now_s, "exp": now_s.saturating_add(policy.access_s) });
    let part = |part: &Json| URL_SAFE_NO_PAD.encode(part.to_string());
    let signature = wid(state.seed, &format!("access {given}"));
    let access = format!("{}.{}.{signature}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&life));
    (access, wid(state.seed, &format!("refresh {given}")))
}

fn given(state: &State, access: &str, refresh: Option<&str>) -> Answer {
    let mut body = json!({ "access_token": access, "token_type": "Bearer", "expires_in": state.settings.token_life_s });
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    Answer::json(200, &body).with(header::CACHE_CONTROL, "no-store")
}

fn by_refresh(state: &mut State, call: &Call<'_>, refresh: &str) -> Answer {
    let (access, unused) = next(state, call.now.as_second());
    let client = client_id(state.seed);
    match state.sessions.tokens.refresh(call.now.as_second(), &client, refresh, &access, &unused) {
        Ok(refreshed) if state.sessions.locked.contains(&refreshed.grant.subject) => refused(400, "invalid_grant"),
        // The refresh token does not rotate: the same one is told again.
        Ok(_) => given(state, &access, Some(refresh)),
        Err(_) => refused(400, "invalid_grant"),
    }
}

fn by_code(state: &mut State, call: &Call<'_>, code: &str, uri: Option<&str>, verifier: Option<&str>) -> Answer {
    let now_s = call.now.as_second();
    let Ok(agreed) = state.sessions.codes.take(now_s, code) else { return refused(400, "invalid_grant") };
    let proven = agreed.challenge.as_ref().is_none_or(|challenge| verifier.is_some_and(|verifier| challenge.fits(verifier)));
    if !proven || uri.is_some_and(|uri| uri != agreed.redirect_uri) {
        return refused(400, "invalid_grant");
    }
    let (access, refresh) = next(state, now_s);
    state.sessions.tokens.issue(now_s, &agreed.grant, &access, Some(&refresh));
    given(state, &access, Some(&refresh))
}

/// A signed assertion of a client whose certificate is registered. It names the client, the user and, as its audience,
/// the token address or `wd`; there is no refresh token then (unverified).
fn by_assertion(state: &mut State, call: &Call<'_>, assertion: &str) -> Answer {
    let keys: Vec<_> = state.sessions.certificates.iter().filter_map(|pem| public_key(pem)).collect();
    let audience = format!("{}/ccx/oauth2/{TENANT}/token", call.base);
    let expected = Expected {
        algorithms: &[Algorithm::RS256],
        audiences: &["wd", &audience],
        life_s_max: ASSERTION_LIFE_S_MAX,
        leeway_s: LEEWAY_S,
    };
    if unverified_claim(assertion, "iss") != Some(client_id(state.seed)) {
        return refused(401, "invalid_client");
    }
    let Ok(claims) = check_assertion(call.now.as_second(), assertion, &keys, expected) else {
        return refused(400, "invalid_grant");
    };
    let subject = claims.get("sub").and_then(Json::as_str).unwrap_or_default();
    let Some(who) = account(subject.trim_end_matches(&format!("@{TENANT}"))) else { return refused(400, "invalid_grant") };
    let (access, _) = next(state, call.now.as_second());
    state.sessions.tokens.issue(call.now.as_second(), &grant(state.seed, &who.user), &access, None);
    given(state, &access, None)
}

/// `GET /{tenant}/authorize`: the page where a person agrees; here they always do, as the integration user.
pub(super) fn authorize(state: &mut State, call: &Call<'_>, tenant: &str) -> Answer {
    let redirect = call.param("redirect_uri").and_then(|uri| Url::parse(uri).ok());
    let known = tenant == TENANT && call.param("client_id") == Some(&client_id(state.seed));
    let (Some(mut back), true) = (redirect, known) else {
        return Answer::new(400, "text/html;charset=utf-8", "<html><body>The request is not valid.</body></html>");
    };
    let pair = if call.param("response_type") == Some("code") {
        let code = next(state, call.now.as_second()).1;
        let challenge = call.param("code_challenge").map(|challenge| match call.param("code_challenge_method") {
            Some("S256") => Challenge::S256(challenge.to_owned()),
            _ => Challenge::Plain(challenge.to_owned()),
        });
        let redirect_uri = call.param("redirect_uri").unwrap_or_default().to_owned();
        let agreed = Agreed { grant: grant(state.seed, USER), redirect_uri, challenge, nonce: None };
        state.sessions.codes.keep(&code, call.now.as_second() + CODE_LIFE_S, agreed);
        ("code", code)
    } else {
        ("error", "unsupported_response_type".to_owned())
    };
    back.query_pairs_mut().append_pair(pair.0, &pair.1);
    if let Some(echo) = call.param("state") {
        back.query_pairs_mut().append_pair("state", echo);
    }
    Answer::new(302, "text/html;charset=utf-8", "").with(header::LOCATION, back.as_str())
}
