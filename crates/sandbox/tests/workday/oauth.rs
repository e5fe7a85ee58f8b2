//! Signing in.

use std::time::Duration;

use rcgen::KeyPair;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Caller, configure, credentials, happen, http, refresh_grant, sandbox, token};

#[tokio::test]
async fn a_refresh_token_never_rotates_and_its_access_tokens_end() {
    let sandbox = sandbox().await;
    let c = credentials(&sandbox);
    let refresh = c["refresh_token"].as_str().unwrap();
    configure(&sandbox, &json!({ "token_life_s": 60 }));
    let given: Json = refresh_grant(&sandbox, refresh).await.json().await.unwrap();
    assert_eq!(
        (&given["refresh_token"], &given["token_type"], &given["expires_in"]),
        (&c["refresh_token"], &json!("Bearer"), &json!(60))
    );
    let caller = Caller::new(&sandbox).await;
    caller.get("/ccx/api/v1/acme/workers?limit=1").await;
    sandbox.world().clock().advance(Duration::from_secs(61));
    let (status, body) = caller.ask(Method::GET, "/ccx/api/v1/acme/workers", None).await;
    assert_eq!((status, &body["error"]), (401, &json!("invalid_token")));
    Caller::new(&sandbox).await.get("/ccx/api/v1/acme/workers").await;

    happen(&sandbox, "lock_account", &json!({ "user": "isu" }));
    let refused = refresh_grant(&sandbox, refresh).await;
    assert_eq!(
        (refused.status().as_u16(), refused.json::<Json>().await.unwrap()["error"].clone()),
        (400, json!("invalid_grant"))
    );
    happen(&sandbox, "unlock_account", &json!({ "user": "isu" }));
    assert_eq!(refresh_grant(&sandbox, refresh).await.status(), 200);
    happen(&sandbox, "revoke_tokens", &json!({}));
    assert_eq!(refresh_grant(&sandbox, refresh).await.status(), 400);
}

#[tokio::test]
async fn a_wrong_client_and_a_wrong_grant_are_told_apart() {
    let sandbox = sandbox().await;
    let secret = credentials(&sandbox)["client_secret"].as_str().unwrap().to_owned();
    for (form, secret, status, error) in [
        (vec![("grant_type", "refresh_token"), ("refresh_token", "x")], "wrong", 401, "invalid_client"),
        (vec![("grant_type", "refresh_token"), ("refresh_token", "x")], secret.as_str(), 400, "invalid_grant"),
        (vec![("grant_type", "password")], secret.as_str(), 400, "unsupported_grant_type"),
        (vec![], secret.as_str(), 400, "invalid_request"),
    ] {
        let answer = token(&sandbox, &form, secret).await;
        assert_eq!((answer.status().as_u16(), answer.json::<Json>().await.unwrap()["error"].clone()), (status, json!(error)));
    }
}

#[tokio::test]
async fn a_code_is_traded_once_with_its_verifier() {
    let sandbox = sandbox().await;
    let c = credentials(&sandbox);
    let (secret, client) = (c["client_secret"].as_str().unwrap(), c["client_id"].as_str().unwrap());
    let query = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", "https://liaison.example/back"),
        ("state", "s1"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];
    let page = http().get(c["authorization_endpoint"].as_str().unwrap()).query(&query).send().await.unwrap();
    let back = url::Url::parse(page.headers()["location"].to_str().unwrap()).unwrap();
    let param = |name: &str| back.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    assert_eq!((page.status().as_u16(), param("state")), (302, "s1".to_owned()));
    let code = param("code");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "https://liaison.example/back"),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ];
    let given: Json = token(&sandbox, &form, secret).await.json().await.unwrap();
    assert!(given["refresh_token"].is_string(), "{given}");
    assert_eq!(token(&sandbox, &form, secret).await.status(), 400, "a code is good once");
}

#[tokio::test]
async fn a_signed_assertion_is_taken_from_a_registered_certificate_only() {
    let sandbox = sandbox().await;
    let c = credentials(&sandbox);
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["liaison.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let signs = jsonwebtoken::EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap();
    let now_s = sandbox.world().clock().now_s();
    let claims = json!({ "iss": c["client_id"], "sub": "isu", "aud": "wd", "exp": now_s + 300 });
    let assertion = jsonwebtoken::encode(&jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256), &claims, &signs).unwrap();
    let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.as_str())];
    assert_eq!(token(&sandbox, &form, "").await.status(), 400, "nobody registered it");
    happen(&sandbox, "register_certificate", &json!({ "pem": certificate.pem() }));
    let given: Json = token(&sandbox, &form, "").await.json().await.unwrap();
    assert!(given["access_token"].is_string() && given["refresh_token"].is_null(), "{given}");
}
