//! Sign-ins, refreshes, ends of sessions.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{Org, code, read};

const BACK: &str = "http://127.0.0.1:9/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

impl Org {
    fn secret(&self, name: &str) -> String {
        self.credentials()[name].as_str().unwrap().to_owned()
    }

    /// Where the browser is sent after a person agreed.
    async fn agreed(&self, more: &[(&str, &str)]) -> url::Url {
        let client = self.secret("client_id");
        let mut pairs = vec![("response_type", "code"), ("client_id", &client), ("redirect_uri", BACK), ("state", "Zx1")];
        pairs.extend_from_slice(more);
        let answer = self.http.get(self.url("/services/oauth2/authorize")).query(&pairs).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        answer.headers()["location"].to_str().unwrap().parse().unwrap()
    }

    async fn code(&self, more: &[(&str, &str)]) -> String {
        let url = self.agreed(more).await;
        assert!(url.query_pairs().any(|(name, value)| name == "state" && value == "Zx1"));
        url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    async fn trade(&self, code: &str, more: &[(&str, &str)]) -> (u16, serde_json::Value) {
        let (id, secret) = (self.secret("client_id"), self.secret("client_secret"));
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &id),
            ("client_secret", &secret),
            ("redirect_uri", BACK),
        ];
        form.extend_from_slice(more);
        self.token_call(&form).await
    }

    async fn refresh(&self, refresh: &str) -> (u16, serde_json::Value) {
        let (id, secret) = (self.secret("client_id"), self.secret("client_secret"));
        self.token_call(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", &id),
            ("client_secret", &secret),
        ])
        .await
    }

    async fn status_with(&self, token: &str) -> u16 {
        self.http.get(self.url("/services/data/v62.0/limits")).bearer_auth(token).send().await.unwrap().status().as_u16()
    }
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

#[tokio::test]
async fn a_code_gives_signed_tokens_once_and_only_to_its_verifier() {
    let org = Org::start().await;
    let challenge = challenge();
    // jsforce names no method.
    for method in [&[("code_challenge_method", "S256")][..], &[]] {
        let more = [&[("code_challenge", challenge.as_str())], method].concat();
        let code = org.code(&more).await;
        let (status, body) = org.trade(&code, &[("code_verifier", VERIFIER)]).await;
        assert_eq!(status, 200, "{body}");
        let (id, at) = (body["id"].as_str().unwrap(), body["issued_at"].as_str().unwrap());
        let mut mac = Hmac::<Sha256>::new_from_slice(org.secret("client_secret").as_bytes()).unwrap();
        mac.update(format!("{id}{at}").as_bytes());
        let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
        assert_eq!(body["signature"], signature);
        assert!(body.get("expires_in").is_none() && body["refresh_token"].is_string());
        assert_eq!(org.status_with(body["access_token"].as_str().unwrap()).await, 200);
        let (status, body) = org.trade(&code, &[("code_verifier", VERIFIER)]).await;
        assert_eq!(
            (status, &body["error"], &body["error_description"]),
            (400, &json!("invalid_grant"), &json!("expired authorization code"))
        );
    }
    let code = org.code(&[("code_challenge", &challenge)]).await;
    assert_eq!(org.trade(&code, &[("code_verifier", "another")]).await.1["error"], "invalid_request");
    let code = org.code(&[("code_challenge", &challenge)]).await;
    assert_eq!(org.trade(&code, &[]).await.1["error"], "invalid_grant");
    let code = org.code(&[("scope", "api")]).await;
    assert!(org.trade(&code, &[]).await.1.get("refresh_token").is_none(), "no refresh token without its scope");
    org.configure(json!({"consent": "deny"}));
    assert!(org.agreed(&[]).await.query().unwrap().contains("error=access_denied"));
}

