//! OAuth 2.0: authorize, token, revoke, userinfo, introspect, and who somebody is.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use jsonwebtoken::Algorithm;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use url::form_urlencoded;

use super::{
    answer::Answer,
    org::Org,
    system::{Identity, System},
};
use crate::tokens::{
    Agreed, Challenge, Grant,
    assertion::{Expected, check_assertion, public_key},
};

/// How long an authorization code is good for, in seconds (not documented; 15 minutes by those who measured).
const CODE_S: i64 = 900;
/// Longest life of an assertion, in seconds.
const ASSERTION_S: i64 = 180;
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

pub(super) type Form = Vec<(String, String)>;

fn get<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A refusal of the token endpoint.
struct No(&'static str, &'static str);

/// What a fault says at the token endpoint.
pub(super) fn refused(status: u16, words: &str) -> Answer {
    let error = if status < 500 { "invalid_grant" } else { "server_error" };
    Answer::json(status, json!({ "error": error, "error_description": words }))
}

impl System {
    /// Sends the browser back with a code, as if the person had signed in and agreed.
    pub(super) fn authorize(&self, form: &Form) -> Answer {
        let identity = self.identity.read().clone();
        let wrong = |error: &str, words: &str| {
            Answer::bytes(
                400,
                "text/html;charset=UTF-8",
                format!("<html><body>error={error}&amp;error_description={words}</body></html>"),
            )
        };
        if get(form, "client_id") != Some(&identity.client_id) {
            return wrong("invalid_client_id", "client identifier invalid");
        }
        let back = get(form, "redirect_uri").unwrap_or_default();
        if !self.settings.read().redirect_uris.iter().any(|known| back.starts_with(known.as_str())) {
            return wrong("redirect_uri_mismatch", "redirect_uri must match configuration");
        }
        let Ok(mut to) = url::Url::parse(back) else {
            return wrong("redirect_uri_mismatch", "redirect_uri must match configuration");
        };
        let answer = match get(form, "response_type") {
            Some("code") if self.settings.read().consent == "deny" => {
                vec![("error", "access_denied".to_owned()), ("error_description", "end-user denied authorization".to_owned())]
            }
            Some("code") => match self.code(form, &identity, back) {
                Ok(code) => vec![("code", code)],
                Err(No(error, words)) => vec![("error", error.to_owned()), ("error_description", words.to_owned())],
            },
            _ => vec![
                ("error", "unsupported_response_type".to_owned()),
                ("error_description", "response type not supported".to_owned()),
            ],
        };
        to.query_pairs_mut().extend_pairs(answer);
        if let Some(state) = get(form, "state") {
            to.query_pairs_mut().append_pair("state", state);
        }
        Answer::empty(302).with("Location", to.as_str())
    }

    fn code(&self, form: &Form, identity: &Identity, back: &str) -> Result<String, No> {
        let challenge = match (get(form, "code_challenge"), get(form, "code_challenge_method")) {
            (None, _) => None,
            // jsforce sends no method; its challenge is S256.
            (Some(challenge), None | Some("S256")) => Some(Challenge::S256(challenge.to_owned())),
            (Some(challenge), Some("plain")) => Some(Challenge::Plain(challenge.to_owned())),
            _ => return Err(No("invalid_request", "invalid code challenge method")),
        };
        let grant = Grant {
            client: identity.client_id.clone(),
            subject: identity.user.to_string(),
            scope: get(form, "scope").filter(|scope| !scope.is_empty()).unwrap_or("api refresh_token").to_owned(),
        };
        let code = format!("aPrx{}==", self.random.lock().text(LETTERS, 60));
        let nonce = get(form, "nonce").map(str::to_owned);
        self.codes.keep(&code, self.now_s() + CODE_S, Agreed { grant, redirect_uri: back.to_owned(), challenge, nonce });
        Ok(code)
    }

