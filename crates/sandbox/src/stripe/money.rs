//! Currencies and amounts.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, number, some},
    error::{Refused, Result},
};

/// Largest amount, eight digits.
pub(super) const AMOUNT_MAX: i64 = 99_999_999;

/// Currencies without a smaller unit, by the vendor's documentation. UGX is one too, and yet is sent times a hundred.
pub(super) const WHOLE: [&str; 16] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"];
/// Currencies of a thousand units.
pub(super) const THOUSANDS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];
/// Currencies whose amounts are sent times a hundred and end in 00.
const HUNDREDS: [&str; 2] = ["isk", "ugx"];

/// The currencies that are taken.
const CURRENCIES: &str = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf \
    chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd \
    jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok \
    npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd \
    twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";

/// A currency in small letters.
pub(super) fn currency(params: &Row) -> Result<String> {
    let given = some(params, "currency").ok_or_else(|| Refused::needed("currency"))?;
    let currency = given.to_lowercase();
    if CURRENCIES.split_whitespace().any(|known| known == currency) {
        return Ok(currency);
    }
    let known = CURRENCIES.split_whitespace().collect::<Vec<_>>().join(", ");
    let message = format!("Invalid currency: {currency}. Stripe currently supports these currencies: {known}");
    Err(Refused::invalid(message).param("currency"))
}

/// An amount that can be charged in a currency.
pub(super) fn chargeable(amount: i64, currency: &str, param: &str) -> Result<()> {
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(Refused::invalid(message).code("parameter_invalid_integer").param(param));
    }
    if amount > AMOUNT_MAX {
        let message = format!("Amount must be no more than {AMOUNT_MAX} in the smallest unit of {currency}.");
        return Err(Refused::invalid(message).code("amount_too_large").param(param));
    }
    // The vendor's least charge is about half a US dollar; a thousand of a whole currency is not asked for.
    let least = if WHOLE.contains(&currency) && !HUNDREDS.contains(&currency) { 1 } else { 50 };
    let least = if matches!(currency, "jpy") { 50 } else { least };
    if amount < least {
        let message = format!(
            "Amount must be at least {}",
            if currency == "usd" { "$0.50 usd".to_owned() } else { format!("{least} {currency}") }
        );
        return Err(Refused::invalid(message).code("amount_too_small").param(param));
    }
    let last = if THOUSANDS.contains(&currency) {
        10
    } else if HUNDREDS.contains(&currency) {
        100
    } else {
        1
    };
    if amount % last != 0 {
        let message = format!("Invalid amount: amounts in {currency} must be evenly divisible by {last}.");
        return Err(Refused::invalid(message).code("invalid_charge_amount").param(param));
    }
    Ok(())
}

impl Books {
    /// Writes money in or out, and gives the transaction's id.
    pub(super) fn book(
        &mut self,
        kind: &str,
        amount: i64,
        fee: i64,
        currency: &str,
        source: &str,
        words: &str,
    ) -> Result<String> {
        let mut row = self.blank("BalanceTransaction");
        let net = amount - fee;
        let at_once = amount < 0 || self.settings_bypass(source);
        let available = if at_once { self.now } else { self.now + 2 * 24 * 3600 };
        let fees = if fee == 0 {
            json!([])
        } else {
            json!([{"amount": fee, "application": null, "currency": currency, "description": "Stripe processing fees", "type": "stripe_fee"}])
        };
        super::books::set(
            &mut row,
            [
                ("amount", json!(amount)),
                ("available_on", json!(available)),
                ("currency", json!(currency)),
                ("description", if words.is_empty() { Json::Null } else { json!(words) }),
                ("fee", json!(fee)),
                ("fee_details", fees),
                ("net", json!(net)),
                ("reporting_category", json!(category(kind))),
                ("source", json!(source)),
                ("status", json!(if at_once { "available" } else { "pending" })),
                ("type", json!(kind)),
            ],
        );
        let id = super::books::text(&row, "id").to_owned();
        self.insert("BalanceTransaction", row)?;
        let (there, waiting) = self.money.entry(currency.to_owned()).or_default();
        if at_once {
            *there += net;
        } else {
            *waiting += net;
            self.later(None, available, super::books::Due::Settle(id.clone()));
        }
        Ok(id)
    }

    /// One test card skips the wait.
    fn settings_bypass(&self, source: &str) -> bool {
        let method = self.get("Charge", source).and_then(|charge| some(charge, "payment_method"));
        method.is_some_and(|method| self.last4(method) == "0077")
    }

    /// Money has waited long enough.
    pub(super) fn settle(&mut self, id: &str) {
        let Some(row) = self.row_mut("BalanceTransaction", id) else { return };
        row.insert("status".into(), json!("available"));
        let (net, currency) = (number(row, "net"), super::books::text(row, "currency").to_owned());
        let (there, waiting) = self.money.entry(currency).or_default();
        *there += net;
        *waiting -= net;
    }
}

/// What reports call a type.
fn category(kind: &str) -> &str {
    match kind {
        "payment" => "charge",
        "adjustment" => "dispute",
        kind => kind,
    }
}

/// What the vendor keeps of a charge: 2.9 % and 30.
pub(super) fn fee(amount: i64) -> i64 {
    (amount * 29 + 500) / 1000 + 30
}
