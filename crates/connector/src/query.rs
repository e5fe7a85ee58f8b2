//! Queries with values in them: `:name` outside of texts stands for a value, and the value stays one.

use crate::StepError;

/// Who says what a part of a query becomes; it refuses what must not be there.
type Write<'a> = &'a mut dyn FnMut(Part<'_>) -> Result<String, StepError>;

/// A part of a query that is not sent as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The name behind a colon.
    Name(&'a str),
    /// A semicolon outside of texts, where one query would end and another begin.
    Semicolon,
}

/// A query with its parts written. In texts everything stays; where `escapes` holds, a backslash there takes the next
/// letter with it.
///
/// # Errors
/// What `write` refuses.
pub fn bound(query: &str, escapes: bool, write: Write<'_>) -> Result<String, StepError> {
    let (mut out, mut rest, mut quoted) = (String::with_capacity(query.len()), query, false);
    while let Some(place) = rest.find(['\'', '\\', ':', ';']) {
        let (before, mark) = rest.split_at(place);
        out.push_str(before);
        let after = &mark[1..];
        let taken = match mark.as_bytes()[0] {
            b'\\' if quoted && escapes => after.chars().next().map_or(0, char::len_utf8),
            b';' if !quoted => {
                out.push_str(&write(Part::Semicolon)?);
                rest = after;
                continue;
            }
            // A name starts with a letter, so that `12:00:00Z` and `LAST_N_DAYS:7` stay what they are.
            b':' if !quoted && after.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_') => {
                let other = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_');
                let (name, behind) = after.split_at(after.find(other).unwrap_or(after.len()));
                out.push_str(&write(Part::Name(name))?);
                rest = behind;
                continue;
            }
            byte => {
                quoted ^= byte == b'\'';
                0
            }
        };
        out.push_str(&mark[..1 + taken]);
        rest = &after[taken..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str, escapes: bool) -> String {
        bound(query, escapes, &mut |part| {
            Ok(match part {
                Part::Name(name) => format!("<{name}>"),
                Part::Semicolon => "<;>".to_owned(),
            })
        })
        .unwrap()
    }

    #[test]
    fn only_what_stands_outside_of_texts_is_written_anew() {
        for (query, expected) in [
            ("a = :b AND c=:d_1", "a = <b> AND c=<d_1>"),
            ("a IN:_b", "a IN<_b>"),
            ("a = ':b;' AND c = :d; e", "a = ':b;' AND c = <d><;> e"),
            ("d > 2026-01-02T10:30:00Z AND e = LAST_N_DAYS:7", "d > 2026-01-02T10:30:00Z AND e = LAST_N_DAYS:7"),
            ("TO_CHAR(é, 'HH24:MI:SS') :é :", "TO_CHAR(é, 'HH24:MI:SS') :é :"),
            ("a = 'it''s :b' AND c = :d", "a = 'it''s :b' AND c = <d>"),
        ] {
            assert_eq!((read(query, true).as_str(), read(query, false).as_str()), (expected, expected), "{query}");
        }
    }

    #[test]
    fn a_backslash_in_a_text_takes_a_quote_with_it_where_the_language_says_so() {
        assert_eq!(read(r"a = '\' :b' AND c = :d", true), r"a = '\' :b' AND c = <d>");
        assert_eq!(read(r"a = '\' AND c = :d AND e = 'x'", false), r"a = '\' AND c = <d> AND e = 'x'");
        assert_eq!(read(r"a = '\", true), r"a = '\");
        assert_eq!(read(r"a = '\é'", true), r"a = '\é'");
    }

    #[test]
    fn what_is_refused_is_not_sent() {
        let refuse = &mut |_: Part<'_>| Err(StepError::new(crate::ErrorClass::Invalid, "INPUT_INVALID", "no"));
        assert!(bound("a = :b", true, refuse).is_err() && bound("a; b", true, refuse).is_err());
        assert!(bound("a = ':b;'", true, refuse).is_ok());
    }
}
