//! Regular expressions of filters, which never backtrack and have a bound of their own.

mod size;

use std::sync::{Arc, OnceLock};

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
    /// Written in the path.
    Fixed(Arc<Fixed>),
    /// Looked up for each item.
    Found { pattern: Box<Operand>, whole: bool },
}

/// A pattern that is built when it is first used: a recipe may have thousands that only a run needs.
#[derive(Debug)]
pub(crate) struct Fixed {
    text: String,
    whole: bool,
    /// `None` if it is no regular expression, which matches nothing.
    built: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// A pattern for the whole text (`match`), or for any part of it (`search`).
    ///
    /// # Errors
    /// A written pattern that would need too much memory.
    pub(super) fn new(operand: Operand, whole: bool) -> Result<Self, TooLarge> {
        let built = OnceLock::new();
        let text = match operand {
            Operand::Literal(Json::String(pattern)) => pattern,
            // What is no text is no pattern.
            Operand::Literal(_) => return Ok(Self::Fixed(Arc::new(Fixed { text: String::new(), whole, built: None.into() }))),
            operand => return Ok(Self::Found { pattern: Box::new(operand), whole }),
        };
        if text.len() > limits::PATTERN_BYTES_MAX || size::states(&text) > limits::PATTERN_STATES_MAX {
            return Err(TooLarge);
        }
        Ok(Self::Fixed(Arc::new(Fixed { text, whole, built })))
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
            Self::Fixed(fixed) => {
                let regex = fixed.built.get_or_init(|| build(&fixed.text, fixed.whole).unwrap_or_default());
                Ok(regex.as_ref().is_some_and(|regex| regex.is_match(text)))
            }
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
    if pattern.len() > limits::PATTERN_BYTES_MAX || size::states(pattern) > limits::PATTERN_STATES_MAX {
        return Err(TooLarge);
    }
    // Brackets around `a)|(b` would make one of what is none.
    if regex_syntax::ast::parse::Parser::new().parse(pattern).is_err() {
        return Ok(None);
    }
    let wrapped = if whole { format!("\\A(?:{pattern})\\z") } else { pattern.to_owned() };
    // A dot is anything but the end of a line, be it \n or \r.
    match RegexBuilder::new(&wrapped).crlf(true).size_limit(limits::PATTERN_PROGRAM_BYTES_MAX).build() {
        Ok(regex) => Ok(Some(regex)),
        Err(regex::Error::CompiledTooBig(_)) => Err(TooLarge),
        Err(_) => Ok(None),
    }
}
