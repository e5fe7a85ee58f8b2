//! Filters: written as conditions or as an encoded query, checked, and put together with a cursor.
//!
//! ServiceNow leaves out conditions on fields it does not know, so that a typing error finds the whole table. Nothing
//! is sent here that was not understood.

use connector::StepError;
use serde_json::{Value as Json, json};

use super::api::{as_text, invalid};

/// Conditions one filter may have.
const CONDITIONS_MAX: usize = 500;

/// Our words for operators, and the vendor's.
const OPERATORS: &[(&str, &str)] = &[
    ("is", "="),
    ("is_not", "!="),
    ("contains", "LIKE"),
    ("does_not_contain", "NOT LIKE"),
    ("starts_with", "STARTSWITH"),
    ("ends_with", "ENDSWITH"),
    ("less_than", "<"),
    ("at_most", "<="),
    ("more_than", ">"),
    ("at_least", ">="),
    ("one_of", "IN"),
    ("none_of", "NOT IN"),
    ("is_empty", "ISEMPTY"),
    ("is_not_empty", "ISNOTEMPTY"),
];

/// The vendor's operators, longest first where one begins like another.
const KNOWN: &[&str] = &[
    "GT_OR_EQUALS_FIELD",
    "LT_OR_EQUALS_FIELD",
    "IN_HIERARCHY",
    "ISNOTEMPTY",
    "EMPTYSTRING",
    "STARTSWITH",
    "RELATIVEGT",
    "RELATIVELT",
    "RELATIVEGE",
    "RELATIVELE",
    "INSTANCEOF",
    "NOT LIKE",
    "GT_FIELD",
    "LT_FIELD",
    "ENDSWITH",
    "MORETHAN",
    "LESSTHAN",
    "DATEPART",
    "CONTAINS",
    "ANYTHING",
    "ISEMPTY",
    "NSAMEAS",
    "BETWEEN",
    "DYNAMIC",
    "SAMEAS",
    "NOT IN",
    "NOTON",
    "LIKE",
    "IN",
    "ON",
    "!=",
    "!*",
    ">=",
    "<=",
    "=",
    "<",
    ">",
    "*",
    "%",
];

/// A checked filter: queries of which one must hold, each of groups that all must hold, each of conditions of which one must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    branches: Vec<Vec<String>>,
    order: Vec<String>,
    fields: Vec<String>,
}

/// JSON Schema of a filter.
pub(super) fn schema() -> Json {
    let operators: Vec<&str> = OPERATORS.iter().map(|(ours, _)| *ours).collect();
    let condition = json!({
        "type": "object",
        "properties": {
            "field": {"type": "string", "title": "Field", "description": "Technical name; a dot leads into the record a reference points to: caller_id.company.name."},
            "operator": {"type": "string", "enum": operators, "default": "is", "title": "Operator"},
            "value": {"title": "Value", "description": "A text, number, true or false; a list for one_of and none_of. Times in UTC."}
        },
        "required": ["field"],
        "additionalProperties": false
    });
    json!({
        "title": "Filter",
        "description": "Conditions that must all hold, or an encoded query as ServiceNow's list views copy it.",
        "oneOf": [
            {"type": "string"},
            {"type": "array", "maxItems": CONDITIONS_MAX, "items": {"oneOf": [
                condition.clone(),
                {"type": "object", "properties": {"any": {"type": "array", "minItems": 1, "items": condition, "title": "One of these"}}, "required": ["any"], "additionalProperties": false}
            ]}}
        ]
    })
}

fn wrong(message: impl Into<String>) -> StepError {
    invalid("FILTER_INVALID", message)
        .with_next("Copy the query from a list view of ServiceNow, or give conditions with field, operator and value.")
}

impl Filter {
    /// The filter of an input; none finds everything.
    pub(super) fn read(value: Option<&Json>) -> Result<Self, StepError> {
        match value {
            None | Some(Json::Null) => Ok(Self::all()),
            Some(Json::String(text)) => Self::encoded(text),
            Some(Json::Array(list)) => Self::conditions(list),
            Some(_) => Err(wrong("a filter is a text or a list of conditions")),
        }
    }

    pub(super) fn all() -> Self {
        Self { branches: vec![Vec::new()], order: Vec::new(), fields: Vec::new() }
    }

