//! One-time addresses: where somebody outside answers one step of one run.
//!
//! An address proves itself: it carries a MAC (HMAC-SHA-256, RFC 2104, cut to 128 bits) over the run and
//! the step's path, so nothing has to be kept for it before somebody uses it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use store::RunId;

const PROOF_BYTES: usize = 16;

/// Makes and checks the addresses of one installation.
pub struct Addresses {
    base: String,
    key: [u8; 32],
}

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Addresses({})", self.base)
    }
}

impl Addresses {
    /// Addresses below `base`, such as `https://liaison.example`, proved with a secret of this installation.
    #[must_use]
    pub fn new(base: &str, key: [u8; 32]) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), key }
    }

    /// Where the step of that path is called back.
    #[must_use]
    pub fn callback(&self, run: RunId, path: &str) -> String {
        format!("{}/callbacks/{run}/{}/{}", self.base, percent(path), self.proof(run, path))
    }

    /// Whether a proof is the one of that step.
    #[must_use]
    pub fn proves(&self, run: RunId, path: &str, proof: &str) -> bool {
        let mut bytes = [0; PROOF_BYTES];
        hex::decode_to_slice(proof, &mut bytes).is_ok() && self.mac(run, path).verify_truncated_left(&bytes).is_ok()
    }

    fn proof(&self, run: RunId, path: &str) -> String {
        let digest = self.mac(run, path).finalize().into_bytes();
        hex::encode(&digest[..PROOF_BYTES])
    }

    fn mac(&self, run: RunId, path: &str) -> Hmac<Sha256> {
        self.keyed(b"callback\0", &[run.0.as_bytes(), path.as_bytes()])
    }

    /// A MAC over parts under the secret of this installation, for one purpose.
    pub(crate) fn keyed(&self, purpose: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
        // A key shorter than a block of the hash is filled up with zeros.
        let mut block = [0; 64];
        block[..self.key.len()].copy_from_slice(&self.key);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        mac.update(purpose);
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

/// Paths hold letters, digits, `_`, `.` and the brackets of loop passes.
fn percent(path: &str) -> String {
    path.replace('[', "%5B").replace(']', "%5D")
}

#[cfg(test)]
mod tests {
    use store::Timestamp;

    use super::*;

    #[test]
    fn an_address_proves_its_step_and_no_other() {
        let addresses = Addresses::new("https://liaison.example/", [7; 32]);
        let run = RunId::new(Timestamp::from_micros(1_000_000), [1; 10]);
        let address = addresses.callback(run, "push[17].wait");
        assert!(address.starts_with(&format!("https://liaison.example/callbacks/{run}/push%5B17%5D.wait/")), "{address}");
        let proof = address.rsplit('/').next().unwrap_or_default();
        assert!(addresses.proves(run, "push[17].wait", proof));
        let other = RunId::new(Timestamp::from_micros(1_000_000), [2; 10]);
        let flipped = proof.replace(|c: char| c == proof.chars().next().unwrap_or_default(), "g");
        for (run, path, proof) in [
            (run, "push[18].wait", proof),
            (other, "push[17].wait", proof),
            (run, "push[17].wait", &proof[..30]),
            (run, "push[17].wait", ""),
            (run, "push[17].wait", flipped.as_str()),
        ] {
            assert!(!addresses.proves(run, path, proof), "{run} {path} {proof}");
        }
        assert!(!Addresses::new("https://liaison.example", [8; 32]).proves(run, "push[17].wait", proof));
    }
}
