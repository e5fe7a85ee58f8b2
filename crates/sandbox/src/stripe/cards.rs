//! Payment methods: the vendor's test cards, and what each does when it is charged.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, set, some, text},
    error::{Refused, Result},
    generic::merge,
};

/// A test card: names of its payment method and token after `pm_card_` and `tok_`, number, brand, country, funding.
type Card = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// The vendor's test cards by the names of its documentation (from memory where the fact sheet has none).
const CARDS: &[Card] = &[
    ("visa", "4242424242424242", "visa", "US", "credit"),
    ("visa_debit", "4000056655665556", "visa", "US", "debit"),
    ("mastercard", "5555555555554444", "mastercard", "US", "credit"),
    ("mastercard_debit", "5200828282828210", "mastercard", "US", "debit"),
    ("mastercard_prepaid", "5105105105105100", "mastercard", "US", "prepaid"),
    ("amex", "378282246310005", "amex", "US", "credit"),
    ("discover", "6011111111111117", "discover", "US", "credit"),
    ("diners", "3056930009020004", "diners", "US", "credit"),
    ("jcb", "3566002020360505", "jcb", "US", "credit"),
    ("unionpay", "6200000000000005", "unionpay", "US", "credit"),
    ("de", "4000002760000016", "visa", "DE", "credit"),
    ("gb", "4000008260000000", "visa", "GB", "credit"),
    ("bypassPending", "4000000000000077", "visa", "US", "credit"),
    ("chargeDeclined", "4000000000000002", "visa", "US", "credit"),
    ("visa_chargeDeclined", "4000000000000002", "visa", "US", "credit"),
    ("chargeDeclinedInsufficientFunds", "4000000000009995", "visa", "US", "credit"),
    ("visa_chargeDeclinedInsufficientFunds", "4000000000009995", "visa", "US", "credit"),
    ("visa_chargeDeclinedLostCard", "4000000000009987", "visa", "US", "credit"),
    ("visa_chargeDeclinedStolenCard", "4000000000009979", "visa", "US", "credit"),
    ("chargeDeclinedExpiredCard", "4000000000000069", "visa", "US", "credit"),
    ("visa_chargeDeclinedExpiredCard", "4000000000000069", "visa", "US", "credit"),
    ("chargeDeclinedIncorrectCvc", "4000000000000127", "visa", "US", "credit"),
    ("visa_chargeDeclinedIncorrectCvc", "4000000000000127", "visa", "US", "credit"),
    ("chargeDeclinedProcessingError", "4000000000000119", "visa", "US", "credit"),
    ("visa_chargeDeclinedProcessingError", "4000000000000119", "visa", "US", "credit"),
    ("chargeDeclinedFraudulent", "4100000000000019", "visa", "US", "credit"),
    ("radarBlock", "4100000000000019", "visa", "US", "credit"),
    ("chargeCustomerFail", "4000000000000341", "visa", "US", "credit"),
    ("authenticationRequired", "4000002500003155", "visa", "US", "credit"),
    ("authenticationRequiredOnSetup", "4000002500003155", "visa", "US", "credit"),
    ("threeDSecure2Required", "4000000000003220", "visa", "US", "credit"),
    ("threeDSecureRequired", "4000000000003063", "visa", "US", "credit"),
    ("createDispute", "4000000000000259", "visa", "US", "credit"),
    ("createDisputeProductNotReceived", "4000000000002685", "visa", "US", "credit"),
    ("createDisputeInquiry", "4000000000001976", "visa", "US", "credit"),
    ("createIssuerFraudRecord", "4000000000005423", "visa", "US", "credit"),
    ("pendingRefund", "4000000000007726", "visa", "US", "credit"),
    ("refundFail", "4000000000005126", "visa", "US", "credit"),
];

/// What a card does when it is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Paid,
    /// Paid, and a dispute comes: its reason, and whether it is only an inquiry.
    Disputed(&'static str, bool),
    /// Paid, and the issuer warns of fraud.
    Warned,
    /// Code, decline code, words.
    Declined(&'static str, Option<&'static str>, &'static str),
    Authenticate,
}

/// What becomes of a card, by its last four digits.
pub(super) fn outcome(last4: &str) -> Outcome {
    let declined = |code| Outcome::Declined("card_declined", Some(code), "Your card was declined.");
    match last4 {
        "0002" | "0341" => declined("generic_decline"),
        "9995" => Outcome::Declined("card_declined", Some("insufficient_funds"), "Your card has insufficient funds."),
        "9987" => declined("lost_card"),
        "9979" => declined("stolen_card"),
        "0019" => declined("fraudulent"),
        "0069" => Outcome::Declined("expired_card", Some("expired_card"), "Your card has expired."),
        "0127" => Outcome::Declined("incorrect_cvc", Some("incorrect_cvc"), "Your card's security code is incorrect."),
        "0119" => Outcome::Declined(
            "processing_error",
            Some("processing_error"),
            "An error occurred while processing your card. Try again in a little bit.",
        ),
        "3155" | "3220" | "3063" => Outcome::Authenticate,
        "0259" => Outcome::Disputed("fraudulent", false),
        "2685" => Outcome::Disputed("product_not_received", false),
        "1976" => Outcome::Disputed("fraudulent", true),
        "5423" => Outcome::Warned,
        _ => Outcome::Paid,
    }
}

fn known(id: &str) -> Option<&'static Card> {
    let name = id.strip_prefix("pm_card_").or_else(|| id.strip_prefix("tok_"))?;
    CARDS.iter().find(|(card, ..)| *card == name)
}

