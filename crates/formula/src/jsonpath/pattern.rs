//! Regular expressions of filters, which never backtrack and have a bound of their own.

use regex::{Regex, RegexBuilder};
use serde_json::Value as Json;

use super::{Operand, Steps};
use crate::{EvalError, limits};

/// What building a pattern costs that stands in the data, in steps.
const BUILD_STEPS: usize = 2_000;
/// How many bytes of text are matched for a step.
const MATCH_BYTES_PER_STEP: usize = 4;

/// What `match` and `search` look for.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// Written in the path and built once; `None` if it is no regular expression, which matches nothing.
    Fixed(Option<Regex>),
    /// Looked up for each item.
    Found { pattern: Box<Operand>, whole: bool },
}

impl Pattern {
    /// A pattern for the whole text (`match`), or for any part of it (`search`).
    ///
    /// # Errors
    /// A written pattern that would need too much memory.
    pub(super) fn new(operand: Operand, whole: bool) -> Result<Self, TooLarge> {
        match operand {
            Operand::Literal(Json::String(pattern)) => build(&pattern, whole).map(Self::Fixed),
            Operand::Literal(_) => Ok(Self::Fixed(None)),
            operand => Ok(Self::Found { pattern: Box::new(operand), whole }),
        }
    }

    /// Where to look the pattern up, unless it is fixed.
    pub(super) fn operand(&self) -> Option<&Operand> {
        match self {
            Self::Fixed(_) => None,
            Self::Found { pattern, .. } => Some(pattern),
        }
    }

    pub(super) fn matches(&self, text: &str, found: Option<&Json>, steps: &mut Steps) -> Result<bool, EvalError> {
        steps.spend(1 + text.len() / MATCH_BYTES_PER_STEP)?;
        match self {
            Self::Fixed(regex) => Ok(regex.as_ref().is_some_and(|regex| regex.is_match(text))),
            Self::Found { whole, .. } => {
                let Some(pattern) = found.and_then(Json::as_str) else { return Ok(false) };
                steps.spend(BUILD_STEPS + pattern.len())?;
                let regex = build(pattern, *whole).map_err(|TooLarge| {
                    EvalError::new("limit", "a regular expression in the data is too large")
                        .with_hint("Use a shorter one, or fewer and smaller counts in { }.")
                })?;
                Ok(regex.is_some_and(|regex| regex.is_match(text)))
            }
        }
    }
}

/// The pattern needs more memory than it may.
#[derive(Debug)]
pub(super) struct TooLarge;

/// The regular expression, or `None` if it is none.
fn build(pattern: &str, whole: bool) -> Result<Option<Regex>, TooLarge> {
    if pattern.len() > limits::PATTERN_BYTES_MAX {
        return Err(TooLarge);
    }
    // Alone first: `a)|(b` is none, though brackets around it would make it one.
    let Some(alone) = compile(pattern)? else { return Ok(None) };
    if whole { compile(&format!("\\A(?:{pattern})\\z")) } else { Ok(Some(alone)) }
}

fn compile(pattern: &str) -> Result<Option<Regex>, TooLarge> {
    // A dot is anything but the end of a line, be it \n or \r.
    let built = RegexBuilder::new(pattern).crlf(true).size_limit(limits::PATTERN_PROGRAM_BYTES_MAX).build();
    match built {
        Ok(regex) => Ok(Some(regex)),
        Err(regex::Error::CompiledTooBig(_)) => Err(TooLarge),
        Err(_) => Ok(None),
    }
}
