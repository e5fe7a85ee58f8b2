//! What is expected against what came, place by place.

use serde_json::Value as Json;

/// Differences told of one expectation; one changed list must not fill a terminal.
const DIFFERENCES_MAX: usize = 20;

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// The place in the data, from the expectation on.
    pub(super) path: Vec<Part>,
    /// What is wrong there.
    pub(super) what: What,
}

/// One part of a place in data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Key(String),
    Index(usize),
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// Another value.
    Other { expected: Json, actual: Json },
    /// Expected and not there.
    Missing { expected: Json },
    /// There and not expected.
    Unexpected { actual: Json },
    /// A list of another length.
    Length { expected: usize, actual: usize },
}

/// Everything that differs. Unless `exact`, records may hold more than is expected, and a field
/// expected to be null may be missing. Lists are always whole. Numbers compare by value.
pub(super) fn compare(expected: &Json, actual: &Json, exact: bool) -> Vec<Difference> {
    let mut found = Found { exact, path: Vec::new(), differences: Vec::new() };
    found.value(expected, actual);
    found.differences.truncate(DIFFERENCES_MAX);
    found.differences
}

struct Found {
    exact: bool,
    path: Vec<Part>,
    differences: Vec<Difference>,
}

impl Found {
    fn value(&mut self, expected: &Json, actual: &Json) {
        match (expected, actual) {
            (Json::Object(wanted), Json::Object(there)) => {
                for (name, expected) in wanted {
                    match there.get(name) {
                        Some(actual) => self.at(Part::Key(name.clone()), |this| this.value(expected, actual)),
                        None if expected.is_null() && !self.exact => {}
                        None => self.at(Part::Key(name.clone()), |this| this.push(What::Missing { expected: expected.clone() })),
                    }
                }
                let exact = self.exact;
                for (name, actual) in there.iter().filter(|(name, _)| exact && !wanted.contains_key(*name)) {
                    self.at(Part::Key(name.clone()), |this| this.push(What::Unexpected { actual: actual.clone() }));
                }
            }
            (Json::Array(wanted), Json::Array(there)) => {
                if wanted.len() != there.len() {
                    self.push(What::Length { expected: wanted.len(), actual: there.len() });
                }
                for (index, (expected, actual)) in wanted.iter().zip(there).enumerate() {
                    self.at(Part::Index(index), |this| this.value(expected, actual));
                }
            }
            _ if same(expected, actual) => {}
            _ => self.push(What::Other { expected: expected.clone(), actual: actual.clone() }),
        }
    }

    fn at(&mut self, part: Part, look: impl FnOnce(&mut Self)) {
        self.path.push(part);
        look(self);
        self.path.pop();
    }

    fn push(&mut self, what: What) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(Difference { path: self.path.clone(), what });
        }
    }
}

/// Whether two values that are not both records or both lists are the same.
fn same(expected: &Json, actual: &Json) -> bool {
    match (expected, actual) {
        (Json::Number(one), Json::Number(other)) => match (one.as_i128(), other.as_i128()) {
            // Whole numbers beyond 2^53 stay exact.
            (Some(one), Some(other)) => one == other,
            _ => one.as_f64() == other.as_f64(),
        },
        _ => expected == actual,
    }
}

/// `push[0].fields.Amount`.
pub(super) fn path_text(base: &str, path: &[Part]) -> String {
    let mut text = base.to_owned();
    for part in path {
        match part {
            Part::Key(name) if text.is_empty() => text.push_str(name),
            Part::Key(name) => {
                text.push('.');
                text.push_str(name);
            }
            Part::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(expected: Json, actual: Json, exact: bool, differences: &[&str]) {
        let told: Vec<_> = compare(&expected, &actual, exact)
            .iter()
            .map(|difference| {
                let what = match &difference.what {
                    What::Other { expected, actual } => format!("{expected} {actual}"),
                    What::Missing { expected } => format!("missing {expected}"),
                    What::Unexpected { actual } => format!("unexpected {actual}"),
                    What::Length { expected, actual } => format!("length {expected} {actual}"),
                };
                format!("{}: {what}", path_text("", &difference.path))
            })
            .collect();
        assert_eq!(told, differences, "{expected} against {actual}");
    }

    #[test]
    fn numbers_compare_by_value_and_never_equal_texts() {
        check(json!(129.5), serde_json::from_str("129.50").unwrap(), true, &[]);
        check(json!(5), json!(5.0), true, &[]);
        check(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), true, &[": 9007199254740993 9007199254740992"]);
        check(json!(5), json!("5"), false, &[": 5 \"5\""]);
    }

    #[test]
    fn a_part_is_enough_unless_everything_is_asked_for() {
        check(json!({ "a": 1 }), json!({ "a": 1, "b": 2 }), false, &[]);
        check(json!({ "a": 1 }), json!({ "a": 1, "b": 2 }), true, &["b: unexpected 2"]);
        check(json!({ "a": null }), json!({}), false, &[]);
        check(json!({ "a": null }), json!({}), true, &["a: missing null"]);
        check(
            json!({ "a": { "b": [1, { "c": 2 }] } }),
            json!({ "a": { "b": [1, { "c": 3, "d": 4 }] } }),
            false,
            &["a.b[1].c: 2 3"],
        );
        check(json!([1, 2]), json!([1]), false, &[": length 2 1"]);
        check(json!({ "a": 1 }), json!([]), false, &[": {\"a\":1} []"]);
        check(json!({ "a": 1, "b": 2 }), json!({ "b": 3 }), false, &["a: missing 1", "b: 2 3"]);
    }

    #[test]
    fn many_differences_are_cut() {
        let list = |from: usize| json!((from..from + 1000).collect::<Vec<_>>());
        assert_eq!(compare(&list(0), &list(1), false).len(), DIFFERENCES_MAX);
    }
}