/// The card part of a payment method.
fn card((_, digits, brand, country, funding): &Card, year: i64) -> Json {
    let last4 = &digits[digits.len() - 4..];
    json!({
        "brand": brand, "checks": {"address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass"},
        "country": country, "display_brand": brand, "exp_month": 12, "exp_year": year, "fingerprint": format!("fp{brand}{last4}"),
        "funding": funding, "generated_from": null, "last4": last4, "networks": {"available": [brand], "preferred": null},
        "regulated_status": "unregulated", "three_d_secure_usage": {"supported": true}, "wallet": null,
    })
}

impl Books {
    pub(super) fn cards(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "PaymentMethod.create" => self.create_method(params),
            "PaymentMethod.retrieve" => self
                .method(id, "payment_method")
                .map(|row| Json::Object(self.get("PaymentMethod", &row).cloned().unwrap_or_default())),
            "PaymentMethod.list" => {
                if !params.contains_key("customer") && !params.contains_key("type") {
                    return None;
                }
                return None;
            }
            "PaymentMethod.attach" => self.attach(id, params),
            "PaymentMethod.detach" => self.detach(id),
            "SetupIntent.create" => self.create_setup(params),
            "SetupIntent.confirm" => self.confirm_setup(id, params),
            "Token.create" => self.create_token(params),
            _ => return None,
        })
    }

    fn year(&self) -> i64 {
        jiff::Timestamp::from_second(self.now).map_or(2030, |now| i64::from(now.to_zoned(jiff::tz::TimeZone::UTC).year()) + 4)
    }

    /// The id of a payment method that is kept; a test card's name makes a new one, as with the vendor.
    pub(super) fn method(&mut self, id: &str, param: &str) -> Result<String> {
        if self.get("PaymentMethod", id).is_some() {
            return Ok(id.to_owned());
        }
        let Some(known) = known(id) else {
            return Err(self.need("PaymentMethod", id, param).err().unwrap_or_else(|| Refused::needed(param)));
        };
        let mut row = self.blank("PaymentMethod");
        set(&mut row, [("type", json!("card")), ("card", card(known, self.year()))]);
        let id = text(&row, "id").to_owned();
        self.insert("PaymentMethod", row)?;
        Ok(id)
    }

    /// The last four digits of a method; empty when it is no card.
    pub(super) fn last4(&self, method: &str) -> String {
        let card = self.get("PaymentMethod", method).and_then(|row| row.get("card"));
        card.and_then(|card| card.get("last4")).and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    fn create_method(&mut self, params: &Row) -> Result {
        let kind = some(params, "type").ok_or_else(|| Refused::needed("type"))?;
        let mut row = self.blank("PaymentMethod");
        row.insert("type".into(), json!(kind));
        for part in ["billing_details", "metadata", "allow_redisplay"] {
            if let Some(value) = params.get(part) {
                let one = Row::from_iter([(part.to_owned(), value.clone())]);
                merge("PaymentMethod", &mut row, &one);
            }
        }
        if kind == "card" {
            let given = params.get("card").and_then(Json::as_object).ok_or_else(|| Refused::needed("card"))?;
            row.insert("card".into(), self.new_card(given)?);
        } else {
            row.shift_remove("card");
            row.insert(kind.to_owned(), params.get(kind).cloned().unwrap_or_else(|| json!({})));
        }
        self.insert("PaymentMethod", row)
    }

    fn new_card(&self, given: &Row) -> Result {
        if let Some(token) = some(given, "token") {
            let known = known(token).ok_or_else(|| Refused { status: 400, ..Refused::missing("token", token, "card[token]") })?;
            return Ok(card(known, self.year()));
        }
        let digits: String = text(given, "number").chars().filter(char::is_ascii_digit).collect();
        let wrong = || Refused::card("incorrect_number", None, "Your card number is incorrect.").param("number");
        let known = CARDS.iter().find(|(_, number, ..)| *number == digits).ok_or_else(wrong)?;
        let (month, year) = (super::books::number(given, "exp_month"), super::books::number(given, "exp_year"));
        if !(1..=12).contains(&month) {
            return Err(
                Refused::card("invalid_expiry_month", None, "Your card's expiration month is invalid.").param("exp_month")
            );
        }
        if year < self.year() - 4 {
            return Err(Refused::card("invalid_expiry_year", None, "Your card's expiration year is invalid.").param("exp_year"));
        }
        let mut made = card(known, year);
        if let Some(made) = made.as_object_mut() {
            made.insert("exp_month".into(), json!(month));
        }
        Ok(made)
    }

    fn create_token(&mut self, params: &Row) -> Result {
        let mut row = self.blank("Token");
        let card = match params.get("card").and_then(Json::as_object) {
            Some(given) => self.new_card(given)?,
            None => return self.create("Token", params),
        };
        set(&mut row, [("type", json!("card")), ("used", json!(false)), ("card", card)]);
        self.insert("Token", row)
    }

    pub(super) fn attach(&mut self, id: &str, params: &Row) -> Result {
        let customer = some(params, "customer").ok_or_else(|| Refused::needed("customer"))?.to_owned();
        self.need("Customer", &customer, "customer")?;
        let id = self.method(id, "id")?;
        let other = self.get("PaymentMethod", &id).and_then(|row| some(row, "customer")).map(str::to_owned);
        match other {
            Some(other) if other != customer => {
                let message = "The payment method you provided has already been attached to a customer.";
                Err(Refused::invalid(message).code("payment_method_already_attached"))
            }
            Some(_) => self.retrieve("PaymentMethod", &id, "id"),
            // This card is attached, and fails later.
            None => match outcome(&self.last4(&id)) {
                Outcome::Declined(code, decline, words) if self.last4(&id) != "0341" => Err(Refused::card(code, decline, words)),
                _ => self.change("PaymentMethod", &id, "payment_method.attached", |row| {
                    row.insert("customer".into(), json!(customer));
                }),
            },
        }
    }

    fn detach(&mut self, id: &str) -> Result {
        let row = self.need("PaymentMethod", id, "id")?;
        let Some(customer) = some(row, "customer").map(str::to_owned) else {
            let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
            return Err(Refused::invalid(message));
        };
        if let Some(row) = self.row_mut("Customer", &customer)
            && let Some(settings) = row.get_mut("invoice_settings").and_then(Json::as_object_mut)
            && some(settings, "default_payment_method") == Some(id)
        {
            settings.insert("default_payment_method".into(), Json::Null);
        }
        self.change("PaymentMethod", id, "payment_method.detached", |row| {
            row.insert("customer".into(), Json::Null);
        })
    }

    fn create_setup(&mut self, params: &Row) -> Result {
        let mut params = params.clone();
        if let Some(customer) = some(&params, "customer") {
            self.need("Customer", customer, "customer")?;
        }
        if let Some(method) = some(&params, "payment_method").map(str::to_owned) {
            let method = self.method(&method, "payment_method")?;
            params.insert("payment_method".into(), json!(method));
        }
        let mut row = self.made("SetupIntent", &params);
        let id = text(&row, "id").to_owned();
        let state = if params.contains_key("payment_method") { "requires_confirmation" } else { "requires_payment_method" };
        set(
            &mut row,
            [
                ("status", json!(state)),
                ("client_secret", json!(format!("{id}_secret_{}", self.text(25)))),
                ("payment_method_types", json!(["card"])),
            ],
        );
        let made = self.keep("SetupIntent", row)?;
        if super::books::flag(&params, "confirm") { self.confirm_setup(&id, &params) } else { Ok(made) }
    }

    fn confirm_setup(&mut self, id: &str, params: &Row) -> Result {
        let row = self.need("SetupIntent", id, "intent")?.clone();
        let Some(method) = some(params, "payment_method").or_else(|| some(&row, "payment_method")).map(str::to_owned) else {
            let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
            return Err(Refused::invalid(message).code("setup_intent_unexpected_state"));
        };
        let method = self.method(&method, "payment_method")?;
        if let Some(customer) = some(&row, "customer").map(str::to_owned) {
            self.attach(&method, &Row::from_iter([("customer".to_owned(), json!(customer))]))?;
        }
        self.change("SetupIntent", id, "setup_intent.succeeded", |row| {
            set(row, [("status", json!("succeeded")), ("payment_method", json!(method))]);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CARDS, Outcome, known, outcome};

    #[test]
    fn the_names_of_test_cards_lead_to_what_they_do() {
        assert_eq!(outcome(&known("pm_card_visa").unwrap().1[12..]), Outcome::Paid);
        let declined = known("pm_card_chargeDeclinedInsufficientFunds").unwrap();
        assert!(matches!(outcome(&declined.1[12..]), Outcome::Declined("card_declined", Some("insufficient_funds"), _)));
        assert!(known("pm_card_nothing").is_none() && known("pm_1abc").is_none());
        assert!(CARDS.iter().all(|(_, number, ..)| number.len() >= 15));
    }
}
