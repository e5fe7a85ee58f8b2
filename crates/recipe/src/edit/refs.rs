//! References: where expressions stand in a recipe, and where in them a name is spoken of.

use std::ops::Range;

use super::lists::steps;
use super::tree::{Kind, Source};
use crate::catalogue::Catalogue;
use crate::scan::{self, Piece};

/// The names a thing goes by: `["steps", "account"]`, each part a field of the one before. What is
/// looked for is the last part.
pub(crate) type Way = Vec<String>;

/// A text with expressions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    pub(crate) node: usize,
    pub(crate) kind: Kinds,
}

/// How a text holds expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// All of it is a formula.
    Formula,
    /// All of it is a script.
    Script,
    /// Between `${` and `}`.
    Mixed,
}

/// An expression that cannot be read although it may speak of the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread;

/// Keys of a step whose values are no expressions, or are steps, which are visited themselves.
const SILENT: &[&str] =
    &["id", "title", "note", "as", "steps", "try", "catch", "finally", "disabled", "parallel", "call", "start"];

/// Every text of a recipe that can hold expressions.
pub(crate) fn holders(source: &Source<'_>) -> Vec<Holder> {
    let mut found = Vec::new();
    let at = |path: &[&str]| path.iter().try_fold(source.root, |node, key| source.get(node, key));
    if let Some(node) = at(&["trigger", "if"]) {
        found.push(Holder { node, kind: Kinds::Formula });
    }
    for path in [&["trigger", "dedupe"][..], &["settings"], &["defaults"]] {
        at(path).into_iter().for_each(|node| mixed(source, node, &mut found));
    }
    for step in steps(source) {
        of_step(source, step.node, &mut found);
    }
    found
}

/// The texts of one step that can hold expressions, without those of the steps inside it.
pub(crate) fn of_step(source: &Source<'_>, step: usize, found: &mut Vec<Holder>) {
    let formula = |node| Holder { node, kind: Kinds::Formula };
    for part in source.parts(step) {
        match part.key.as_ref() {
            key if SILENT.contains(&key) || key.starts_with("x-") => {}
            "if" => found.push(formula(part.value)),
            "set" if source.text_of(part.value).is_some() => found.push(Holder { node: part.value, kind: Kinds::Script }),
            "choose" => {
                let branches = source.parts(part.value).iter();
                found.extend(branches.filter_map(|branch| source.get(branch.value, "when")).map(formula));
            }
            "repeat" => {
                for part in source.parts(part.value) {
                    if part.key == "until" {
                        found.push(formula(part.value));
                    } else {
                        mixed(source, part.value, found);
                    }
                }
            }
            _ => mixed(source, part.value, found),
        }
    }
}

fn mixed(source: &Source<'_>, node: usize, found: &mut Vec<Holder>) {
    match &source.node(node).kind {
        Kind::Scalar { text, .. } if text.contains("${") => found.push(Holder { node, kind: Kinds::Mixed }),
        Kind::Scalar { .. } | Kind::Alias => {}
        Kind::List { parts, .. } | Kind::Record { parts, .. } => parts.iter().for_each(|part| mixed(source, part.value, found)),
    }
}

/// Where a text speaks of one of the ways: the ranges of the last parts.
pub(crate) fn spoken(text: &str, kind: Kinds, ways: &[Way], catalogue: &Catalogue) -> Result<Vec<Range<usize>>, Unread> {
    let Some(name) = ways.first().and_then(|way| way.last()) else { return Ok(Vec::new()) };
    if !text.contains(name.as_str()) {
        return Ok(Vec::new());
    }
    let whole = |script| {
        let start = text.len() - text.trim_start().len();
        in_expression(text.trim(), script, ways, name, catalogue).map(|found| moved(found, start))
    };
    match kind {
        // With `${` at its start it is no script, and the checker says so.
        Kinds::Script if !text.trim_start().starts_with("${") => whole(true),
        Kinds::Formula if !text.contains("${") => whole(false),
        _ => {
            let mut found = Vec::new();
            let pieces = match scan::pieces(text) {
                Ok(pieces) => pieces,
                Err(_) if has_word(text, name) => return Err(Unread),
                Err(_) => return Ok(found),
            };
            for piece in pieces {
                if let Piece::Expr { source, range, .. } = piece {
                    found.extend(moved(in_expression(source, false, ways, name, catalogue)?, range.start));
                }
            }
            Ok(found)
        }
    }
}

fn moved(found: Vec<Range<usize>>, by: usize) -> Vec<Range<usize>> {
    found.into_iter().map(|range| range.start + by..range.end + by).collect()
}

