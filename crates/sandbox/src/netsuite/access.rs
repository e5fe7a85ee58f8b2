//! Who calls, whether they may, and how many do at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;

use super::{
    NetSuite, State,
    answer::Call,
    oauth1::{self, Cause, Passport, Signed},
    refusal::Refusal,
    schema::Type,
};
use crate::tokens::Refused;

/// Sign-ins the audit remembers.
const AUDIT_MAX: usize = 1_000;

/// A place among the calls in flight.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl NetSuite {
    /// Takes a place among the calls in flight, if one is free.
    pub(super) fn place(&self) -> Option<Place> {
        let limit = self.state.lock().settings.concurrency_limit;
        let place = Place(self.in_flight.clone());
        (self.in_flight.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }

    /// Lets a REST call in: signed in, and within the limit.
    pub(super) fn enter(&self, call: &Call, scope: &str) -> Result<Place, Refusal> {
        self.sign_in(call, scope)?;
        self.place().ok_or_else(|| {
            if self.state.lock().settings.concurrency_as_invalid_login { Refusal::login() } else { Refusal::concurrency() }
        })
    }

    /// The account's clock: that of the sandbox, or as wrong as the settings say.
    pub(super) fn account_s(&self) -> i64 {
        self.world.clock().now_s() + self.state.lock().settings.clock_skew_s
    }

    pub(super) fn sign_in(&self, call: &Call, scope: &str) -> Result<(), Refusal> {
        let header = call.header("authorization");
        if header.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")) {
            return self.bearer(header[7..].trim(), scope);
        }
        let addresses = self.addresses(call);
        let now = self.account_s();
        let mut state = self.state.lock();
        let State { nonces, keys, token_revoked, .. } = &mut *state;
        let signed = Signed { method: call.method.as_str(), addresses: &addresses, query: &call.query, header };
        let outcome = match oauth1::verify(&signed, keys, now, nonces) {
            Ok(()) if *token_revoked => Err(Cause::TokenRejected),
            outcome => outcome,
        };
        outcome.map_err(|cause| {
            state.note(&format!("{} {}", call.method, call.path), cause.name(), self.world.clock().now());
            Refusal::login()
        })
    }

    fn bearer(&self, token: &str, scope: &str) -> Result<(), Refusal> {
        let cause = match self.tokens.check(self.world.clock().now_s(), token) {
            Ok(grant) if grant.scope.split(' ').any(|granted| granted == scope) => return Ok(()),
            Ok(_) => return Err(Refusal::permission(format!("The access token does not have the scope '{scope}'."))),
            Err(Refused::Expired) => "TokenExpired",
            Err(Refused::Revoked | Refused::Unknown) => "InvalidToken",
        };
        self.state.lock().note("bearer token", cause, self.world.clock().now());
        Err(Refusal::login())
    }

    /// Looks at the token passport of a SOAP message.
    pub(super) fn passport(&self, passport: &Passport<'_>) -> bool {
        let now = self.account_s();
        let mut state = self.state.lock();
        let State { nonces, keys, token_revoked, .. } = &mut *state;
        let outcome = match oauth1::verify_passport(passport, keys, now, nonces) {
            Ok(()) if *token_revoked => Err(Cause::TokenRejected),
            outcome => outcome,
        };
        outcome.map_err(|cause| state.note("SOAP", cause.name(), self.world.clock().now())).is_ok()
    }

    /// The addresses a client may have signed: this server's, or the vendor's hosts that lead here.
    fn addresses(&self, call: &Call) -> Vec<String> {
        let host = call.host();
        let mut addresses = Vec::with_capacity(4);
        if !host.ends_with(".netsuite.com") {
            addresses.push(format!("http://{}{}", host.strip_suffix(":80").unwrap_or(&host), call.path));
        }
        addresses.push(format!("https://{}{}", host.strip_suffix(":443").unwrap_or(&host), call.path));
        let account = super::ACCOUNT.to_lowercase().replace('_', "-");
        addresses.extend(["suitetalk", "restlets"].map(|area| format!("https://{account}.{area}.api.netsuite.com{}", call.path)));
        addresses
    }
}

impl State {
    /// Writes a refused sign-in down, where only people of the account see it.
    pub(super) fn note(&mut self, what: &str, cause: &str, at: jiff::Timestamp) {
        if self.audit.len() >= AUDIT_MAX {
            self.audit.pop_front();
        }
        self.audit.push_back(json!({ "date": at.to_string(), "status": "Failure", "detail": cause, "request": what }));
    }

    /// Whether the role may see or change records of a type.
    pub(super) fn may(&self, kind: &Type, write: bool) -> Result<(), Refusal> {
        let named = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case(kind.name));
        if named(&self.settings.denied_records) || (write && named(&self.settings.read_only_records)) {
            let level = if write { "a higher level of the" } else { "the" };
            let area = if kind.is_transaction() { "Transactions" } else { "Lists" };
            return Err(Refusal::permission(format!(
                "Permission Violation: You need {level} '{area} -> {}' permission to access this page. Please contact your account administrator.",
                kind.title
            )));
        }
        Ok(())
    }
}