    /// The token endpoint.
    pub(super) fn token(&self, form: &Form, headers: &HeaderMap) -> Answer {
        match self.granted(form, headers) {
            Ok(body) => in_format(form, headers, 200, &body),
            Err(No(error, words)) => in_format(form, headers, 400, &json!({ "error": error, "error_description": words })),
        }
    }

    fn granted(&self, form: &Form, headers: &HeaderMap) -> Result<Json, No> {
        let identity = self.identity.read().clone();
        match get(form, "grant_type") {
            Some("authorization_code") => self.by_code(form, headers, &identity),
            Some("refresh_token") => self.by_refresh(form, headers, &identity),
            Some("client_credentials") => {
                let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                if host.starts_with("login.") || host.starts_with("test.") {
                    return Err(No("invalid_grant", "request not supported on this domain"));
                }
                client(form, headers, &identity, true)?;
                Ok(self.session(&grant(&identity, "api"), None, &identity))
            }
            Some("password") => {
                client(form, headers, &identity, true)?;
                let password = format!("{}{}", identity.password, identity.security_token);
                let good = get(form, "username") == Some(&identity.username)
                    && get(form, "password").is_some_and(|given| given == password || given == identity.password);
                if good {
                    Ok(self.session(&grant(&identity, "api"), None, &identity))
                } else {
                    Err(No("invalid_grant", "authentication failure"))
                }
            }
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => self.by_assertion(form, &identity),
            Some(_) => Err(No("unsupported_grant_type", "grant type not supported")),
            None => Err(No("invalid_request", "missing required parameter: grant_type")),
        }
    }

    fn by_code(&self, form: &Form, headers: &HeaderMap, identity: &Identity) -> Result<Json, No> {
        let code = get(form, "code").ok_or(No("invalid_request", "missing required code parameter"))?;
        let verifier = get(form, "code_verifier");
        // With PKCE a public client needs no secret.
        client(form, headers, identity, verifier.is_none())?;
        let agreed = self.codes.take(self.now_s(), code);
        let agreed = agreed.map_err(|_| No("invalid_grant", "expired authorization code"))?;
        if get(form, "redirect_uri") != Some(&agreed.redirect_uri) {
            return Err(No("redirect_uri_mismatch", "redirect_uri must match configuration"));
        }
        match (&agreed.challenge, verifier) {
            (Some(_), None) => return Err(No("invalid_grant", "missing required code verifier")),
            (Some(challenge), Some(verifier)) if !challenge.fits(verifier) => {
                return Err(No("invalid_request", "invalid code verifier"));
            }
            _ => {}
        }
        let wants =
            agreed.grant.scope.split_whitespace().any(|scope| matches!(scope, "refresh_token" | "offline_access" | "full"));
        let refresh = wants.then(|| format!("5Aep861{}", self.random.lock().text(LETTERS, 80)));
        Ok(self.session(&agreed.grant, refresh.as_deref(), identity))
    }

    fn by_refresh(&self, form: &Form, headers: &HeaderMap, identity: &Identity) -> Result<Json, No> {
        client(form, headers, identity, false)?;
        let refresh = get(form, "refresh_token").ok_or(No("invalid_request", "missing required refresh_token parameter"))?;
        let (access, next) = (self.access_token(), format!("5Aep861{}", self.random.lock().text(LETTERS, 80)));
        let given = self.tokens.refresh(self.now_s(), &identity.client_id, refresh, &access, &next);
        let given = given.map_err(|_| No("invalid_grant", "expired access/refresh token"))?;
        if given.rotated {
            self.cursors.lock().clear();
        }
        Ok(self.told(&given.grant, &access, given.rotated.then_some(next.as_str()), identity))
    }

