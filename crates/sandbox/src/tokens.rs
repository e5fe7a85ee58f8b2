//! Access and refresh tokens, authorization codes and signed assertions of one simulated system.
//!
//! A system asks three things of this module: who an access token speaks for, what a refresh token gives,
//! and whether a JWT assertion is signed by a known key. The texts of tokens are the system's own.

pub(crate) mod assertion;

use std::collections::{HashMap, VecDeque};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Tokens of each kind that are kept; the oldest are forgotten.
pub(crate) const TOKENS_MAX: usize = 20_000;
/// Authorization codes kept at the same time.
pub(crate) const CODES_MAX: usize = 1_000;

/// How tokens of a system live. Times are in seconds of the systems' clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How long an access token is good for.
    pub access_s: i64,
    /// True when each use makes an access token good for its whole life again (an idle timeout).
    pub slides: bool,
    /// How long a refresh token is good for; for ever when left out.
    pub refresh_s: Option<i64>,
    /// True when a refresh gives a new refresh token, and ends the old one and its access tokens.
    pub rotates: bool,
    /// Refresh tokens one subject may hold with one client; one more ends the oldest. No bound when left out.
    pub refresh_per_subject: Option<usize>,
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The client that asked for it.
    pub client: String,
    /// The user it acts as, by the id the system uses.
    pub subject: String,
    /// What it may do, words with spaces between.
    pub scope: String,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was never given, or so long ago that it was forgotten.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was revoked, rotated away, or its session was ended.
    Revoked,
}

/// What a refresh gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refreshed {
    /// Whom the new token speaks for.
    pub grant: Grant,
    /// True when the refresh token that was offered is the new one from now on.
    pub rotated: bool,
}

#[derive(Debug)]
struct Access {
    grant: Grant,
    until_s: i64,
    /// The refresh token it came by; its end is this token's end.
    family: Option<String>,
    ended: bool,
}

#[derive(Debug)]
struct Refresh {
    grant: Grant,
    until_s: Option<i64>,
    ended: bool,
}

#[derive(Debug)]
struct Inner {
    policy: Policy,
    access: HashMap<String, Access>,
    access_order: VecDeque<String>,
    refresh: HashMap<String, Refresh>,
    refresh_order: VecDeque<String>,
}

/// The tokens of one system.
#[derive(Debug)]
pub(crate) struct Tokens {
    inner: Mutex<Inner>,
}

impl Tokens {
    /// No tokens yet.
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            inner: Mutex::new(Inner {
                policy,
                access: HashMap::new(),
                access_order: VecDeque::new(),
                refresh: HashMap::new(),
                refresh_order: VecDeque::new(),
            }),
        }
    }

    /// How tokens live.
    pub(crate) fn policy(&self) -> Policy {
        self.inner.lock().policy
    }

    /// Changes how tokens live that are given from now on; sliding and rotation hold at once.
    pub(crate) fn set_policy(&self, policy: Policy) {
        self.inner.lock().policy = policy;
    }

    /// Forgets all tokens.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.access.clear();
        inner.access_order.clear();
        inner.refresh.clear();
        inner.refresh_order.clear();
    }

    /// Takes tokens with the given texts into the book.
    pub(crate) fn issue(&self, now_s: i64, grant: &Grant, access: &str, refresh: Option<&str>) {
        let mut inner = self.inner.lock();
        if let Some(refresh) = refresh {
            inner.bound_refresh(grant);
            inner.keep_refresh(now_s, refresh, grant.clone());
        }
        inner.keep_access(now_s, access, grant.clone(), refresh.map(str::to_owned));
    }

    /// Whom an access token speaks for.
    ///
    /// # Errors
    /// Why it speaks for nobody.
    pub(crate) fn check(&self, now_s: i64, access: &str) -> Result<Grant, Refused> {
        let mut inner = self.inner.lock();
        let policy = inner.policy;
        let held = inner.access.get_mut(access).ok_or(Refused::Unknown)?;
        if held.ended {
            return Err(Refused::Revoked);
        }
        if now_s >= held.until_s {
            return Err(Refused::Expired);
        }
        if policy.slides {
            held.until_s = now_s.saturating_add(policy.access_s);
        }
        Ok(held.grant.clone())
    }

    /// When an access token ends, in seconds since 1970, if it is good now.
    pub(crate) fn until_s(&self, now_s: i64, access: &str) -> Option<i64> {
        let inner = self.inner.lock();
        inner.access.get(access).filter(|held| !held.ended && now_s < held.until_s).map(|held| held.until_s)
    }

    /// Trades a refresh token for `access`; `next` becomes the refresh token if the system rotates them.
    ///
    /// # Errors
    /// Why it gives nothing.
    pub(crate) fn refresh(
        &self,
        now_s: i64,
        client: &str,
        refresh: &str,
        access: &str,
        next: &str,
    ) -> Result<Refreshed, Refused> {
        let mut inner = self.inner.lock();
        let held = inner.refresh.get(refresh).filter(|held| held.grant.client == client).ok_or(Refused::Unknown)?;
        if held.ended {
            return Err(Refused::Revoked);
        }
        if held.until_s.is_some_and(|until_s| now_s >= until_s) {
            return Err(Refused::Expired);
        }
        let grant = held.grant.clone();
        let rotated = inner.policy.rotates;
        if rotated {
            inner.end_family(refresh);
            inner.keep_refresh(now_s, next, grant.clone());
        }
        let family = if rotated { next } else { refresh };
        inner.keep_access(now_s, access, grant.clone(), Some(family.to_owned()));
        Ok(Refreshed { grant, rotated })
    }

    /// Gives a refresh token its whole life again, because somebody signed in anew. One that was ended stays so.
    pub(crate) fn prolong(&self, now_s: i64, refresh: &str) {
        let mut inner = self.inner.lock();
        let until_s = inner.policy.refresh_s.map(|life_s| now_s.saturating_add(life_s));
        if let Some(held) = inner.refresh.get_mut(refresh) {
            held.until_s = until_s;
        }
    }

    /// Ends a token of either kind; a refresh token takes its access tokens with it. False when nobody knows it.
    pub(crate) fn revoke(&self, token: &str) -> bool {
        let mut inner = self.inner.lock();
        if let Some(held) = inner.access.get_mut(token) {
            held.ended = true;
            return true;
        }
        inner.end_family(token)
    }

    /// Ends every access token as if its time were over. Refresh tokens stay good.
    pub(crate) fn expire_all(&self) {
        for held in self.inner.lock().access.values_mut() {
            held.until_s = i64::MIN;
        }
    }

    /// Ends every token, refresh tokens too, as when a person takes the permission back.
    pub(crate) fn revoke_all(&self) {
        let mut inner = self.inner.lock();
        inner.access.values_mut().for_each(|held| held.ended = true);
        inner.refresh.values_mut().for_each(|held| held.ended = true);
    }
}

