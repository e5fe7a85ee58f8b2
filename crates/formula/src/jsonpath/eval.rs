//! Follows a path through data, counting what it costs.

use serde_json::Value as Json;

use super::{Operand, Query, Segment, Selector, Test, compare};
use crate::{EvalError, limits, reference};

/// What is left to spend. Each place looked at or found is one step, and so are 64 bytes of text
/// that are compared, matched or copied.
#[derive(Debug)]
pub(crate) struct Steps {
    left: u64,
}

impl Steps {
    pub(crate) const fn new() -> Self {
        Self { left: limits::PATH_STEPS_MAX }
    }

    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), EvalError> {
        match self.left.checked_sub(steps as u64) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(EvalError::new("limit", format!("the path looks at more than {} places", limits::PATH_STEPS_MAX))
                .with_hint("Begin it nearer to what is wanted, or use fewer `..` and `*`.")),
        }
    }
}

/// The places the segments lead to from `start`, where `$` means `root`.
pub(crate) fn follow<'a>(
    segments: &[Segment],
    start: &'a Json,
    root: &'a Json,
    steps: &mut Steps,
) -> Result<Vec<&'a Json>, EvalError> {
    let mut walk = Walk { root, steps };
    walk.follow(segments, start)
}

struct Walk<'a, 's> {
    root: &'a Json,
    steps: &'s mut Steps,
}

impl<'a> Walk<'a, '_> {
    fn follow(&mut self, segments: &[Segment], start: &'a Json) -> Result<Vec<&'a Json>, EvalError> {
        let mut places = vec![start];
        for segment in segments {
            let mut found = Vec::new();
            for place in places {
                self.segment(segment, place, &mut found)?;
            }
            places = found;
        }
        Ok(places)
    }

    fn segment(&mut self, segment: &Segment, place: &'a Json, found: &mut Vec<&'a Json>) -> Result<(), EvalError> {
        self.steps.spend(1)?;
        for selector in &segment.selectors {
            self.select(selector, place, found)?;
        }
        if segment.descends {
            match place {
                Json::Array(items) => items.iter().try_for_each(|item| self.segment(segment, item, found))?,
                Json::Object(fields) => fields.values().try_for_each(|value| self.segment(segment, value, found))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn select(&mut self, selector: &Selector, place: &'a Json, found: &mut Vec<&'a Json>) -> Result<(), EvalError> {
        let before = found.len();
        match (selector, place) {
            (Selector::Name(name), _) => found.extend(reference::field(place, name)),
            (Selector::Index(index), _) => found.extend(reference::item(place, *index)),
            (Selector::Any, Json::Array(items)) => found.extend(items),
            (Selector::Any, Json::Object(fields)) => found.extend(fields.values()),
            (Selector::Slice { start, end, step }, Json::Array(items)) => {
                found.extend(slice(items.len(), *start, *end, *step).map(|at| &items[at]));
            }
            (Selector::Filter(test), Json::Array(items)) => self.filter(test, items.iter(), found)?,
            (Selector::Filter(test), Json::Object(fields)) => self.filter(test, fields.values(), found)?,
            _ => {}
        }
        self.steps.spend(1 + found.len() - before)
    }

    fn filter(&mut self, test: &Test, items: impl Iterator<Item = &'a Json>, found: &mut Vec<&'a Json>) -> Result<(), EvalError> {
        for item in items {
            self.steps.spend(1)?;
            if self.holds(test, item)? {
                found.push(item);
            }
        }
        Ok(())
    }

    fn holds(&mut self, test: &Test, item: &'a Json) -> Result<bool, EvalError> {
        match test {
            Test::Any(tests) => {
                for test in tests {
                    if self.holds(test, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Test::All(tests) => {
                for test in tests {
                    if !self.holds(test, item)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Test::Not(test) => Ok(!self.holds(test, item)?),
            Test::Exists(query) => Ok(!self.query(query, item)?.is_empty()),
            Test::Compare(left, comparison, right) => {
                let (left, right) = (self.operand(left, item)?, self.operand(right, item)?);
                compare::compare(left.as_deref(), *comparison, right.as_deref(), self.steps)
            }
            Test::Matches { text, pattern } => {
                let text = self.operand(text, item)?;
                let found = pattern.operand().map(|operand| self.operand(operand, item)).transpose()?.flatten();
                let Some(text) = text.as_deref().and_then(Json::as_str) else { return Ok(false) };
                pattern.matches(text, found.as_deref(), self.steps)
            }
        }
    }

    fn query(&mut self, query: &Query, item: &'a Json) -> Result<Vec<&'a Json>, EvalError> {
        self.follow(&query.segments, if query.absolute { self.root } else { item })
    }

    /// The value of one side, or nothing.
    fn operand<'o>(&mut self, operand: &'o Operand, item: &'a Json) -> Result<Option<Value<'o>>, EvalError>
    where
        'a: 'o,
    {
        let number = |count: usize| Some(Value::Made(Json::from(count)));
        Ok(match operand {
            Operand::Literal(value) => Some(Value::Found(value)),
            Operand::Only(query) => match self.query(query, item)?[..] {
                [value] => Some(Value::Found(value)),
                _ => None,
            },
            Operand::Count(query) => number(self.query(query, item)?.len()),
            Operand::Length(inner) => match self.operand(inner, item)?.as_deref() {
                Some(Json::String(text)) => {
                    self.steps.spend(text.len() / 64)?;
                    number(text.chars().count())
                }
                Some(Json::Array(items)) => number(items.len()),
                Some(Json::Object(fields)) => number(fields.len()),
                _ => None,
            },
        })
    }
}

/// A value in the data or in the path, or one that was counted.
enum Value<'a> {
    Found(&'a Json),
    Made(Json),
}

impl std::ops::Deref for Value<'_> {
    type Target = Json;

    fn deref(&self) -> &Json {
        match self {
            Self::Found(value) => value,
            Self::Made(value) => value,
        }
    }
}

/// The places of a slice, in its order.
fn slice(len: usize, start: Option<i64>, end: Option<i64>, step: i64) -> impl Iterator<Item = usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at >= 0 { at } else { at.saturating_add(len) };
    let (first, last) = if step >= 0 {
        let start = from_end(start.unwrap_or(0)).clamp(0, len);
        (start, from_end(end.unwrap_or(len)).clamp(0, len))
    } else {
        let start = start.map_or(len - 1, from_end).clamp(-1, len - 1);
        (start, end.map_or(-1, from_end).clamp(-1, len - 1))
    };
    let next = move |at: &i64| at.checked_add(step);
    std::iter::successors((step != 0).then_some(first), next)
        .take_while(move |at| if step > 0 { *at < last } else { *at > last })
        .filter_map(|at| usize::try_from(at).ok())
}
