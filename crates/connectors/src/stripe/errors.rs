//! What Stripe's refusals mean.

use connector::{
    ErrorClass,
    api::{Answer, Dialect, ErrorRow, Refusal},
};
use serde_json::Value as Json;

const fn row(code: &'static str, class: ErrorClass, sentence: &'static str, next: &'static str) -> ErrorRow {
    ErrorRow { code, class, sentence, next }
}

const WAIT: &str = "Nothing to do: it is tried again later with the same idempotency key, so nothing is done twice.";
const FIX: &str = "Correct what the step sends; the answer names the field.";
const CARD: &str = "Ask the customer for another card or another way to pay.";

/// Codes of <https://docs.stripe.com/error-codes>, and a few of our own for what has no code there.
pub(super) const ERRORS: &[ErrorRow] = &[
    row(
        "invalid_api_key",
        ErrorClass::Auth,
        "Stripe does not know the API key",
        "Enter a key of this account from the Stripe dashboard in the connection.",
    ),
    row(
        "api_key_expired",
        ErrorClass::Auth,
        "the API key has expired",
        "Make a new key in the Stripe dashboard and enter it in the connection.",
    ),
    row(
        "secret_key_required",
        ErrorClass::Auth,
        "the key is a publishable one, which servers cannot use",
        "Enter a secret key (sk_…) or a restricted key (rk_…) in the connection.",
    ),
    row(
        "permission_denied",
        ErrorClass::Denied,
        "the API key may not do this",
        "Give the restricted key the permission named here in the Stripe dashboard, or use another key.",
    ),
    row(
        "account_invalid",
        ErrorClass::Denied,
        "the key has no access to the connected account",
        "Check the account's id, and that it is still connected to your platform.",
    ),
    row(
        "resource_missing",
        ErrorClass::NotFound,
        "Stripe has no such record",
        "Check the id; the record may have been deleted, or belong to another account.",
    ),
    row(
        "wrong_mode",
        ErrorClass::NotFound,
        "the record is of the other mode: test and live records never mix",
        "Use a connection with a key of the record's mode, test or live.",
    ),
    row("parameter_missing", ErrorClass::Invalid, "a field that Stripe needs is missing", FIX),
    row(
        "parameter_unknown",
        ErrorClass::Invalid,
        "Stripe does not know a field that was sent",
        "Check the field's name against Stripe's reference for the pinned API version.",
    ),
    row("parameter_invalid_integer", ErrorClass::Invalid, "a field must be a whole number", FIX),
    row("parameter_invalid_empty", ErrorClass::Invalid, "a field that cannot be cleared was sent empty", FIX),
    row("parameters_exclusive", ErrorClass::Invalid, "two fields were sent of which only one may be", FIX),
    row("email_invalid", ErrorClass::Invalid, "the e-mail address is none", "Correct the address."),
    row("url_invalid", ErrorClass::Invalid, "an address is none", "Correct the address; it begins with https://."),
    row(
        "amount_too_small",
        ErrorClass::Invalid,
        "the amount is below what Stripe charges in this currency",
        "Charge at least the minimum of the currency, about half a US dollar.",
    ),
    row(
        "amount_too_large",
        ErrorClass::Invalid,
        "the amount is larger than what is possible here",
        "Lower the amount; for a capture or refund see what is left of the payment.",
    ),
    row(
        "invalid_charge_amount",
        ErrorClass::Invalid,
        "the amount does not fit the currency's smallest unit",
        "Round the amount to what the currency allows.",
    ),
    row(
        "balance_insufficient",
        ErrorClass::Invalid,
        "there is not enough money in the Stripe balance",
        "Wait until payments become available, or lower the amount.",
    ),
    row(
        "resource_already_exists",
        ErrorClass::Conflict,
        "a record with this id exists already",
        "Use the record that is there, or another id.",
    ),
    row(
        "charge_already_refunded",
        ErrorClass::Conflict,
        "the charge has already been refunded",
        "Nothing to do if the refund was meant once.",
    ),
    row(
        "charge_already_captured",
        ErrorClass::Conflict,
        "the charge has already been captured",
        "Nothing to do if the capture was meant once.",
    ),
    row(
        "charge_disputed",
        ErrorClass::Conflict,
        "the charge is disputed, so it cannot be refunded",
        "Answer or close the dispute instead; a lost dispute gives the money back by itself.",
    ),
    row(
        "payment_intent_unexpected_state",
        ErrorClass::Conflict,
        "the payment's state does not allow this",
        "Read the payment and see its status.",
    ),
    row(
        "setup_intent_unexpected_state",
        ErrorClass::Conflict,
        "the set-up's state does not allow this",
        "Read it and see its status.",
    ),
    row(
        "payment_method_already_attached",
        ErrorClass::Conflict,
        "the payment method belongs to another customer",
        "Use a payment method of this customer.",
    ),
    row(
        "invoice_not_editable",
        ErrorClass::Conflict,
        "the invoice's state does not allow this",
        "Only drafts can be changed; void a finalized invoice and write a new one, or write a credit note.",
    ),
    row(
        "invoice_upcoming_none",
        ErrorClass::NotFound,
        "there is nothing to be invoiced",
        "Add lines or a subscription to the preview.",
    ),
    row("card_declined", ErrorClass::Invalid, "the card was declined", CARD),
    row("expired_card", ErrorClass::Invalid, "the card has expired", CARD),
    row("incorrect_cvc", ErrorClass::Invalid, "the card's security code is wrong", CARD),
    row("incorrect_number", ErrorClass::Invalid, "the card's number is wrong", CARD),
    row(
        "processing_error",
        ErrorClass::Invalid,
        "the card could not be processed",
        "Try the payment again later, or ask for another card.",
    ),
    row(
        "authentication_required",
        ErrorClass::Invalid,
        "the bank wants the customer to approve the payment",
        "Let the customer pay on a page of their own, such as a checkout session or the invoice's page.",
    ),
    row("card_error", ErrorClass::Invalid, "the payment was declined", CARD),
    row(
        "idempotency_error",
        ErrorClass::Conflict,
        "the idempotency key was used before with other data",
        "Let the step send a key of its own, or leave the key out so that Liaison makes one.",
    ),
    row("idempotency_key_in_use", ErrorClass::RateLimited, "the same request is still being worked on", WAIT),
    row("rate_limit", ErrorClass::RateLimited, "too many requests were sent to Stripe", WAIT),
    row(
        "lock_timeout",
        ErrorClass::RateLimited,
        "another request is just changing the same record",
        "Nothing to do: it is tried again. If it happens often, let one step after the other change a customer.",
    ),
    row("conflict", ErrorClass::RateLimited, "Stripe is busy with something that stands against this", WAIT),
    row(
        "should_not_retry",
        ErrorClass::Invalid,
        "Stripe failed and says that trying again would not help",
        "Look at the request in the Stripe dashboard's log before you replay the run.",
    ),
    row("external_dependency_failed", ErrorClass::Server, "something that Stripe depends on failed", WAIT),
    row("api_error", ErrorClass::Server, "Stripe failed on its side", WAIT),
];

