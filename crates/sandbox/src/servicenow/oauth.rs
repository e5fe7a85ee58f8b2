//! OAuth 2.0 as the instance speaks it: `oauth_auth.do`, `oauth_token.do`, `oauth_revoke_token.do`.

use std::collections::HashMap;

use http::Method;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::json;

use super::{
    State,
    access::pair,
    scene::{Answer, Call},
};
use crate::{
    World,
    tokens::{
        Agreed, Challenge, Grant,
        assertion::{Expected, check_assertion, public_key, unverified_claim},
    },
};

/// How long a code is good for, in seconds.
const CODE_S: i64 = 60;
/// Longest life of an assertion, in seconds.
const ASSERTION_S_MAX: i64 = 3_600;
/// How far clocks may be apart, in seconds.
const LEEWAY_S: i64 = 60;
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TOKEN_CHARS: usize = 86;
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A program that may ask for tokens: a record of the application registry.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) id: String,
    /// Empty for a public client, which proves itself with PKCE.
    pub(super) secret: String,
    /// The user client credentials stand for.
    pub(super) user: String,
    /// Signs assertions with HS256.
    pub(super) shared_key: String,
}

/// The clients, and the tokens last given to each with each user.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) clients: Vec<Client>,
    pub(super) last: HashMap<(String, String), (String, Option<String>)>,
}

pub(super) fn serve(state: &mut State, world: &World, call: &Call) -> Option<Answer> {
    match call.path.as_str() {
        "/oauth_token.do" => Some(token(state, world, call)),
        "/oauth_auth.do" => Some(authorize(state, world, call)),
        "/oauth_revoke_token.do" => {
            let form = form(call);
            let token = call.param("token").or_else(|| form.get("token").map(String::as_str)).unwrap_or_default();
            state.tokens.revoke(token);
            Some(Answer::json(200, &json!({})))
        }
        _ => None,
    }
}

fn form(call: &Call) -> HashMap<String, String> {
    form_urlencoded::parse(&call.body).into_owned().collect()
}

/// All causes look alike, as the vendor answers them.
fn denied() -> Answer {
    Answer::json(401, &json!({"error": "server_error", "error_description": "access_denied"}))
}

fn token(state: &mut State, world: &World, call: &Call) -> Answer {
    if call.method != Method::POST {
        return denied();
    }
    // Parameters are read from the body only, and only from a form.
    if !call.header("content-type").to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return Answer::json(400, &json!({"error": "invalid_request", "error_description": "Missing parameters"}));
    }
    give(state, world, call).unwrap_or_else(denied)
}

fn give(state: &mut State, world: &World, call: &Call) -> Option<Answer> {
    let form = form(call);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let client = client(state, call, &form)?;
    let now_s = world.clock().now_s();
    match field("grant_type") {
        "password" if state.settings.password_grant && !client.secret.is_empty() => {
            let subject = state.sign_in(field("username"), field("password"))?;
            Some(issue(state, now_s, &client, subject, true))
        }
        "client_credentials" if state.settings.client_credentials && !client.secret.is_empty() => {
            let subject = state.person(&client.user).ok()?.id;
            Some(issue(state, now_s, &client, subject, false))
        }
        "authorization_code" => {
            let agreed = state.codes.take(now_s, field("code")).ok()?;
            let proven = match &agreed.challenge {
                Some(challenge) => challenge.fits(field("code_verifier")),
                // A public client has no other proof.
                None => !client.secret.is_empty(),
            };
            if !proven || agreed.grant.client != client.id || agreed.redirect_uri != field("redirect_uri") {
                return None;
            }
            Some(issue(state, now_s, &client, agreed.grant.subject, !client.secret.is_empty()))
        }
        "refresh_token" => {
            let access = state.random.text(ALPHABET, TOKEN_CHARS);
            let refresh = field("refresh_token").to_owned();
            let next = state.random.text(ALPHABET, TOKEN_CHARS);
            let refreshed = state.tokens.refresh(now_s, &client.id, &refresh, &access, &next).ok()?;
            state.person(&refreshed.grant.subject).ok()?;
            let refresh = if refreshed.rotated { next } else { refresh };
            let key = (client.id, refreshed.grant.subject);
            state.registry.last.insert(key, (access.clone(), Some(refresh.clone())));
            Some(given(state, now_s, &access, Some(&refresh)))
        }
        JWT_BEARER => {
            let subject = asserted(state, world, call, &client, field("assertion"))?;
            Some(issue(state, now_s, &client, subject, true))
        }
        _ => None,
    }
}

/// The client by the form's id and secret, or by a basic sign-in.
fn client(state: &State, call: &Call, form: &HashMap<String, String>) -> Option<Client> {
    let encoded = call.header("authorization").strip_prefix("Basic ");
    let (id, secret) = match (form.get("client_id"), encoded.and_then(pair)) {
        (_, Some(both)) => both,
        (Some(id), None) => (id.clone(), form.get("client_secret").cloned().unwrap_or_default()),
        _ => return None,
    };
    state.registry.clients.iter().find(|client| client.id == id && client.secret == secret).cloned()
}

