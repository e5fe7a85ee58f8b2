//! What a plain scalar is: null, true or false, a number, or text.
//!
//! YAML 1.2 core, with one restriction. A number written with a leading zero or plus, or as `0x…` or
//! `0o…`, stays text: core YAML would read `00123` as 123 and `+4930…` as a number, and customers and
//! phones would lose digits without a word. `no`, `on`, `1_000`, `12:30` and dates are text as in core.

use serde_json::Number;

/// What a plain scalar is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
    /// A number that would lose digits, or infinity.
    Inexact,
    Text,
}

pub(crate) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN" | ".NAN" => {
            Plain::Inexact
        }
        _ if looks_numeric(text) => Plain::Text,
        _ => number(text),
    }
}

/// Text that core YAML, or its predecessor, would have read as another number than the one written.
pub(crate) fn looks_numeric(text: &str) -> bool {
    let digits = |t: &str, radix| !t.is_empty() && t.chars().all(|c| c.is_digit(radix));
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.as_bytes()[1].is_ascii_digit();
    (leading_zero || text.starts_with('+')) && Decimal::read(unsigned).is_some()
}

fn number(text: &str) -> Plain {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let Some(decimal) = Decimal::read(unsigned) else { return Plain::Text };
    if decimal.whole {
        if let Ok(value) = text.parse::<i64>() {
            return Plain::Number(value.into());
        }
        return match unsigned.parse::<u64>() {
            Ok(value) if !negative => Plain::Number(value.into()),
            _ => Plain::Inexact,
        };
    }
    let Ok(value) = unsigned.parse::<f64>() else { return Plain::Text };
    // The shortest text of the double must be what was written, else digits were lost.
    let kept = Decimal::read(&format!("{value:e}"));
    match Number::from_f64(if negative { -value } else { value }) {
        Some(number) if kept.is_some_and(|kept| kept.same(&decimal)) => Plain::Number(number),
        _ => Plain::Inexact,
    }
}

/// An unsigned decimal as its significant digits and the power of ten of the last one.
struct Decimal {
    digits: String,
    exponent: i64,
    whole: bool,
}

impl Decimal {
    /// `123`, `1.5`, `.5`, `1.`, each with an optional exponent. `None` if it is anything else.
    fn read(text: &str) -> Option<Self> {
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, Some(power)),
            None => (text, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let shift = match power {
            None => 0,
            Some(power) => {
                let digits = power.strip_prefix(['-', '+']).unwrap_or(power);
                if digits.is_empty() || !all_digits(digits) {
                    return None;
                }
                // An absurd power is still a number, only one that is never kept exactly.
                power.parse::<i64>().unwrap_or(i64::MAX / 2)
            }
        };
        let digits = format!("{whole}{fraction}");
        let kept = digits.trim_end_matches('0');
        let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
        let exponent = shift.saturating_sub(i64::try_from(fraction.len()).ok()?).saturating_add(dropped);
        let digits = kept.trim_start_matches('0').to_owned();
        Some(Self { digits, exponent, whole: !mantissa.contains('.') && power.is_none() })
    }

    fn same(&self, other: &Self) -> bool {
        self.digits == other.digits && (self.digits.is_empty() || self.exponent == other.exponent)
    }
}

/// The text as one YAML scalar that reads as exactly this text: plain where that is safe, else quoted.
pub(crate) fn written(text: &str) -> String {
    let starts_plainly = text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '(' | '$' | '/' | '.'));
    let plain = starts_plainly
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(['[', ']', '{', '}', ','])
        && !text.contains(char::is_control)
        && resolve(text) == Plain::Text
        && !looks_numeric(text);
    if plain {
        text.to_owned()
    } else if !text.contains(char::is_control) && !text.contains('\'') {
        format!("'{text}'")
    } else {
        // JSON's quoting is YAML's double quoting.
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match resolve(text) {
            Plain::Null => "null".to_owned(),
            Plain::Bool(value) => format!("bool {value}"),
            Plain::Number(value) => format!("number {value}"),
            Plain::Inexact => "inexact".to_owned(),
            Plain::Text if looks_numeric(text) => "text, warned".to_owned(),
            Plain::Text => "text".to_owned(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn plain_scalars_keep_every_digit() {
        for text in
            ["no", "on", "yes", "y", "off", "nULL", "tRUE", "1_000", "12:30", "2026-01-31", "-", "+", ".", "e", "1e", "1e+"]
        {
            check(text, "text");
        }
        for text in ["00123", "0123", "+5", "+4930123456", "0x1F", "0o17", "-01", "00", "01.5", "+.5"] {
            check(text, "text, warned");
        }
        check("0", "number 0");
        check("-0", "number 0");
        check("-17", "number -17");
        check("0.5", "number 0.5");
        check(".5", "number 0.5");
        check("-1.50", "number -1.5");
        check("1e3", "number 1000.0");
        check("9223372036854775808", "number 9223372036854775808");
        check("18446744073709551615", "number 18446744073709551615");
        check("18446744073709551616", "inexact");
        check("-9223372036854775808", "number -9223372036854775808");
        check("-9223372036854775809", "inexact");
        check("0.1", "number 0.1");
        check("12345678901234567.89", "inexact");
        check("1e999", "inexact");
        check("1e-999", "inexact");
        check("1e99999999999999999999", "inexact");
        check("0.000", "number 0.0");
        check(".inf", "inexact");
        check(".nan", "inexact");
        check("~", "null");
        check("", "null");
        check("True", "bool true");
    }

    #[test]
    fn written_text_is_quoted_when_needed() {
        assert_eq!(written("a == b"), "a == b");
        assert_eq!(written("'a' == b"), "\"'a' == b\"");
        assert_eq!(written("\"a\" == b"), "'\"a\" == b'");
        assert_eq!(written("true"), "'true'");
        assert_eq!(written("0123"), "'0123'");
        assert_eq!(written("a: b"), "'a: b'");
    }
}
