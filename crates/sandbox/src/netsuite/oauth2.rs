//! OAuth 2.0: machine to machine with a certificate, a browser's consent with PKCE, refresh, revoke.

use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD, prelude::BASE64_STANDARD};
use http::StatusCode;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    ACCOUNT, NetSuite,
    answer::{Answer, Call},
};
use crate::tokens::{
    Agreed, Challenge, Grant,
    assertion::{Expected, check_assertion, public_key},
};

pub(super) const TOKEN: &str = "/services/rest/auth/oauth2/v1/token";
pub(super) const REVOKE: &str = "/services/rest/auth/oauth2/v1/revoke";
pub(super) const AUTHORIZE: &str = "/app/login/oauth2/authorize.nl";

/// Plain RS256 is refused.
const ALGORITHMS: &[Algorithm] = &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512, Algorithm::ES256, Algorithm::ES384];
/// Longest life of an assertion.
const ASSERTION_S_MAX: i64 = 3_600;
const SCOPES: [&str; 3] = ["restlets", "rest_webservices", "suite_analytics"];
/// How long a code is good for.
const CODE_S: i64 = 600;

/// A certificate that is mapped to the integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// The `kid` of assertions.
    pub(super) id: String,
    /// A certificate or public key.
    pub(super) pem: String,
}

/// An error of the token address (RFC 6749, section 5.2).
struct Bad(StatusCode, &'static str, &'static str);

fn bad(error: &'static str) -> Bad {
    Bad(StatusCode::BAD_REQUEST, error, "")
}

impl NetSuite {
    pub(super) fn token_call(&self, call: &Call) -> Response {
        if call.method != http::Method::POST {
            return super::refusal::Refusal::method(&call.method, &call.path).into_response();
        }
        match self.granted(call) {
            Ok(body) => Answer::json("application/json", &body).with("cache-control", "no-store".to_owned()).into_response(),
            Err(Bad(status, error, detail)) => {
                self.state.lock().note("token request", error, self.world.clock().now());
                let body = if detail.is_empty() {
                    json!({ "error": error })
                } else {
                    json!({ "error": error, "error_description": detail })
                };
                let mut answer = Answer::json("application/json", &body);
                answer.status = status;
                answer.into_response()
            }
        }
    }

    fn granted(&self, call: &Call) -> Result<Json, Bad> {
        let form: Vec<(String, String)> =
            url::form_urlencoded::parse(&call.body).take(50).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match field("grant_type") {
            Some("client_credentials") => self.machine(call, &field),
            Some("authorization_code") => {
                let client = self.client(call, field("client_id"))?;
                self.code(&client, &field)
            }
            Some("refresh_token") => {
                let client = self.client(call, field("client_id"))?;
                self.refreshed(&client, field("refresh_token").ok_or_else(|| bad("invalid_request"))?)
            }
            Some(_) => Err(bad("unsupported_grant_type")),
            None => Err(bad("invalid_request")),
        }
    }

