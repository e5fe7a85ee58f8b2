//! Characters nobody sees.
//!
//! They come along when text is copied from a page, and some turn the direction of what follows,
//! so that a formula reads otherwise than it runs (CVE-2021-42574, "Trojan Source"). Text from
//! right to left needs none of them.

use crate::SyntaxProblem;

/// Refuses what turns the direction of text, wherever it stands: it can always be written as an
/// escape.
pub(crate) fn check(source: &str) -> Result<(), SyntaxProblem> {
    if source.is_ascii() {
        return Ok(());
    }
    match source.char_indices().find(|(_, c)| turns(*c)) {
        None => Ok(()),
        Some((at, c)) => {
            let code = u32::from(c);
            let message = format!("an invisible character that turns the direction of text stands here (U+{code:04X})");
            Err(SyntaxProblem::new(at..at + c.len_utf8(), message)
                .with_hint(format!("Delete it. Inside of a text it can be written as \\u{code:04x}, where everybody sees it.")))
        }
    }
}

/// What to say of a character outside of texts, if nobody sees it there.
pub(crate) fn problem(at: usize, c: char) -> Option<SyntaxProblem> {
    let what = match c {
        '\u{ad}' => "a soft hyphen",
        '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{180e}' => "a blank without width",
        '\u{200c}' | '\u{200d}' => "a joiner of letters",
        '\u{200e}' | '\u{200f}' | '\u{61c}' => "a mark of direction",
        '\u{300}'..='\u{36f}' => "an accent apart from its letter",
        c if c.is_control() => "a control character",
        _ => return None,
    };
    let code = u32::from(c);
    Some(
        SyntaxProblem::new(at..at + c.len_utf8(), format!("an invisible character stands here: {what} (U+{code:04X})"))
            .with_hint(
                "Delete it and type the place anew. Such characters come along when text is copied from a page or a chat.",
            ),
    )
}

const fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
