//! SOQL out of what people fill in: names are checked, values are written so that they stay values.

use connector::{StepError, query::Part};
use serde_json::{Value as Json, json};

use super::api::{invalid, text};

/// Longest query as it stands in an address; with the headers that has 16 KB.
pub(super) const SOQL_CHARS_MAX: usize = 14_000;
/// Conditions of a filter.
const CONDITIONS_MAX: usize = 100;

/// What a filter looks like.
pub(super) fn schema() -> Json {
    json!({"type": "array", "title": "Filter", "maxItems": CONDITIONS_MAX, "description": "All of these must hold.", "items": {
    "type": "object", "required": ["field", "is"], "additionalProperties": false, "properties": {
        "field": {"type": "string", "title": "Field", "description": "Its API name, or through a parent: Account.Name."},
        "is": {"type": "string", "title": "Comparison", "enum": ["equal", "not_equal", "less", "at_most", "greater", "at_least", "contains", "starts_with", "in", "not_in", "includes", "excludes", "empty", "not_empty"]},
        "value": {"title": "Value", "description": "A list for in, not_in, includes and excludes."},
        "as": {"type": "string", "enum": ["text", "date", "datetime", "literal"], "default": "text", "title": "Read texts as", "description": "date and datetime for fields of these types; literal for Salesforce's own words such as LAST_N_DAYS:7."}
    }}})
}

/// A field's name or path, if it can be one.
pub(super) fn name(text: &str) -> Result<&str, StepError> {
    let good = !text.is_empty()
        && text.len() <= 200
        && text.split('.').all(|part| {
            part.starts_with(|letter: char| letter.is_ascii_alphabetic())
                && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        });
    if good {
        Ok(text)
    } else {
        Err(invalid(
            "INPUT_INVALID",
            format!("\"{text}\" is no field's API name"),
            "Write the name as it stands in Setup, Object Manager.",
        ))
    }
}

/// A text as SOQL holds it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for letter in text.chars() {
        match letter {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(letter),
        }
    }
    out.push('\'');
    out
}

/// A text as LIKE holds it, its own wildcards made plain.
fn like(text: &str, before: &str) -> String {
    let inner = quoted(text).replace('%', "\\%").replace('_', "\\_");
    format!("'{before}{}%'", &inner[1..inner.len() - 1])
}

/// Seconds since 1970 of a moment, with `Z` or an offset with or without a colon.
pub(super) fn moment_s(text: &str) -> Option<i64> {
    moment(text).map(|moment| moment.as_second())
}

pub(super) fn moment(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok().or_else(|| {
        let (rest, offset) = text.split_at_checked(text.len().checked_sub(5)?)?;
        let colon = format!("{rest}{}:{}", offset.get(..3)?, offset.get(3..)?);
        offset.starts_with(['+', '-']).then(|| colon.parse().ok())?
    })
}

/// A moment as SOQL holds it.
pub(super) fn soql_moment(moment: jiff::Timestamp) -> String {
    let text = moment.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    match moment.subsec_millisecond() {
        0 => format!("{text}Z"),
        ms => format!("{text}.{ms:03}Z"),
    }
}

fn literal(value: &Json, kind: &str) -> Result<String, StepError> {
    let wrong = |what: &str| invalid("INPUT_INVALID", format!("{value} is no {what}"), "Correct the value of the filter.");
    match (value, kind) {
        (Json::Null, _) => Ok("null".to_owned()),
        (Json::Bool(value), _) => Ok(value.to_string()),
        (Json::Number(number), _) => Ok(number.to_string()),
        (Json::String(text), "date") => {
            let day: jiff::civil::Date = text.get(..10).unwrap_or(text).parse().map_err(|_| wrong("date"))?;
            Ok(day.to_string())
        }
        (Json::String(text), "datetime") => {
            moment(text).map(soql_moment).ok_or_else(|| wrong("date and time with Z or an offset"))
        }
        (Json::String(text), "literal") => {
            let good = !text.is_empty()
                && text
                    .chars()
                    .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || matches!(letter, '_' | ':'));
            if good { Ok(text.clone()) } else { Err(wrong("date literal such as LAST_N_DAYS:7")) }
        }
        (Json::String(text), _) => Ok(quoted(text)),
        _ => Err(wrong("single value")),
    }
}

fn list(value: &Json, kind: &str) -> Result<String, StepError> {
    let values = value.as_array().filter(|values| !values.is_empty()).ok_or_else(|| {
        invalid("INPUT_INVALID", "the filter needs a list with at least one value", "Give a list, or leave the condition out.")
    })?;
    let literals: Vec<String> = values.iter().map(|value| literal(value, kind)).collect::<Result<_, _>>()?;
    Ok(format!("({})", literals.join(",")))
}

