//! How a declared system refuses things: where code and words lie, and what the codes mean.

use std::time::Duration;

use connector::{
    ErrorClass,
    api::{Answer, ErrorRow, Refusal},
};
use formula::{Expression, Scope};
use serde_json::{Map, Value as Json};

use super::{
    problem::{Code, Problems, shown},
    record::Record,
    template::{self, Names},
    yaml::Node,
};
use crate::http::pages::lookup;

/// Rows a table may have.
const ROWS_MAX: usize = 300;
const KEYS: [&str; 6] = ["code", "words", "when", "signed_out", "retry_after", "rows"];
const ROW_KEYS: [&str; 5] = ["code", "when", "class", "says", "next"];
/// What formulas about an answer can read.
const NAMES: [&str; 4] = ["status", "headers", "body", "now"];

/// What a file says of refusals.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    code: Vec<String>,
    words: Vec<String>,
    /// True for a refusal with a status of success.
    when: Option<Expression>,
    signed_out: Vec<String>,
    /// Seconds to wait.
    retry_after: Option<Expression>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    code: String,
    when: Option<Expression>,
    class: ErrorClass,
    says: String,
    next: String,
}

impl Errors {
    pub(crate) fn read(node: Option<&Node>, problems: &mut Problems) -> Self {
        let Some(record) = node.and_then(|node| Record::read(node, "errors", &KEYS, problems)) else { return Self::default() };
        let names = Names::new(&NAMES);
        let places = |key: &str, problems: &mut Problems| {
            record.texts(key, problems).into_iter().map(|(place, _)| place.to_owned()).collect::<Vec<_>>()
        };
        let formula = |key: &str, record: &Record<'_>, problems: &mut Problems| {
            let text = record.text(key, problems)?;
            template::formula(text, record.place(key), &names, problems)
        };
        let mut rows: Vec<Row> = Vec::new();
        for item in record.list("rows", ROWS_MAX, problems) {
            let Some(row) = Record::read(item, "a row of errors", &ROW_KEYS, problems) else { continue };
            let code = row.need_text("code", "a row of errors", problems);
            let says = row.need_text("says", "a row of errors", problems);
            let next = row.need_text("next", "a row of errors", problems);
            row.need("class", "a row of errors", problems);
            let classes: Vec<&str> = ErrorClass::ALL.iter().map(|class| class.as_str()).collect();
            let class = row.word("class", &classes, problems).map(|place| ErrorClass::ALL[place]);
            let when = formula("when", &row, problems);
            if let (Some(code), Some(says), Some(next), Some(class)) = (code, says, next, class) {
                if rows.iter().any(|known| known.code == code) {
                    problems.add(Code::Repeated, row.place("code"), format!("The code \"{}\" has a row already.", shown(code)));
                }
                let says = says.trim().trim_end_matches('.').to_owned();
                let next = format!("{}.", next.trim().trim_end_matches('.'));
                rows.push(Row { code: code.to_owned(), when, class, says, next });
            }
        }
        Self {
            code: places("code", problems),
            words: places("words", problems),
            when: formula("when", &record, problems),
            signed_out: places("signed_out", problems),
            retry_after: formula("retry_after", &record, problems),
            rows,
        }
    }

    /// The table as connectors have it; its texts live as long as the process.
    pub(crate) fn table(&self) -> &'static [ErrorRow] {
        let rows: Vec<ErrorRow> = self
            .rows
            .iter()
            .map(|row| ErrorRow {
                code: row.code.clone().leak(),
                class: row.class,
                sentence: row.says.clone().leak(),
                next: row.next.clone().leak(),
            })
            .collect();
        rows.leak()
    }

    /// The refusal in an answer, if it is one.
    pub(crate) fn find(&self, answer: &Answer, now_s: i64) -> Option<Refusal> {
        let failed = answer.status.as_u16() >= 400;
        if !failed && self.when.is_none() {
            return None;
        }
        let body = answer.peek().unwrap_or(Json::Null);
        let needs_scope = self.when.is_some() || self.retry_after.is_some() || self.rows.iter().any(|row| row.when.is_some());
        let scope = needs_scope.then(|| scope(answer, &body, now_s));
        let holds = |formula: &Option<Expression>| match (formula, &scope) {
            (Some(formula), Some(scope)) => formula.eval_bool(scope).unwrap_or(false),
            _ => false,
        };
        if !failed && !holds(&self.when) {
            return None;
        }
        let status = answer.status.as_u16().to_string();
        let told = first(&self.code, &body);
        let by_rule = self.rows.iter().find(|row| holds(&row.when)).map(|row| row.code.clone());
        let known = |code: &String| self.rows.iter().any(|row| row.code == *code && row.when.is_none());
        let code = match (by_rule, told) {
            (Some(code), _) => code,
            (None, Some(code)) if known(&code) || !known(&status) => code,
            // What a status means counts for the codes nobody wrote down.
            _ if known(&status) => status.clone(),
            _ => String::new(),
        };
        let told = first(&self.code, &body);
        let signed_out = match self.signed_out.as_slice() {
            [] => status == "401",
            words => words.iter().any(|word| *word == status || told.as_ref() == Some(word)),
        };
        let mut refusal = Refusal::new(code, first(&self.words, &body).unwrap_or_default());
        refusal.signed_out = signed_out;
        refusal.retry_after = match (&self.retry_after, &scope) {
            (Some(formula), Some(scope)) => formula.eval(scope).ok().and_then(|seconds| seconds.as_f64()).and_then(wait),
            _ => None,
        };
        Some(refusal)
    }
}

fn wait(seconds: f64) -> Option<Duration> {
    if seconds > 0.0 { Duration::try_from_secs_f64(seconds).ok() } else { None }
}

fn scope(answer: &Answer, body: &Json, now_s: i64) -> Scope {
    let mut scope = Scope::new();
    scope.set("status", Json::from(answer.status.as_u16()));
    let headers: Map<String, Json> = answer
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), Json::from(value.to_str().ok()?))))
        .collect();
    scope.set("headers", Json::Object(headers));
    scope.set("body", body.clone());
    scope.set("now", Json::from(now_s));
    scope
}

/// The first place that holds a text or a number; a list of texts is joined.
fn first(places: &[String], body: &Json) -> Option<String> {
    places.iter().find_map(|place| match lookup(body, place)? {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        }
        _ => None,
    })
}
