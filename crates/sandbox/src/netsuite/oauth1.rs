//! Token-based authentication: OAuth 1.0a with HMAC-SHA256, in headers and in the SOAP token passport.

use std::collections::{BTreeMap, HashSet, VecDeque};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far a timestamp may be from the account's clock, in seconds.
const SKEW_S_MAX: i64 = 300;
/// Nonces remembered.
const NONCES_MAX: usize = 1_000_000;
/// Longest header looked at.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Why a signature was refused, as the login audit names it. The caller never learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    InvalidSignature,
    InvalidTimestamp,
    NonceUsed,
    NonceRejected,
    ConsumerKeyUnknown,
    TokenRejected,
    MissingFields,
    /// Another method than HMAC-SHA256: HMAC-SHA1 ended with release 2023.1.
    SignatureMethod,
}

impl Cause {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::InvalidSignature => "InvalidSignature",
            Self::InvalidTimestamp => "InvalidTimestamp",
            Self::NonceUsed => "nonce_used",
            Self::NonceRejected => "nonce_rejected",
            Self::ConsumerKeyUnknown => "consumer_key_unknown",
            Self::TokenRejected => "token_rejected",
            Self::MissingFields => "MissingTokenPassportRequiredFields",
            Self::SignatureMethod => "SignatureMethodRejected",
        }
    }
}

/// An integration and a user's token for it.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) account: String,
    pub(super) consumer_key: String,
    pub(super) consumer_secret: String,
    pub(super) token: String,
    pub(super) token_secret: String,
}

impl Keys {
    /// Base64 of HMAC-SHA256 over a text.
    fn sign(&self, text: &str, key: &str) -> String {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_bytes())
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(text.as_bytes());
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    }

    fn sign_request(&self, base: &str) -> String {
        self.sign(base, &format!("{}&{}", encode(&self.consumer_secret), encode(&self.token_secret)))
    }

    /// Nothing is percent-encoded in a passport.
    fn sign_passport(&self, base: &str) -> String {
        self.sign(base, &format!("{}&{}", self.consumer_secret, self.token_secret))
    }
}

/// Nonces seen with the seconds they came with.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    seen: HashSet<(i64, String)>,
    order: VecDeque<(i64, String)>,
}

impl Nonces {
    /// False when it was seen before.
    fn take(&mut self, at: i64, nonce: &str, now: i64) -> bool {
        while self.order.front().is_some_and(|(old, _)| self.order.len() >= NONCES_MAX || *old < now - 2 * SKEW_S_MAX) {
            if let Some(old) = self.order.pop_front() {
                self.seen.remove(&old);
            }
        }
        let fresh = self.seen.insert((at, nonce.to_owned()));
        if fresh {
            self.order.push_back((at, nonce.to_owned()));
        }
        fresh
    }
}

/// What a signature covers, as far as the server sees it.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// The addresses it may have been signed for, without a query: proxies and tests stand between.
    pub(super) addresses: &'a [String],
    pub(super) query: &'a str,
    pub(super) header: &'a str,
}

/// Percent-encoding of RFC 3986: only letters, digits and `-._~` stay.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

/// The members of an `Authorization: OAuth …` header, decoded.
fn members(header: &str) -> Option<BTreeMap<String, String>> {
    let (scheme, rest) = header.split_at_checked(6)?;
    if header.len() > HEADER_BYTES_MAX || !scheme.eq_ignore_ascii_case("OAuth ") {
        return None;
    }
    rest.split(',')
        .map(|part| {
            let (name, value) = part.trim().split_once('=')?;
            let value = value.trim().trim_matches('"');
            Some((name.trim().to_owned(), decode(value)))
        })
        .collect()
}

fn decode(text: &str) -> String {
    // A plus sign stays one in a header; `form_urlencoded` would make it a space.
    let kept = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("v={}", kept.replace('&', "%26")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Method, address and everything else that is signed, as one line.
fn base_string(method: &str, address: &str, query: &str, members: &BTreeMap<String, String>) -> String {
    let mut pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (encode(&name), encode(&value))).collect();
    let oauth = members.iter().filter(|(name, _)| name.as_str() != "oauth_signature" && name.as_str() != "realm");
    pairs.extend(oauth.map(|(name, value)| (encode(name), encode(value))));
    pairs.sort();
    let joined: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}&{}&{}", method.to_ascii_uppercase(), encode(address), encode(&joined.join("&")))
}

