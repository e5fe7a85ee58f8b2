//! The ways to check that have a name of their own, and layouts of one's own: published vectors, and requests
//! that were altered, kept too long or doubled.

use connector::{Connection, Verified};
use serde_json::json;

use super::tests::{code, connection, problems, verify, verify_at};

const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn known(id: &str) -> Result<Verified, connector::Refused> {
    Ok(Verified { event_key: Some(id.to_owned()) })
}

// The example of <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
#[test]
fn github() {
    let hook = connection(json!({"verify": "github"}), &[("secret", GITHUB_SECRET)]);
    let headers = [("x-hub-signature-256", GITHUB_SIGNATURE), ("x-github-delivery", "72d3162e")];
    assert_eq!(verify(&hook, &headers, b"Hello, World!", 0), known("72d3162e"));
    assert_eq!(code(verify(&hook, &headers, b"Hello, World?", 0)), "SIGNATURE_MISMATCH");
    assert_eq!(code(verify(&hook, &headers[1..], b"Hello, World!", 0)), "SIGNATURE_MISSING");
    // The older SHA-1 header alone proves nothing.
    assert_eq!(code(verify(&hook, &[("x-hub-signature", "sha1=00")], b"Hello, World!", 0)), "SIGNATURE_MISSING");
}

// The example of <https://docs.slack.dev/authentication/verifying-requests-from-slack>.
const SLACK_BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SLACK_T: i64 = 1_531_420_618;
const SLACK_HEADERS: [(&str, &str); 2] = [
    ("x-slack-request-timestamp", "1531420618"),
    ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
];

fn slack() -> Connection {
    connection(json!({"verify": "slack"}), &[("secret", "8f742231b10e8888abcd99yyyzzz85a5")])
}

#[test]
fn slack_signatures_fit_for_five_minutes() {
    assert!(verify(&slack(), &SLACK_HEADERS, SLACK_BODY, SLACK_T).is_ok());
    for (age, expected) in [(300, ""), (301, "TIMESTAMP_TOO_OLD"), (-301, "TIMESTAMP_IN_FUTURE")] {
        let result = verify(&slack(), &SLACK_HEADERS, SLACK_BODY, SLACK_T + age);
        assert_eq!(result.err().map_or("", |refused| refused.code), expected, "{age}");
    }
    let moved = [("x-slack-request-timestamp", "1531420619"), SLACK_HEADERS[1]];
    assert_eq!(code(verify(&slack(), &moved, SLACK_BODY, SLACK_T)), "SIGNATURE_MISMATCH");
    assert_eq!(code(verify(&slack(), &SLACK_HEADERS[1..], SLACK_BODY, SLACK_T)), "SIGNATURE_MISSING");
    assert_eq!(code(verify(&slack(), &SLACK_HEADERS[..1], SLACK_BODY, SLACK_T)), "SIGNATURE_MISSING");
}

#[test]
fn what_comes_twice_proves_nothing() {
    for doubled in SLACK_HEADERS {
        let headers = [SLACK_HEADERS[0], SLACK_HEADERS[1], doubled];
        assert_eq!(code(verify(&slack(), &headers, SLACK_BODY, SLACK_T)), "HEADER_DOUBLED", "{}", doubled.0);
    }
    let hook = connection(json!({"verify": "github"}), &[("secret", GITHUB_SECRET)]);
    let headers = [("x-hub-signature-256", GITHUB_SIGNATURE), ("x-github-delivery", "1"), ("x-github-delivery", "2")];
    assert_eq!(code(verify(&hook, &headers, b"Hello, World!", 0)), "HEADER_DOUBLED");
    let token = connection(json!({"verify": "bearer"}), &[("token", "t0ken-t0ken")]);
    let headers = [("authorization", "Bearer t0ken-t0ken"), ("Authorization", "Bearer x")];
    assert_eq!(code(verify(&token, &headers, b"", 0)), "HEADER_DOUBLED");
}

