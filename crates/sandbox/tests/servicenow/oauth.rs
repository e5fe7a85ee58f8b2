//! Signing in.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::{Instance, read};

async fn token(instance: &Instance, form: &[(&str, &str)]) -> (u16, Json) {
    read(instance.http.post(instance.url("/oauth_token.do")).form(form).send().await.unwrap()).await
}

/// Client id and secret, then the user's name and password.
fn known(instance: &Instance) -> [String; 4] {
    let credentials = instance.credentials();
    ["client_id", "client_secret", "user_name", "password"].map(|name| credentials[name].as_str().unwrap().to_owned())
}

async fn works(instance: &Instance, token: &str) -> u16 {
    let request = instance.http.get(instance.url("/api/now/table/incident?sysparm_limit=1")).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

fn denied() -> (u16, Json) {
    (401, json!({"error": "server_error", "error_description": "access_denied"}))
}

#[tokio::test]
async fn a_token_lives_its_time_and_is_given_again_with_what_is_left() {
    let instance = Instance::start().await;
    let [id, secret, user, password] = known(&instance);
    let form = [
        ("grant_type", "password"),
        ("username", &user),
        ("password", &password),
        ("client_id", &id),
        ("client_secret", &secret),
    ];
    let (status, first) = token(&instance, &form).await;
    assert_eq!(
        (status, &first["token_type"], &first["expires_in"], &first["scope"]),
        (200, &json!("Bearer"), &json!(1799), &json!("useraccount"))
    );
    let access = first["access_token"].as_str().unwrap().to_owned();
    assert_eq!(works(&instance, &access).await, 200);
    instance.sandbox.world().clock().advance(std::time::Duration::from_secs(600));
    let (_, again) = token(&instance, &form).await;
    assert_eq!(again["access_token"], access.as_str());
    assert!((1_150..=1_200).contains(&again["expires_in"].as_i64().unwrap()), "{again}");
    instance.sandbox.world().clock().advance(std::time::Duration::from_secs(1_201));
    assert_eq!(works(&instance, &access).await, 401);
    let refresh = first["refresh_token"].as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", &id), ("client_secret", &secret)];
    let (_, renewed) = token(&instance, &form).await;
    assert_eq!(renewed["refresh_token"], refresh, "the refresh token stays");
    assert_eq!(works(&instance, renewed["access_token"].as_str().unwrap()).await, 200);
    let revoke = format!("/oauth_revoke_token.do?token={refresh}");
    instance.http.get(instance.url(&revoke)).send().await.unwrap();
    assert_eq!(token(&instance, &form).await, denied());
    assert_eq!(works(&instance, renewed["access_token"].as_str().unwrap()).await, 401);
}

#[tokio::test]
async fn a_new_sign_in_gives_the_refresh_token_its_whole_life_again() {
    let instance = Instance::start().await;
    let [id, secret, user, password] = known(&instance);
    instance.configure(json!({"access_token_s": 1_000, "refresh_token_s": 1_500, "approve_as": user}));
    let pass = |seconds| instance.sandbox.world().clock().advance(std::time::Duration::from_secs(seconds));
    let by_password = [
        ("grant_type", "password"),
        ("username", user.as_str()),
        ("password", &password),
        ("client_id", &id),
        ("client_secret", &secret),
    ];
    let (status, first) = token(&instance, &by_password).await;
    assert_eq!(status, 200, "{first}");
    let refresh = first["refresh_token"].as_str().unwrap();
    let renewal = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", &id), ("client_secret", &secret)];

    // The access token lives, so both stay the same.
    pass(900);
    let (_, again) = token(&instance, &by_password).await;
    assert_eq!((&again["access_token"], &again["refresh_token"]), (&first["access_token"], &first["refresh_token"]));
    pass(900);
    let (status, renewed) = token(&instance, &renewal).await;
    assert_eq!(status, 200, "the first end is over, the second is to come: {renewed}");

    // The same when a person agrees in the browser.
    pass(500);
    let back = "https://liaison.example/back";
    let page = format!("/oauth_auth.do?response_type=code&client_id={id}&redirect_uri={back}&state=s1");
    let agreed = instance.http.get(instance.url(&page)).send().await.unwrap();
    let agreed = url::Url::parse(agreed.headers()["location"].to_str().unwrap()).unwrap();
    let code = agreed.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let by_code = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", back),
        ("client_id", &id),
        ("client_secret", &secret),
    ];
    let (_, anew) = token(&instance, &by_code).await;
    assert_eq!(anew["refresh_token"], refresh, "{anew}");
    pass(1_400);
    assert_eq!(token(&instance, &renewal).await.0, 200);

    // A renewal makes it no younger.
    pass(101);
    assert_eq!(token(&instance, &renewal).await, denied());
}

