//! Amounts: Stripe counts in the smallest unit of a currency; people count in the currency.

use connector::{ErrorClass, StepError};
use serde_json::{Map, Value as Json, json};

/// Currencies without a smaller unit (<https://docs.stripe.com/currencies#zero-decimal>). ISK and UGX have none either, and
/// yet are sent times a hundred.
const WHOLE: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
/// Currencies of a thousand units; the last digit of an amount is 0.
const THOUSANDS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];
/// Currencies whose amounts end in 00.
const HUNDREDS: [&str; 2] = ["isk", "ugx"];
/// The fields that hold amounts. None is `unit_amount`: Stripe's own `unit_amount_decimal` is in the smallest unit.
const AMOUNTS: [&str; 21] = [
    "amount",
    "amount_captured",
    "amount_capturable",
    "amount_due",
    "amount_off",
    "amount_paid",
    "amount_received",
    "amount_refunded",
    "amount_remaining",
    "amount_requested",
    "amount_subtotal",
    "amount_total",
    "balance",
    "ending_balance",
    "fee",
    "net",
    "net_amount",
    "starting_balance",
    "subtotal",
    "total",
    "total_excluding_tax",
];

/// Digits behind the point.
pub(super) fn digits(currency: &str) -> usize {
    match currency.to_lowercase().as_str() {
        code if WHOLE.contains(&code) => 0,
        code if THOUSANDS.contains(&code) => 3,
        _ => 2,
    }
}

/// An amount in the currency, as text: never a float.
pub(super) fn decimal(amount: i64, currency: &str) -> String {
    let digits = digits(currency);
    if digits == 0 {
        return amount.to_string();
    }
    let text = format!("{:0>width$}", amount.unsigned_abs(), width = digits + 1);
    let (whole, part) = text.split_at(text.len() - digits);
    format!("{}{whole}.{part}", if amount < 0 { "-" } else { "" })
}

fn invalid(message: String) -> StepError {
    StepError::new(ErrorClass::Invalid, "AMOUNT_INVALID", message)
        .with_next("Write the amount as digits with a point, with no more places than the currency has.")
}

/// The smallest units of an amount that is written in the currency.
pub(super) fn units(text: &str, currency: &str) -> Result<i64, StepError> {
    let digits = digits(currency);
    let (sign, rest) = match text.trim().strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.trim()),
    };
    let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
    let numeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !numeric(whole) || !numeric(part) {
        return Err(invalid(format!("\"{text}\" is not an amount of money")));
    }
    let part = part.trim_end_matches('0');
    if part.len() > digits {
        return Err(invalid(format!("\"{text}\" has more places than {} has", currency.to_uppercase())));
    }
    let units: i64 = format!("{whole}{part:0<digits$}").parse().map_err(|_| invalid(format!("\"{text}\" is too large")))?;
    let last = match currency.to_lowercase().as_str() {
        code if THOUSANDS.contains(&code) => 10,
        code if HUNDREDS.contains(&code) => 100,
        _ => 1,
    };
    if units % last != 0 {
        return Err(invalid(format!("\"{text}\" cannot be charged: Stripe rounds {} more coarsely", currency.to_uppercase())));
    }
    Ok(sign * units)
}

/// Adds amounts in the currency beside those in the smallest unit. A name that Stripe uses itself, as a plan's
/// `amount_decimal` in the smallest unit, keeps Stripe's value.
pub(super) fn explain(record: &mut Map<String, Json>) {
    let Some(currency) = record.get("currency").and_then(Json::as_str).map(str::to_owned) else { return };
    for name in AMOUNTS {
        if let Some(amount) = record.get(name).and_then(Json::as_i64) {
            record.entry(format!("{name}_decimal")).or_insert_with(|| json!(decimal(amount, &currency)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{decimal, explain, units};

    #[test]
    fn what_the_vendor_calls_decimal_stays_as_it_is() {
        let mut price = json!({"currency": "usd", "amount": 1234, "unit_amount": 1234, "unit_amount_decimal": "1234.5"});
        explain(price.as_object_mut().unwrap());
        assert_eq!((&price["amount_decimal"], &price["unit_amount_decimal"]), (&json!("12.34"), &json!("1234.5")));
        let mut plan = json!({"currency": "usd", "amount": 1234, "amount_decimal": "1234"});
        explain(plan.as_object_mut().unwrap());
        assert_eq!(plan["amount_decimal"], "1234");
    }

    #[test]
    fn amounts_go_both_ways_in_every_kind_of_currency() {
        for (text, currency, amount) in
            [("12.34", "usd", 1234), ("-0.05", "EUR", -5), ("500", "jpy", 500), ("1.230", "kwd", 1230), ("12.00", "isk", 1200)]
        {
            assert_eq!(units(text, currency).unwrap(), amount, "{text} {currency}");
            assert_eq!(decimal(amount, currency), text, "{amount} {currency}");
        }
        assert_eq!(units("12.3", "usd").unwrap(), 1230);
        for (text, currency) in
            [("12.345", "usd"), ("1.5", "jpy"), ("1.234", "kwd"), ("12.50", "isk"), ("1e3", "usd"), ("", "usd"), ("1,5", "usd")]
        {
            assert!(units(text, currency).is_err(), "{text} {currency}");
        }
    }
}
