//! Numbers: integers stay integers, everything else is an exact decimal, floats do not exist.
//!
//! A JSON float becomes the decimal of its shortest text, so `19.99` is `19.99` and
//! `19.99 * 100` is `1999`.

use std::{cmp::Ordering, str::FromStr};

use rhai::Dynamic;
use rust_decimal::{Decimal, MathematicalOps, prelude::ToPrimitive};
use serde_json::Number as JsonNumber;

use crate::EvalError;

/// Up to here doubles tell every whole number from the next.
const WHOLE_DOUBLE_MAX: u64 = 1 << 53;

/// A number. An integral value that fits is always `Int`, so equal numbers have one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Int(i64),
    Decimal(Decimal),
}

impl From<Decimal> for Number {
    fn from(value: Decimal) -> Self {
        match value.to_i64() {
            Some(int) if value.is_integer() => Self::Int(int),
            _ => Self::Decimal(value.normalize()),
        }
    }
}

impl From<Number> for Dynamic {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(value) => value.into(),
            Number::Decimal(value) => Self::from_decimal(value),
        }
    }
}

impl Number {
    pub(crate) fn of(value: &Dynamic) -> Option<Self> {
        match value.as_int() {
            Ok(int) => Some(Self::Int(int)),
            Err(_) => value.as_decimal().ok().map(Self::Decimal),
        }
    }

    pub(crate) fn from_json(number: &JsonNumber) -> Result<Self, EvalError> {
        if let Some(int) = number.as_i64() {
            return Ok(Self::Int(int));
        }
        if let Some(int) = number.as_u64() {
            return Ok(Self::Decimal(int.into()));
        }
        let text = number.to_string();
        Self::parse(&text).ok_or_else(|| {
            EvalError::new("number_range", format!("the number {text} is too large to compute with"))
                .with_hint("Formulas are exact up to 28 digits. Pass the value on with a JSONPath, which leaves it as it is.")
        })
    }

    /// A number from text such as `12`, `-1.50` or `1e3`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(int) = text.parse() {
            return Some(Self::Int(int));
        }
        let decimal = if text.contains(['e', 'E']) { scientific(text)? } else { Decimal::from_str(text).ok()? };
        Some(decimal.into())
    }

    /// The number as JSON has it. A fraction is rounded to the 15 to 17 digits of a double, as any
    /// reader of JSON would do; a whole part that a double cannot say is an error.
    pub(crate) fn to_json(self) -> Result<JsonNumber, EvalError> {
        let value = match self {
            Self::Int(int) => return Ok(int.into()),
            Self::Decimal(value) => value,
        };
        if value.is_integer()
            && let Some(int) = value.to_u64()
        {
            return Ok(int.into());
        }
        let double = value.to_string().parse().ok().and_then(JsonNumber::from_f64);
        let kept = |double: &JsonNumber| {
            value.abs() < Decimal::from(WHOLE_DOUBLE_MAX)
                || Self::parse(&double.to_string()).is_some_and(|read| read.decimal() == value)
        };
        double.filter(kept).ok_or_else(|| {
            EvalError::new("number_range", format!("the number {value} has more digits than a JSON number keeps"))
                .with_hint("Give it as text: to_text(…)")
        })
    }

    pub(crate) fn decimal(self) -> Decimal {
        match self {
            Self::Int(int) => int.into(),
            Self::Decimal(value) => value,
        }
    }

    pub(crate) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (a, b) => a.decimal().cmp(&b.decimal()),
        }
    }

    pub(crate) fn add(self, other: Self) -> Result<Self, EvalError> {
        self.with(other, i64::checked_add, Decimal::checked_add)
    }

    pub(crate) fn subtract(self, other: Self) -> Result<Self, EvalError> {
        self.with(other, i64::checked_sub, Decimal::checked_sub)
    }

    pub(crate) fn multiply(self, other: Self) -> Result<Self, EvalError> {
        self.with(other, i64::checked_mul, Decimal::checked_mul)
    }

    pub(crate) fn divide(self, other: Self) -> Result<Self, EvalError> {
        if other == Self::Int(0) {
            return Err(EvalError::new("arithmetic", "this divides by zero")
                .with_hint("Check the divisor first: if x == 0 { … } else { … / x }"));
        }
        let whole = |a: i64, b: i64| (a.checked_rem(b)? == 0).then(|| a.checked_div(b)).flatten();
        self.with(other, whole, Decimal::checked_div)
    }

    pub(crate) fn remainder(self, other: Self) -> Result<Self, EvalError> {
        if other == Self::Int(0) {
            return Err(EvalError::new("arithmetic", "this divides by zero"));
        }
        self.with(other, i64::checked_rem, Decimal::checked_rem)
    }

    pub(crate) fn power(self, other: Self) -> Result<Self, EvalError> {
        let Self::Int(exponent) = other else {
            return Err(EvalError::new("arithmetic", "powers take whole numbers only"));
        };
        if exponent.unsigned_abs() > 1024 {
            return Err(too_large());
        }
        self.decimal().checked_powi(exponent).map(Self::from).ok_or_else(too_large)
    }

    pub(crate) fn negate(self) -> Self {
        match self {
            Self::Int(int) => int.checked_neg().map_or_else(|| (-Decimal::from(int)).into(), Self::Int),
            Self::Decimal(value) => (-value).into(),
        }
    }

    fn with(
        self,
        other: Self,
        ints: fn(i64, i64) -> Option<i64>,
        decimals: fn(Decimal, Decimal) -> Option<Decimal>,
    ) -> Result<Self, EvalError> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(int) = ints(a, b)
        {
            return Ok(Self::Int(int));
        }
        decimals(self.decimal(), other.decimal()).map(Self::from).ok_or_else(too_large)
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(int) => int.fmt(f),
            Self::Decimal(value) => value.fmt(f),
        }
    }
}

fn too_large() -> EvalError {
    EvalError::new("number_range", "the result is too large to be exact").with_hint("Formulas are exact up to 28 digits.")
}

/// `1.5e-7` and the like. What is smaller than the last of 28 decimals is rounded there, as in
/// any other computation; what is too large is none.
fn scientific(text: &str) -> Option<Decimal> {
    if let Ok(value) = Decimal::from_scientific(text) {
        return Some(value);
    }
    let float: f64 = text.parse().ok()?;
    (float.abs() < 1.0).then(|| Decimal::from_str(&format!("{float:.28}")).ok()).flatten()
}
