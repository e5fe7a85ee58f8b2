//! The names and dots around a place of an expression.

use std::ops::Range;

use crate::catalogue::Segment;

/// What stands before a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// The names before it: `steps`, `account` for the `id` of `steps.account.id`.
    pub(super) path: Vec<Segment>,
    /// All of it belongs to a JSONPath.
    pub(super) is_path: bool,
}

/// What stands before the name that begins at `at`; `None` if nothing can be told, as inside a text.
pub(super) fn before(source: &str, at: usize) -> Option<Chain> {
    let before = source.get(..at)?;
    let is_path = source.trim_start().starts_with('$') && !source.trim_start().starts_with("${");
    let quoted = open_quote(before);
    let mut path = Vec::new();
    let mut rest = match quoted {
        // `steps['…`: the name is the one in the brackets.
        Some(quote) => before[..quote].trim_end().strip_suffix('[')?,
        None => match dot(before) {
            Some(rest) => rest,
            None => return Some(Chain { path, is_path }),
        },
    };
    loop {
        let (segment, left) = last_name(rest)?;
        path.push(segment);
        rest = left;
        if path.last() == Some(&Segment::Key("$".to_owned())) {
            path.pop();
            break;
        }
        // Brackets need no dot before them.
        let bracket = matches!(path.last(), Some(Segment::Index(_) | Segment::Any)) || source[left.len()..].starts_with('[');
        match dot(rest) {
            Some(left) => rest = left,
            None if bracket => {}
            None => break,
        }
    }
    path.reverse();
    Some(Chain { path, is_path })
}

/// The text without a dot at its end.
fn dot(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let rest = text.strip_suffix('.')?;
    Some(rest.strip_suffix('?').unwrap_or(rest))
}

/// The last name, or what stands in the last brackets.
fn last_name(text: &str) -> Option<(Segment, &str)> {
    let text = text.trim_end();
    if let Some(inner) = text.strip_suffix(']') {
        let open = inner.rfind('[')?;
        let key = inner[open + 1..].trim();
        let segment = match key.parse() {
            Ok(index) => Segment::Index(index),
            Err(_) => match key.trim_matches(['\'', '"', '`']) {
                name if name.len() + 2 == key.len() => Segment::Key(name.to_owned()),
                _ => Segment::Any,
            },
        };
        let rest = &inner[..open];
        return Some((segment, rest.strip_suffix('?').unwrap_or(rest)));
    }
    let name = word_before(text);
    (!name.is_empty()).then(|| (Segment::Key(text[name.clone()].to_owned()), &text[..name.start]))
}

fn word_before(text: &str) -> Range<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let start = text.char_indices().rev().take_while(|(_, c)| part(*c)).last().map_or(text.len(), |(at, _)| at);
    start..text.len()
}

/// The name around a place.
pub(super) fn word_around(source: &str, at: usize) -> Range<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let (Some(before), Some(after)) = (source.get(..at), source.get(at..)) else { return at..at };
    let start = before.char_indices().rev().take_while(|(_, c)| part(*c)).last().map_or(at, |(at, _)| at);
    start..at + after.find(|c: char| !part(c)).unwrap_or(after.len())
}

/// Where the quote stands that is open at the end.
fn open_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (None, 0);
    while at < bytes.len() {
        match (open, bytes[at]) {
            (None, quote @ (b'"' | b'\'' | b'`')) => open = Some((quote, at)),
            (Some(_), b'\\') => at += 1,
            (Some((quote, _)), byte) if byte == quote => open = None,
            _ => {}
        }
        at += 1;
    }
    open.map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `|` is the place; the names before it with a slash between.
    fn check(source: &str, expected: Option<&str>) {
        let at = source.find('|').expect("a place");
        let found = before(&source.replacen('|', "", 1), at).map(|chain| {
            let one = |segment: &Segment| match segment {
                Segment::Key(key) => key.clone(),
                Segment::Index(index) => format!("[{index}]"),
                Segment::Any => "[*]".to_owned(),
            };
            chain.path.iter().map(one).collect::<Vec<_>>().join("/")
        });
        assert_eq!(found.as_deref(), expected, "{source}");
    }

    #[test]
    fn names_before_a_place_are_read_backwards() {
        check("|", Some(""));
        check("a + |", Some(""));
        check("steps.|", Some("steps"));
        check("upper(steps.account.|)", Some("steps/account"));
        check("steps?.account?.|x", Some("steps/account"));
        check("steps['a b'].|", Some("steps/a b"));
        check("steps['|", Some("steps"));
        check("steps.a[0].|", Some("steps/a/[0]"));
        check("steps.a.rows[i].id[*].|", Some("steps/a/rows/[*]/id/[*]"));
        check("$.|", Some(""));
        check("$.steps.a.rows[*].|", Some("steps/a/rows/[*]"));
        check("'steps.|", None);
        check("f(x).|", None);
        check("1 .. |", None);
        check("é.|", Some("é"));
    }
}
