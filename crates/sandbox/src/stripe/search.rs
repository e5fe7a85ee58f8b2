//! The search language: `email~'ann' AND metadata['k']:'v'`.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, number},
    error::{Refused, Result},
};

/// Clauses in a query (from memory; the vendor names a limit of ten).
const CLAUSES_MAX: usize = 10;
/// Longest query.
const QUERY_CHARS_MAX: usize = 5_000;
/// Shortest part of a text that `~` looks for.
const PART_CHARS_MIN: usize = 3;
/// Exactness of `total_count`.
const COUNTED_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Is,
    Holds,
    More,
    Less,
    AtLeast,
    AtMost,
}

#[derive(Debug, PartialEq)]
struct Clause {
    not: bool,
    /// A field, and a key of its map.
    field: String,
    key: Option<String>,
    sign: Sign,
    /// Nothing stands for `null`.
    value: Option<String>,
}

#[derive(Debug, PartialEq)]
struct Query {
    any: bool,
    clauses: Vec<Clause>,
}

struct Reader<'a> {
    rest: &'a str,
}

fn wrong(why: &str) -> Refused {
    let message = format!(
        "We were unable to parse your search query: {why}. Refer to https://stripe.com/docs/search#search-query-language"
    );
    Refused::invalid(message).param("query")
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> String {
        self.skip();
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    /// A text in single or double quotes, with `\` before quotes inside it.
    fn quoted(&mut self) -> Result<Option<String>> {
        self.skip();
        let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((place, c)) = chars.next() {
            match c {
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                c if c == quote => {
                    self.rest = &self.rest[place + 1..];
                    return Ok(Some(text));
                }
                c => text.push(c),
            }
        }
        Err(wrong("a quote is not closed"))
    }

    fn clause(&mut self) -> Result<Clause> {
        let not = self.take("-");
        let field = self.word();
        if field.is_empty() {
            return Err(wrong("a field is missing"));
        }
        let key = if self.take("[") {
            let key = self.quoted()?.ok_or_else(|| wrong("a metadata key must be in quotes"))?;
            if !self.take("]") {
                return Err(wrong("a bracket is not closed"));
            }
            Some(key)
        } else {
            None
        };
        let signs = [
            (">=", Sign::AtLeast),
            ("<=", Sign::AtMost),
            (":", Sign::Is),
            ("~", Sign::Holds),
            (">", Sign::More),
            ("<", Sign::Less),
            ("=", Sign::Is),
        ];
        let sign = signs.into_iter().find(|(token, _)| self.take(token)).ok_or_else(|| wrong("an operator is missing"))?.1;
        let value = match self.quoted()? {
            Some(text) => Some(text),
            None => match self.word() {
                word if word.is_empty() => return Err(wrong("a value is missing")),
                word if word.eq_ignore_ascii_case("null") => None,
                word => Some(word),
            },
        };
        if sign == Sign::Holds && value.as_ref().is_none_or(|value| value.chars().count() < PART_CHARS_MIN) {
            return Err(wrong(&format!("substring search needs at least {PART_CHARS_MIN} characters")));
        }
        Ok(Clause { not, field, key, sign, value })
    }
}

fn parsed(query: &str) -> Result<Query> {
    if query.len() > QUERY_CHARS_MAX {
        return Err(wrong("it is too long"));
    }
    let mut reader = Reader { rest: query };
    let mut clauses = vec![reader.clause()?];
    let mut any = None;
    loop {
        reader.skip();
        if reader.rest.is_empty() {
            return Ok(Query { any: any.unwrap_or_default(), clauses });
        }
        let word = reader.word();
        let or = match word.to_ascii_uppercase().as_str() {
            "AND" => false,
            "OR" => true,
            _ => return Err(wrong("clauses are joined with AND or OR")),
        };
        if any.is_some_and(|any| any != or) {
            return Err(wrong("AND and OR cannot be mixed"));
        }
        any = Some(or);
        clauses.push(reader.clause()?);
        if clauses.len() > CLAUSES_MAX {
            return Err(wrong(&format!("at most {CLAUSES_MAX} clauses")));
        }
    }
}

/// The fields that can be searched.
fn fields(kind: &str) -> &'static [&'static str] {
    match kind {
        "Charge" => &[
            "amount",
            "billing_details.address.postal_code",
            "created",
            "currency",
            "customer",
            "disputed",
            "metadata",
            "payment_method_details.card.brand",
            "payment_method_details.card.exp_month",
            "payment_method_details.card.exp_year",
            "payment_method_details.card.fingerprint",
            "payment_method_details.card.last4",
            "refunded",
            "status",
        ],
        "Customer" => &["created", "email", "metadata", "name", "phone"],
        "Invoice" => &[
            "created",
            "currency",
            "customer",
            "last_finalization_error_code",
            "last_finalization_error_type",
            "metadata",
            "number",
            "receipt_number",
            "status",
            "subscription",
            "total",
        ],
        "PaymentIntent" => &["amount", "created", "currency", "customer", "metadata", "status"],
        "Price" => &["active", "currency", "lookup_key", "metadata", "product", "type"],
        "Product" => &["active", "description", "metadata", "name", "shippable", "url"],
        "Subscription" => &["canceled_at", "created", "metadata", "status"],
        _ => &[],
    }
}

