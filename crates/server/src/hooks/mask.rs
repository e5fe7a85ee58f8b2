//! Which headers of a request nobody gets to see: proofs of the sender, and what looks like a secret by its name.

use connector::Connection;
use engine::{Catalogue, Engine, LiveRecipe};
use recipe::ast::TriggerSource;

/// What stands in place of a secret.
const MASK: &str = "•••";
/// Whatever has one of these in its name.
const SECRET: [&str; 8] = ["signature", "authorization", "cookie", "token", "secret", "password", "passphrase", "credential"];
/// The same where such a word stands by itself between dashes, as in `x-sign`.
const SECRET_WORDS: [&str; 5] = ["sign", "hmac", "jwt", "bearer", "keys"];
/// A `key` that comes after one of these names something and opens nothing: `idempotency-key`, `x-event-key`.
const NAMING: [&str; 7] = ["idempotency", "event", "message", "partition", "routing", "deduplication", "surrogate"];

/// Proofs of nothing, whatever a connection says; a body is read by them.
const PLAIN: [&str; 7] = ["accept", "content-encoding", "content-length", "content-type", "date", "host", "user-agent"];

/// Which headers of a request are masked.
#[derive(Debug, Default)]
pub(crate) struct Mask {
    /// Whose names may say nothing: what a connection's check reads, in lower case.
    proofs: Vec<String>,
    /// It is not known what a check would read, so that everything may be a proof.
    all: bool,
}

impl Mask {
    /// For a request to a recipe: what its connection goes by.
    pub(crate) fn of(engine: &Engine, catalogue: &Catalogue, recipe: &LiveRecipe) -> Self {
        let TriggerSource::Connection { connection, .. } = &recipe.program.source else { return Self::default() };
        match catalogue.connections.get(connection) {
            Some(found) => Self { proofs: proofs(engine, found), all: false },
            None => Self { proofs: Vec::new(), all: true },
        }
    }

    /// For a request that reached no recipe: it may have been meant for any connection's.
    pub(crate) fn of_all(engine: &Engine, catalogue: &Catalogue) -> Self {
        Self { proofs: catalogue.connections.values().flat_map(|connection| proofs(engine, connection)).collect(), all: false }
    }

    /// A header's value, or what stands in its place. `name` is in lower case.
    pub(crate) fn value<'a>(&self, name: &str, value: &'a str) -> &'a str {
        let is_proof = if self.all { !PLAIN.contains(&name) } else { self.proofs.iter().any(|proof| proof == name) };
        if is_proof || tells_secret(name) { MASK } else { value }
    }
}

/// The headers a connection's check goes by.
fn proofs(engine: &Engine, connection: &Connection) -> Vec<String> {
    let connector = engine.connectors.iter().find(|connector| connector.id == connection.connector);
    let triggers = connector.into_iter().flat_map(|connector| &connector.triggers);
    triggers.filter_map(|trigger| trigger.webhook.as_ref()).flat_map(|webhook| (webhook.proofs)(connection)).collect()
}

/// Whether a header's name says that its value is a secret.
fn tells_secret(name: &str) -> bool {
    SECRET.iter().any(|secret| name.contains(secret)) || {
        let mut before = "";
        name.split(['-', '_']).any(|word| {
            let before = std::mem::replace(&mut before, word);
            SECRET_WORDS.contains(&word)
                // `x-authz`, `x-oauth`; an author is nobody's secret.
                || (word.contains("auth") && !word.starts_with("author"))
                || (word.ends_with("key") && !NAMING.contains(&before))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tell_a_secret() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "apikey",
            "x-apikey",
            "x-my-token",
            "x-gitlab-token",
            "x-shared-secret",
            "x-hub-signature-256",
            "x-sign",
            "x-auth",
            "x-authz",
            "x-oauth-id",
            "x-password",
            "x-hmac",
            "ocp-apim-subscription-key",
            "x_access_key",
            "x-vendor-credentials",
        ] {
            assert!(tells_secret(name), "{name}");
        }
        for name in [
            "accept",
            "content-type",
            "x-author",
            "x-authors",
            "idempotency-key",
            "x-idempotency-key",
            "x-event-key",
            "user-agent",
            "x-request-id",
            "x-design",
            "x-keyword",
            "x-github-event",
            "webhook-id",
            "keep-alive",
        ] {
            assert!(!tells_secret(name), "{name}");
        }
    }

    #[test]
    fn what_a_check_reads_is_masked_whatever_its_name() {
        let mask = Mask { proofs: vec!["x-who-am-i".to_owned()], all: false };
        assert_eq!((mask.value("x-who-am-i", "s3cret"), mask.value("x-who", "me")), (MASK, "me"));
        assert_eq!(Mask::default().value("x-who-am-i", "s3cret"), "s3cret");
        let unknown = Mask { proofs: Vec::new(), all: true };
        assert_eq!((unknown.value("x-note", "s3cret"), unknown.value("content-type", "text/plain")), (MASK, "text/plain"));
    }
}