    fn by_assertion(&self, form: &Form, identity: &Identity) -> Result<Json, No> {
        let assertion = get(form, "assertion").ok_or(No("invalid_request", "missing required assertion parameter"))?;
        let issuer =
            crate::tokens::assertion::unverified_claim(assertion, "iss").ok_or(No("invalid_grant", "invalid assertion"))?;
        if issuer != identity.client_id {
            return Err(No("invalid_client_id", "client identifier invalid"));
        }
        let settings = self.settings.read().clone();
        let keys: Vec<_> = public_key(&settings.jwt_certificate).into_iter().collect();
        let url = self.url();
        let token_url = format!("{url}/services/oauth2/token");
        let audiences = ["https://login.salesforce.com", "https://test.salesforce.com", &url, &token_url];
        let expected = Expected { algorithms: &[Algorithm::RS256], audiences: &audiences, life_s_max: ASSERTION_S, leeway_s: 2 };
        use crate::tokens::assertion::BadAssertion as Bad;
        let claims = check_assertion(self.now_s(), assertion, &keys, expected).map_err(|bad| match bad {
            Bad::Audience => No("invalid_grant", "audience is invalid"),
            Bad::Expired | Bad::TooLong | Bad::NotYet => No("invalid_grant", "assertion is not within its validity period"),
            Bad::Malformed | Bad::Signature => No("invalid_grant", "invalid assertion"),
        })?;
        let subject = claims.get("sub").or(claims.get("prn")).and_then(Json::as_str);
        if subject != Some(&identity.username) || settings.jwt_needs_approval {
            return Err(No("invalid_grant", "user hasn't approved this consumer"));
        }
        Ok(self.session(&grant(identity, "api"), None, identity))
    }

    pub(super) fn access_token(&self) -> String {
        let org: String = self.org.lock().id.chars().take(15).collect();
        format!("{org}!AR8AQ{}", self.random.lock().text(LETTERS, 88))
    }

    fn session(&self, grant: &Grant, refresh: Option<&str>, identity: &Identity) -> Json {
        let access = self.access_token();
        self.tokens.issue(self.now_s(), grant, &access, refresh);
        self.told(grant, &access, refresh, identity)
    }

    fn told(&self, grant: &Grant, access: &str, refresh: Option<&str>, identity: &Identity) -> Json {
        let id = format!("{}/id/{}/{}", self.url(), self.org.lock().id, grant.subject);
        let issued_at = self.now_ms().to_string();
        let mut body = json!({
            "access_token": access, "instance_url": self.url(), "id": id, "token_type": "Bearer", "issued_at": issued_at,
            "signature": sign(&identity.client_secret, &format!("{id}{issued_at}")), "scope": grant.scope,
        });
        if let Some(refresh) = refresh {
            body["refresh_token"] = json!(refresh);
        }
        body
    }

    /// Ends a token.
    pub(super) fn revoke(&self, form: &Form) -> Answer {
        let token = get(form, "token").unwrap_or_default();
        if self.tokens.revoke(token) {
            self.cursors.lock().end(token);
            Answer::empty(200)
        } else {
            Answer::json(
                400,
                json!({ "error": "unsupported_token_type", "error_description": "this token type is not supported" }),
            )
        }
    }

    /// Whether a token is good (RFC 7662).
    pub(super) fn introspect(&self, form: &Form, headers: &HeaderMap) -> Answer {
        let identity = self.identity.read().clone();
        if client(form, headers, &identity, true).is_err() {
            return Answer::json(401, json!({ "error": "invalid_client", "error_description": "invalid client credentials" }));
        }
        let token = get(form, "token").unwrap_or_default();
        let Ok(grant) = self.tokens.check(self.now_s(), token) else { return Answer::ok(json!({ "active": false })) };
        let until_s = self.tokens.until_s(self.now_s(), token);
        Answer::ok(json!({
            "active": true, "scope": grant.scope, "client_id": grant.client, "username": identity.username,
            "sub": format!("{}/id/{}/{}", self.url(), self.org.lock().id, grant.subject), "token_type": "access_token", "exp": until_s,
        }))
    }