#[test]
fn shopify_tells_topics_of_one_event_apart() {
    // HMAC of RFC 4231, test case 2, as base64.
    let hook = connection(json!({"verify": "shopify"}), &[("secret", "Jefe")]);
    let body = b"what do ya want for nothing?";
    let signature = ("x-shopify-hmac-sha256", "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    for topic in ["orders/create", "orders/paid"] {
        let headers = [signature, ("x-shopify-topic", topic), ("x-shopify-event-id", "98880550")];
        assert_eq!(verify(&hook, &headers, body, 0), known(&format!("{topic}:98880550")));
    }
    assert_eq!(verify(&hook, &[signature], body, 0), Ok(Verified::default()));
    assert_eq!(code(verify(&hook, &[signature], b"what do ya want for nothing!", 0)), "SIGNATURE_MISMATCH");
}

// The vectors of Twilio's own libraries (github.com/twilio/twilio-python, tests/unit/test_request_validator.py).
const TWILIO_TARGET: &str = "/myapp.php?foo=1&bar=2";
const TWILIO_FORM: &[u8] = b"CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
const TWILIO_SIGNATURE: (&str, &str) = ("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");

fn twilio() -> Connection {
    connection(json!({"verify": "twilio"}), &[("secret", "12345")])
}

#[test]
fn twilio_signs_the_address_and_the_fields() {
    let headers = [FORM, TWILIO_SIGNATURE, ("i-twilio-idempotency-token", "b9f9")];
    assert_eq!(verify_at(&twilio(), TWILIO_TARGET, &headers, TWILIO_FORM, 0), known("b9f9"));
    assert_eq!(code(verify_at(&twilio(), "/myapp.php?foo=1&bar=3", &headers, TWILIO_FORM, 0)), "SIGNATURE_MISMATCH");
    assert_eq!(code(verify_at(&twilio(), TWILIO_TARGET, &headers, &TWILIO_FORM[1..], 0)), "SIGNATURE_MISMATCH");
    assert_eq!(code(verify_at(&twilio(), TWILIO_TARGET, &headers, b"", 0)), "SIGNATURE_MISMATCH");
    assert_eq!(code(verify_at(&twilio(), TWILIO_TARGET, &[FORM], TWILIO_FORM, 0)), "SIGNATURE_MISSING");
    // A body that is no form would not be covered by the signature.
    let other = [("content-type", "application/json"), TWILIO_SIGNATURE];
    assert_eq!(code(verify_at(&twilio(), TWILIO_TARGET, &other, b"{}", 0)), "BODY_NOT_SIGNED");
    let elsewhere = connection(json!({"verify": "twilio", "url": "https://mycompany.com:443/"}), &[("secret", "12345")]);
    assert!(verify_at(&elsewhere, TWILIO_TARGET, &headers, TWILIO_FORM, 0).is_ok(), "the standard port may be left out");
    let elsewhere = connection(json!({"verify": "twilio", "url": "https://other.com"}), &[("secret", "12345")]);
    assert_eq!(code(verify_at(&elsewhere, TWILIO_TARGET, &headers, TWILIO_FORM, 0)), "SIGNATURE_MISMATCH");
}

#[test]
fn twilio_covers_other_bodies_by_their_hash_in_the_address() {
    let target = format!("{TWILIO_TARGET}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620");
    let headers = [("content-type", "application/json"), ("x-twilio-signature", "a9nBmqA0ju/hNViExpshrM61xv4=")];
    let body = br#"{"property": "value", "boolean": true}"#;
    assert!(verify_at(&twilio(), &target, &headers, body, 0).is_ok());
    assert_eq!(code(verify_at(&twilio(), &target, &headers, b"{}", 0)), "SIGNATURE_MISMATCH");
}