/// Whom a signed assertion names. The vendor's Python client sends it in a header of its own.
fn asserted(state: &State, world: &World, call: &Call, client: &Client, assertion: &str) -> Option<String> {
    let named = call.header("authentication");
    let assertion = if assertion.is_empty() { named.strip_prefix("Bearer ")? } else { assertion };
    let header = jsonwebtoken::decode_header(assertion).ok()?;
    let keys: Vec<DecodingKey> = if header.alg == Algorithm::HS256 {
        vec![DecodingKey::from_secret(client.shared_key.as_bytes())]
    } else {
        state.settings.jwt_public_keys.iter().filter_map(|pem| public_key(pem)).collect()
    };
    let here = world.url("servicenow");
    let audiences = [client.id.as_str(), here.as_str(), &format!("{here}/oauth_token.do")].map(str::to_owned);
    let audiences: Vec<&str> = audiences.iter().map(String::as_str).collect();
    let expected = Expected {
        algorithms: &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::HS256],
        audiences: &audiences,
        life_s_max: ASSERTION_S_MAX,
        leeway_s: LEEWAY_S,
    };
    check_assertion(world.clock().now_s(), assertion, &keys, expected).ok()?;
    let subject = unverified_claim(assertion, "sub")?;
    let user = ["user_name", "email", "sys_id"].iter().find_map(|field| state.data.first("sys_user", field, &subject))?;
    state.person(user.id()).ok().map(|person| person.id)
}

/// Gives tokens; while the last access token lives, the same ones. It keeps what is left of its life, and the refresh token has
/// its whole life again (KB0791140).
fn issue(state: &mut State, now_s: i64, client: &Client, subject: String, refreshes: bool) -> Answer {
    let key = (client.id.clone(), subject.clone());
    if let Some((access, refresh)) = state.registry.last.get(&key).cloned()
        && state.tokens.until_s(now_s, &access).is_some()
    {
        let refresh = refresh.filter(|_| refreshes);
        if let Some(refresh) = &refresh {
            state.tokens.prolong(now_s, refresh);
        }
        return given(state, now_s, &access, refresh.as_deref());
    }
    let access = state.random.text(ALPHABET, TOKEN_CHARS);
    let refresh = refreshes.then(|| state.random.text(ALPHABET, TOKEN_CHARS));
    let grant = Grant { client: client.id.clone(), subject, scope: "useraccount".to_owned() };
    state.tokens.issue(now_s, &grant, &access, refresh.as_deref());
    state.registry.last.insert(key, (access.clone(), refresh.clone()));
    given(state, now_s, &access, refresh.as_deref())
}

fn given(state: &State, now_s: i64, access: &str, refresh: Option<&str>) -> Answer {
    let left_s = state.tokens.until_s(now_s, access).unwrap_or(now_s).saturating_sub(now_s);
    // A whole life is told as one second less.
    let left_s = left_s.min(state.tokens.policy().access_s.saturating_sub(1));
    let mut body = json!({"access_token": access, "scope": "useraccount", "token_type": "Bearer", "expires_in": left_s});
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    Answer::json(200, &body)
}

/// The login page, and what follows when it is filled in.
fn authorize(state: &mut State, world: &World, call: &Call) -> Answer {
    let form = form(call);
    let field = |name: &str| form.get(name).map(String::as_str).or_else(|| call.param(name)).unwrap_or_default();
    let page = |status: u16, text: String| Answer::text(status, "text/html;charset=UTF-8", text);
    let Some(client) = state.registry.clients.iter().find(|client| client.id == field("client_id")).cloned() else {
        return page(400, "<html><body>Invalid client_id</body></html>".to_owned());
    };
    let redirect = url::Url::parse(field("redirect_uri"));
    let Ok(mut redirect) = redirect.map_err(|_| ()).and_then(|url| if url.has_host() { Ok(url) } else { Err(()) }) else {
        return page(400, "<html><body>Invalid redirect_uri</body></html>".to_owned());
    };
    if field("response_type") != "code" {
        return page(400, "<html><body>Invalid response_type</body></html>".to_owned());
    }
    if field("state").is_empty() {
        return page(400, "<html><body>Missing State parameter in request</body></html>".to_owned());
    }
    let challenge = match (field("code_challenge"), field("code_challenge_method")) {
        ("", _) if client.secret.is_empty() => return page(400, "<html><body>Missing code_challenge</body></html>".to_owned()),
        ("", _) => None,
        (challenge, "S256") => Some(Challenge::S256(challenge.to_owned())),
        _ => return page(400, "<html><body>Invalid code_challenge_method</body></html>".to_owned()),
    };
    let approved = state.settings.approve_as.clone();
    let user = state.data.first("sys_user", "user_name", &approved).map(|user| user.id().to_owned());
    let user = user.or_else(|| state.sign_in(field("user_name"), field("user_password")));
    let Some(subject) = user else { return page(200, login_page(call, &form)) };
    let code = state.random.text(ALPHABET, 64);
    let grant = Grant { client: client.id, subject, scope: "useraccount".to_owned() };
    let agreed = Agreed { grant, redirect_uri: field("redirect_uri").to_owned(), challenge, nonce: None };
    state.codes.keep(&code, world.clock().now_s() + CODE_S, agreed);
    redirect.query_pairs_mut().append_pair("code", &code).append_pair("state", field("state"));
    Answer::empty(302).with("location", redirect.as_str())
}

fn login_page(call: &Call, form: &HashMap<String, String>) -> String {
    let kept = call.pairs.iter().map(|(name, value)| (name, value)).chain(form.iter());
    let hidden: String = kept
        .filter(|(name, _)| !name.starts_with("user_"))
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escaped(name), escaped(value)))
        .collect();
    format!(
        "<!DOCTYPE html><html><head><title>Log in | ServiceNow</title></head><body><form method=\"post\" action=\"/oauth_auth.do\">{hidden}\
         <input name=\"user_name\"><input name=\"user_password\" type=\"password\"><button>Log in</button></form></body></html>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