impl Clause {
    fn holds(&self, row: &Row) -> bool {
        let mut place = row.get(self.field.split('.').next().unwrap_or_default());
        for step in self.field.split('.').skip(1) {
            place = place.and_then(|value| value.get(step));
        }
        if self.field == "subscription" {
            let found = super::invoices::subscription_of(row);
            return (found == self.value.as_deref()) != self.not;
        }
        let value = match &self.key {
            Some(key) => place.and_then(|map| map.get(key)),
            None => place,
        };
        self.fits(value.filter(|value| !value.is_null())) != self.not
    }

    fn fits(&self, value: Option<&Json>) -> bool {
        let (Some(value), Some(wanted)) = (value, &self.value) else {
            return value.is_none() && self.value.is_none();
        };
        let words = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned).to_lowercase();
        let numbers = value.as_i64().zip(wanted.parse::<i64>().ok());
        match self.sign {
            // The index keeps texts without regard to case; an exact match is of all the text.
            Sign::Is => words(value) == wanted.to_lowercase(),
            Sign::Holds => words(value).contains(&wanted.to_lowercase()),
            Sign::More => numbers.is_some_and(|(value, wanted)| value > wanted),
            Sign::Less => numbers.is_some_and(|(value, wanted)| value < wanted),
            Sign::AtLeast => numbers.is_some_and(|(value, wanted)| value >= wanted),
            Sign::AtMost => numbers.is_some_and(|(value, wanted)| value <= wanted),
        }
    }
}

impl Books {
    /// A page of what a query finds.
    pub(super) fn search(&self, kind: &'static str, url: &str, params: &Row) -> Result {
        let limit = super::list::limit(params)?;
        let text = params.get("query").and_then(Json::as_str).ok_or_else(|| Refused::needed("query"))?;
        let query = parsed(text)?;
        for clause in &query.clauses {
            if !fields(kind).contains(&clause.field.as_str()) {
                let message = format!(
                    "Field `{}` is an unsupported search field for resource `{}`.",
                    clause.field,
                    super::books::word(kind)
                );
                return Err(Refused::invalid(message).param("query"));
            }
        }
        let from = match params.get("page").and_then(Json::as_str) {
            None => 0,
            Some(page) => place_of(page).ok_or_else(|| Refused::invalid(format!("Invalid page token: {page}")).param("page"))?,
        };
        let indexed = self.now - self.settings.search_delay_s;
        let fits = |row: &&Row| {
            let found = |clause: &Clause| clause.holds(row);
            number(row, "created") <= indexed
                && if query.any { query.clauses.iter().any(found) } else { query.clauses.iter().all(found) }
        };
        let found: Vec<&Row> = self.newest(kind).filter(fits).take(COUNTED_MAX).collect();
        let data: Vec<Json> = found.iter().skip(from).take(limit).map(|row| Json::Object((*row).clone())).collect();
        let end = from + data.len();
        let more = end < found.len();
        let mut answer = json!({
            "object": "search_result", "data": data, "has_more": more,
            "next_page": more.then(|| hex::encode(format!("page:{end}"))), "url": url,
        });
        let counted = params.get("expand").and_then(Json::as_array).is_some_and(|paths| paths.contains(&json!("total_count")));
        if let (true, Some(answer)) = (counted, answer.as_object_mut()) {
            answer.insert("total_count".into(), json!(found.len()));
        }
        Ok(answer)
    }
}

fn place_of(page: &str) -> Option<usize> {
    String::from_utf8(hex::decode(page).ok()?).ok()?.strip_prefix("page:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parsed;

    fn finds(query: &str) -> bool {
        let row = json!({"email": "Ann@b.co", "name": "O'Hara", "created": 100, "phone": null, "metadata": {"k": "v w"}});
        let query = parsed(query).unwrap();
        let found = |clause: &super::Clause| clause.holds(row.as_object().unwrap());
        if query.any { query.clauses.iter().any(found) } else { query.clauses.iter().all(found) }
    }

    #[test]
    fn the_language_finds_what_it_says() {
        assert!(finds("email:'ann@b.co' AND metadata['k']:'v w' AND created>=100"));
        assert!(finds(r"name:'O\'Hara' AND phone:null AND -created<100"));
        assert!(finds("email~'ann' OR created>500") && finds("metadata[\"k\"]~'v w'"));
        assert!(!finds("email:'ann'") && !finds("created>100") && !finds("-phone:null"));
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for query in ["", "email", "email:", "email:'a", "email~'a'", "a:1 b:2", "a:1 AND b:2 OR c:3", "metadata[k]:'v'"] {
            assert!(parsed(query).is_err(), "{query}");
        }
        assert!(parsed(&["a:1"; 11].join(" AND ")).is_err());
    }
}
