//! Token-based authentication: OAuth 1.0a (RFC 5849) with HMAC-SHA256, for REST, RESTlets and SOAP.

use std::time::Duration;

use ::http::header;
use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use connector::{
    Cx, ErrorClass, Secret, StepError,
    api::{Sign, put_secret},
    http::Request,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// An integration and a user's token for it.
#[derive(Debug, Clone)]
pub(super) struct Tba {
    /// The account as its pages show it: capitals and underscore.
    pub(super) account: String,
    pub(super) consumer_key: Secret,
    pub(super) consumer_secret: Secret,
    pub(super) token: Secret,
    pub(super) token_secret: Secret,
}

/// A number used once.
pub(super) fn nonce() -> Result<String, StepError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| StepError::new(ErrorClass::Internal, "NO_RANDOMNESS", "the machine gives no random numbers"))?;
    Ok(hex::encode(bytes))
}

fn mac(text: &str, key: &str) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(text.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// Percent-encoding of RFC 3986: only letters, digits and `-._~` stay.
fn encode(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEPT).to_string()
}

impl Tba {
    fn members(&self, nonce: &str, now_s: i64) -> [(&'static str, String); 6] {
        [
            ("oauth_consumer_key", self.consumer_key.expose().to_owned()),
            ("oauth_token", self.token.expose().to_owned()),
            ("oauth_nonce", nonce.to_owned()),
            ("oauth_timestamp", now_s.to_string()),
            ("oauth_signature_method", "HMAC-SHA256".to_owned()),
            ("oauth_version", "1.0".to_owned()),
        ]
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self, method: &str, url: &url::Url, nonce: &str, now_s: i64) -> String {
        let members = self.members(nonce, now_s);
        let mut pairs: Vec<(String, String)> = url.query_pairs().map(|(name, value)| (encode(&name), encode(&value))).collect();
        pairs.extend(members.iter().map(|(name, value)| (encode(name), encode(value))));
        // Sorted after encoding, by name and then by value.
        pairs.sort();
        let joined: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut address = url.clone();
        address.set_query(None);
        let base = format!("{method}&{}&{}", encode(address.as_str()), encode(&joined.join("&")));
        let key = format!("{}&{}", encode(self.consumer_secret.expose()), encode(self.token_secret.expose()));
        let mut header = format!("OAuth realm=\"{}\"", self.account);
        for (name, value) in members.into_iter().chain([("oauth_signature", mac(&base, &key))]) {
            header.push_str(&format!(", {name}=\"{}\"", encode(&value)));
        }
        header
    }

    /// The signature of a SOAP token passport; nothing is percent-encoded there.
    pub(super) fn passport(&self, nonce: &str, now_s: i64) -> String {
        let (consumer, token) = (self.consumer_key.expose(), self.token.expose());
        let key = format!("{}&{}", self.consumer_secret.expose(), self.token_secret.expose());
        mac(&format!("{}&{consumer}&{token}&{nonce}&{now_s}", self.account), &key)
    }
}

/// How long to wait before a refused sign-in is tried once more.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);

/// Too many calls at the same time are refused like a bad sign-in, and nothing tells the two apart but another try.
pub(super) async fn before(cx: &Cx, refused: Option<&Secret>) {
    if refused.is_some() {
        tokio::time::sleep(REFUSED_PAUSE.min(cx.left() / 2)).await;
    }
}

#[async_trait]
impl Sign for Tba {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        before(cx, refused).await;
        // Every sending has its own nonce, time and signature.
        let value = self.header(request.method.as_str(), &request.url, &nonce()?, cx.now_s());
        put_secret(&mut request.headers, &header::AUTHORIZATION, &Secret::new(value))?;
        Ok(Some(self.token.clone()))
    }

    fn is_timed(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use connector::Secret;

    use super::Tba;

    const NONCE: &str = "Zk3vQ8pL1sXy7TbN2wRd";
    const NOW: i64 = 1_795_219_200;

    fn tba() -> Tba {
        let long = |begin: &str, end: &str| Secret::new(format!("{}{end}", &begin.repeat(8)[..64 - end.len()]));
        Tba {
            account: "1234567_SB1".to_owned(),
            consumer_key: long("c0ffee00", "01"),
            consumer_secret: long("5ec7e700", "02"),
            token: long("70cea000", "03"),
            token_secret: long("d00d1e00", "04"),
        }
    }

    #[test]
    fn signatures_are_those_of_three_oauth_libraries() {
        for (method, url, signature) in [
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
        ] {
            let header = tba().header(method, &url.parse().unwrap(), NONCE, NOW);
            assert!(
                header.starts_with("OAuth realm=\"1234567_SB1\"")
                    && header.ends_with(&format!("oauth_signature=\"{signature}\"")),
                "{header}"
            );
        }
        assert_eq!(tba().passport(NONCE, NOW), "dSjBk+DH8yNAfCRKFCrOulCb9sztBpciQnSzM14Lrgo=");
    }

    #[test]
    fn two_signatures_never_share_their_nonce() {
        assert_ne!(super::nonce().unwrap(), super::nonce().unwrap());
    }
}
