//! Money, and numbers as people write them.

use iso_currency::{Currency, IntoEnumIterator};
use rhai::Dynamic;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Call, Line, function};
use crate::{
    EvalError,
    machine::{Fault, fault},
    number::Number,
};

const GROUP: &str = "money";

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "minor_units(currency: text) -> integer",
        "How many decimals a currency has (ISO 4217).",
        "minor_units(\"JPY\")",
        "0",
        |call| Ok(i64::from(currency(call, 0)?.1).into()),
    ),
    function(
        GROUP,
        "to_minor(amount: number, currency: text, [mode: text]) -> integer",
        "The amount in the smallest unit of its currency, such as cents. What is smaller is an error, unless a way of rounding is given, as for `round`.",
        "to_minor(12.34, \"EUR\")",
        "1234",
        to_minor,
    ),
    function(
        GROUP,
        "from_minor(amount: integer, currency: text) -> number",
        "The amount that so many of the smallest units of a currency are.",
        "from_minor(1234, \"EUR\")",
        "12.34",
        |call| {
            let (amount, (_, digits)) = (call.whole(0)?, currency(call, 1)?);
            Ok(Number::from(Decimal::from_i128_with_scale(amount.into(), digits)).into())
        },
    ),
    function(
        GROUP,
        "money(amount: number, currency: text, [thousands: text], [point: text]) -> text",
        "The amount as text with the decimals of its currency, rounded as in trade.",
        "money(1234.5, \"EUR\")",
        "\"1,234.50 EUR\"",
        |call| {
            let (code, digits) = currency(call, 1)?;
            Ok(format!("{} {code}", written(call, 0, digits, 2)?).into())
        },
    ),
    function(
        GROUP,
        "currency_code(text: text) -> text|null",
        "The code of ISO 4217 for a code, a number or an English name of a currency; null if there is none.",
        "currency_code(\"euro\")",
        "\"EUR\"",
        |call| Ok(named(&call.text(0)?).map_or(Dynamic::UNIT, |found| found.code().into())),
    ),
    function(
        GROUP,
        "format_number(number: number, [digits: integer], [thousands: text], [point: text]) -> text",
        "The number as text with so many decimals, rounded as in trade, and with separators.",
        "format_number(1234567.891, 2, \".\", \",\")",
        "\"1.234.567,89\"",
        |call| {
            let digits = if call.given(1) { Some(call.digits(1)?) } else { None };
            let digits = match digits {
                Some(digits) => digits,
                None => call.number(0)?.decimal().normalize().scale(),
            };
            Ok(written(call, 0, digits, 2)?.into())
        },
    ),
    function(
        GROUP,
        "parse_number(text: text, [thousands: text], [point: text]) -> number",
        "The number a text says with separators: \",\" between thousands and \".\" before the decimals, unless others are given.",
        "parse_number(\"1.234.567,89\", \".\", \",\")",
        "1234567.89",
        parse_number,
    ),
];

/// How to round, by its name.
pub(super) fn rounding(mode: &str) -> Option<RoundingStrategy> {
    Some(match mode {
        "half_up" => RoundingStrategy::MidpointAwayFromZero,
        "half_even" => RoundingStrategy::MidpointNearestEven,
        "half_down" => RoundingStrategy::MidpointTowardZero,
        "up" => RoundingStrategy::AwayFromZero,
        "down" => RoundingStrategy::ToZero,
        "ceiling" => RoundingStrategy::ToPositiveInfinity,
        "floor" => RoundingStrategy::ToNegativeInfinity,
        _ => return None,
    })
}

/// The names of [`rounding`], for a sentence.
pub(super) const ROUNDINGS: &str = "half_up, half_even, half_down, up, down, ceiling and floor";

impl Call<'_, '_> {
    /// A way of rounding, if one is given.
    pub(super) fn rounding(&self, at: usize) -> Result<Option<RoundingStrategy>, Fault> {
        if !self.given(at) {
            return Ok(None);
        }
        match rounding(&self.text(at)?) {
            Some(rounding) => Ok(Some(rounding)),
            None => Err(self.bad(&format!("rounds {ROUNDINGS}"))),
        }
    }

    /// A count of decimals.
    pub(super) fn digits(&self, at: usize) -> Result<u32, Fault> {
        let digits = u32::try_from(self.whole(at)?).ok().filter(|digits| *digits <= Decimal::MAX_SCALE);
        digits.ok_or_else(|| self.bad("writes from 0 to 28 decimals"))
    }
}

/// The currency of a code in any letters, if it is in use and has decimals.
pub(super) fn coded(code: &str) -> Option<(Currency, u32)> {
    let code = code.trim();
    if code.len() != 3 || !code.is_ascii() {
        return None;
    }
    let currency = Currency::from_code(&code.to_ascii_uppercase())?;
    // Gold, test codes and the like have none.
    currency.exponent().map(|digits| (currency, digits.into()))
}