// The vector of the reference libraries of Standard Webhooks, under Svix's names.
#[test]
fn svix_takes_its_own_names_and_never_mixes_them() {
    let hook = connection(json!({"verify": "svix"}), &[("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]);
    let (id, time, signature) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let body = br#"{"test": 2432232314}"#;
    let own = [("svix-id", id), ("svix-timestamp", time), ("svix-signature", signature)];
    assert_eq!(verify(&hook, &own, body, 1_614_265_330), known(id));
    let standard = [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)];
    assert_eq!(verify(&hook, &standard, body, 1_614_265_330), known(id));
    let mixed = [("webhook-id", id), ("svix-timestamp", time), ("svix-signature", signature)];
    assert_eq!(code(verify(&hook, &mixed, body, 1_614_265_330)), "SIGNATURE_MISSING");
    assert_eq!(code(verify(&hook, &own, body, 1_614_265_631)), "TIMESTAMP_TOO_OLD");
}

#[test]
fn basic_takes_the_name_and_either_password() {
    // The example of RFC 7617, section 2.
    let credentials = [("username", "Aladdin"), ("password", "new one"), ("previous_password", "open sesame")];
    let hook = connection(json!({"verify": "basic", "event_id_header": "X-Id"}), &credentials);
    let good = ("authorization", "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(verify(&hook, &[good, ("x-id", "7")], b"", 0), known("7"));
    for (header, expected) in [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZT8=", "PASSWORD_WRONG"),
        ("Basic OnggQWxhZGRpbg==", "PASSWORD_WRONG"),
        ("Basic QWxhZGRpbg==", "SIGNATURE_MALFORMED"),
        ("Basic ???", "SIGNATURE_MALFORMED"),
        ("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "SIGNATURE_MALFORMED"),
        ("", "SIGNATURE_MALFORMED"),
    ] {
        assert_eq!(code(verify(&hook, &[("authorization", header)], b"", 0)), expected, "{header}");
    }
    assert_eq!(code(verify(&hook, &[], b"", 0)), "SIGNATURE_MISSING");
    let open = connection(json!({"verify": "basic"}), &[("username", "Aladdin"), ("password", "")]);
    assert_eq!(code(verify(&open, &[("authorization", "Basic QWxhZGRpbjo=")], b"", 0)), "SECRET_MISSING");
}

#[test]
fn bearer_takes_either_token_in_its_header() {
    let credentials = [("token", "new-token"), ("previous_token", "old-token")];
    let hook = connection(json!({"verify": "bearer"}), &credentials);
    for (header, expected) in [
        ("Bearer new-token", ""),
        ("bearer old-token", ""),
        ("Bearer new-toke", "TOKEN_WRONG"),
        ("Bearer ", "SIGNATURE_MALFORMED"),
        ("new-token", "SIGNATURE_MALFORMED"),
    ] {
        let result = verify(&hook, &[("authorization", header)], b"", 0);
        assert_eq!(result.err().map_or("", |refused| refused.code), expected, "{header}");
    }
    // As GitLab does it.
    let hook = connection(
        json!({"verify": "bearer", "header": "X-Gitlab-Token", "event_id_header": "X-Gitlab-Event-UUID"}),
        &credentials,
    );
    assert_eq!(verify(&hook, &[("x-gitlab-token", "new-token"), ("x-gitlab-event-uuid", "u")], b"", 0), known("u"));
    assert_eq!(code(verify(&hook, &[("authorization", "Bearer new-token")], b"", 0)), "SIGNATURE_MISSING");
    let open = connection(json!({"verify": "bearer"}), &[("token", " ")]);
    assert_eq!(code(verify(&open, &[("authorization", "Bearer  ")], b"", 0)), "SECRET_MISSING");
}

/// Slack's and Stripe's layouts, described in settings.
#[test]
fn a_layout_of_ones_own() {
    let slack = json!({
        "verify": "hmac", "header": "X-Slack-Signature", "prefix": "v0=", "signed": "v0:{timestamp}:{body}",
        "timestamp_header": "X-Slack-Request-Timestamp", "tolerance_s": 60
    });
    let hook = connection(slack, &[("secret", "8f742231b10e8888abcd99yyyzzz85a5")]);
    assert!(verify(&hook, &SLACK_HEADERS, SLACK_BODY, SLACK_T + 60).is_ok());
    assert_eq!(code(verify(&hook, &SLACK_HEADERS, SLACK_BODY, SLACK_T + 61)), "TIMESTAMP_TOO_OLD");
    let stripe = json!({
        "verify": "hmac", "header": "Stripe-Signature", "prefix": "v1=", "signed": "{timestamp}.{body}",
        "timestamp_header": "Stripe-Signature", "timestamp_prefix": "t="
    });
    let hook = connection(stripe, &[("secret", "whsec_test_8f2b6c1d9e7a4f03")]);
    let body = br#"{"id":"evt_1QTestEvent000000000001","object":"event","type":"invoice.paid"}"#;
    let check = |header: &str| verify(&hook, &[("stripe-signature", header)], body, 1_795_219_200);
    let v1 = "v1=37924f609db600e513200f75a39c65ceffee711e2e92f1fff0362675af74a529";
    assert!(check(&format!("t=1795219200,{v1}")).is_ok());
    assert!(check(&format!("t=1795219200, v1={}, {v1}", "0".repeat(64))).is_ok());
    assert_eq!(code(check(&format!("t=1795219200,t=1795219201,{v1}"))), "SIGNATURE_MALFORMED");
    assert_eq!(code(check(v1)), "SIGNATURE_MALFORMED");
    assert_eq!(code(check("t=1795219200,v1=")), "SIGNATURE_MALFORMED");
}

#[test]
fn method_address_id_and_an_encoded_secret_can_be_signed() {
    // Made with: printf 'POST https://mycompany.com/hooks/story?a=1 7 hi' | openssl dgst -sha256 -mac HMAC -macopt hexkey:00ff10
    let config = json!({
        "verify": "hmac", "header": "Authorization", "prefix": "HMAC ", "encoding": "base64", "event_id_header": "X-Id",
        "signed": "{method} {url} {id} {body}", "secret_encoding": "hex"
    });
    let hook = connection(config, &[("secret", "00ff10")]);
    let signature = "HMAC TzTBhnQIZ97aydmZM/TuozGDq0sLgD5DFm6o8TEgxEk=";
    let check = |target: &str, id: &str| verify_at(&hook, target, &[("authorization", signature), ("x-id", id)], b"hi", 0);
    assert_eq!(check("/hooks/story?a=1", "7"), known("7"));
    assert_eq!(code(check("/hooks/story?a=2", "7")), "SIGNATURE_MISMATCH");
    assert_eq!(code(check("/hooks/story?a=1", "8")), "SIGNATURE_MISMATCH");
}

#[test]
fn settings_of_every_kind_are_checked() {
    let none: [String; 0] = [];
    for (config, credentials) in [
        (json!({"verify": "basic"}), &[("username", "a"), ("password", "b")][..]),
        (json!({"verify": "bearer", "header": "X-Token"}), &[("token", "b")]),
        (json!({"verify": "github"}), &[("secret", "b")]),
        (json!({"verify": "shopify"}), &[("secret", "b")]),
        (json!({"verify": "slack", "tolerance_s": 60}), &[("secret", "b")]),
        (json!({"verify": "twilio", "url": "https://hooks.example.com/in"}), &[("secret", "b")]),
        (json!({"verify": "svix"}), &[("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]),
        (json!({"verify": "hmac", "signed": "{timestamp}{body}", "timestamp_header": "X-T"}), &[("secret", "b")]),
    ] {
        assert_eq!(problems(config.clone(), credentials), none, "{config}");
    }
    for (config, credentials, expected) in [
        (
            json!({"verify": "basic"}),
            &[("secret", "hush-hush-1")][..],
            &["credentials.username", "credentials.password", "credentials.secret"][..],
        ),
        (json!({"verify": "github", "header": "X"}), &[("secret", "b")], &["config.header"]),
        (json!({"verify": "twilio", "url": "hooks.example.com"}), &[("secret", "b")], &["config.url"]),
        (json!({"verify": "svix"}), &[("secret", "short")], &["credentials.secret"]),
        (json!({"verify": "hmac", "signed": "{timestamp}"}), &[("secret", "b")], &["config.signed"]),
        (json!({"verify": "hmac", "signed": "{timestamp}.{body}"}), &[("secret", "b")], &["config.signed"]),
        (json!({"verify": "hmac", "timestamp_header": "X-T"}), &[("secret", "b")], &["config.signed"]),
        (json!({"verify": "hmac", "signed": "{id}.{body}"}), &[("secret", "b")], &["config.signed"]),
        (json!({"verify": "hmac", "signed": "{body"}), &[("secret", "b")], &["config.signed"]),
        (json!({"verify": "hmac", "signed": "{bdoy}"}), &[("secret", "b")], &["config.signed"]),
        (json!({"verify": "hmac", "tolerance_s": 5}), &[("secret", "b")], &["config.tolerance_s"]),
        (json!({"verify": "hmac", "secret_encoding": "hex"}), &[("secret", "xy")], &["credentials.secret"]),
    ] {
        assert_eq!(problems(config.clone(), credentials), expected, "{config}");
    }
}
