//! `${ }` in a text: the pieces are the whole text, and each is what it says.

use recipe::scan::{self, Piece};

pub(super) const WORDS: &[&str] = &["${", "}", "$${", "$", "{", "'", "\"", "`", "\\", "${ a }", "`${ b }`", " ", "é", "#{x: 1}"];

pub(super) fn check(input: &[u8]) {
    let Some(text) = super::text(input) else { return };
    match scan::pieces(text) {
        Ok(pieces) => whole(text, &pieces),
        Err(unclosed) => {
            assert!(text[unclosed.open..].starts_with("${"), "{unclosed:?}");
            assert!(
                unclosed.quote.is_none_or(|at| at > unclosed.open && text[at..].starts_with(['\'', '"', '`'])),
                "{unclosed:?}"
            );
            assert_eq!(scan::close(text, unclosed.open), Err(unclosed));
            assert!(scan::first(text).is_some(), "what is not closed was never opened");
        }
    }
    // Whatever the text, it can be written so that nothing in it is evaluated.
    let escaped = text.replace("${", "$${");
    let plain = scan::pieces(&escaped).expect("nothing is open in escaped text");
    let read: String =
        plain.iter().map(|piece| if let Piece::Text(text) = piece { text } else { panic!("{piece:?}") }).copied().collect();
    assert_eq!(read, text);
    assert_eq!(scan::first(&escaped), None);
}

/// The pieces, written again, are the text.
fn whole(text: &str, pieces: &[Piece<'_>]) {
    let mut written = String::new();
    let mut first = None;
    for piece in pieces {
        match piece {
            Piece::Text("${") => written.push_str("$${"),
            Piece::Text(plain) => {
                assert!(!plain.is_empty() && !plain.contains("${"), "{plain:?}");
                written.push_str(plain);
            }
            Piece::Expr { source, range, outer } => {
                assert_eq!(outer.start, written.len());
                assert_eq!((&text[range.clone()], source.trim()), (*source, *source));
                assert!(outer.start + 2 <= range.start && range.end < outer.end, "{piece:?}");
                assert_eq!(scan::close(text, outer.start), Ok(outer.end - 1));
                first = first.or(Some(outer.start));
                written.push_str(&text[outer.clone()]);
            }
        }
    }
    assert_eq!(written, text);
    assert_eq!(scan::first(text), first);
}