#[tokio::test]
async fn wrong_apps_secrets_and_ways_are_refused_in_the_vendors_words() {
    let org = Org::start().await;
    let (id, secret) = (org.secret("client_id"), org.secret("client_secret"));
    for (form, error) in [
        (vec![("grant_type", "client_credentials"), ("client_id", "x"), ("client_secret", &secret)], "invalid_client_id"),
        (vec![("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", "x")], "invalid_client"),
        (vec![("grant_type", "dance"), ("client_id", &id)], "unsupported_grant_type"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", &id)], "invalid_grant"),
    ] {
        let (status, body) = org.token_call(&form).await;
        assert_eq!((status, body["error"].as_str().unwrap()), (400, error));
    }
    let form = [("grant_type", "client_credentials")];
    let with_basic = org.http.post(org.url("/services/oauth2/token")).basic_auth(&id, Some(&secret)).form(&form);
    assert_eq!(with_basic.send().await.unwrap().status(), 200);
    let on_login =
        org.http.post(org.url("/services/oauth2/token")).header("host", "login.salesforce.com").basic_auth(&id, Some(&secret));
    assert_eq!(on_login.form(&form).send().await.unwrap().status(), 400, "client credentials need My Domain");
    let elsewhere = [("response_type", "code"), ("client_id", &id), ("redirect_uri", "https://evil.example/")];
    let answer = org.http.get(org.url("/services/oauth2/authorize")).query(&elsewhere).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("location")), (400, None));
}

#[tokio::test]
async fn a_session_ends_and_a_refresh_begins_another() {
    let org = Org::start().await;
    let code = org.code(&[]).await;
    let (_, tokens) = org.trade(&code, &[]).await;
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    org.happen("expire_sessions", json!({}));
    let answer = org.http.get(org.url("/services/data/v62.0/limits")).bearer_auth(access).send().await.unwrap();
    let (status, body) = read(answer).await;
    assert_eq!((status, body), (401, json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])));
    let (status, again) = org.refresh(refresh).await;
    assert_eq!(status, 200);
    assert!(again.get("refresh_token").is_none(), "without rotation the old one stays");
    assert_eq!(org.status_with(again["access_token"].as_str().unwrap()).await, 200);

    org.configure(json!({"rotate_refresh_tokens": true}));
    let (_, rotated) = org.refresh(refresh).await;
    assert_eq!(org.status_with(again["access_token"].as_str().unwrap()).await, 401, "a rotation ends the session before");
    assert_eq!(org.refresh(refresh).await.1["error_description"], "expired access/refresh token");
    let answer = org.http.post(org.url("/services/oauth2/revoke")).form(&[("token", rotated["refresh_token"].as_str().unwrap())]);
    assert_eq!(answer.send().await.unwrap().status(), 200);
    assert_eq!(org.status_with(rotated["access_token"].as_str().unwrap()).await, 401);
}

#[tokio::test]
async fn a_session_lives_by_its_use() {
    let org = Org::start().await;
    for _ in 0..3 {
        org.sandbox.world().clock().advance(std::time::Duration::from_secs(7_000));
        assert_eq!(org.call(Method::GET, "/limits", None).await.0, 200);
    }
    org.sandbox.world().clock().advance(std::time::Duration::from_secs(7_300));
    let (status, body) = org.call(Method::GET, "/limits", None).await;
    assert_eq!((status, code(&body)), (401, "INVALID_SESSION_ID"));
}

#[tokio::test]
async fn an_assertion_must_be_signed_by_the_app_and_meant_for_here() {
    let org = Org::start().await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    org.configure(json!({"jwt_certificate": key.public_key_pem()}));
    let signs = jsonwebtoken::EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();
    let now_s = org.sandbox.world().clock().now_s();
    let good = json!({"iss": org.secret("client_id"), "sub": org.secret("username"), "aud": "https://login.salesforce.com", "exp": now_s + 170});
    let asked = async |claims: &serde_json::Value| {
        let assertion = jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256), claims, &signs).unwrap();
        org.token_call(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)]).await
    };
    let (status, body) = asked(&good).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.get("refresh_token").is_none());
    for (claim, value, words) in [
        ("aud", json!("https://elsewhere.example"), "audience is invalid"),
        ("sub", json!("nobody@example.com"), "user hasn't approved this consumer"),
        ("exp", json!(now_s - 10), "assertion is not within its validity period"),
        ("exp", json!(now_s + 3_600), "assertion is not within its validity period"),
        ("iss", json!("another app"), "client identifier invalid"),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        let (status, body) = asked(&claims).await;
        assert_eq!((status, body["error_description"].as_str().unwrap()), (400, words), "{claim}");
    }
    let another = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    org.configure(json!({"jwt_certificate": another.public_key_pem()}));
    assert_eq!(asked(&good).await.1["error_description"], "invalid assertion");
}
