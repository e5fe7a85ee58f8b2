//! Signed assertions (RFC 7523): what a server signs in with instead of a password.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value as Json};

use crate::Secret;

/// How an assertion is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// RSA, PKCS#1 v1.5, SHA-256.
    Rs256,
    /// RSA-PSS, SHA-256.
    Ps256,
    /// ECDSA, P-256, SHA-256.
    Es256,
}

/// An assertion to make for one sign-in.
#[derive(Debug, Clone)]
pub struct Assertion<'a> {
    /// How it is signed.
    pub signature: Signature,
    /// The private key, PEM.
    pub key: &'a Secret,
    /// Names the key to the system.
    pub key_id: Option<&'a str>,
    /// What it claims besides `iat`, `exp` and `jti`: `iss`, `sub`, `aud`, `scope`.
    pub claims: Map<String, Json>,
    /// How long it is good, in seconds.
    pub life_s: i64,
}

impl Assertion<'_> {
    /// The assertion as it is sent.
    ///
    /// # Errors
    /// A sentence, when the key cannot be used. It holds nothing of the key.
    pub fn signed(&self, now_s: i64, id: &str) -> Result<Secret, String> {
        let (algorithm, key) = match self.signature {
            Signature::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_pem(self.key.expose().as_bytes())),
            Signature::Ps256 => (Algorithm::PS256, EncodingKey::from_rsa_pem(self.key.expose().as_bytes())),
            Signature::Es256 => (Algorithm::ES256, EncodingKey::from_ec_pem(self.key.expose().as_bytes())),
        };
        let kind = if self.signature == Signature::Es256 { "an EC (P-256) private key" } else { "an RSA private key" };
        let key = key.map_err(|_| format!("the private key cannot be read: it must be {kind} in PEM, unencrypted"))?;
        let mut header = Header::new(algorithm);
        header.kid = self.key_id.map(str::to_owned);
        let mut claims = self.claims.clone();
        claims.insert("iat".to_owned(), now_s.into());
        claims.insert("exp".to_owned(), now_s.saturating_add(self.life_s).into());
        claims.insert("jti".to_owned(), id.into());
        jsonwebtoken::encode(&header, &claims, &key)
            .map(Secret::new)
            .map_err(|_| format!("the private key cannot sign: it must be {kind}"))
    }
}
