//! Who calls: API keys, restricted keys, connected accounts.

use base64::Engine;
use http::{HeaderMap, header};

use super::{
    api::Operation,
    error::{Refused, Result},
};
use crate::Random;

const ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rights {
    All,
    /// Only these: `customer_read`, `charge_write`.
    Only(Vec<&'static str>),
    /// A publishable key: nothing that a server does.
    Publishable,
}

/// A key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) live: bool,
    pub(super) rights: Rights,
    pub(super) expired: bool,
}

/// The keys of the account, and the accounts it may act for.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) account: String,
    pub(super) connected: String,
    pub(super) keys: Vec<Key>,
}

/// Who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) key: Key,
    pub(super) account: String,
}

/// What the restricted key may do.
const RESTRICTED: [&str; 8] = [
    "customer_read",
    "customer_write",
    "charge_read",
    "payment_intent_read",
    "product_read",
    "event_read",
    "invoice_read",
    "balance_read",
];

impl Keys {
    /// The keys of a seed.
    pub(super) fn new(random: &Random) -> Self {
        let core = random.text(ALPHABET, 16);
        let key = |prefix: &str, rights: Rights, expired: bool| Key {
            text: format!("{prefix}_51{core}{}", random.text(ALPHABET, 80)),
            live: prefix.ends_with("live"),
            rights,
            expired,
        };
        let keys = vec![
            key("sk_test", Rights::All, false),
            key("sk_live", Rights::All, false),
            key("rk_test", Rights::Only(RESTRICTED.to_vec()), false),
            key("pk_test", Rights::Publishable, false),
            key("sk_test", Rights::All, true),
        ];
        let connected = format!("acct_1{}", random.text(ALPHABET, 15));
        Self { account: format!("acct_1{core}"), connected, keys }
    }

    /// Who calls, by the request's headers.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller> {
        let given = given(headers)?;
        let key =
            self.keys.iter().find(|key| key.text == given).ok_or_else(|| {
                Refused::new(401, "invalid_request_error", format!("Invalid API Key provided: {}", masked(&given)))
            })?;
        if key.expired {
            let message = format!("Expired API Key provided: {}", masked(&given));
            return Err(Refused::new(401, "invalid_request_error", message).code("api_key_expired"));
        }
        if key.rights == Rights::Publishable {
            let message = "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a \
                           list of your API keys at https://dashboard.stripe.com/account/apikeys.";
            return Err(Refused::new(401, "invalid_request_error", message).code("secret_key_required"));
        }
        let account = self.account_of(key, headers)?;
        Ok(Caller { key: key.clone(), account })
    }

    fn account_of(&self, key: &Key, headers: &HeaderMap) -> Result<String> {
        let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (account, context) = (named("stripe-account"), named("stripe-context"));
        if account.is_some() && context.is_some() {
            return Err(Refused::invalid("You cannot send both the Stripe-Account and the Stripe-Context header."));
        }
        let Some(account) = account.or(context).filter(|account| !account.is_empty()) else {
            return Ok(self.account.clone());
        };
        // A context is a path of accounts; the last one is acted on.
        let last = account.rsplit('/').next().unwrap_or_default().to_owned();
        if last == self.account || last == self.connected {
            return Ok(last);
        }
        let message = format!(
            "The provided key '{}' does not have access to account '{account}' (or that account does not exist). Application \
             access may have been revoked.",
            masked(&key.text)
        );
        Err(Refused::new(403, "invalid_request_error", message).code("account_invalid"))
    }
}

/// The key of a request: Bearer, or the user's name in Basic.
fn given(headers: &HeaderMap) -> Result<String> {
    let missing = || {
        let message = "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer \
                       auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for \
                       details, or we can help at https://support.stripe.com/.";
        Refused::new(401, "invalid_request_error", message)
    };
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
    let (scheme, rest) = value.split_once(' ').ok_or_else(missing)?;
    let key = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let bytes = base64::engine::general_purpose::STANDARD.decode(rest.trim()).map_err(|_| missing())?;
        let pair = String::from_utf8(bytes).map_err(|_| missing())?;
        pair.split(':').next().unwrap_or_default().to_owned()
    } else {
        return Err(missing());
    };
    if key.is_empty() { Err(missing()) } else { Ok(key) }
}

/// A key as errors show it.
pub(super) fn masked(key: &str) -> String {
    let start: String = match key.match_indices('_').nth(1) {
        Some((place, _)) => key.chars().take(place + 1).collect(),
        None => String::new(),
    };
    let all = key.chars().count();
    let end: String = key.chars().skip(all.saturating_sub(4).max(start.len())).collect();
    format!("{start}{}{end}", "*".repeat(all.saturating_sub(start.len() + end.len()).min(40)))
}

/// The right an operation needs: `customer_write`.
pub(super) fn right(operation: &Operation) -> String {
    let place = operation.path.trim_start_matches("/v1/").split("/{").next().unwrap_or_default();
    let resource = match place {
        "account" | "accounts" => "account".to_owned(),
        "checkout/sessions" => "checkout_session".to_owned(),
        "balance" | "balance_settings" => "balance".to_owned(),
        "balance_transactions" => "balance_transaction".to_owned(),
        "customers/search" => "customer".to_owned(),
        "invoiceitems" | "invoices/create_preview" | "invoices/search" | "invoice_payments" => "invoice".to_owned(),
        "webhook_endpoints" => "webhook".to_owned(),
        "prices" | "prices/search" | "plans" => "plan".to_owned(),
        place => place.trim_end_matches("/search").trim_end_matches('s').replace('/', "_"),
    };
    format!("{resource}_{}", if operation.verb == "GET" { "read" } else { "write" })
}

/// Refuses what a restricted key may not do.
pub(super) fn allowed(caller: &Caller, operation: &Operation) -> Result<()> {
    let Rights::Only(rights) = &caller.key.rights else {
        return Ok(());
    };
    let wanted = right(operation);
    if rights.contains(&wanted.as_str()) { Ok(()) } else { Err(denied(&caller.key.text, &caller.account, &wanted)) }
}

/// 403 for a missing right.
pub(super) fn denied(key: &str, account: &str, right: &str) -> Refused {
    let message = format!(
        "The provided key '{}' does not have the required permissions for this endpoint on account '{account}'. Having the \
         'rak_{right}' permission would allow this request to continue.",
        masked(key)
    );
    Refused::new(403, "invalid_request_error", message).code("more_permissions_required")
}
