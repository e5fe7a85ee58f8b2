//! Published vectors, altered requests, clocks, and settings that cannot work.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::{Connection, Inbound, Refused, Secret, Verified};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;

pub(super) fn connection(config: Json, credentials: &[(&str, &str)]) -> Connection {
    let credentials = credentials.iter().map(|(name, text)| ((*name).to_owned(), Secret::new((*text).to_owned()))).collect();
    Connection { name: "hook".to_owned(), connector: "webhook".to_owned(), config, credentials }
}

pub(super) fn verify(connection: &Connection, headers: &[(&str, &str)], body: &[u8], now_s: i64) -> Result<Verified, Refused> {
    verify_at(connection, "/hooks/story", headers, body, now_s)
}

/// A request that came to this path and query.
pub(super) fn verify_at(
    connection: &Connection,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    now_s: i64,
) -> Result<Verified, Refused> {
    let headers: Vec<(String, String)> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let verify = super::connector().triggers.remove(0).webhook.unwrap().verify;
    verify(connection, &Inbound { method: "POST", base: "https://mycompany.com", target, headers: &headers, body, now_s })
}

pub(super) fn code(result: Result<Verified, Refused>) -> &'static str {
    result.expect_err("accepted").code
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn nothing_is_checked_only_when_that_is_said() {
    assert_eq!(verify(&connection(json!({"verify": "none"}), &[]), &[], b"x", 0), Ok(Verified::default()));
    for config in [json!({}), json!(null), json!({"verify": "nothing"}), json!({"verify": null}), json!({"verify": true})] {
        assert_eq!(code(verify(&connection(config, &[("secret", "s")]), &[], b"x", 0)), "VERIFY_UNKNOWN");
    }
}

