//! Which failures have the same cause.
//!
//! Two failures are of one cause when the same step of the same recipe failed with the same class, the
//! same code and the same message, but for what differs from event to event: ids, numbers, dates,
//! addresses and quoted values. Pure; a fingerprint is the same in every process and after every restart.

use sha2::{Digest, Sha256};
use store::{ErrorRecord, Fingerprint, RecipeId};

/// What stands for a part of a message that differs from event to event.
const BLANK: char = '·';
/// Characters of a message that count.
const MESSAGE_CHARS_MAX: usize = 500;

/// The cause of a failure.
#[must_use]
pub fn fingerprint(recipe: RecipeId, error: Option<&ErrorRecord>) -> Fingerprint {
    let mut digest = Sha256::new();
    digest.update(recipe.0.as_bytes());
    if let Some(error) = error {
        let path = error.path.as_deref().map(without_passes).unwrap_or_default();
        for part in [path.as_str(), &error.class, &error.code, &plain(&error.message)] {
            // A length before each part: what ends one may not begin the next.
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part.as_bytes());
        }
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    Fingerprint(bytes)
}

/// The place of a step in its recipe, whatever the pass: `push.up` for `push[17].up`.
#[must_use]
pub fn without_passes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for char in path.chars() {
        match char {
            '[' => inside = true,
            ']' => inside = false,
            char if !inside => out.push(char),
            _ => {}
        }
    }
    out
}

/// A message without what differs from event to event.
#[must_use]
pub fn plain(message: &str) -> String {
    let mut out = String::new();
    let mut rest: &str = match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => &message[..end],
        None => message,
    };
    while let Some(first) = rest.chars().next() {
        if let Some(end) = quoted(rest, out.chars().next_back()) {
            blank(&mut out);
            rest = &rest[end..];
            continue;
        }
        if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
            // A full stop or comma after a word belongs to the sentence.
            let word = rest[..end].trim_end_matches(|char: char| !char.is_alphanumeric() && char != '_');
            if differs(word) {
                blank(&mut out)
            } else {
                out.push_str(&word.to_lowercase())
            }
            rest = &rest[word.len()..];
            continue;
        }
        if first.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.push(first);
        }
        rest = &rest[first.len_utf8()..];
    }
    out.trim().to_owned()
}

/// Values with only a space between them count as one: an amount may be written `1 234,50`.
fn blank(out: &mut String) {
    if !out.trim_end().ends_with(BLANK) {
        out.push(BLANK);
    }
}

/// Where a quoted value that begins here ends. An apostrophe inside a word begins none.
fn quoted(text: &str, before: Option<char>) -> Option<usize> {
    let open = text.chars().next()?;
    let close = match open {
        '"' | '`' => open,
        '\'' if !before.is_some_and(char::is_alphanumeric) => '\'',
        '“' => '”',
        '„' => '“',
        '‘' => '’',
        '«' => '»',
        _ => return None,
    };
    let inner = &text[open.len_utf8()..];
    let end = inner.find(close)?;
    Some(open.len_utf8() + end + close.len_utf8())
}

/// Ids, addresses, dates and amounts are one word each.
fn is_word(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | ',' | ':' | '/' | '@' | '+' | '%')
}