fn in_expression(
    source: &str,
    script: bool,
    ways: &[Way],
    name: &str,
    catalogue: &Catalogue,
) -> Result<Vec<Range<usize>>, Unread> {
    if !has_word(source, name) {
        return Ok(Vec::new());
    }
    if source.starts_with('$') && !script {
        return Ok(in_path(source, ways));
    }
    let read = if script { (catalogue.script)(source) } else { (catalogue.expression)(source) };
    let Ok(info) = read else { return Err(Unread) };
    let mut found = Vec::new();
    for reference in &info.references {
        if !ways.iter().any(|way| way.first() == Some(&reference.root)) {
            continue;
        }
        let Some(chain) = source.get(..reference.range.end).map(|text| chain(text, reference.range.start)) else {
            return Err(Unread);
        };
        if chain.first().is_none_or(|(root, _)| *root != reference.root) {
            return Err(Unread);
        }
        found.extend(last_of(&chain, ways));
    }
    found.sort_by_key(|range| range.start);
    found.dedup();
    Ok(found)
}

/// The paths of a JSONPath: every `$` outside of quotes begins one.
fn in_path(source: &str, ways: &[Way]) -> Vec<Range<usize>> {
    let bytes = source.as_bytes();
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'\'' | b'"') => at = quoted(source, at, quote).1,
            b'$' => {
                let mut parts = Vec::new();
                fields(source, at + 1, &mut parts);
                found.extend(last_of(&parts, ways));
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

fn last_of(chain: &[(String, Range<usize>)], ways: &[Way]) -> Option<Range<usize>> {
    let fits = |way: &&Way| way.len() <= chain.len() && way.iter().zip(chain).all(|(part, (key, _))| part == key);
    ways.iter().find(fits).map(|way| chain[way.len() - 1].1.clone())
}

/// A name and the fields behind it, as far as they are written out.
fn chain(text: &str, start: usize) -> Vec<(String, Range<usize>)> {
    let mut parts = Vec::new();
    let Some(end) = word(text, start) else { return parts };
    parts.push((text[start..end].to_owned(), start..end));
    fields(text, end, &mut parts);
    parts
}

fn fields(text: &str, mut at: usize, parts: &mut Vec<(String, Range<usize>)>) {
    loop {
        let dot = blank(text, at);
        let rest = &text[dot..];
        let (open, bracket) = match rest.as_bytes() {
            [b'?', b'.', ..] => (2, false),
            [b'?', b'[', ..] => (2, true),
            [b'.', b'.', ..] => return,
            [b'.', ..] => (1, false),
            [b'[', ..] => (1, true),
            _ => return,
        };
        let start = blank(text, dot + open);
        if bracket {
            let quote = match text.as_bytes().get(start) {
                Some(quote @ (b'\'' | b'"' | b'`')) => *quote,
                _ => return,
            };
            let (inner, end) = quoted(text, start, quote);
            let close = blank(text, end);
            let Some(key) = text.get(inner.clone()).filter(|_| text[close..].starts_with(']')) else { return };
            parts.push((key.to_owned(), inner));
            at = close + 1;
        } else {
            let Some(end) = word(text, start) else { return };
            parts.push((text[start..end].to_owned(), start..end));
            at = end;
        }
    }
}

/// Past blanks and comments.
fn blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        at += match trimmed.as_bytes() {
            [b'/', b'/', ..] => trimmed.find('\n').unwrap_or(trimmed.len()),
            [b'/', b'*', ..] => trimmed.find("*/").map_or(trimmed.len(), |end| end + 2),
            _ => return at,
        };
    }
}

/// The end of the name that begins at `at`.
fn word(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    (len > 0).then_some(at + len)
}

/// The inside of the quotes at `at`, and where they end.
fn quoted(text: &str, at: usize, quote: u8) -> (Range<usize>, usize) {
    let bytes = text.as_bytes();
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    let end = end.min(bytes.len());
    (at + 1..end, (end + 1).min(bytes.len()))
}

/// True if the name stands in the text and is not part of a longer one.
fn has_word(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chain: &[(String, Range<usize>)], text: &str, expected: &[&str]) {
        assert_eq!(chain.iter().map(|(_, range)| &text[range.clone()]).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn chains_are_followed_in_every_writing() {
        for text in
            ["steps.a.b", "steps?.a.b", "steps[\"a\"].b", "steps ['a'] /* x */ . b", "steps?[`a`]?.b + 1", "steps.a.b[0].c"]
        {
            check(&chain(text, 0), text, &["steps", "a", "b"]);
        }
        check(&chain("steps[x].a", 0), "steps[x].a", &["steps"]);
        check(&chain("steps.é.b", 0), "steps.é.b", &["steps", "é", "b"]);
    }

    #[test]
    fn paths_are_found_outside_of_quotes() {
        let ways = vec![vec!["steps".to_owned(), "a".to_owned()]];
        let found = |text: &str| in_path(text, &ways).iter().map(|r| (r.start, text[r.clone()].to_owned())).collect::<Vec<_>>();
        assert_eq!(found("$.steps.a.b"), [(8, "a".to_owned())]);
        assert_eq!(found("$['steps']['a']"), [(12, "a".to_owned())]);
        assert_eq!(found("$.steps.x[?@.k == $.steps[\"a\"]] ?? '$.steps.a'"), [(27, "a".to_owned())]);
        assert_eq!(found("$.steps.ab"), []);
        assert_eq!(found("$..a"), []);
    }
}