fn currency(call: &Call<'_, '_>, at: usize) -> Result<(&'static str, u32), Fault> {
    let code = call.text(at)?;
    coded(&code).map(|(currency, digits)| (currency.code(), digits)).ok_or_else(|| fault(no_currency(&code)))
}

pub(super) fn no_currency(code: &str) -> EvalError {
    let shown: String = code.chars().take(20).collect();
    EvalError::new("bad_argument", format!("\"{shown}\" is no currency"))
        .with_hint("Currencies have codes of three letters: EUR, USD, JPY. For names there is currency_code(…).")
}

fn named(text: &str) -> Option<Currency> {
    if let Some((currency, _)) = coded(text) {
        return Some(currency);
    }
    let text = text.trim();
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().and_then(Currency::from_numeric);
    }
    Currency::iter().find(|currency| currency.name().eq_ignore_ascii_case(text))
}

fn to_minor(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (amount, (code, digits), rounding) = (call.number(0)?.decimal(), currency(call, 1)?, call.rounding(2)?);
    let factor = Decimal::from(10_i64.pow(digits));
    let minor = amount.checked_mul(factor).ok_or_else(|| call.bad("would give a number that is too large"))?;
    let whole = minor.round_dp_with_strategy(0, rounding.unwrap_or(RoundingStrategy::ToZero));
    if rounding.is_none() && whole != minor {
        return Err(fault(
            EvalError::new("bad_argument", format!("{} {code} is no whole number of the smallest unit", Number::from(amount)))
                .with_hint("Say how to round: to_minor(…, \"EUR\", \"half_up\")"),
        ));
    }
    match Number::from(whole) {
        Number::Int(minor) => Ok(minor.into()),
        Number::Decimal(_) => Err(call.bad("would give a number that is too large")),
    }
}

/// A number with decimals and separators; those stand at `at` of the call, if they are given.
fn written(call: &Call<'_, '_>, number: usize, digits: u32, at: usize) -> Result<String, Fault> {
    let (thousands, point) = separators(call, at)?;
    let value = call.number(number)?.decimal().round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    let text = format!("{:.*}", digits as usize, value.abs());
    let (whole, decimals) = text.split_once('.').map_or((text.as_str(), None), |(whole, decimals)| (whole, Some(decimals)));
    let mut out = String::new();
    if value.is_sign_negative() && !value.is_zero() {
        out.push('-');
    }
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            out.push_str(&thousands);
        }
        out.push(digit);
    }
    if let Some(decimals) = decimals {
        out.push_str(&point);
        out.push_str(decimals);
    }
    Ok(out)
}

/// What stands between thousands, and before the decimals.
fn separators(call: &Call<'_, '_>, at: usize) -> Result<(String, String), Fault> {
    let given =
        |at: usize, usual: &str| if call.given(at) { call.text(at).map(|text| text.to_string()) } else { Ok(usual.to_owned()) };
    let (thousands, point) = (given(at, ",")?, given(at + 1, ".")?);
    let is_sign = |text: &str| text.chars().count() <= 1 && !text.contains(|c: char| c.is_alphanumeric() || c == '-');
    if !is_sign(&thousands) || !is_sign(&point) || point.is_empty() || thousands == point {
        return Err(call.bad("takes two different signs as separators"));
    }
    Ok((thousands, point))
}

fn parse_number(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (text, (thousands, point)) = (call.text(0)?, separators(call, 1)?);
    read(text.trim(), &thousands, &point).map(Into::into).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        fault(
            EvalError::new("bad_argument", format!("\"{shown}\" is no number with these separators"))
                .with_hint("Name the sign between thousands, then the one before the decimals: parse_number(…, \".\", \",\")"),
        )
    })
}

fn read(text: &str, thousands: &str, point: &str) -> Option<Number> {
    let (sign, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text),
    };
    let (whole, decimals) = rest.split_once(point).map_or((rest, None), |(whole, decimals)| (whole, Some(decimals)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut plain = String::from(sign);
    if thousands.is_empty() || !whole.contains(thousands) {
        plain.push_str(digits(whole).then_some(whole)?);
    } else {
        for (place, group) in whole.split(thousands).enumerate() {
            let fits = if place == 0 { group.len() <= 3 } else { group.len() == 3 };
            plain.push_str((fits && digits(group)).then_some(group)?);
        }
    }
    if let Some(decimals) = decimals {
        plain.push('.');
        plain.push_str(digits(decimals).then_some(decimals)?);
    }
    Number::parse(&plain)
}
