//! Regular expressions. They never backtrack: the time goes with the length of the text, whatever
//! the pattern, and both are bounded.

use std::{cell::RefCell, collections::VecDeque};

use regex::{Captures, Regex, RegexBuilder};
use rhai::{Array, Dynamic, ImmutableString, Map};

use super::{Call, Line, function};
use crate::{
    EvalError, limits,
    machine::{Fault, fault, spend},
};

const GROUP: &str = "text";

/// How many bytes of text are matched for a step.
const MATCH_BYTES_PER_STEP: usize = 8;
/// What building a pattern costs, in steps.
const BUILD_STEPS: usize = 2_000;

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "matches(text: text, pattern: text) -> boolean",
        "Whether a regular expression finds something in the text; ^ and $ tie it to the ends.",
        "matches(\"INV-2026-7\", \"^INV-\\\\d{4}\")",
        "true",
        |call| Ok(search(call)?.0.is_match(&call.text(0)?).into()),
    ),
    function(
        GROUP,
        "extract(text: text, pattern: text) -> text|null",
        "What the first group of a regular expression finds, or all of it if it has none; null if nothing.",
        "extract(\"Order #4711 of today\", \"#(\\\\d+)\")",
        "\"4711\"",
        |call| {
            let (regex, text) = search(call)?;
            let found =
                regex.captures(&text).and_then(|found| found.get(1).or_else(|| found.get(0)).map(|part| part.as_str().into()));
            Ok(found.unwrap_or(Dynamic::UNIT))
        },
    ),
    function(
        GROUP,
        "match(text: text, pattern: text) -> record|null",
        "The first place a regular expression finds: its `text`, the `groups`, and those with a name under `named`.",
        "match(\"INV-2026-7\", \"(?<year>\\\\d{4})-(\\\\d+)\").named.year",
        "\"2026\"",
        |call| {
            let (regex, text) = search(call)?;
            Ok(regex.captures(&text).map_or(Dynamic::UNIT, |found| record(&regex, &found)))
        },
    ),
    function(
        GROUP,
        "match_all(text: text, pattern: text) -> list",
        "Every place a regular expression finds, as `match` gives it.",
        "match_all(\"a=1, b=2\", \"(\\\\w)=(\\\\d)\").map(|m| m.groups[1])",
        "[\"1\",\"2\"]",
        |call| {
            let (regex, text) = search(call)?;
            collect(regex.captures_iter(&text).map(|found| record(&regex, &found)))
        },
    ),
    function(
        GROUP,
        "find_all(text: text, pattern: text) -> list",
        "The texts of every place a regular expression finds.",
        "find_all(\"a1b22\", \"\\\\d+\")",
        "[\"1\",\"22\"]",
        |call| {
            let (regex, text) = search(call)?;
            collect(regex.find_iter(&text).map(|found| found.as_str().into()))
        },
    ),
    function(
        GROUP,
        "replace_regex(text: text, pattern: text, new: text) -> text",
        "The text with every place a regular expression finds replaced; $1 or ${name} in the new text is a group.",
        "replace_regex(\"2026-01-31\", \"(\\\\d+)-(\\\\d+)-(\\\\d+)\", \"$3.$2.$1\")",
        "\"31.01.2026\"",
        replace,
    ),
    function(
        GROUP,
        "split_regex(text: text, pattern: text) -> list",
        "The pieces between the places a regular expression finds.",
        "split_regex(\"a, b;c\", \"[,;]\\\\s*\")",
        "[\"a\",\"b\",\"c\"]",
        |call| {
            let (regex, text) = search(call)?;
            collect(regex.split(&text).map(Into::into))
        },
    ),
];

/// What is wrong with a pattern.
#[derive(Debug)]
pub(super) struct BadPattern {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// Builds a pattern within its bounds.
pub(super) fn build(pattern: &str) -> Result<Regex, BadPattern> {
    let too_large = || BadPattern {
        message: "this regular expression is too large".to_owned(),
        hint: "Use a shorter one, or fewer and smaller counts in { }.",
    };
    if pattern.len() > limits::PATTERN_BYTES_MAX {
        return Err(too_large());
    }
    let built = RegexBuilder::new(pattern)
        .size_limit(limits::PATTERN_PROGRAM_BYTES_MAX)
        .dfa_size_limit(limits::PATTERN_PROGRAM_BYTES_MAX)
        .nest_limit(limits::PATTERN_DEPTH_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => too_large(),
        error => {
            // The last line says why, the ones before draw where.
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let hint = if why.contains("look-around") || why.contains("backreferences") {
                "What would have to go back over the text is left out: look-around and backreferences."
            } else {
                "Signs with a meaning are written with a backslash, in a text with two: \"\\\\.\" is a dot."
            };
            BadPattern { message: format!("this is no regular expression: {why}"), hint }
        }
    })
}

thread_local! {
    // The patterns used last; a formula in a loop has the same ones again and again.
    static LATEST: RefCell<VecDeque<(ImmutableString, Regex)>> = const { RefCell::new(VecDeque::new()) };
}

/// The text and the pattern of a call.
fn search(call: &Call<'_, '_>) -> Result<(Regex, ImmutableString), Fault> {
    let (text, pattern) = (call.text(0)?, call.text(1)?);
    spend(1 + text.len() / MATCH_BYTES_PER_STEP).map_err(fault)?;
    let known = LATEST.with_borrow(|latest| latest.iter().find(|(known, _)| *known == pattern).map(|(_, regex)| regex.clone()));
    if let Some(regex) = known {
        return Ok((regex, text));
    }
    spend(BUILD_STEPS + pattern.len()).map_err(fault)?;
    let regex = build(&pattern).map_err(|bad| fault(EvalError::new("bad_argument", bad.message).with_hint(bad.hint)))?;
    LATEST.with_borrow_mut(|latest| {
        if latest.len() >= limits::PATTERNS_KEPT_MAX {
            latest.pop_front();
        }
        latest.push_back((pattern, regex.clone()));
    });
    Ok((regex, text))
}

fn record(regex: &Regex, found: &Captures<'_>) -> Dynamic {
    let part = |part: Option<regex::Match<'_>>| part.map_or(Dynamic::UNIT, |part| part.as_str().into());
    let groups: Array = found.iter().skip(1).map(part).collect();
    let named: Map = regex.capture_names().flatten().map(|name| (name.into(), part(found.name(name)))).collect();
    let mut out = Map::new();
    out.insert("text".into(), part(found.get(0)));
    out.insert("groups".into(), Dynamic::from_array(groups));
    out.insert("named".into(), Dynamic::from_map(named));
    Dynamic::from_map(out)
}

fn collect(found: impl Iterator<Item = Dynamic>) -> Result<Dynamic, Fault> {
    let mut out = Array::new();
    for item in found {
        spend(1).map_err(fault)?;
        if out.len() >= limits::LIST_ITEMS_MAX {
            let message = format!("this finds more than {} places", limits::LIST_ITEMS_MAX);
            return Err(fault(EvalError::new("limit", message)));
        }
        out.push(item);
    }
    Ok(Dynamic::from_array(out))
}

fn replace(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (regex, text) = search(call)?;
    let new = call.text(2)?;
    let (mut out, mut end) = (String::with_capacity(text.len()), 0);
    for found in regex.captures_iter(&text) {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[end..whole.start()]);
        found.expand(&new, &mut out);
        end = whole.end();
        spend(1 + new.len() / 64).map_err(fault)?;
        if out.len() > limits::TEXT_BYTES_MAX {
            return Err(call.too_long());
        }
    }
    out.push_str(&text[end..]);
    Ok(out.into())
}