    /// Who a user is: the identity address, and `userinfo`.
    pub(super) fn who(&self, user: &str, token: &str) -> Option<Json> {
        let org = self.org.lock();
        let (object, row) = org.find(user)?;
        let described = &org.schema.objects[object];
        let text =
            |name: &str| described.place(name).map_or(Json::Null, |place| row.get(place).json(described.fields[place].kind));
        let (url, org_id) = (self.url(), org.id.to_string());
        Some(json!({
            "id": format!("{url}/id/{org_id}/{}", row.id()), "sub": format!("{url}/id/{org_id}/{}", row.id()),
            "asserted_user": true, "user_id": row.id(), "organization_id": org_id,
            "username": text("Username"), "preferred_username": text("Username"), "nick_name": text("Alias"), "nickname": text("Alias"),
            "display_name": text("Name"), "name": text("Name"), "email": text("Email"), "email_verified": true,
            "first_name": text("FirstName"), "last_name": text("LastName"), "given_name": text("FirstName"), "family_name": text("LastName"),
            "timezone": text("TimeZoneSidKey"), "zoneinfo": text("TimeZoneSidKey"), "active": true, "is_active": true, "user_type": "STANDARD",
            "language": text("LanguageLocaleKey"), "locale": text("LocaleSidKey"), "utcOffset": 0,
            "urls": urls(&org, &url, row.id()), "is_app_installed": !token.is_empty(),
        }))
    }
}

fn urls(org: &Org, url: &str, user: &str) -> Json {
    let data = |path: &str| format!("{url}/services/data/v{{version}}/{path}");
    json!({
        "enterprise": format!("{url}/services/Soap/c/{{version}}/{}", &org.id[..15]),
        "partner": format!("{url}/services/Soap/u/{{version}}/{}", &org.id[..15]),
        "metadata": format!("{url}/services/Soap/m/{{version}}/{}", &org.id[..15]),
        "rest": data(""), "sobjects": data("sobjects/"), "search": data("search/"), "query": data("query/"), "recent": data("recent/"),
        "profile": format!("{url}/{user}"), "custom_domain": url,
    })
}

fn grant(identity: &Identity, scope: &str) -> Grant {
    Grant { client: identity.client_id.clone(), subject: identity.user.to_string(), scope: scope.to_owned() }
}

/// Checks the app's id and secret, from the body or from HTTP Basic.
fn client(form: &Form, headers: &HeaderMap, identity: &Identity, secret_needed: bool) -> Result<(), No> {
    let basic = headers.get(http::header::AUTHORIZATION).and_then(|header| {
        let packed = header.to_str().ok()?.strip_prefix("Basic ")?;
        let pair = String::from_utf8(STANDARD.decode(packed).ok()?).ok()?;
        pair.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
    });
    let (id, secret) = match &basic {
        Some((id, secret)) => (Some(id.as_str()), Some(secret.as_str())),
        None => (get(form, "client_id"), get(form, "client_secret")),
    };
    if id != Some(&identity.client_id) {
        return Err(No("invalid_client_id", "client identifier invalid"));
    }
    match secret {
        Some(secret) if secret != identity.client_secret => Err(No("invalid_client", "invalid client credentials")),
        None if secret_needed => Err(No("invalid_client", "invalid client credentials")),
        _ => Ok(()),
    }
}

fn sign(secret: &str, text: &str) -> String {
    Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map(|mut mac| {
            mac.update(text.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        })
        .unwrap_or_default()
}

/// JSON, or XML or a form when it was asked for.
fn in_format(form: &Form, headers: &HeaderMap, status: u16, body: &Json) -> Answer {
    let accept = headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = get(form, "format").unwrap_or(match accept {
        "application/xml" | "text/xml" => "xml",
        "application/x-www-form-urlencoded" => "urlencoded",
        _ => "json",
    });
    let pairs =
        || body.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
    match format {
        "xml" => {
            let inner: String =
                pairs().map(|(name, value)| format!("<{name}>{}</{name}>", super::soap::escaped(value))).collect();
            Answer::bytes(status, "application/xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><OAuth>{inner}</OAuth>"))
        }
        "urlencoded" => {
            let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs()).finish();
            Answer::bytes(status, "application/x-www-form-urlencoded", text)
        }
        _ => Answer::json(status, body.clone()).with("Cache-Control", "no-cache, no-store"),
    }
}