/// Looks at a signed request.
pub(super) fn verify(signed: &Signed<'_>, keys: &Keys, now: i64, nonces: &mut Nonces) -> Result<(), Cause> {
    let members = members(signed.header).ok_or(Cause::MissingFields)?;
    let get = |name: &str| members.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or(Cause::MissingFields);
    let (nonce, stamp, signature) = (get("oauth_nonce")?, get("oauth_timestamp")?, get("oauth_signature")?);
    if get("oauth_signature_method")? != "HMAC-SHA256" {
        return Err(Cause::SignatureMethod);
    }
    known(get("oauth_consumer_key")?, get("oauth_token")?, keys)?;
    // The account is compared as the account's pages write it: capitals and underscore.
    if get("realm")? != keys.account {
        return Err(Cause::InvalidSignature);
    }
    let fits = |address: &String| {
        let expected = keys.sign_request(&base_string(signed.method, address, signed.query, &members));
        expected == signature
    };
    if !signed.addresses.iter().any(fits) {
        return Err(Cause::InvalidSignature);
    }
    fresh(nonce, stamp, now, nonces)
}

/// What a SOAP header brings.
#[derive(Debug)]
pub(super) struct Passport<'a> {
    pub(super) account: &'a str,
    pub(super) consumer_key: &'a str,
    pub(super) token: &'a str,
    pub(super) nonce: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) signature: &'a str,
    pub(super) algorithm: &'a str,
}

/// Looks at a SOAP token passport.
pub(super) fn verify_passport(passport: &Passport<'_>, keys: &Keys, now: i64, nonces: &mut Nonces) -> Result<(), Cause> {
    let Passport { account, consumer_key, token, nonce, timestamp, signature, algorithm } = passport;
    if [account, consumer_key, token, nonce, timestamp, signature].iter().any(|part| part.is_empty()) {
        return Err(Cause::MissingFields);
    }
    if !matches!(*algorithm, "HMAC-SHA256" | "HMAC_SHA256") {
        return Err(Cause::SignatureMethod);
    }
    known(consumer_key, token, keys)?;
    let expected = keys.sign_passport(&format!("{account}&{consumer_key}&{token}&{nonce}&{timestamp}"));
    if *account != keys.account || expected != *signature {
        return Err(Cause::InvalidSignature);
    }
    fresh(nonce, timestamp, now, nonces)
}

fn known(consumer_key: &str, token: &str, keys: &Keys) -> Result<(), Cause> {
    match (consumer_key == keys.consumer_key, token == keys.token) {
        (false, _) => Err(Cause::ConsumerKeyUnknown),
        (true, false) => Err(Cause::TokenRejected),
        (true, true) => Ok(()),
    }
}