// The example of <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
#[test]
fn github_signatures_fit() {
    let config =
        json!({"verify": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256=", "event_id_header": "X-GitHub-Delivery"});
    let hook = connection(config, &[("secret", "It's a Secret to Everybody")]);
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let verified = verify(&hook, &[("x-hub-signature-256", signature), ("x-github-delivery", "72d3162e")], b"Hello, World!", 0);
    assert_eq!(verified, Ok(Verified { event_key: Some("72d3162e".to_owned()) }));
    assert_eq!(code(verify(&hook, &[("x-hub-signature-256", signature)], b"Hello, World?", 0)), "SIGNATURE_MISMATCH");
    assert_eq!(code(verify(&hook, &[("x-hub-signature-256", &signature[7..])], b"Hello, World!", 0)), "SIGNATURE_MALFORMED");
    assert_eq!(code(verify(&hook, &[("x-hub-signature-256", "sha256=zz")], b"Hello, World!", 0)), "SIGNATURE_MALFORMED");
    assert_eq!(code(verify(&hook, &[("x-hub-signature-256", &signature[..70])], b"Hello, World!", 0)), "SIGNATURE_MALFORMED");
    assert_eq!(code(verify(&hook, &[("x-hub-signature-256", &signature[..69])], b"Hello, World!", 0)), "SIGNATURE_MISMATCH");
    assert_eq!(code(verify(&hook, &[], b"Hello, World!", 0)), "SIGNATURE_MISSING");
}

#[test]
fn every_algorithm_and_encoding_has_a_known_answer() {
    // HMAC of "what do ya want for nothing?" with key "Jefe": RFC 2202 (SHA-1) and RFC 4231 (SHA-2), test case 2.
    let body = b"what do ya want for nothing?";
    for (algorithm, hex) in [
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let plain = connection(json!({"verify": "hmac", "algorithm": algorithm}), &[("secret", "Jefe")]);
        assert!(verify(&plain, &[("x-signature", hex)], body, 0).is_ok(), "{algorithm}");
        assert!(verify(&plain, &[("x-signature", &hex.to_uppercase())], body, 0).is_ok(), "{algorithm}");
        let encoded = BASE64.encode(hex::decode(hex).unwrap());
        let base64 = connection(
            json!({"verify": "hmac", "algorithm": algorithm, "encoding": "base64", "header": "X-Sig"}),
            &[("secret", "Jefe")],
        );
        assert!(verify(&base64, &[("x-sig", &encoded)], body, 0).is_ok(), "{algorithm}");
        assert_eq!(code(verify(&base64, &[("x-sig", hex)], body, 0)), "SIGNATURE_MISMATCH", "{algorithm}");
    }
}

// Made with stripe-node's generateTestHeaderString.
const STRIPE_SECRET: &str = "whsec_test_8f2b6c1d9e7a4f03";
const STRIPE_BODY: &[u8] = br#"{"id":"evt_1QTestEvent000000000001","object":"event","type":"invoice.paid"}"#;
const STRIPE_V1: &str = "37924f609db600e513200f75a39c65ceffee711e2e92f1fff0362675af74a529";
const STRIPE_T: i64 = 1_795_219_200;

#[test]
fn stripe_signatures_fit() {
    let hook = connection(json!({"verify": "stripe"}), &[("secret", STRIPE_SECRET)]);
    let header = format!("t={STRIPE_T},v1={STRIPE_V1}");
    let verified = verify(&hook, &[("stripe-signature", &header)], STRIPE_BODY, STRIPE_T);
    assert_eq!(verified, Ok(Verified { event_key: Some("evt_1QTestEvent000000000001".to_owned()) }));
    let several = format!("t={STRIPE_T},v1={},v0=abc,v1={STRIPE_V1}", "0".repeat(64));
    assert!(verify(&hook, &[("stripe-signature", &several)], STRIPE_BODY, STRIPE_T).is_ok());
    for (age, expected) in [(300, ""), (301, "TIMESTAMP_TOO_OLD"), (-300, ""), (-301, "TIMESTAMP_IN_FUTURE")] {
        let result = verify(&hook, &[("stripe-signature", &header)], STRIPE_BODY, STRIPE_T + age);
        assert_eq!(result.err().map_or("", |refused| refused.code), expected, "{age}");
    }
    let patient = connection(json!({"verify": "stripe", "tolerance_s": 3600}), &[("secret", STRIPE_SECRET)]);
    assert!(verify(&patient, &[("stripe-signature", &header)], STRIPE_BODY, STRIPE_T + 3600).is_ok());
}

#[test]
fn altered_stripe_requests_are_refused() {
    let hook = connection(json!({"verify": "stripe"}), &[("secret", STRIPE_SECRET)]);
    let check = |header: &str, body: &[u8]| code(verify(&hook, &[("stripe-signature", header)], body, STRIPE_T));
    let header = format!("t={STRIPE_T},v1={STRIPE_V1}");
    let mut altered = STRIPE_BODY.to_vec();
    altered.push(b' ');
    assert_eq!(check(&header, &altered), "SIGNATURE_MISMATCH");
    assert_eq!(check(&format!("t={},v1={STRIPE_V1}", STRIPE_T + 1), STRIPE_BODY), "SIGNATURE_MISMATCH");
    assert_eq!(check(&format!("t=+{STRIPE_T},v1={STRIPE_V1}"), STRIPE_BODY), "SIGNATURE_MALFORMED");
    assert_eq!(check(&format!("t={STRIPE_T},v0={STRIPE_V1}"), STRIPE_BODY), "SIGNATURE_MALFORMED");
    assert_eq!(check(&format!("v1={STRIPE_V1}"), STRIPE_BODY), "SIGNATURE_MALFORMED");
    assert_eq!(check("", STRIPE_BODY), "SIGNATURE_MALFORMED");
    assert_eq!(check("t=99999999999999999999,v1=aa", STRIPE_BODY), "SIGNATURE_MALFORMED");
    assert_eq!(code(verify(&hook, &[], STRIPE_BODY, STRIPE_T)), "SIGNATURE_MISSING");
    let wrong = connection(json!({"verify": "stripe"}), &[("secret", "whsec_other")]);
    assert_eq!(code(verify(&wrong, &[("stripe-signature", &header)], STRIPE_BODY, STRIPE_T)), "SIGNATURE_MISMATCH");
    for credentials in [&[][..], &[("secret", "")], &[("secret", " \n")], &[("previous_secret", STRIPE_SECRET)]] {
        let open = connection(json!({"verify": "stripe"}), credentials);
        assert_eq!(code(verify(&open, &[("stripe-signature", &header)], STRIPE_BODY, STRIPE_T)), "SECRET_MISSING");
    }
    // A body signed with nothing at all.
    let blank = hex::encode(hmac(b"", format!("{STRIPE_T}.").as_bytes()));
    let open = connection(json!({"verify": "stripe"}), &[("secret", "")]);
    assert_eq!(
        code(verify(&open, &[("stripe-signature", &format!("t={STRIPE_T},v1={blank}"))], b"", STRIPE_T)),
        "SECRET_MISSING"
    );
}

#[test]
fn the_previous_secret_still_fits() {
    let hook = connection(json!({"verify": "stripe"}), &[("secret", "whsec_new"), ("previous_secret", STRIPE_SECRET)]);
    assert!(verify(&hook, &[("stripe-signature", &format!("t={STRIPE_T},v1={STRIPE_V1}"))], STRIPE_BODY, STRIPE_T).is_ok());
}

#[test]
fn a_stripe_body_without_an_id_has_no_event_key() {
    let hook = connection(json!({"verify": "stripe"}), &[("secret", "s")]);
    for (body, key) in [
        (&b"not json"[..], None),
        (b"{}", None),
        (br#"{"id":7}"#, None),
        (br#"{"id":""}"#, None),
        (br#"{"data":{"id":"no"},"id":"a\u0062"}"#, Some("ab")),
    ] {
        let signature = hex::encode(hmac(b"s", &[b"5.", body].concat()));
        let verified = verify(&hook, &[("stripe-signature", &format!("t=5,v1={signature}"))], body, 5).unwrap();
        assert_eq!(verified.event_key.as_deref(), key);
    }
}

// The vector of the reference libraries (github.com/standard-webhooks/standard-webhooks, every language's tests).
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const STANDARD_T: i64 = 1_614_265_330;
const STANDARD_BODY: &[u8] = br#"{"test": 2432232314}"#;
const STANDARD_V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

#[test]
fn standard_signatures_fit() {
    let hook = connection(json!({"verify": "standard_webhooks"}), &[("secret", STANDARD_SECRET)]);
    let time = STANDARD_T.to_string();
    let headers =
        |signature| [("webhook-id", STANDARD_ID), ("webhook-timestamp", time.as_str()), ("webhook-signature", signature)];
    let expected = Ok(Verified { event_key: Some(STANDARD_ID.to_owned()) });
    assert_eq!(verify(&hook, &headers(STANDARD_V1), STANDARD_BODY, STANDARD_T), expected);
    let several = format!("v1,{} v1a,abc {STANDARD_V1} v2,x", BASE64.encode([0_u8; 32]));
    assert_eq!(verify(&hook, &headers(&several), STANDARD_BODY, STANDARD_T), expected);
    let svix = [("svix-id", STANDARD_ID), ("svix-timestamp", time.as_str()), ("svix-signature", STANDARD_V1)];
    assert_eq!(verify(&hook, &svix, STANDARD_BODY, STANDARD_T), expected);
    let bare = connection(
        json!({"verify": "standard_webhooks"}),
        &[("secret", "whsec_bmV3c2VjcmV0bmV3c2VjcmV0"), ("previous_secret", &STANDARD_SECRET[6..])],
    );
    assert_eq!(verify(&bare, &headers(STANDARD_V1), STANDARD_BODY, STANDARD_T), expected);
    for (age, expected) in [(300, ""), (301, "TIMESTAMP_TOO_OLD"), (-300, ""), (-301, "TIMESTAMP_IN_FUTURE")] {
        let result = verify(&hook, &headers(STANDARD_V1), STANDARD_BODY, STANDARD_T + age);
        assert_eq!(result.err().map_or("", |refused| refused.code), expected, "{age}");
    }
}

#[test]
fn altered_standard_requests_are_refused() {
    let hook = connection(json!({"verify": "standard_webhooks"}), &[("secret", STANDARD_SECRET)]);
    let check = |id: &str, time: &str, signature: &str, body: &[u8]| {
        code(verify(
            &hook,
            &[("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)],
            body,
            STANDARD_T,
        ))
    };
    let time = STANDARD_T.to_string();
    assert_eq!(check("msg_other", &time, STANDARD_V1, STANDARD_BODY), "SIGNATURE_MISMATCH");
    assert_eq!(check(STANDARD_ID, "1614265331", STANDARD_V1, STANDARD_BODY), "SIGNATURE_MISMATCH");
    assert_eq!(check(STANDARD_ID, &time, STANDARD_V1, br#"{"test": 2432232315}"#), "SIGNATURE_MISMATCH");
    assert_eq!(check(STANDARD_ID, &time, &STANDARD_V1[3..], STANDARD_BODY), "SIGNATURE_MALFORMED");
    assert_eq!(check(STANDARD_ID, &time, "v1,", STANDARD_BODY), "SIGNATURE_MISMATCH");
    assert_eq!(check(STANDARD_ID, "soon", STANDARD_V1, STANDARD_BODY), "SIGNATURE_MALFORMED");
    assert_eq!(check("", &time, STANDARD_V1, STANDARD_BODY), "SIGNATURE_MISSING");
    assert_eq!(code(verify(&hook, &[("webhook-id", STANDARD_ID)], STANDARD_BODY, STANDARD_T)), "SIGNATURE_MISSING");
}

/// The fields of all problems, in order.
pub(super) fn problems(config: Json, credentials: &[(&str, &str)]) -> Vec<String> {
    let credentials: HashMap<String, Secret> = connection(Json::Null, credentials).credentials;
    let problems = (super::connector().validate)(&config, &credentials).err().unwrap_or_default();
    for (field, sentence) in &problems {
        assert!(!sentence.is_empty(), "{field}");
        for secret in credentials.values().filter(|secret| secret.expose().len() > 8) {
            assert!(!sentence.contains(secret.expose()), "{sentence}");
        }
    }
    problems.into_iter().map(|(field, _)| field).collect()
}

#[test]
fn settings_that_work_pass() {
    let none: [String; 0] = [];
    assert_eq!(problems(json!({"verify": "none"}), &[]), none);
    assert_eq!(problems(json!({"verify": "stripe"}), &[("secret", "whsec_x")]), none);
    assert_eq!(
        problems(json!({"verify": "stripe", "tolerance_s": 60}), &[("secret", "whsec_x"), ("previous_secret", "whsec_y")]),
        none
    );
    assert_eq!(problems(json!({"verify": "standard_webhooks"}), &[("secret", STANDARD_SECRET)]), none);
    let full = json!({"verify": "hmac", "header": "X-A", "algorithm": "sha1", "encoding": "base64", "prefix": "v0=", "event_id_header": "X-Id"});
    assert_eq!(problems(full, &[("secret", "s3cret")]), none);
}

#[test]
fn settings_that_cannot_work_are_told_all_at_once() {
    assert_eq!(problems(json!({}), &[]), ["config.verify"]);
    assert_eq!(problems(json!(null), &[]), ["config.verify"]);
    assert_eq!(problems(json!([]), &[]), ["config", "config.verify"]);
    assert_eq!(problems(json!({"verify": 7}), &[]), ["config.verify"]);
    assert_eq!(problems(json!({"verify": "strip", "x": 1}), &[]), ["config.verify", "config.x"]);
    assert_eq!(
        problems(json!({"verify": "none", "header": "X"}), &[("secret", "hush-hush-1")]),
        ["config.header", "credentials.secret"]
    );
    assert_eq!(problems(json!({"verify": "stripe", "prefix": "x"}), &[]), ["config.prefix", "credentials.secret"]);
    assert_eq!(problems(json!({"verify": "stripe"}), &[("secret", "  ")]), ["credentials.secret"]);
    assert_eq!(
        problems(json!({"verify": "stripe"}), &[("secret", "whsec_a"), ("previous_secret", " ")]),
        ["credentials.previous_secret"]
    );
    assert_eq!(problems(json!({"verify": "stripe"}), &[("secrte", "whsec_a")]), ["credentials.secret", "credentials.secrte"]);
    assert_eq!(problems(json!({"verify": "stripe", "tolerance_s": 0}), &[("secret", "whsec_a")]), ["config.tolerance_s"]);
    assert_eq!(problems(json!({"verify": "stripe", "tolerance_s": "300"}), &[("secret", "whsec_a")]), ["config.tolerance_s"]);
    let wrong = json!({"verify": "hmac", "header": "X A", "algorithm": "md5", "encoding": "hexa", "prefix": 1, "heade": "x"});
    assert_eq!(
        problems(wrong, &[("secret", "s3cret")]),
        ["config.header", "config.algorithm", "config.encoding", "config.prefix", "config.heade"]
    );
    for secret in ["whsec_", "whsec_short", "whsec_???", "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        assert_eq!(problems(json!({"verify": "standard_webhooks"}), &[("secret", secret)]), ["credentials.secret"], "{secret}");
    }
}

#[test]
fn a_misspelt_word_is_answered_with_the_near_one() {
    let credentials = HashMap::new();
    let problems = (super::connector().validate)(&json!({"verify": "strip"}), &credentials).unwrap_err();
    assert!(problems[0].1.contains("did you mean \"stripe\"?"), "{problems:?}");
}
