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
        "round(number: number, [digits: integer], [mode: text]) -> number",
        "Rounded to so many decimals. A half goes away from zero, as in trade (half_up), or as the mode says: half_even, half_down, up, down, ceiling, floor.",
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
    function(
        GROUP,
        "to_integer(value: text|number) -> integer",
        "The whole number a text or a number says; a fraction is an error, so round it first.",
        "to_integer(\"12.0\")",
        "12",
        |call| match to_number(call)?.as_int() {
            Ok(whole) => Ok(whole.into()),
            Err(_) => Err(call.bad("gets a number with a fraction, or one that is too large")),
        },
    ),
    function(
        GROUP,
        "percent(part: number, whole: number, [digits: integer]) -> number",
        "How many percent of the whole the part is, rounded to so many decimals if they are given.",
        "percent(45, 60)",
        "75",
        |call| {
            let hundredfold = call.number(0)?.multiply(Number::Int(100)).map_err(fault)?;
            let percent = hundredfold.divide(call.number(1)?).map_err(|error| call.named(error))?;
            if !call.given(2) {
                return Ok(percent.into());
            }
            let half = RoundingStrategy::MidpointAwayFromZero;
            Ok(Number::from(percent.decimal().round_dp_with_strategy(call.digits(2)?, half)).into())
        },
    ),
    function(
        GROUP,
        "mod(number: number, by: number) -> number",
        "What is left after dividing, with the sign of the divisor. For `%` it has that of the number.",
        "mod(-7, 3)",
        "2",
        |call| {
            let (number, by) = (call.number(0)?, call.number(1)?);
            let rest = number.remainder(by).map_err(|error| call.named(error))?;
            let zero = Number::Int(0);
            let differs = rest != zero && (rest.order(zero) != by.order(zero));
            Ok(if differs { rest.add(by).map_err(fault)? } else { rest }.into())
        },
    ),
    function(
        GROUP,
        "clamp(number: number, least: number, most: number) -> number",
        "The number, or the nearest end of what is allowed.",
        "clamp(120, 0, 100)",
        "100",
        |call| {
            let (number, least, most) = (call.number(0)?, call.number(1)?, call.number(2)?);
            if least.order(most).is_gt() {
                return Err(call.bad("gets a smallest number above the largest"));
            }
            let raised = if number.order(least).is_lt() { least } else { number };
            Ok(if raised.order(most).is_gt() { most } else { raised }.into())
        },
    ),
    function(
        GROUP,
        "sign(number: number) -> integer",
        "1 for a number above 0, -1 for one below, else 0.",
        "sign(-12.5)",
        "-1",
        |call| Ok((call.number(0)?.order(Number::Int(0)) as i64).into()),
    ),
];

fn round(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let value = call.number(0)?.decimal();
    let digits = if call.given(1) { call.whole(1)? } else { 0 };
    let strategy = call.rounding(2)?.unwrap_or(RoundingStrategy::MidpointAwayFromZero);
    if let Ok(digits) = u32::try_from(digits) {
        return Ok(Number::from(value.round_dp_with_strategy(digits.min(Decimal::MAX_SCALE), strategy)).into());
    }
    // Tens, hundreds and so on: moved behind the point, rounded there and moved back, exactly.
    let places = u32::try_from(digits.unsigned_abs()).unwrap_or(u32::MAX).min(Decimal::MAX_SCALE + 1);
    let rounded = round_whole(value, places, strategy);
    rounded.map(|value| Number::from(value).into()).ok_or_else(|| call.bad("would give a number that is too large"))
}

/// Rounds to tens, hundreds and so on.
fn round_whole(value: Decimal, places: u32, strategy: RoundingStrategy) -> Option<Decimal> {
    let zero = Decimal::ZERO;
    let Some(unit) = 10_i128.checked_pow(places).and_then(|unit| Decimal::try_from_i128_with_scale(unit, 0).ok()) else {
        // No number is half as large as that, so only the direction counts.
        let up = match strategy {
            RoundingStrategy::AwayFromZero => value != zero,
            RoundingStrategy::ToPositiveInfinity => value > zero,
            RoundingStrategy::ToNegativeInfinity => value < zero,
            _ => false,
        };
        return (!up).then_some(zero);
    };
    let rest = value % unit;
    let whole = value - rest;
    // Whether the rest counts: told by comparing, as dividing it may lose its last digits.
    let twice = rest.abs().cmp(&(unit - rest.abs()));
    let away = match strategy {
        RoundingStrategy::AwayFromZero => rest != zero,
        RoundingStrategy::ToZero => false,
        RoundingStrategy::ToPositiveInfinity => rest > zero,
        RoundingStrategy::ToNegativeInfinity => rest < zero,
        RoundingStrategy::MidpointTowardZero => twice.is_gt(),
        RoundingStrategy::MidpointNearestEven => twice.is_gt() || (twice.is_eq() && (whole / unit) % Decimal::TWO != zero),
        _ => twice.is_ge() && rest != zero,
    };
    if !away {
        return Some(whole);
    }
    if value > zero { whole.checked_add(unit) } else { whole.checked_sub(unit) }
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
            Some(best) => ops::order(&value, best).map_err(|error| call.named(error))? == wanted,
            None => true,
        };
        if better {
            best = Some(value);
        }
    }
    Ok(best.unwrap_or(Dynamic::UNIT))
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
