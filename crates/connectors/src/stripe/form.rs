//! Records as Stripe's forms write them: `items[0][price]=…`.

use connector::{ErrorClass, StepError};
use serde_json::{Map, Value as Json};

/// Most fields in one request.
const FIELDS_MAX: usize = 2_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 12;

/// The pairs of a form. Nothing (null) is left out, but for the keys of `metadata`, where it drops the key.
pub(super) fn pairs(fields: &Map<String, Json>) -> Result<Vec<(String, String)>, StepError> {
    let mut pairs = Vec::new();
    for (name, value) in fields {
        collect(name, value, 0, name == "metadata", &mut pairs)?;
    }
    Ok(pairs)
}

fn collect(name: &str, value: &Json, depth: usize, clears: bool, pairs: &mut Vec<(String, String)>) -> Result<(), StepError> {
    if depth > DEPTH_MAX || pairs.len() >= FIELDS_MAX {
        let message = format!("what the step sends is nested too deeply, or has more than {FIELDS_MAX} fields");
        return Err(StepError::new(ErrorClass::Invalid, "INPUT_TOO_LARGE", message));
    }
    match value {
        Json::Null if clears && depth > 0 => pairs.push((name.to_owned(), String::new())),
        Json::Null => {}
        Json::String(text) => pairs.push((name.to_owned(), text.clone())),
        Json::Bool(_) | Json::Number(_) => pairs.push((name.to_owned(), value.to_string())),
        Json::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                collect(&format!("{name}[{place}]"), item, depth + 1, false, pairs)?;
            }
        }
        Json::Object(inner) => {
            for (key, value) in inner {
                if key.contains(['[', ']']) {
                    let message = format!("the field name \"{key}\" holds a bracket, which Stripe's forms cannot carry");
                    return Err(StepError::new(ErrorClass::Invalid, "FIELD_NAME_INVALID", message));
                }
                collect(&format!("{name}[{key}]"), value, depth + 1, clears || key == "metadata", pairs)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::pairs;

    #[test]
    fn records_become_brackets_and_nothing_is_left_out() {
        let fields = json!({
            "name": "Ann & Co", "phone": null, "address": {"line1": "1 St", "line2": null}, "preferred_locales": ["en", "fr"],
            "metadata": {"k1": "v1", "drop": null}, "items": [{"price": "p", "quantity": 2}], "confirm": true,
        });
        let written = pairs(fields.as_object().unwrap()).unwrap();
        let written: Vec<String> = written.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            written.join("&"),
            "name=Ann & Co&address[line1]=1 St&preferred_locales[0]=en&preferred_locales[1]=fr&metadata[k1]=v1&metadata[drop]=&items[0][price]=p&\
             items[0][quantity]=2&confirm=true"
        );
        assert!(pairs(json!({"metadata": {"a[b]": "c"}}).as_object().unwrap()).is_err());
    }
}