impl Inner {
    fn keep_access(&mut self, now_s: i64, token: &str, grant: Grant, family: Option<String>) {
        let until_s = now_s.saturating_add(self.policy.access_s);
        while self.access_order.len() >= TOKENS_MAX {
            if let Some(oldest) = self.access_order.pop_front() {
                self.access.remove(&oldest);
            }
        }
        if self.access.insert(token.to_owned(), Access { grant, until_s, family, ended: false }).is_none() {
            self.access_order.push_back(token.to_owned());
        }
    }

    fn keep_refresh(&mut self, now_s: i64, token: &str, grant: Grant) {
        let until_s = self.policy.refresh_s.map(|life_s| now_s.saturating_add(life_s));
        while self.refresh_order.len() >= TOKENS_MAX {
            if let Some(oldest) = self.refresh_order.pop_front() {
                self.refresh.remove(&oldest);
            }
        }
        if self.refresh.insert(token.to_owned(), Refresh { grant, until_s, ended: false }).is_none() {
            self.refresh_order.push_back(token.to_owned());
        }
    }

    /// Ends the oldest refresh tokens of a subject until one more fits.
    fn bound_refresh(&mut self, grant: &Grant) {
        let Some(most) = self.policy.refresh_per_subject else { return };
        let held: Vec<String> = self
            .refresh_order
            .iter()
            .filter(|token| {
                self.refresh
                    .get(*token)
                    .is_some_and(|held| !held.ended && held.grant.client == grant.client && held.grant.subject == grant.subject)
            })
            .cloned()
            .collect();
        for token in held.iter().take((held.len() + 1).saturating_sub(most)) {
            self.end_family(token);
        }
    }

    fn end_family(&mut self, refresh: &str) -> bool {
        let Some(held) = self.refresh.get_mut(refresh) else { return false };
        held.ended = true;
        for held in self.access.values_mut().filter(|held| held.family.as_deref() == Some(refresh)) {
            held.ended = true;
        }
        true
    }
}

/// What a person agreed to, until the client fetches its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Whom the tokens will speak for.
    pub grant: Grant,
    /// Where the code was sent; the client must name it again.
    pub redirect_uri: String,
    /// The PKCE challenge, if one was sent (RFC 7636).
    pub challenge: Option<Challenge>,
    /// A number the client wants back in its id token (OpenID Connect).
    pub nonce: Option<String>,
}

/// A PKCE challenge (RFC 7636, section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// `S256`: the unpadded base64url of the verifier's SHA-256.
    S256(String),
    /// `plain`: the verifier itself.
    Plain(String),
}

impl Challenge {
    /// True when the verifier is the one it was made of.
    pub(crate) fn fits(&self, verifier: &str) -> bool {
        match self {
            Self::S256(challenge) => {
                // Some clients pad it.
                URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == challenge.trim_end_matches('=')
            }
            Self::Plain(challenge) => challenge == verifier,
        }
    }
}

/// Authorization codes: each is good once, for a short time.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    held: Mutex<VecDeque<(String, i64, Agreed)>>,
}

impl Codes {
    /// Keeps a code until a time in seconds since 1970.
    pub(crate) fn keep(&self, code: &str, until_s: i64, agreed: Agreed) {
        let mut held = self.held.lock();
        if held.len() >= CODES_MAX {
            held.pop_front();
        }
        held.push_back((code.to_owned(), until_s, agreed));
    }

    /// What was agreed to; the code is spent, whatever the caller makes of it.
    ///
    /// # Errors
    /// When it is unknown, was used, or its time is over.
    pub(crate) fn take(&self, now_s: i64, code: &str) -> Result<Agreed, Refused> {
        let mut held = self.held.lock();
        let place = held.iter().position(|(known, ..)| known == code).ok_or(Refused::Unknown)?;
        let (_, until_s, agreed) = held.remove(place).ok_or(Refused::Unknown)?;
        if now_s < until_s { Ok(agreed) } else { Err(Refused::Expired) }
    }

    /// Forgets all codes.
    pub(crate) fn clear(&self) {
        self.held.lock().clear();
    }
}

#[cfg(test)]
#[path = "tokens/tests.rs"]
mod tests;