fn condition(one: &Json) -> Result<String, StepError> {
    let field = name(text(one, "field"))?;
    let kind = one.get("as").and_then(Json::as_str).unwrap_or("text");
    let value = one.get("value").unwrap_or(&Json::Null);
    let words = || {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| invalid("INPUT_INVALID", format!("the filter on {field} needs a text"), "Give a text to look for."))
    };
    let compared = |sign: &str| Ok(format!("{field} {sign} {}", literal(value, kind)?));
    match text(one, "is") {
        "equal" => compared("="),
        "not_equal" => compared("!="),
        "less" => compared("<"),
        "at_most" => compared("<="),
        "greater" => compared(">"),
        "at_least" => compared(">="),
        "contains" => Ok(format!("{field} LIKE {}", like(words()?, "%"))),
        "starts_with" => Ok(format!("{field} LIKE {}", like(words()?, ""))),
        "in" => Ok(format!("{field} IN {}", list(value, kind)?)),
        "not_in" => Ok(format!("{field} NOT IN {}", list(value, kind)?)),
        "includes" => Ok(format!("{field} INCLUDES {}", list(value, "text")?)),
        "excludes" => Ok(format!("{field} EXCLUDES {}", list(value, "text")?)),
        "empty" => Ok(format!("{field} = null")),
        "not_empty" => Ok(format!("{field} != null")),
        other => Err(invalid("INPUT_INVALID", format!("\"{other}\" is no comparison"), "Choose one of the list.")),
    }
}

/// The conditions of an input: its `filter`, and its `where` with bound values; each in parentheses.
pub(super) fn conditions(input: &Json) -> Result<Vec<String>, StepError> {
    let mut all: Vec<String> =
        input.get("filter").and_then(Json::as_array).into_iter().flatten().map(condition).collect::<Result<_, _>>()?;
    let own = text(input, "where");
    if !own.is_empty() {
        all.push(format!("({})", bound(own, input.get("params"))?));
    }
    Ok(all)
}

/// A text of SOQL with the values of its `:name`s. What stands in quotes is text.
pub(super) fn bound(soql: &str, params: Option<&Json>) -> Result<String, StepError> {
    connector::query::bound(soql, true, &mut |part| match part {
        Part::Name(name) => param(name, params),
        Part::Semicolon => {
            Err(invalid("INPUT_INVALID", "a SOQL query holds no semicolon", "Write one query, and texts in quotes."))
        }
    })
}

/// The value that stands for `:name`.
fn param(name: &str, params: Option<&Json>) -> Result<String, StepError> {
    let value = params
        .and_then(|params| params.get(name))
        .ok_or_else(|| invalid("INPUT_INVALID", format!("params has no value for :{name}"), "Add it to params."))?;
    match value {
        Json::Array(_) => list(value, "text"),
        Json::Object(typed) => match typed.iter().next().map(|(kind, value)| (kind.as_str(), value)) {
            Some((kind @ ("date" | "datetime" | "literal"), value)) if typed.len() == 1 => literal(value, kind),
            _ => Err(invalid(
                "INPUT_INVALID",
                format!("the value of :{name} is of no known kind"),
                "Give a text, a number, true or false, a list, or {\"date\": …}, {\"datetime\": …}.",
            )),
        },
        single => literal(single, "text"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{bound, conditions, quoted};

    #[test]
    fn a_value_stays_a_value() {
        assert_eq!(quoted("O'Neil \\ \n"), r"'O\'Neil \\ \n'");
        let filter = json!({"filter": [
            {"field": "Name", "is": "contains", "value": "50%_'"},
            {"field": "CloseDate", "is": "at_least", "value": "2026-01-02", "as": "date"},
            {"field": "CreatedDate", "is": "less", "value": "2026-01-02T04:04:05.000+0100", "as": "datetime"},
            {"field": "Rating", "is": "in", "value": ["Hot", "Wa'rm"]},
        ], "where": "Owner.Name = :who", "params": {"who": "x' OR Name != '"}});
        assert_eq!(
            conditions(&filter).unwrap(),
            [
                r"Name LIKE '%50\%\_\'%'",
                "CloseDate >= 2026-01-02",
                "CreatedDate < 2026-01-02T03:04:05Z",
                r"Rating IN ('Hot','Wa\'rm')",
                r"(Owner.Name = 'x\' OR Name != \'')",
            ]
        );
    }

    #[test]
    fn what_is_no_name_or_no_date_is_refused_before_it_is_sent() {
        for filter in [
            json!([{"field": "Name = '' OR Name", "is": "empty"}]),
            json!([{"field": "CloseDate", "is": "equal", "value": "tomorrow", "as": "date"}]),
            json!([{"field": "CloseDate", "is": "equal", "value": "TODAY OR Id != null", "as": "literal"}]),
            json!([{"field": "Name", "is": "in", "value": []}]),
        ] {
            assert_eq!(conditions(&json!({"filter": filter})).unwrap_err().code, "INPUT_INVALID", "{filter}");
        }
        assert_eq!(bound("a = :b", None).unwrap_err().code, "INPUT_INVALID");
    }

    #[test]
    fn only_a_name_outside_quotes_stands_for_a_value() {
        let params = json!({"who": "O'Neil", "ids": ["a", "b"], "day": {"date": "2026-01-02"}, "n": 5});
        for (soql, read) in [
            ("Name = :who", r"Name = 'O\'Neil'"),
            ("Id IN :ids AND x=:n", "Id IN ('a','b') AND x=5"),
            ("Id IN:ids", "Id IN('a','b')"),
            ("(CloseDate>:day)", "(CloseDate>2026-01-02)"),
            (r"a = ':who \':who' AND b = :n", r"a = ':who \':who' AND b = 5"),
            ("CreatedDate = LAST_N_DAYS:7", "CreatedDate = LAST_N_DAYS:7"),
            ("d > 2026-01-02T10:30:00Z", "d > 2026-01-02T10:30:00Z"),
            (r"a = '\", r"a = '\"),
        ] {
            assert_eq!(bound(soql, Some(&params)).unwrap(), read, "{soql}");
        }
    }
}