/// A word that names one thing among many: anything with a digit in it, an address, a long mix of cases.
fn differs(word: &str) -> bool {
    const MIXED_CHARS_MIN: usize = 15;
    word.chars().any(char::is_numeric)
        || word.contains('@')
        || word.contains("://")
        || (word.len() >= MIXED_CHARS_MIN
            && word.chars().all(|char| char.is_ascii_alphanumeric())
            && word.chars().skip(1).filter(char::is_ascii_uppercase).count() >= 4
            && word.chars().any(|char| char.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use store::Timestamp;

    use super::*;

    fn recipe(number: u8) -> RecipeId {
        RecipeId::new(Timestamp::from_micros(1), [number; 10])
    }

    fn error(path: &str, message: &str) -> ErrorRecord {
        ErrorRecord {
            class: "invalid".to_owned(),
            code: "HTTP_422".to_owned(),
            message: message.to_owned(),
            next: None,
            path: Some(path.to_owned()),
            request: None,
            response: None,
            causes: Vec::new(),
        }
    }

    #[test]
    fn what_differs_from_event_to_event_is_left_out() {
        for (message, expected) in [
            ("Customer 4711 is not known.", "customer · is not known."),
            ("Customer ACME-0042 is not known.", "customer · is not known."),
            ("No account for 'Müller & Söhne'", "no account for ·"),
            ("No account for \"it's ours\"", "no account for ·"),
            ("the field „Betrag“ is missing, like «total»", "the field · is missing, like ·"),
            ("can't find it, don't know why", "can't find it, don't know why"),
            ("sent at 2026-11-21T09:00:00Z, due 21.11.2026", "sent at ·, due ·"),
            ("run_01k6xg5v00e1r70e1r70e1r70e failed", "· failed"),
            ("id 0b6f1a1e-8f1c-4c1e-9d1e-8f1c4c1e9d1e: gone", "id ·: gone"),
            ("id 001XyZabCDeFghIjk is locked", "id · is locked"),
            ("aBcDeFgHiJkLmNoPq is locked", "· is locked"),
            ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "field_custom_validation_exception"),
            ("jane@example.com is taken", "· is taken"),
            ("http://127.0.0.1:4000/call answered 503.", "· answered ·."),
            ("amount 1 234,50 is above 1,000.00", "amount · is above ·"),
            ("an open \" quote, and   spaces\n", "an open \" quote, and spaces"),
            ("items 1,2,3 and #77", "items · and #·"),
            ("GET /orders/12: -5, +7", "get /·: -·, +·"),
            ("", ""),
            ("...", "..."),
        ] {
            assert_eq!(plain(message), expected, "{message}");
        }
    }

    #[test]
    fn passes_of_a_loop_are_one_place() {
        for (path, expected) in [("push[17].up", "push.up"), ("a[0].b[12].c", "a.b.c"), ("one", "one"), ("odd]x[", "oddx")] {
            assert_eq!(without_passes(path), expected);
        }
    }

    #[test]
    fn one_cause_has_one_fingerprint() {
        let of = |number, path: &str, message: &str| fingerprint(recipe(number), Some(&error(path, message)));
        let one = of(1, "push[3].up", "Customer 4711 is not known.");
        assert_eq!(one, of(1, "push[99].up", "Customer 12 is not known."));
        assert_ne!(one, of(2, "push[3].up", "Customer 4711 is not known."), "another recipe");
        assert_ne!(one, of(1, "push[3].down", "Customer 4711 is not known."), "another step");
        assert_ne!(one, of(1, "push[3].up", "Customer 4711 is locked."), "another message");
        let record = error("push[3].up", "Customer 4711 is not known.");
        for other in [
            ErrorRecord { class: "denied".to_owned(), ..record.clone() },
            ErrorRecord { code: "HTTP_400".to_owned(), ..record.clone() },
            ErrorRecord { path: None, ..record.clone() },
        ] {
            assert_ne!(one, fingerprint(recipe(1), Some(&other)), "{other:?}");
        }
        assert_ne!(fingerprint(recipe(1), None), fingerprint(recipe(2), None));
        let moved = ErrorRecord { class: "inval".to_owned(), code: "idHTTP_422".to_owned(), ..record };
        assert_ne!(one, fingerprint(recipe(1), Some(&moved)), "what ends one part does not begin the next");
    }

    #[test]
    fn a_fingerprint_stays_what_it_is_from_build_to_build() {
        let one = fingerprint(recipe(1), Some(&error("push[3].up", "Customer 4711 is not known.")));
        assert_eq!(one.to_string(), "8c37b026f9a4eb6472d5add2a29d09ae");
    }

    #[test]
    fn anything_is_taken_and_stays_short() {
        let texts = ["é".repeat(10_000), "'".repeat(10_000), "„".repeat(3_000), "1 ".repeat(5_000), "\u{0}\u{feff}x".repeat(999)];
        for text in texts {
            assert!(plain(&text).chars().count() <= MESSAGE_CHARS_MAX, "{}", &text[..8]);
        }
    }
}