fn fresh(nonce: &str, stamp: &str, now: i64, nonces: &mut Nonces) -> Result<(), Cause> {
    let at: i64 = stamp.parse().map_err(|_| Cause::InvalidTimestamp)?;
    if at.saturating_sub(now).saturating_abs() > SKEW_S_MAX {
        return Err(Cause::InvalidTimestamp);
    }
    if nonce.len() < 6 || nonce.len() > 200 {
        return Err(Cause::NonceRejected);
    }
    if nonces.take(at, nonce, now) { Ok(()) } else { Err(Cause::NonceUsed) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Cause, Keys, Nonces, Passport, Signed, verify, verify_passport};

    const NOW: i64 = 1_795_219_200;
    const NONCE: &str = "Zk3vQ8pL1sXy7TbN2wRd";

    pub(crate) fn keys() -> Keys {
        let ended = |begin: &str, end: &str| format!("{}{end}", begin.repeat(8))[..64].to_owned();
        let full = |begin: &str, end: &str| {
            let text = ended(begin, "");
            format!("{}{end}", &text[..64 - end.len()])
        };
        Keys {
            account: "1234567_SB1".to_owned(),
            consumer_key: full("c0ffee00", "01"),
            consumer_secret: full("5ec7e700", "02"),
            token: full("70cea000", "03"),
            token_secret: full("d00d1e00", "04"),
        }
    }

    fn header(signature: &str) -> String {
        let keys = keys();
        format!(
            r#"OAuth realm="1234567_SB1", oauth_consumer_key="{}", oauth_token="{}", oauth_nonce="{NONCE}", oauth_timestamp="{NOW}", oauth_signature_method="HMAC-SHA256", oauth_version="1.0", oauth_signature="{signature}""#,
            keys.consumer_key, keys.token
        )
    }

    fn check(method: &str, url: &str, header: &str, now: i64, nonces: &mut Nonces) -> Result<(), Cause> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        verify(&Signed { method, addresses: &[address.to_owned()], query, header }, &keys(), now, nonces)
    }

    /// Signatures that three OAuth libraries agreed on.
    const CASES: [(&str, &str, &str); 3] = [
        (
            "POST",
            "https://1234567-sb1.suitetalk.api.netsuite.com/services/rest/query/v1/suiteql?limit=5&offset=10",
            "svHoU7j0B5zIw3oO9oBryM%2FjXW1gfy2PCAiqDsx0wb8%3D",
        ),
        (
            "GET",
            "https://1234567-sb1.suitetalk.api.netsuite.com/services/rest/record/v1/customer?q=email%20START_WITH%20%22a%2Bb%22&limit=2",
            "3vGZTew5D1gVnVWJw8x1FqgibAyfHvNjqt8pnLBA4Yc%3D",
        ),
        (
            "GET",
            "https://1234567-sb1.restlets.api.netsuite.com/app/site/hosting/restlet.nl?script=6&deploy=1&name=A%20%26%20B",
            "7pbHZCiChwybX5hBTiKD%2BOG42g1Xjqbqp2GYk74%2FpC8%3D",
        ),
    ];

    #[test]
    fn signatures_of_other_libraries_are_taken_once() {
        for (method, url, signature) in CASES {
            let mut nonces = Nonces::default();
            assert_eq!(check(method, url, &header(signature), NOW + 299, &mut nonces), Ok(()), "{url}");
            assert_eq!(check(method, url, &header(signature), NOW, &mut nonces), Err(Cause::NonceUsed));
        }
    }

    #[test]
    fn what_is_wrong_is_named_for_the_audit() {
        let (method, url, signature) = CASES[0];
        let good = header(signature);
        let cause = |header: &str, now| check(method, url, header, now, &mut Nonces::default()).unwrap_err();
        assert_eq!(cause(&good, NOW + 301), Cause::InvalidTimestamp);
        assert_eq!(cause(&good.replace("SB1", "sb1"), NOW), Cause::InvalidSignature);
        assert_eq!(cause(&good.replace("svHo", "svHp"), NOW), Cause::InvalidSignature);
        assert_eq!(cause(&good.replace("HMAC-SHA256", "HMAC-SHA1"), NOW), Cause::SignatureMethod);
        assert_eq!(cause(&good.replace("c0ffee", "c0ffef"), NOW), Cause::ConsumerKeyUnknown);
        assert_eq!(cause(&good.replace("70cea", "70ceb"), NOW), Cause::TokenRejected);
        assert_eq!(cause("Bearer x", NOW), Cause::MissingFields);
        assert_eq!(cause("OAuth €", NOW), Cause::MissingFields);
    }

    #[test]
    fn a_passport_is_signed_without_encoding() {
        let keys = keys();
        let passport = Passport {
            account: &keys.account,
            consumer_key: &keys.consumer_key,
            token: &keys.token,
            nonce: NONCE,
            timestamp: "1795219200",
            signature: "dSjBk+DH8yNAfCRKFCrOulCb9sztBpciQnSzM14Lrgo=",
            algorithm: "HMAC-SHA256",
        };
        assert_eq!(verify_passport(&passport, &keys, NOW, &mut Nonces::default()), Ok(()));
        let forged = Passport { signature: "dSjBk+DH8yNAfCRKFCrOulCb9sztBpciQnSzM14Lrgp=", ..passport };
        assert_eq!(verify_passport(&forged, &keys, NOW, &mut Nonces::default()), Err(Cause::InvalidSignature));
    }
}
