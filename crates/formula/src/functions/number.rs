//! Numbers, exact.

use std::cmp::Ordering;

use rhai::Dynamic;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Call, Line, function};
use crate::{
    EvalError,
    machine::{Fault, fault},
    number::Number,
    ops,
    value::Kind,
};

const GROUP: &str = "number";

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "round(number: number, [digits: integer]) -> number",
        "Rounded; a half goes away from zero, as in trade.",
        "round(2.345, 2)",
        "2.35",
        round,
    ),
    function(GROUP, "floor(number: number) -> integer", "The next whole number below.", "floor(-1.5)", "-2", |call| {
        Ok(Number::from(call.number(0)?.decimal().floor()).into())
    }),
    function(GROUP, "ceil(number: number) -> integer", "The next whole number above.", "ceil(1.2)", "2", |call| {
        Ok(Number::from(call.number(0)?.decimal().ceil()).into())
    }),
    function(GROUP, "abs(number: number) -> number", "The number without its sign.", "abs(-3)", "3", |call| {
        Ok(Number::from(call.number(0)?.decimal().abs()).into())
    }),
    function(
        GROUP,
        "min(values: any...) -> any",
        "The smallest of a list, or of the values given.",
        "min(3, 1, 2)",
        "1",
        |call| extreme(call, Ordering::Less),
    ),
    function(GROUP, "max(values: any...) -> any", "The largest of a list, or of the values given.", "max([3, 1])", "3", |call| {
        extreme(call, Ordering::Greater)
    }),
    function(
        GROUP,
        "to_number(text: text|number) -> number",
        "The number a text says, such as \"12.50\".",
        "to_number(\"12.50\") * 2",
        "25",
        to_number,
    ),
];

fn round(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let value = call.number(0)?.decimal();
    let digits = if call.args.len() > 1 { call.whole(1)? } else { 0 };
    let half = RoundingStrategy::MidpointAwayFromZero;
    if let Ok(digits) = u32::try_from(digits) {
        return Ok(Number::from(value.round_dp_with_strategy(digits.min(Decimal::MAX_SCALE), half)).into());
    }
    // Tens, hundreds and so on: whole again after the division.
    let Some(unit) = u32::try_from(digits.unsigned_abs()).ok().and_then(|digits| 10_i64.checked_pow(digits)).map(Decimal::from)
    else {
        return Ok(0_i64.into());
    };
    let rounded = (value / unit).round_dp_with_strategy(0, half).checked_mul(unit);
    rounded.map(|value| Number::from(value).into()).ok_or_else(|| call.bad("would give a number that is too large"))
}

fn extreme(call: &mut Call<'_, '_>, wanted: Ordering) -> Result<Dynamic, Fault> {
    let values: Vec<Dynamic> = if call.args.len() == 1 && call.kind(0) == Kind::List {
        call.list(0)?.iter().collect::<Result<_, _>>().map_err(fault)?
    } else {
        (0..call.args.len()).map(|at| call.value(at)).collect()
    };
    let mut best: Option<Dynamic> = None;
    for value in values {
        let better = match &best {
            Some(best) => ops::order(&value, best).map_err(|error| rename(call, error))? == wanted,
            None => true,
        };
        if better {
            best = Some(value);
        }
    }
    Ok(best.unwrap_or(Dynamic::UNIT))
}

fn rename(call: &Call<'_, '_>, error: EvalError) -> Fault {
    let message = match error.message.strip_prefix("this ") {
        Some(rest) => format!("`{}` {rest}", call.function.name),
        None => error.message.clone(),
    };
    fault(EvalError { message, ..error })
}

fn to_number(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    if let Some(number) = call.arg(0).and_then(Number::of) {
        return Ok(number.into());
    }
    let text = call.text(0)?;
    Number::parse(text.trim()).map(Into::into).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        fault(
            EvalError::new("bad_argument", format!("\"{shown}\" is no number"))
                .with_hint("Numbers look like 1200 or -12.5. Remove other signs first: to_number(replace(x, \",\", \"\"))"),
        )
    })
}