pub(super) const DIALECT: Dialect = Dialect { system: "Stripe", errors: ERRORS, refusal, fails_late: true };

/// The refusal in an answer.
fn refusal(answer: &Answer) -> Option<Refusal> {
    let status = answer.status.as_u16();
    let never = status >= 400 && answer.header("stripe-should-retry") == Some("false");
    let body = answer.peek();
    let Some(error) = body.as_ref().and_then(|body| body.get("error")).filter(|error| error.is_object()) else {
        // Stripe's word counts also where somebody on the way replaced its body.
        return (never && again_by_status(status)).then(|| Refusal::new("should_not_retry", "").in_doubt(failed_inside(status)));
    };
    let text = |name: &str| error.get(name).and_then(Json::as_str).unwrap_or_default();
    let (mut code, mut words) = (text("code").to_owned(), text("message").to_owned());
    if let Some(param) = error.get("param").and_then(Json::as_str).filter(|param| !words.contains(param)) {
        words = format!("{} (field \"{param}\")", words.trim_end_matches('.'));
    }
    let again = answer.header("stripe-should-retry") == Some("true");
    match (status, text("type"), code.as_str()) {
        _ if never && again_by_status(status) && DIALECT.error(&code).is_none_or(|row| row.class.is_transient()) => {
            "should_not_retry".clone_into(&mut code)
        }
        (401, _, "") => "invalid_api_key".clone_into(&mut code),
        (403, _, "account_invalid") => {}
        (403, ..) => {
            "permission_denied".clone_into(&mut code);
            words = permission(text("message")).map_or(words, |right| format!("the permission \"{right}\" is missing"));
        }
        (404, ..) if words.contains("a similar object exists in") => "wrong_mode".clone_into(&mut code),
        (_, "idempotency_error", "") => "idempotency_error".clone_into(&mut code),
        (_, "card_error", known) if DIALECT.error(known).is_none() => "card_error".clone_into(&mut code),
        (409, _, "") => "conflict".clone_into(&mut code),
        (424, _, "") => "external_dependency_failed".clone_into(&mut code),
        (429, _, "") => "rate_limit".clone_into(&mut code),
        (500.., _, "") => "api_error".clone_into(&mut code),
        _ => {}
    }
    let mut refusal = Refusal::new(code, words).in_doubt(failed_inside(status));
    if again && !matches!(status, 400..=404) {
        // The vendor knows best that this one can be sent again.
        refusal.class = Some(if status >= 500 { ErrorClass::Server } else { ErrorClass::RateLimited });
    } else if status == 424 && !never {
        refusal.class = Some(ErrorClass::Server);
    }
    Some(refusal)
}

/// The statuses that are tried again unless Stripe says no.
fn again_by_status(status: u16) -> bool {
    matches!(status, 409 | 424 | 429 | 500..)
}

/// Something broke after Stripe had begun: the same key tells what became of it, as long as Stripe knows the key.
fn failed_inside(status: u16) -> bool {
    matches!(status, 424 | 500..)
}

/// The permission that a refusal names: `rak_refund_write`.
fn permission(words: &str) -> Option<&str> {
    words.split('\'').find(|part| part.starts_with("rak_"))
}

#[cfg(test)]
mod tests {
    use super::permission;

    #[test]
    fn the_permission_a_key_lacks_is_named() {
        let words = "The provided key 'rk_test_***' does not have the required permissions for this endpoint on account 'acct_1'. \
                     Having the 'rak_refund_write' permission would allow this request to continue.";
        assert_eq!(permission(words), Some("rak_refund_write"));
        assert_eq!(permission("no"), None);
    }
}