    fn machine<'a>(&self, call: &Call, field: &impl Fn(&str) -> Option<&'a str>) -> Result<Json, Bad> {
        if field("client_assertion_type") != Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
            return Err(bad("invalid_request"));
        }
        let assertion = field("client_assertion").ok_or_else(|| bad("invalid_request"))?;
        let kid =
            jsonwebtoken::decode_header(assertion).ok().and_then(|header| header.kid).ok_or_else(|| bad("invalid_request"))?;
        let (keys, client) = {
            let state = self.state.lock();
            let mapped = state
                .certificates
                .iter()
                .chain(&state.settings.certificates)
                .filter(|known| known.id == kid && !state.certificates_revoked);
            (mapped.filter_map(|known| public_key(&known.pem)).collect::<Vec<_>>(), state.client_id.clone())
        };
        let account = ACCOUNT.to_lowercase().replace('_', "-");
        let audiences = [
            format!("{}{TOKEN}", call.base()),
            format!("{}{TOKEN}", self.world.url("netsuite")),
            format!("https://{account}.suitetalk.api.netsuite.com{TOKEN}"),
        ];
        let audiences: Vec<&str> = audiences.iter().map(String::as_str).collect();
        let expected = Expected { algorithms: ALGORITHMS, audiences: &audiences, life_s_max: ASSERTION_S_MAX, leeway_s: 30 };
        let claims = check_assertion(self.account_s(), assertion, &keys, expected).map_err(|_| bad("invalid_grant"))?;
        let life = |name: &str| claims.get(name).and_then(Json::as_i64);
        let too_long = life("iat").zip(life("exp")).is_none_or(|(from, to)| to - from > ASSERTION_S_MAX);
        if too_long || claims.get("iss").and_then(Json::as_str) != Some(client.as_str()) {
            return Err(bad("invalid_grant"));
        }
        let scope = scopes(claims.get("scope")).ok_or_else(|| bad("invalid_scope"))?;
        Ok(self.give(&client, &scope, false))
    }

    /// Who asks: by Basic, or a public client by its id alone.
    fn client(&self, call: &Call, named: Option<&str>) -> Result<String, Bad> {
        let refused = || Bad(StatusCode::UNAUTHORIZED, "invalid_client", "");
        let state = self.state.lock();
        let basic = call.header("authorization").strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
        match basic.and_then(|text| String::from_utf8(text).ok()) {
            Some(pair) if pair == format!("{}:{}", state.client_id, state.client_secret) => Ok(state.client_id.clone()),
            Some(_) => Err(refused()),
            None if named == Some(super::PUBLIC_CLIENT) => Ok(super::PUBLIC_CLIENT.to_owned()),
            None => Err(refused()),
        }
    }

    fn code<'a>(&self, client: &str, field: &impl Fn(&str) -> Option<&'a str>) -> Result<Json, Bad> {
        let agreed =
            self.codes.take(self.world.clock().now_s(), field("code").unwrap_or_default()).map_err(|_| bad("invalid_grant"))?;
        let proven = agreed
            .challenge
            .as_ref()
            .is_none_or(|challenge| field("code_verifier").is_some_and(|verifier| challenge.fits(verifier)));
        if !proven || agreed.grant.client != client || field("redirect_uri") != Some(agreed.redirect_uri.as_str()) {
            return Err(bad("invalid_grant"));
        }
        Ok(self.give(client, &agreed.grant.scope, true))
    }

    fn refreshed(&self, client: &str, refresh: &str) -> Result<Json, Bad> {
        let now_s = self.world.clock().now_s();
        let (access, next) = (self.access_text(client), self.secret_text());
        let refreshed = self.tokens.refresh(now_s, client, refresh, &access, &next).map_err(|_| bad("invalid_grant"))?;
        let mut body = self.told(&access);
        if refreshed.rotated {
            body["refresh_token"] = json!(next);
        }
        Ok(body)
    }

    fn give(&self, client: &str, scope: &str, with_refresh: bool) -> Json {
        let grant = Grant { client: client.to_owned(), subject: "integration".to_owned(), scope: scope.to_owned() };
        let access = self.access_text(client);
        let refresh = with_refresh.then(|| self.secret_text());
        self.tokens.issue(self.world.clock().now_s(), &grant, &access, refresh.as_deref());
        let mut body = self.told(&access);
        if let Some(refresh) = refresh {
            body["refresh_token"] = json!(refresh);
        }
        body
    }

    fn told(&self, access: &str) -> Json {
        let settings = &self.state.lock().settings;
        let life =
            if settings.expires_in_as_text { json!(settings.access_token_s.to_string()) } else { json!(settings.access_token_s) };
        json!({ "access_token": access, "expires_in": life, "token_type": "bearer" })
    }

    /// Access tokens look like a JWT; nobody but the account reads them.
    fn access_text(&self, client: &str) -> String {
        let part = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
        let claims = json!({ "sub": "3;-5", "aud": [ACCOUNT, client], "iss": "https://system.netsuite.com", "iat": self.world.clock().now_s(), "jti": self.secret_text() });
        format!("{}.{}.{}", part(json!({ "typ": "JWT", "alg": "RS256", "kid": "s.SYSTEM.1" })), part(claims), self.secret_text())
    }

    fn secret_text(&self) -> String {
        self.state.lock().random.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 43)
    }

    pub(super) fn revoke_call(&self, call: &Call) -> Response {
        let token =
            url::form_urlencoded::parse(&call.body).find(|(name, _)| name == "token").map(|(_, value)| value.into_owned());
        if let Some(token) = token {
            self.tokens.revoke(&token);
        }
        StatusCode::OK.into_response()
    }

    /// The consent page: `GET` shows it, `&allow=1` or `&allow=0` answers it.
    pub(super) fn authorize(&self, call: &Call) -> Response {
        let get = |name: &str| call.parameter(name).unwrap_or_default();
        let page = |status: StatusCode, words: &str| {
            (status, Html(format!("<!DOCTYPE html><title>NetSuite</title><p>{}</p>", escaped(words)))).into_response()
        };
        let known = {
            let state = self.state.lock();
            [state.client_id.as_str(), super::PUBLIC_CLIENT].contains(&get("client_id"))
        };
        let Some(mut back) = url::Url::parse(get("redirect_uri")).ok().filter(|_| known && get("response_type") == "code") else {
            return page(
                StatusCode::BAD_REQUEST,
                "Invalid authorization request: the client_id, redirect_uri or response_type is not valid.",
            );
        };
        if !(22..=1024).contains(&get("state").chars().count()) {
            return page(StatusCode::BAD_REQUEST, "Invalid authorization request: the state must have 22 to 1024 characters.");
        }
        let scope: Vec<&str> = get("scope").split_whitespace().collect();
        let mut refuse = |error: &str| {
            back.query_pairs_mut().append_pair("error", error).append_pair("state", get("state"));
            Redirect::to(back.as_str()).into_response()
        };
        if scope.is_empty() || scope.iter().any(|scope| !SCOPES.contains(scope)) {
            return refuse("invalid_scope");
        }
        let challenge = match (get("code_challenge"), get("code_challenge_method")) {
            ("", _) => None,
            (challenge, "S256") => Some(Challenge::S256(challenge.to_owned())),
            _ => return refuse("invalid_request"),
        };
        match get("allow") {
            "1" => {}
            "0" => return refuse("access_denied"),
            _ => {
                let link = |answer: &str| escaped(&format!("{AUTHORIZE}?{}&allow={answer}", call.query));
                return Html(format!(
                    "<!DOCTYPE html><title>NetSuite</title><p>{} asks for {}.</p><a id=\"allow\" href=\"{}\">Allow</a> <a id=\"deny\" href=\"{}\">Deny</a>",
                    escaped(get("client_id")), escaped(&scope.join(", ")), link("1"), link("0")
                ))
                .into_response();
            }
        }
        let code = self.secret_text();
        let grant = Grant { client: get("client_id").to_owned(), subject: "integration".to_owned(), scope: scope.join(" ") };
        let agreed = Agreed { grant, redirect_uri: get("redirect_uri").to_owned(), challenge, nonce: None };
        self.codes.keep(&code, self.world.clock().now_s() + CODE_S, agreed);
        back.query_pairs_mut()
            .append_pair("state", get("state"))
            .append_pair("role", "1057")
            .append_pair("entity", "3")
            .append_pair("company", ACCOUNT)
            .append_pair("code", &code);
        Redirect::to(back.as_str()).into_response()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One text, a comma list or an array.
fn scopes(claim: Option<&Json>) -> Option<String> {
    let words: Vec<String> = match claim? {
        Json::String(text) => text.split([',', ' ']).filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect(),
        Json::Array(list) => list.iter().map(|word| word.as_str().map(ToOwned::to_owned)).collect::<Option<_>>()?,
        _ => return None,
    };
    (!words.is_empty() && words.iter().all(|word| SCOPES.contains(&word.as_str()))).then(|| words.join(" "))
}
