//! The default behind a JSONPath.

/// Where `?? default` begins, outside of quotes and brackets.
pub(crate) fn default_mark(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in unquoted(text, 0) {
        match byte {
            b'[' | b'(' => depth += 1,
            b']' | b')' => depth -= 1,
            b'?' if depth <= 0 && text[at..].starts_with("??") => return Some(at),
            _ => {}
        }
    }
    None
}

/// The bytes outside of quoted names.
fn unquoted(text: &str, from: usize) -> impl Iterator<Item = (usize, u8)> {
    let mut quote = None;
    let mut escaped = false;
    text.bytes().enumerate().skip(from).filter(move |(_, byte)| match quote {
        Some(open) => {
            if escaped {
                escaped = false;
            } else if *byte == b'\\' {
                escaped = true;
            } else if *byte == open {
                quote = None;
            }
            false
        }
        None => {
            if matches!(byte, b'\'' | b'"') {
                quote = Some(*byte);
            }
            quote.is_none()
        }
    })
}
