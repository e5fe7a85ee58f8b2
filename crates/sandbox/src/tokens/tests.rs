use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::json;

use super::{
    Agreed, Challenge, Codes, Grant, Policy, Refused, Tokens,
    assertion::{BadAssertion, Expected, check_assertion, public_key, unverified_claim},
};

const POLICY: Policy = Policy { access_s: 100, slides: false, refresh_s: None, rotates: false, refresh_per_subject: None };
const NOW_S: i64 = 1_800_000_000;

fn grant() -> Grant {
    Grant { client: "app".to_owned(), subject: "ada".to_owned(), scope: "api".to_owned() }
}

#[test]
fn an_access_token_is_good_for_its_life_and_no_second_longer() {
    let tokens = Tokens::new(POLICY);
    tokens.issue(0, &grant(), "a1", None);
    assert_eq!(tokens.check(99, "a1"), Ok(grant()));
    assert_eq!(tokens.until_s(99, "a1"), Some(100));
    assert_eq!(tokens.check(100, "a1"), Err(Refused::Expired));
    assert_eq!(tokens.until_s(100, "a1"), None);
    assert_eq!(tokens.check(0, "a2"), Err(Refused::Unknown));
    tokens.clear();
    assert_eq!(tokens.check(0, "a1"), Err(Refused::Unknown));
}

#[test]
fn use_makes_a_sliding_token_live_longer() {
    let tokens = Tokens::new(POLICY);
    tokens.set_policy(Policy { slides: true, ..tokens.policy() });
    tokens.issue(0, &grant(), "a1", None);
    assert!(tokens.check(90, "a1").is_ok());
    assert!(tokens.check(180, "a1").is_ok());
    assert_eq!(tokens.check(280, "a1"), Err(Refused::Expired));
}

#[test]
fn a_refresh_without_rotation_leaves_the_old_tokens_good() {
    let tokens = Tokens::new(POLICY);
    tokens.issue(0, &grant(), "a1", Some("r1"));
    assert!(!tokens.refresh(5, "app", "r1", "a2", "r2").unwrap().rotated);
    assert!(tokens.check(6, "a1").is_ok() && tokens.check(6, "a2").is_ok());
    assert_eq!(tokens.refresh(7, "app", "r2", "a3", "r3"), Err(Refused::Unknown));
    assert_eq!(tokens.refresh(7, "another app", "r1", "a3", "r3"), Err(Refused::Unknown), "it belongs to one client");
    assert!(tokens.revoke("r1"));
    assert_eq!(tokens.check(8, "a2"), Err(Refused::Revoked));
    assert!(!tokens.revoke("r9"));
}

#[test]
fn a_rotation_ends_the_old_refresh_token_and_its_session() {
    let tokens = Tokens::new(Policy { rotates: true, refresh_s: Some(1_000), ..POLICY });
    tokens.issue(0, &grant(), "a1", Some("r1"));
    assert!(tokens.refresh(5, "app", "r1", "a2", "r2").unwrap().rotated);
    assert_eq!(tokens.check(6, "a1"), Err(Refused::Revoked));
    assert_eq!(tokens.refresh(7, "app", "r1", "a3", "r3"), Err(Refused::Revoked));
    assert_eq!(tokens.refresh(1_005, "app", "r2", "a3", "r3"), Err(Refused::Expired));
}

#[test]
fn a_prolonged_refresh_token_has_its_whole_life_again_unless_it_was_ended() {
    let tokens = Tokens::new(Policy { refresh_s: Some(1_000), ..POLICY });
    tokens.issue(0, &grant(), "a1", Some("r1"));
    tokens.prolong(900, "r1");
    assert!(tokens.refresh(1_899, "app", "r1", "a2", "r2").is_ok());
    assert_eq!(tokens.refresh(1_900, "app", "r1", "a3", "r3"), Err(Refused::Expired));
    assert!(tokens.revoke("r1"));
    tokens.prolong(1_900, "r1");
    assert_eq!(tokens.refresh(1_901, "app", "r1", "a3", "r3"), Err(Refused::Revoked));
}

#[test]
fn one_more_refresh_token_than_allowed_ends_the_oldest() {
    let tokens = Tokens::new(Policy { refresh_per_subject: Some(2), ..POLICY });
    for number in 1..=3 {
        tokens.issue(0, &grant(), &format!("a{number}"), Some(&format!("r{number}")));
    }
    assert_eq!(tokens.refresh(1, "app", "r1", "x", "y"), Err(Refused::Revoked));
    assert!(tokens.refresh(1, "app", "r2", "x", "y").is_ok() && tokens.refresh(1, "app", "r3", "z", "y").is_ok());
}

