//! Takes secrets out of what people, logs and the journal get to see of a call.
//!
//! Two rules at once: values that are known to be secret are masked wherever they occur, and headers or
//! query names that usually carry a secret are masked whatever their value.

use ::http::HeaderMap;
use serde_json::{Map, Value as Json};
use url::Url;

use crate::Secret;

/// What stands in place of a secret.
pub const MASK: &str = "•••";
/// Secrets shorter than this are only masked in the places meant for secrets: blotting out every "a" of a
/// text would make it unreadable and tell the secret all the same.
const SECRET_CHARS_MIN: usize = 4;

/// The secrets of one call.
#[derive(Clone, Default)]
pub struct Mask {
    needles: Vec<String>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    /// Masks these values, also percent-encoded.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut mask = Self::default();
        for secret in secrets {
            mask.add(secret.expose());
        }
        mask
    }

    /// Masks one more value, for instance one derived from a secret.
    pub fn add(&mut self, text: &str) {
        if text.chars().count() < SECRET_CHARS_MIN {
            return;
        }
        self.needles.push(text.to_owned());
        let encoded: String = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        if encoded != text {
            self.needles.push(encoded);
        }
        let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        if form != text {
            self.needles.push(form);
        }
        let quoted = Json::from(text).to_string();
        let inside = &quoted[1..quoted.len() - 1];
        if inside != text {
            self.needles.push(inside.to_owned());
        }
        // The longest first, so that a secret that holds another one leaves no rest behind.
        self.needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.needles.dedup();
    }

    /// The text without the secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for needle in &self.needles {
            if masked.contains(needle.as_str()) {
                masked = masked.replace(needle.as_str(), MASK);
            }
        }
        masked
    }

    /// The value without the secrets: in texts, in names, and behind names that usually hold one.
    #[must_use]
    pub fn json(&self, value: &Json) -> Json {
        match value {
            Json::String(text) => Json::String(self.text(text)),
            Json::Array(items) => Json::Array(items.iter().map(|item| self.json(item)).collect()),
            Json::Object(fields) => fields
                .iter()
                .map(|(name, value)| {
                    let value = if value.is_string() && is_secret_name(name) { Json::from(MASK) } else { self.json(value) };
                    (self.text(name), value)
                })
                .collect(),
            other => other.clone(),
        }
    }

    /// The address without the secrets.
    #[must_use]
    pub fn url(&self, url: &Url) -> String {
        let mut shown = url.clone();
        if !shown.username().is_empty() || shown.password().is_some() {
            let _ = shown.set_username("");
            let _ = shown.set_password(None);
        }
        if let Some(query) = url.query() {
            let kept: Vec<String> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some((name, _)) if is_secret_name(name) => format!("{name}={MASK}"),
                    _ => self.text(pair),
                })
                .collect();
            shown.set_query(None);
            return format!("{}?{}", self.text(shown.as_str()), kept.join("&"));
        }
        self.text(shown.as_str())
    }

    /// The headers as a record, names in lower case, repeated ones joined by a comma.
    #[must_use]
    pub fn headers(&self, headers: &HeaderMap) -> Json {
        let mut record = Map::new();
        for (name, value) in headers {
            let shown = if value.is_sensitive() || is_secret_header(name.as_str()) {
                MASK.to_owned()
            } else {
                self.text(&String::from_utf8_lossy(value.as_bytes()))
            };
            match record.get_mut(name.as_str()) {
                Some(Json::String(all)) => {
                    all.push_str(", ");
                    all.push_str(&shown);
                }
                _ => {
                    record.insert(name.as_str().to_owned(), Json::String(shown));
                }
            }
        }
        Json::Object(record)
    }
}

/// Whether a header of this name (in lower case) usually carries a secret.
#[must_use]
pub fn is_secret_header(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie" | "set-cookie")
        || (name != "idempotency-key" && is_secret_name(name))
}

/// Names that usually carry a secret: `X-Api-Key`, `access_token`, `client_secret`, `X-Amz-Signature`.
/// Page tokens and counts of tokens are not secret.
fn is_secret_name(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if matches!(plain.as_str(), "nextpagetoken" | "pagetoken" | "continuationtoken" | "nexttoken" | "synctoken") {
        return false;
    }
    ["apikey", "password", "passwd", "secret", "accesskey", "privatekey", "credential", "signature", "sessionid"]
        .iter()
        .any(|word| plain.contains(word))
        || plain.ends_with("token")
        || plain.ends_with("auth")
        || matches!(
            plain.as_str(),
            "authorization"
                | "cookie"
                | "setcookie"
                | "jwt"
                | "sig"
                | "xauthkey"
                | "authkey"
                | "subscriptionkey"
                | "ocpapimsubscriptionkey"
        )
}

#[cfg(test)]
mod tests {
    use ::http::HeaderName;

    use super::*;

    #[test]
    fn known_values_vanish_in_every_spelling() {
        let mask = Mask::new([&Secret::new("p@ss word/1".into()), &Secret::new("ab\"cd".into())]);
        for text in ["x p@ss word/1 y", "q=p%40ss%20word%2F1", "q=p%40ss+word%2F1", r#"{"k":"ab\"cd"}"#] {
            let masked = mask.text(text);
            assert!(masked.contains(MASK), "{masked}");
            assert!(!masked.contains("word") && !masked.contains("cd\""), "{masked}");
        }
    }

    #[test]
    fn usual_places_are_masked_whatever_they_hold() {
        let mask = Mask::default();
        let mut headers = HeaderMap::new();
        for name in ["authorization", "x-api-key", "cookie", "x-auth-token", "ocp-apim-subscription-key"] {
            headers.insert(HeaderName::from_static(name), "zzz".parse().unwrap());
        }
        headers.insert("idempotency-key", "run_1/a".parse().unwrap());
        headers.insert("accept", "application/json".parse().unwrap());
        let shown = mask.headers(&headers).to_string();
        assert!(!shown.contains("zzz"), "{shown}");
        assert!(shown.contains("run_1/a") && shown.contains("application/json"), "{shown}");
        let url = Url::parse("https://u:pw@x.io/a?access_token=zzz&page_token=abc&q=1").unwrap();
        assert_eq!(mask.url(&url), "https://x.io/a?access_token=•••&page_token=abc&q=1");
        let body = mask
            .json(&serde_json::json!({"access_token": "zzz", "total_tokens": 5, "list": [{"client_secret": "zzz"}], "ok": true}));
        assert_eq!(
            body,
            serde_json::json!({"access_token": "•••", "total_tokens": 5, "list": [{"client_secret": "•••"}], "ok": true})
        );
    }

    #[test]
    fn a_secret_inside_another_leaves_no_rest() {
        let mask = Mask::new([&Secret::new("abcd".into()), &Secret::new("abcdefgh".into())]);
        assert_eq!(mask.text("-abcdefgh-abcd-"), "-•••-•••-");
    }

    #[test]
    fn debug_tells_nothing() {
        assert_eq!(format!("{:?}", Mask::new([&Secret::new("abcdefgh".into())])), "Mask");
    }
}