#[tokio::test]
async fn every_wrong_thing_looks_the_same_and_json_is_not_read() {
    let instance = Instance::start().await;
    let [id, secret, user, password] = known(&instance);
    let good = [
        ("grant_type", "password"),
        ("username", user.as_str()),
        ("password", &password),
        ("client_id", &id),
        ("client_secret", &secret),
    ];
    for wrong in ["grant_type", "username", "password", "client_id", "client_secret"] {
        let form: Vec<(&str, &str)> =
            good.iter().map(|(name, value)| (*name, if *name == wrong { "wrong" } else { value })).collect();
        assert_eq!(token(&instance, &form).await, denied(), "{wrong}");
    }
    let as_json =
        instance.http.post(instance.url("/oauth_token.do")).json(&json!({"grant_type": "password"})).send().await.unwrap();
    assert!(as_json.status().is_client_error());
    let form = [("grant_type", "client_credentials"), ("client_id", id.as_str()), ("client_secret", &secret)];
    let (status, given) = token(&instance, &form).await;
    assert!(status == 200 && given.get("refresh_token").is_none(), "{given}");
    instance.configure(json!({"client_credentials": false}));
    assert_eq!(token(&instance, &form).await, denied());
}

#[tokio::test]
async fn a_person_agrees_and_the_code_is_good_once_with_its_verifier() {
    let instance = Instance::start().await;
    let [id, secret, user, password] = known(&instance);
    let public = instance.credentials()["public_client_id"].as_str().unwrap().to_owned();
    let verifier = "a-verifier-of-more-than-forty-three-characters-0123456789";
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    let ask = |client: &str, state: &str| {
        let query = format!(
            "response_type=code&client_id={client}&redirect_uri=https%3A%2F%2Fliaison.example%2Fback&state={state}&code_challenge={challenge}&code_challenge_method=S256"
        );
        instance.http.post(instance.url(&format!("/oauth_auth.do?{query}")))
    };
    let page =
        instance
            .http
            .get(instance.url(&format!(
                "/oauth_auth.do?response_type=code&client_id={id}&redirect_uri=https%3A%2F%2Fliaison.example%2Fback"
            )))
            .send()
            .await
            .unwrap();
    assert!(page.text().await.unwrap().contains("Missing State parameter in request"));
    for (client, secret) in [(id.as_str(), secret.as_str()), (public.as_str(), "")] {
        let signed = ask(client, "s1").form(&[("user_name", user.as_str()), ("user_password", &password)]).send().await.unwrap();
        assert_eq!(signed.status(), 302);
        let back = url::Url::parse(signed.headers()["location"].to_str().unwrap()).unwrap();
        let pairs: std::collections::HashMap<String, String> = back.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], "s1");
        let form = |verifier: &'static str| {
            [
                ("grant_type", "authorization_code".to_owned()),
                ("code", pairs["code"].clone()),
                ("redirect_uri", "https://liaison.example/back".to_owned()),
                ("client_id", client.to_owned()),
                ("client_secret", secret.to_owned()),
                ("code_verifier", verifier.to_owned()),
            ]
        };
        let post = async |form: [(&str, String); 6]| {
            read(instance.http.post(instance.url("/oauth_token.do")).form(&form).send().await.unwrap()).await
        };
        let (status, given) = post(form(verifier)).await;
        assert_eq!((status, given.get("refresh_token").is_some()), (200, !secret.is_empty()), "{given}");
        assert_eq!(post(form(verifier)).await, denied(), "a code is good once");
    }
}

#[tokio::test]
async fn signed_assertions_and_keys_are_checked() {
    let instance = Instance::start().await;
    let [id, secret, user, _] = known(&instance);
    let shared = instance.credentials()["jwt_shared_key"].as_str().unwrap().to_owned();
    let now_s = instance.sandbox.world().clock().now_s();
    let signed = |key: &[u8], life_s: i64| {
        let claims = json!({"iss": id, "sub": user, "aud": id, "iat": now_s, "exp": now_s + life_s, "jti": "1"});
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_secret(key)).unwrap()
    };
    let ask = async |assertion: &str| {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion),
            ("client_id", &id),
            ("client_secret", &secret),
        ];
        token(&instance, &form).await
    };
    assert_eq!(ask(&signed(shared.as_bytes(), 300)).await.0, 200);
    assert_eq!(ask(&signed(b"another key", 300)).await, denied());
    assert_eq!(ask(&signed(shared.as_bytes(), -300)).await, denied());
    let key = instance.credentials()["api_key"].as_str().unwrap().to_owned();
    let with =
        |key: &str| instance.http.get(instance.url("/api/now/table/incident?sysparm_limit=1")).header("x-sn-apikey", key).send();
    assert_eq!(with(&key).await.unwrap().status(), 200);
    assert_eq!(with("wrong").await.unwrap().status(), 401);
}

#[tokio::test]
async fn wrong_passwords_lock_the_account() {
    let instance = Instance::start().await;
    let ask = async |password: &str| {
        let request =
            instance.http.get(instance.url("/api/now/table/incident?sysparm_limit=1")).basic_auth(&instance.user, Some(password));
        request.send().await.unwrap().status().as_u16()
    };
    for _ in 0..5 {
        assert_eq!(ask("wrong").await, 401);
    }
    assert_eq!(ask(&instance.password).await, 401, "locked");
    instance.happen("unlock_user", json!({"user_name": instance.user}));
    assert_eq!(ask(&instance.password).await, 200);
    instance.configure(json!({"basic_auth": false}));
    assert_eq!(ask(&instance.password).await, 401);
}