    fn conditions(list: &[Json]) -> Result<Self, StepError> {
        let mut filter = Self::all();
        for item in list {
            let group = match item.get("any").and_then(Json::as_array) {
                Some(any) => any.iter().map(|one| filter.condition(one)).collect::<Result<Vec<_>, _>>()?.join("^OR"),
                None => filter.condition(item)?,
            };
            filter.branches[0].push(group);
        }
        Ok(filter)
    }

    fn condition(&mut self, condition: &Json) -> Result<String, StepError> {
        let field = condition.get("field").and_then(Json::as_str).unwrap_or_default().trim();
        if field.is_empty() || !field.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')) {
            return Err(wrong(format!("\"{field}\" cannot be the name of a field")));
        }
        let word = condition.get("operator").and_then(Json::as_str).unwrap_or("is");
        let (_, operator) =
            OPERATORS.iter().find(|(ours, _)| *ours == word).ok_or_else(|| wrong(format!("there is no operator \"{word}\"")))?;
        let value = condition.get("value").map(as_text).unwrap_or_default();
        // `^` would begin another condition, and the instance runs what begins with `javascript:`.
        if value.contains('^') || value.trim_start().starts_with("javascript:") {
            return Err(wrong(format!(
                "the value for {field} holds a ^ or begins with javascript:, which ServiceNow would not read as a value"
            )));
        }
        let value = if matches!(word, "is_empty" | "is_not_empty") { String::new() } else { moment(&value) };
        self.fields.push(field.to_owned());
        if value.is_empty() && matches!(word, "is" | "is_not") {
            return Ok(format!("{field}{}", if word == "is" { "ISEMPTY" } else { "ISNOTEMPTY" }));
        }
        Ok(format!("{field}{operator}{value}"))
    }

    /// Reads `a=1^ORb=2^NQc=3^ORDERBYd`.
    fn encoded(text: &str) -> Result<Self, StepError> {
        let mut filter = Self::all();
        let pieces: Vec<&str> = text.trim().split('^').filter(|piece| !piece.is_empty() && *piece != "EQ").collect();
        if pieces.len() > CONDITIONS_MAX || text.contains("^^") {
            return Err(wrong(format!("the filter has more than {CONDITIONS_MAX} conditions or two ^ in a row")));
        }
        for piece in pieces {
            if let Some(field) = piece.strip_prefix("ORDERBYDESC").or_else(|| piece.strip_prefix("ORDERBY")) {
                filter.fields.push(field.to_owned());
                filter.order.push(piece.to_owned());
                continue;
            }
            if piece.starts_with("JOIN") || piece.starts_with("RLQUERY") || piece.starts_with("GROUPBY") {
                return Err(wrong(format!("\"{piece}\" is of a kind that cannot be checked here")));
            }
            let (mark, condition) = match (piece.strip_prefix("NQ"), piece.strip_prefix("OR")) {
                (Some(rest), _) => ("NQ", rest),
                (None, Some(rest)) => ("OR", rest),
                _ => ("", piece),
            };
            filter
                .fields
                .push(field_of(condition).ok_or_else(|| wrong(format!("\"{condition}\" is no condition that can be read")))?);
            if mark == "NQ" {
                filter.branches.push(Vec::new());
            }
            let Some(branch) = filter.branches.last_mut() else { continue };
            match (mark, branch.last_mut()) {
                ("OR", Some(group)) => {
                    group.push_str("^OR");
                    group.push_str(condition);
                }
                // It would bind to the condition that is put before the filter.
                ("OR", None) => return Err(wrong("the filter begins with ^OR, which has nothing to be an alternative to")),
                _ => branch.push(condition.to_owned()),
            }
        }
        if filter.branches.len() > 1 && filter.branches.iter().any(Vec::is_empty) {
            return Err(wrong("one of the alternatives between ^NQ is empty, so it would find the whole table"));
        }
        Ok(filter)
    }

    /// The same with one more condition of ours in every alternative.
    pub(super) fn and(mut self, condition: &str) -> Self {
        self.branches.iter_mut().for_each(|branch| branch.push(condition.to_owned()));
        self
    }

    /// The same with the order of another.
    pub(super) fn ordered(mut self, by: Self) -> Self {
        self.fields.extend(by.fields);
        self.order = by.order;
        self
    }

    /// Every field it names.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(String::as_str)
    }

    /// True when it says in which order records come.
    pub(super) fn is_ordered(&self) -> bool {
        !self.order.is_empty()
    }

    /// The query for a call. Each of `cursors` is put before each alternative: only there does it hold for all of them.
    pub(super) fn query(&self, cursors: &[String], order: &[&str]) -> String {
        let none = [String::new()];
        let cursors = if cursors.is_empty() { &none[..] } else { cursors };
        let mut alternatives = Vec::new();
        for branch in &self.branches {
            for cursor in cursors {
                let parts = std::iter::once(cursor.as_str()).chain(branch.iter().map(String::as_str));
                alternatives.push(parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("^"));
            }
        }
        let mut query = alternatives.join("^NQ");
        let own =
            if order.is_empty() { self.order.clone() } else { order.iter().map(|field| format!("ORDERBY{field}")).collect() };
        for part in own {
            query.push('^');
            query.push_str(&part);
        }
        query.trim_start_matches('^').to_owned()
    }

    /// The query without an order, for counting.
    pub(super) fn unordered(&self) -> String {
        Self { order: Vec::new(), ..self.clone() }.query(&[], &[])
    }
}

