//! What a connection signs itself to get its tokens (RFC 7523, 2.1): the same for `http` and for connector files.

use connector::{
    Secret,
    jwt::{Assertion, Signature},
};
use serde_json::{Map, Value as Json};

/// How it can be signed; the first when nothing is said.
pub(crate) const ALGORITHMS: [&str; 3] = ["RS256", "PS256", "ES256"];
/// How long one is good, in seconds. A new one is signed for each token.
const LIFE_S: i64 = 300;
/// Claims with settings of their own, and those that each assertion gets when it is signed.
pub(crate) const OWN_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"];

/// Who says it, of whom, and to whom; whatever else is to be claimed may not be one of [`OWN_CLAIMS`].
pub(crate) fn claims(issuer: &str, subject: &str, audience: &str, mut more: Map<String, Json>) -> Map<String, Json> {
    for (name, value) in [("iss", issuer), ("sub", subject), ("aud", audience)] {
        more.insert(name.to_owned(), value.into());
    }
    more
}

/// The signature of that name.
pub(crate) fn signature(algorithm: &str) -> Option<Signature> {
    let all = [Signature::Rs256, Signature::Ps256, Signature::Es256];
    ALGORITHMS.iter().position(|known| *known == algorithm).map(|place| all[place])
}

/// An assertion with these claims.
pub(crate) fn signed_with<'a>(
    signature: Signature,
    key: &'a Secret,
    key_id: Option<&'a str>,
    claims: Map<String, Json>,
) -> Assertion<'a> {
    Assertion { signature, key, key_id, claims, life_s: LIFE_S }
}

/// Whether this key can sign so.
///
/// # Errors
/// A sentence that holds nothing of the key.
pub(crate) fn check_key(signature: Signature, key: &Secret) -> Result<(), String> {
    signed_with(signature, key, None, Map::new()).signed(0, "check").map(drop)
}
