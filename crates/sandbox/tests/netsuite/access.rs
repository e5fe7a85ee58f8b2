//! Signing in: certificates, consent, scopes, revoked and expired tokens, and how many calls at once.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::{Client, RECORDS, TOKEN, error, http};

#[tokio::test]
async fn assertions_are_taken_for_an_hour_with_the_mapped_certificate_only() {
    let client = Client::start().await;
    let good = client.claims();
    let change = |name: &str, value: Json| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let now = good["iat"].as_i64().unwrap();
    for scope in [json!("rest_webservices"), json!("restlets,rest_webservices"), json!(["rest_webservices"])] {
        let answer = client.assert(&change("scope", scope), "ES256").await;
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!("3600")));
    }
    for (name, value, error) in [
        ("exp", json!(now + 3700), "invalid_grant"),
        ("aud", json!("https://elsewhere.example/token"), "invalid_grant"),
        ("iss", json!("another client"), "invalid_grant"),
        ("scope", json!(["everything"]), "invalid_scope"),
    ] {
        assert_eq!(client.assert(&change(name, value), "ES256").await, json!({ "error": error }), "{name}");
    }
    assert_eq!(client.offer("no.jwt.here").await["error"], "invalid_request");
    client.happen("sandbox_refreshed", &json!({}));
    assert_eq!(client.assert(&good, "ES256").await["error"], "invalid_grant");
    assert_eq!(client.get(&format!("{RECORDS}/customer")).await.status(), 401);
}

#[tokio::test]
async fn an_rsa_certificate_signs_with_ps256_but_never_with_rs256() {
    let client = Client::start().await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    client.configure(&json!({ "certificates": [{ "id": "rsa-1", "pem": pair.public_key_pem() }] }));
    let key = jsonwebtoken::EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
    for (algorithm, taken) in [(jsonwebtoken::Algorithm::PS256, true), (jsonwebtoken::Algorithm::RS256, false)] {
        let mut header = jsonwebtoken::Header::new(algorithm);
        header.kid = Some("rsa-1".to_owned());
        let answer = client.offer(&jsonwebtoken::encode(&header, &client.claims(), &key).unwrap()).await;
        assert_eq!(answer["access_token"].is_string(), taken, "{answer}");
    }
}

#[tokio::test]
async fn a_browser_agrees_and_the_refresh_token_lives_for_a_week() {
    let client = Client::start().await;
    let credentials = client.credentials();
    let verifier = "a-verifier-that-is-long-enough-for-the-standard-1234567890";
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let page = |state: &str, allow: &str| {
        let id = credentials["client_id"].as_str().unwrap();
        format!(
            "/app/login/oauth2/authorize.nl?response_type=code&client_id={id}&redirect_uri=http%3A%2F%2Flocalhost%2Fback&scope=restlets%20rest_webservices&state={state}&code_challenge={challenge}&code_challenge_method=S256{allow}"
        )
    };
    let state = "s".repeat(22);
    assert_eq!(client.get(&page("short", "&allow=1")).await.status(), 400, "a state has 22 characters at least");
    assert!(client.get(&page(&state, "")).await.text().await.unwrap().contains("allow=1"));
    let back = client.get(&page(&state, "&allow=1")).await.headers()["location"].to_str().unwrap().to_owned();
    let back = url::Url::parse(&back).unwrap();
    let get = |name: &str| back.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    assert_eq!((get("company"), get("state")), ("1234567_SB1".to_owned(), state));
    let trade = async |form: &[(&str, &str)]| {
        let request = http()
            .post(client.url(TOKEN))
            .basic_auth(credentials["client_id"].as_str().unwrap(), credentials["client_secret"].as_str());
        let answer = request.form(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Json>().await.unwrap())
    };
    let code = get("code");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://localhost/back"),
        ("code_verifier", verifier),
    ];
    let (status, first) = trade(&form).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(trade(&form).await.1["error"], "invalid_grant", "a code is good once");
    let refresh = first["refresh_token"].as_str().unwrap().to_owned();
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let (_, second) = trade(&form).await;
    assert!(second["access_token"].is_string() && second.get("refresh_token").is_none(), "{second}");
    client.sandbox.world().clock().advance(std::time::Duration::from_secs(7 * 24 * 3600 + 1));
    assert_eq!(trade(&form).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn a_token_ends_after_an_hour_and_serves_only_its_scope() {
    let mut client = Client::start().await;
    let mut claims = client.claims();
    claims["scope"] = json!("restlets");
    let whole = client.token.clone();
    client.token = client.assert(&claims, "ES256").await["access_token"].as_str().unwrap().to_owned();
    let (status, code, _) = error(client.get(&format!("{RECORDS}/customer")).await).await;
    assert_eq!((status, code.as_str()), (403, "INSUFFICIENT_PERMISSION"));
    client.token = whole;
    client.read(&format!("{RECORDS}/customer?limit=1")).await;
    client.sandbox.world().clock().advance(std::time::Duration::from_secs(3600));
    let answer = client.get(&format!("{RECORDS}/customer")).await;
    assert!(answer.headers().contains_key("www-authenticate"));
    let (status, code, detail) = error(answer).await;
    assert_eq!((status, code.as_str()), (401, "INVALID_LOGIN"));
    assert!(detail.starts_with("Invalid login attempt."));
    let audit = client.sandbox.vendor("netsuite").unwrap().rows("loginAudit", 0, 10).unwrap();
    assert_eq!(audit.last().unwrap()["detail"], "TokenExpired");
}

#[tokio::test]
async fn more_calls_than_the_pool_holds_are_refused_in_the_words_of_each_interface() {
    let client = Client::start().await;
    client.configure(&json!({ "concurrency_limit": 1, "call_ms": 300 }));
    let two = async |path: &str| {
        let (one, other) = tokio::join!(client.get(path), client.get(path));
        if one.status() == 200 { other } else { one }
    };
    let customers = format!("{RECORDS}/customer?limit=1");
    let refused = two(&customers).await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (429, false));
    assert_eq!(error(refused).await.1, "CONCURRENCY_LIMIT_EXCEEDED");
    let refused = two("/app/site/hosting/restlet.nl?script=1&deploy=1").await;
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json::<Json>().await.unwrap()["error"]["code"], "SSS_REQUEST_LIMIT_EXCEEDED");
    client.configure(&json!({ "concurrency_as_invalid_login": true }));
    assert_eq!(error(two(&customers).await).await.1, "INVALID_LOGIN");
    client.configure(&json!({ "call_ms": 0 }));
    assert_eq!(client.get(&customers).await.status(), 200, "places are given back");
}

#[tokio::test]
async fn what_the_role_may_not_do_is_refused_by_name() {
    let client = Client::start().await;
    client.configure(&json!({ "denied_records": ["invoice"], "read_only_records": ["customer"] }));
    let (status, code, detail) = error(client.get(&format!("{RECORDS}/invoice")).await).await;
    assert_eq!((status, code.as_str()), (403, "INSUFFICIENT_PERMISSION"));
    assert!(detail.contains("Transactions -> Invoice"), "{detail}");
    client.read(&format!("{RECORDS}/customer?limit=1")).await;
    let body = json!({ "companyName": "X", "subsidiary": "1" });
    assert_eq!(client.send(Method::POST, &format!("{RECORDS}/customer"), &body).await.status(), 403);
    assert!(client.sandbox.vendor("netsuite").unwrap().configure(&json!({ "zone": "Moon/Base" })).is_err());
}