/// The field a condition begins with, when an operator follows.
fn field_of(condition: &str) -> Option<String> {
    let end = condition.find(|letter: char| !matches!(letter, 'a'..='z' | '0'..='9' | '_' | '.'))?;
    let (field, rest) = condition.split_at(end);
    (!field.is_empty() && KNOWN.iter().any(|operator| rest.starts_with(operator))).then(|| field.to_owned())
}

/// A time as ServiceNow writes it: `2026-01-02T03:04:05Z` becomes `2026-01-02 03:04:05`. Other texts stay.
pub(super) fn moment(text: &str) -> String {
    let bytes = text.as_bytes();
    let looks =
        text.is_ascii() && bytes.len() >= 20 && bytes[10] == b'T' && bytes[4] == b'-' && bytes[7] == b'-' && text.ends_with('Z');
    if looks { format!("{} {}", &text[..10], &text[11..19]) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Filter;

    fn encoded(text: &str) -> Result<Filter, String> {
        Filter::read(Some(&json!(text))).map_err(|error| error.message)
    }

    #[test]
    fn a_cursor_is_put_into_every_alternative() {
        let filter = encoded("active=true^stateIN1,2^ORpriority=1^NQcaller_id.vip=true^ORDERBYnumber").unwrap();
        assert_eq!(
            filter.query(&["sys_id>x".to_owned()], &["sys_id"]),
            "sys_id>x^active=true^stateIN1,2^ORpriority=1^NQsys_id>x^caller_id.vip=true^ORDERBYsys_id"
        );
        let two = ["t=1^sys_id>x".to_owned(), "t>1".to_owned()];
        assert_eq!(encoded("a=1").unwrap().query(&two, &["t"]), "t=1^sys_id>x^a=1^NQt>1^a=1^ORDERBYt");
        assert_eq!(filter.fields().collect::<Vec<_>>(), ["active", "state", "priority", "caller_id.vip", "number"]);
        assert_eq!(filter.unordered(), "active=true^stateIN1,2^ORpriority=1^NQcaller_id.vip=true");
        assert_eq!(encoded("").unwrap().query(&[], &[]), "");
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for text in ["???", "^ORa=1", "a=1^NQ", "JOINa.b=c.d!", "a=1^^b", "RLQUERYa.b,>0^ENDRLQUERY", "active", "=1"] {
            assert!(encoded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn conditions_become_a_query_and_cannot_break_out_of_their_value() {
        let list = json!([
            {"field": "state", "operator": "one_of", "value": [1, 2]},
            {"any": [{"field": "active", "value": true}, {"field": "opened_at", "operator": "at_least", "value": "2026-01-02T03:04:05.000Z"}]},
            {"field": "assigned_to", "value": null}
        ]);
        let filter = Filter::read(Some(&list)).unwrap();
        assert_eq!(filter.query(&[], &[]), "stateIN1,2^active=true^ORopened_at>=2026-01-02 03:04:05^assigned_toISEMPTY");
        for value in ["x^NQactive=true", "javascript:gs.getUserID()"] {
            assert!(Filter::read(Some(&json!([{"field": "number", "value": value}]))).is_err(), "{value}");
        }
        assert!(Filter::read(Some(&json!([{"field": "a=1^b", "value": "x"}]))).is_err());
    }
}
