//! Comparisons of filters, where either side may be nothing.

use std::cmp::Ordering;

use serde_json::{Number, Value as Json};

use super::{Comparison, Steps};
use crate::EvalError;

pub(super) fn compare(
    left: Option<&Json>,
    comparison: Comparison,
    right: Option<&Json>,
    steps: &mut Steps,
) -> Result<bool, EvalError> {
    let mut same = || match (left, right) {
        (None, None) => Ok(true),
        (Some(left), Some(right)) => same(left, right, steps),
        _ => Ok(false),
    };
    Ok(match comparison {
        Comparison::Equal => same()?,
        Comparison::NotEqual => !same()?,
        Comparison::Less => order(left, right) == Some(Ordering::Less),
        Comparison::Greater => order(left, right) == Some(Ordering::Greater),
        Comparison::LessOrEqual => order(left, right) == Some(Ordering::Less) || same()?,
        Comparison::GreaterOrEqual => order(left, right) == Some(Ordering::Greater) || same()?,
    })
}

fn same(left: &Json, right: &Json, steps: &mut Steps) -> Result<bool, EvalError> {
    steps.spend(1)?;
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => Ok(order_of_numbers(left, right) == Some(Ordering::Equal)),
        (Json::String(left), Json::String(right)) => {
            steps.spend(left.len().min(right.len()) / 64)?;
            Ok(left == right)
        }
        (Json::Array(left), Json::Array(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right) {
                if !same(left, right, steps)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Json::Object(left), Json::Object(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (key, left) in left {
                match right.get(key) {
                    Some(right) if same(left, right, steps)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        _ => Ok(left == right),
    }
}

/// Numbers and texts have an order, nothing else has.
fn order(left: Option<&Json>, right: Option<&Json>) -> Option<Ordering> {
    match (left?, right?) {
        (Json::Number(left), Json::Number(right)) => order_of_numbers(left, right),
        (Json::String(left), Json::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Whole numbers exactly, however large.
fn order_of_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
