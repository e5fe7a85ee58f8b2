//! What happened to a formula, when it is simple enough to say.

use super::words::code;

/// Functions around a formula, and what they do to it.
const WRAPPERS: &[(&str, &str)] = &[
    ("round", "rounded"),
    ("upper", "in capital letters"),
    ("lower", "in small letters"),
    ("trim", "trimmed"),
    ("to_text", "turned into text"),
    ("to_number", "turned into a number"),
    ("abs", "without its sign"),
    ("floor", "rounded down"),
    ("ceil", "rounded up"),
    ("ceiling", "rounded up"),
    ("sum", "summed up"),
    ("unique", "without repetitions"),
];

/// What a formula does to the one that was there before; `None` if it is another one.
pub(super) fn change(old: &str, new: &str) -> Option<String> {
    if let Some(done) = around(old, new) {
        return Some(format!("now {done}"));
    }
    around(new, old).map(|done| format!("no longer {done}"))
}

/// What `outer` does to `inner`.
fn around(inner: &str, outer: &str) -> Option<String> {
    if let Some(call) = outer.strip_prefix(inner) {
        if let Some((name, rest)) = call.strip_prefix('.').and_then(|call| call.split_once('(')).filter(|_| is_operand(inner)) {
            return wrapper(name, rest.strip_suffix(')')?.trim());
        }
        if is_operand(inner) {
            return operation(call);
        }
    }
    if let Some(rest) = outer.strip_prefix('(').and_then(|rest| rest.strip_prefix(inner)).and_then(|rest| rest.strip_prefix(')'))
    {
        return match rest.strip_prefix('.').and_then(|call| call.split_once('(')) {
            Some((name, arguments)) => wrapper(name, arguments.strip_suffix(')')?.trim()),
            None => operation(rest),
        };
    }
    let (name, arguments) = outer.strip_suffix(')')?.split_once('(')?;
    let rest = arguments.trim_start().strip_prefix(inner)?.trim();
    match rest.strip_prefix(',') {
        Some(more) => wrapper(name, more.trim()),
        None if rest.is_empty() => wrapper(name, ""),
        None => None,
    }
}

fn wrapper(name: &str, arguments: &str) -> Option<String> {
    let (_, done) = WRAPPERS.iter().find(|(known, _)| *known == name)?;
    match (name, arguments) {
        (_, "") => Some((*done).to_owned()),
        ("round", digits) if digits.parse::<u8>().is_ok() => Some(format!("rounded to {digits} digits")),
        _ => None,
    }
}

/// What an operator and its right side do.
fn operation(rest: &str) -> Option<String> {
    let rest = rest.trim_start();
    let (operator, operand) = match rest.strip_prefix("??") {
        Some(operand) => ("??", operand.trim()),
        None => (rest.get(..1)?, rest.get(1..)?.trim()),
    };
    if !is_operand(operand) {
        return None;
    }
    let shown = if operand.parse::<f64>().is_ok() { operand.to_owned() } else { code(operand) };
    Some(match operator {
        "/" => format!("divided by {shown}"),
        "*" => format!("multiplied by {shown}"),
        "+" => format!("increased by {shown}"),
        "-" => format!("reduced by {shown}"),
        "??" => format!("falling back to {shown}"),
        _ => return None,
    })
}

/// True for a text without an operator outside brackets and quotes: whatever follows applies to all of it.
fn is_operand(text: &str) -> bool {
    let (mut depth, mut quote) = (0_usize, None);
    let mut escaped = false;
    for c in text.chars() {
        match (quote, c) {
            (Some(_), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), _) if c == open && !escaped => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            (None, _) if depth > 0 || c.is_alphanumeric() || matches!(c, '_' | '.' | '$') => {}
            // `a?.b` is a way to look, `a ?? b` is an operator.
            (None, '?') => {}
            (None, _) => return false,
        }
        escaped = false;
    }
    !text.is_empty() && depth == 0 && quote.is_none() && !text.contains("??")
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn simple_changes_have_words() {
        for (old, new, words) in [
            ("a.b", "a.b / 100", "now divided by 100"),
            ("a.b / 100", "a.b", "no longer divided by 100"),
            ("a + b", "(a + b) * 2", "now multiplied by 2"),
            ("a", "a ?? \"none\"", "now falling back to `\"none\"`"),
            ("$.a.b", "$.a.b ?? 0", "now falling back to 0"),
            ("a", "round(a, 2)", "now rounded to 2 digits"),
            ("a + b", "round(a + b)", "now rounded"),
            ("a", "a.upper()", "now in capital letters"),
            ("upper(a)", "a", "no longer in capital letters"),
            ("a", "a - params.fee", "now reduced by `params.fee`"),
        ] {
            assert_eq!(change(old, new).as_deref(), Some(words), "{old} {new}");
        }
    }

    #[test]
    fn what_only_looks_alike_has_none() {
        for (old, new) in
            [("a + b", "a + b / 2"), ("a", "ab"), ("a", "a / b * c"), ("a", "b / 100"), ("a", "round(a, b) + 1"), ("a", "é")]
        {
            assert_eq!(change(old, new), None, "{old} {new}");
        }
    }
}
