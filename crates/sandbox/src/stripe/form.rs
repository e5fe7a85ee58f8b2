//! Forms with brackets: `items[0][price]=p&expand[]=customer&metadata[k]=v`.

use serde_json::{Map, Value as Json};

/// Most pairs in a form.
const PAIRS_MAX: usize = 5_000;
/// Deepest nesting of brackets.
const DEPTH_MAX: usize = 10;

/// Why a form cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

/// A form as a tree: texts, and objects whose keys are names or places in a list.
pub(super) fn parsed(form: &[u8]) -> Result<Map<String, Json>, Unreadable> {
    let mut tree = Map::new();
    for (number, pair) in form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).enumerate() {
        if number >= PAIRS_MAX {
            return Err(Unreadable(format!("Invalid request: more than {PAIRS_MAX} parameters")));
        }
        let (key, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(place) => (&pair[..place], &pair[place + 1..]),
            None => (pair, &b""[..]),
        };
        let key = decoded(key, true);
        put(&mut tree, &parts(&key)?, decoded(value, true), &key)?;
    }
    Ok(tree)
}

/// `%20` and, in forms, `+`.
pub(super) fn decoded(text: &[u8], form: bool) -> String {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) if form => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                if let (Some(high), Some(low)) = (hex(*high), hex(*low)) {
                    bytes.push(high * 16 + low);
                    rest = after;
                } else {
                    bytes.push(b'%');
                }
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `a[b][]` as `a`, `b` and nothing.
fn parts(key: &str) -> Result<Vec<&str>, Unreadable> {
    let wrong = || Unreadable(format!("Invalid request: the parameter name \"{key}\" has brackets that do not match"));
    let Some(open) = key.find('[').filter(|open| *open > 0) else {
        return Ok(vec![key]);
    };
    let mut parts = vec![&key[..open]];
    let mut rest = &key[open..];
    while !rest.is_empty() {
        let inside = rest.strip_prefix('[').ok_or_else(wrong)?;
        let close = inside.find(']').ok_or_else(wrong)?;
        parts.push(&inside[..close]);
        rest = &inside[close + 1..];
    }
    if parts.len() > DEPTH_MAX {
        return Err(Unreadable(format!("Invalid request: the parameter \"{key}\" is nested too deeply")));
    }
    Ok(parts)
}

fn put(tree: &mut Map<String, Json>, parts: &[&str], value: String, key: &str) -> Result<(), Unreadable> {
    let [name, rest @ ..] = parts else { return Ok(()) };
    let Some(next) = rest.first() else {
        tree.insert((*name).to_owned(), Json::String(value));
        return Ok(());
    };
    match tree.entry(*name).or_insert_with(|| Json::Object(Map::new())) {
        // `[]` goes behind what is there.
        Json::Object(inner) if next.is_empty() => {
            let place = inner.len().to_string();
            put(inner, &[&[place.as_str()], &rest[1..]].concat(), value, key)
        }
        Json::Object(inner) => put(inner, rest, value, key),
        _ => Err(Unreadable(format!("Invalid request: the parameter \"{key}\" is a text and an object at the same time"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parsed;

    #[test]
    fn a_form_as_the_vendors_client_writes_it() {
        let form = b"name=Ann%20%26%20Co&address[line1]=1+St&preferred_locales[0]=en&metadata%5Bk1%5D=v1&metadata[drop]=\
                     &expand[]=a&expand[]=b&items[1][price_data][recurring][interval]=month";
        let read = json!({
            "name": "Ann & Co", "address": {"line1": "1 St"}, "preferred_locales": {"0": "en"},
            "metadata": {"k1": "v1", "drop": ""}, "expand": {"0": "a", "1": "b"},
            "items": {"1": {"price_data": {"recurring": {"interval": "month"}}}},
        });
        assert_eq!(json!(parsed(form).unwrap()), read);
    }

    #[test]
    fn what_is_no_form_is_refused_and_never_panics() {
        assert!(parsed(b"a[b=1").is_err() && parsed(b"a[b]x=1").is_err() && parsed(b"a=1&a[b]=2").is_err());
        assert!(parsed(format!("a{}=1", "[x]".repeat(50)).as_bytes()).is_err());
        assert!(parsed("x=1&".repeat(6000).as_bytes()).is_err());
        assert_eq!(json!(parsed(b"&&=&%=%z&[a]=1").unwrap()), json!({"": "", "%": "%z", "[a]": "1"}));
    }
}
