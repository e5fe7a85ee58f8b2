//! More of texts: letters, parts, lines and forms for other systems.

use deunicode::deunicode_char;
use rhai::Dynamic;

use super::{Call, Line, function};
use crate::{
    limits,
    machine::fault,
    machine::{Fault, spend},
};

const GROUP: &str = "text";

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "trim_start(text: text) -> text",
        "The text without blanks at its beginning.",
        "trim_start(\" a \")",
        "\"a \"",
        |call| Ok(call.text(0)?.trim_start().into()),
    ),
    function(
        GROUP,
        "trim_end(text: text) -> text",
        "The text without blanks at its end.",
        "trim_end(\" a \")",
        "\" a\"",
        |call| Ok(call.text(0)?.trim_end().into()),
    ),
    function(
        GROUP,
        "capitalize(text: text) -> text",
        "The text with its first letter as a capital.",
        "capitalize(\"überweisung an Anna\")",
        "\"Überweisung an Anna\"",
        |call| Ok(capital(&call.text(0)?).into()),
    ),
    function(
        GROUP,
        "title_case(text: text) -> text",
        "Every word with a capital letter, the rest of it in small ones.",
        "title_case(\"ADA lovelace-KING\")",
        "\"Ada Lovelace-King\"",
        |call| Ok(title_case(&call.text(0)?).into()),
    ),
    function(
        GROUP,
        "pad_end(text: text|number|boolean, width: integer, [fill: text]) -> text",
        "The text or number, filled up on the right.",
        "pad_end(\"ab\", 4, \".\")",
        "\"ab..\"",
        |call| super::text::padded(call, false),
    ),
    function(
        GROUP,
        "truncate(text: text, width: integer, [ending: text]) -> text",
        "The text, cut so that it has no more characters than the width, its ending included.",
        "truncate(\"A long subject\", 8)",
        "\"A long …\"",
        truncate,
    ),
    function(
        GROUP,
        "repeat(text: text, count: integer) -> text",
        "The text so many times.",
        "repeat(\"ab\", 3)",
        "\"ababab\"",
        repeat,
    ),
    function(
        GROUP,
        "before(text: text, part: text) -> text",
        "What stands before the first such part; all of the text if there is none.",
        "before(\"ada@example.com\", \"@\")",
        "\"ada\"",
        |call| {
            let (text, part) = (call.text(0)?, call.text(1)?);
            Ok(text.split_once(part.as_str()).map_or(text.as_str(), |(before, _)| before).into())
        },
    ),
    function(
        GROUP,
        "after(text: text, part: text) -> text",
        "What stands after the first such part; an empty text if there is none.",
        "after(\"ada@example.com\", \"@\")",
        "\"example.com\"",
        |call| {
            let (text, part) = (call.text(0)?, call.text(1)?);
            Ok(text.split_once(part.as_str()).map_or("", |(_, after)| after).into())
        },
    ),
    function(
        GROUP,
        "lines(text: text) -> list",
        "The lines of the text, without their ends.",
        "lines(\"a\\nb\\r\\n\")",
        "[\"a\",\"b\"]",
        |call| {
            let text = call.text(0)?;
            call.pieces(text.lines())
        },
    ),
    function(
        GROUP,
        "words(text: text) -> list",
        "What stands between the blanks.",
        "words(\" Ada  Lovelace \")",
        "[\"Ada\",\"Lovelace\"]",
        |call| {
            let text = call.text(0)?;
            call.pieces(text.split_whitespace())
        },
    ),
    function(
        GROUP,
        "same_text(text: text, other: text) -> boolean",
        "Whether two texts are the same but for capital letters and blanks around them.",
        "same_text(\" Straße\", \"STRAßE\")",
        "true",
        |call| {
            let fold = |text: &str| text.trim().to_uppercase().to_lowercase();
            Ok((fold(&call.text(0)?) == fold(&call.text(1)?)).into())
        },
    ),
    function(
        GROUP,
        "remove_accents(text: text) -> text",
        "The text with plain Latin letters: no accents, ß as ss.",
        "remove_accents(\"Zoë Müller-Straße\")",
        "\"Zoe Muller-Strasse\"",
        |call| {
            let text = call.text(0)?;
            let mut out = String::with_capacity(text.len());
            text.chars().for_each(|c| plain(c, &mut out));
            Ok(out.into())
        },
    ),
    function(
        GROUP,
        "slug(text: text) -> text",
        "Small letters, digits and hyphens, for an address or a file name.",
        "slug(\"Größe & Gewicht (neu)\")",
        "\"grosse-gewicht-neu\"",
        slug,
    ),
    function(
        GROUP,
        "html_escape(text: text) -> text",
        "The text as it stands in HTML or XML, also between quotes.",
        "html_escape(\"<b>\\\"R&D\\\"</b>\")",
        "\"&lt;b&gt;&quot;R&amp;D&quot;&lt;/b&gt;\"",
        html_escape,
    ),
];

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn title_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || matches!(c, '\'' | '’');
    }
    out
}

fn truncate(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (text, width) = (call.text(0)?, usize::try_from(call.whole(1)?).unwrap_or(0));
    let ending = if call.given(2) { call.text(2)? } else { "…".into() };
    if text.chars().count() <= width {
        return Ok(text.into());
    }
    let kept = width.saturating_sub(ending.chars().count());
    Ok(text.chars().take(kept).chain(ending.chars()).take(width).collect::<String>().into())
}

fn repeat(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let (text, count) = (call.text(0)?, usize::try_from(call.whole(1)?).unwrap_or(0));
    let bytes = text.len().saturating_mul(count);
    if bytes > limits::TEXT_BYTES_MAX {
        return Err(call.too_long());
    }
    spend(bytes / 64).map_err(fault)?;
    Ok(text.repeat(count).into())
}

/// A letter of the Latin script without its marks; others stay.
pub(super) fn plain(c: char, out: &mut String) {
    match c {
        // Marks that combine with the letter before.
        '\u{300}'..='\u{36F}' => {}
        '\u{C0}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}' if c.is_alphabetic() => match deunicode_char(c) {
            Some(letters) => out.push_str(letters),
            None => out.push(c),
        },
        c => out.push(c),
    }
}

fn slug(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let text = call.text(0)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\'' || c == '’' {
            continue;
        }
        // Letters of other scripts become Latin ones of a like sound, as far as they have any.
        let letters = if c.is_alphanumeric() { deunicode_char(c).unwrap_or_default() } else { "" };
        let mut wrote = false;
        for letter in letters.chars().filter(char::is_ascii_alphanumeric) {
            out.push(letter.to_ascii_lowercase());
            wrote = true;
        }
        if !wrote && !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
        if out.len() > limits::TEXT_BYTES_MAX {
            return Err(call.too_long());
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    Ok(out.into())
}

fn html_escape(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let text = call.text(0)?;
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    if out.len() > limits::TEXT_BYTES_MAX { Err(call.too_long()) } else { Ok(out.into()) }
}