#[test]
fn all_access_tokens_expire_or_all_tokens_are_revoked_at_once() {
    let tokens = Tokens::new(POLICY);
    tokens.issue(0, &grant(), "a1", Some("r1"));
    tokens.expire_all();
    assert_eq!(tokens.check(1, "a1"), Err(Refused::Expired));
    assert!(tokens.refresh(1, "app", "r1", "a2", "r2").is_ok());
    tokens.revoke_all();
    assert_eq!(tokens.check(1, "a2"), Err(Refused::Revoked));
    assert_eq!(tokens.refresh(1, "app", "r1", "a3", "r3"), Err(Refused::Revoked));
}

#[test]
fn a_code_is_good_once_and_its_verifier_must_fit() {
    // The example of RFC 7636, appendix B.
    let challenge = Challenge::S256("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned());
    assert!(challenge.fits("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
    assert!(!challenge.fits("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXj"));
    assert!(Challenge::Plain("abc".to_owned()).fits("abc"));
    let codes = Codes::default();
    let agreed = Agreed { grant: grant(), redirect_uri: "https://x".to_owned(), challenge: Some(challenge), nonce: None };
    codes.keep("c1", 10, agreed.clone());
    codes.keep("c2", 10, agreed.clone());
    assert_eq!(codes.take(9, "c1"), Ok(agreed.clone()));
    assert_eq!(codes.take(9, "c1"), Err(Refused::Unknown));
    assert_eq!(codes.take(10, "c2"), Err(Refused::Expired));
    codes.keep("c3", 10, agreed);
    codes.clear();
    assert_eq!(codes.take(1, "c3"), Err(Refused::Unknown));
}

fn pair(algorithm: Algorithm) -> (EncodingKey, String) {
    let kind = if algorithm == Algorithm::ES256 { &rcgen::PKCS_ECDSA_P256_SHA256 } else { &rcgen::PKCS_RSA_SHA256 };
    let key = KeyPair::generate_for(kind).unwrap();
    let private = key.serialize_pem();
    let signs = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(private.as_bytes()),
        _ => EncodingKey::from_rsa_pem(private.as_bytes()),
    };
    let certificate = rcgen::CertificateParams::new(vec!["liaison.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    // Both forms are known to vendors: a bare public key and a certificate.
    (signs.unwrap(), if algorithm == Algorithm::PS256 { key.public_key_pem() } else { certificate.pem() })
}

const EXPECTED: Expected<'_> = Expected {
    algorithms: &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256],
    audiences: &["https://login.example"],
    life_s_max: 180,
    leeway_s: 0,
};

#[test]
fn an_assertion_is_taken_by_each_algorithm_and_refused_for_what_is_wrong_with_it() {
    let good = json!({"iss": "app", "sub": "ada", "aud": "https://login.example", "exp": NOW_S + 170});
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256] {
        let (signs, pem) = pair(algorithm);
        let keys = [public_key(&pem).unwrap()];
        let checked = |claims: &serde_json::Value| {
            let assertion = jsonwebtoken::encode(&Header::new(algorithm), claims, &signs).unwrap();
            check_assertion(NOW_S, &assertion, &keys, EXPECTED)
        };
        assert_eq!(checked(&good).unwrap()["sub"], "ada", "{algorithm:?}");
        let with = |claim: &str, value: serde_json::Value| {
            let mut claims = good.clone();
            claims[claim] = value;
            checked(&claims).unwrap_err()
        };
        assert_eq!(with("aud", json!("https://elsewhere.example")), BadAssertion::Audience);
        assert_eq!(with("exp", json!(NOW_S)), BadAssertion::Expired);
        assert_eq!(with("exp", json!(null)), BadAssertion::Expired);
        assert_eq!(with("exp", json!(NOW_S + 181)), BadAssertion::TooLong);
        assert_eq!(with("nbf", json!(NOW_S + 60)), BadAssertion::NotYet);
        let (strange, _) = pair(algorithm);
        let forged = jsonwebtoken::encode(&Header::new(algorithm), &good, &strange).unwrap();
        assert_eq!(check_assertion(NOW_S, &forged, &keys, EXPECTED), Err(BadAssertion::Signature));
        assert_eq!(unverified_claim(&forged, "iss").as_deref(), Some("app"));
    }
}

#[test]
fn an_assertion_signed_with_the_public_key_as_a_secret_is_refused() {
    let (_, pem) = pair(Algorithm::PS256);
    let claims = json!({"aud": "https://login.example", "exp": NOW_S + 60});
    let confused = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(pem.as_bytes()));
    let keys = [public_key(&pem).unwrap()];
    assert_eq!(check_assertion(NOW_S, &confused.unwrap(), &keys, EXPECTED), Err(BadAssertion::Malformed));
    assert_eq!(check_assertion(NOW_S, "no.jwt", &keys, EXPECTED), Err(BadAssertion::Malformed));
    assert_eq!(unverified_claim("no.jwt", "iss"), None);
}
