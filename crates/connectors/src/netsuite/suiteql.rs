//! SuiteQL: queries, their pages, and the ready ones.

use ::http::Method;
use connector::{Action, Cx, Doubt, ErrorClass, Page, StepError, api::Answer, query::Part, whole};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::api::{self, PREFER, invalid, needed, text};

/// Rows of a page.
const PAGE_ROWS: u64 = 1_000;
/// Rows a query gives at most, whatever its pages.
const ROWS_MAX: u64 = 100_000;
/// Rows held at once when nothing else is said.
const HELD_MAX: u64 = 10_000;

/// A text as SuiteQL reads it.
pub(super) fn literal(value: &Json) -> Result<String, StepError> {
    Ok(match value {
        Json::Null => "NULL".to_owned(),
        Json::Bool(on) => if *on { "'T'" } else { "'F'" }.to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => format!("'{}'", text.replace('\'', "''")),
        Json::Array(items) if !items.is_empty() => {
            let items: Vec<String> = items.iter().map(literal).collect::<Result<_, _>>()?;
            format!("({})", items.join(", "))
        }
        _ => return Err(invalid("a value of the query is a record or an empty list; give a text, a number or a list of them")),
    })
}

/// Puts values in the places `:name` of a query, outside of its texts.
fn bound(query: &str, values: &Json) -> Result<String, StepError> {
    connector::query::bound(query, false, &mut |part| match part {
        Part::Name(name) => match values.get(name) {
            Some(value) => literal(value),
            None => Err(invalid(format!("the query has :{name}, and \"params\" has no such name"))),
        },
        Part::Semicolon => Err(invalid("a SuiteQL query is one query without a semicolon")),
    })
}

/// A name of a table or column, which cannot be quoted.
pub(super) fn name(text: &str) -> Result<&str, StepError> {
    let good = !text.is_empty() && text.len() <= 100 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    if good { Ok(text) } else { Err(invalid(format!("\"{text}\" is no name of a table or column"))) }
}

/// One page of a query.
pub(super) struct Found {
    /// Its rows, without links.
    pub(super) rows: Vec<Json>,
    pub(super) more: bool,
    /// What NetSuite's clock showed.
    pub(super) now: Option<Timestamp>,
    pub(super) answer: Answer,
}

/// Asks for one page of a query.
pub(super) async fn page(cx: &Cx, query: &str, size: u64, offset: u64) -> Result<Found, StepError> {
    // A query is posted, and changes nothing whatever becomes of it.
    asked(cx, query, size, offset).await.map_err(|error| StepError { doubt: Doubt::Settled, ..error })
}

async fn asked(cx: &Cx, query: &str, size: u64, offset: u64) -> Result<Found, StepError> {
    let url = api::url(cx, &["services", "rest", "query", "v1", "suiteql"])?;
    let paging = [("limit", size.to_string()), ("offset", offset.to_string())];
    let answer = api::call_with(cx, Method::POST, url, &paging, Some(&json!({ "q": query })), &[(PREFER, "transient")]).await?;
    let body = answer.json()?;
    let Some(items) = body.get("items").and_then(Json::as_array) else { return Err(answer.unreadable("it has no items")) };
    let more = body["hasMore"] == true;
    if more && items.is_empty() {
        return Err(answer.unreadable("it has no rows and says that there are more"));
    }
    let date = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let now = date.and_then(|date| Timestamp::try_from(date).ok());
    Ok(Found { rows: items.iter().cloned().map(api::without_links).collect(), more, now, answer })
}

/// All rows of a short query.
pub(super) async fn rows(cx: &Cx, query: &str) -> Result<Vec<Json>, StepError> {
    Ok(page(cx, query, PAGE_ROWS, 0).await?.rows)
}

/// A query, and how one goes through its rows.
pub(super) enum Query {
    /// As people wrote it: by offsets, which NetSuite ends after [`ROWS_MAX`] rows.
    Whole(String),
    /// By the column `id`, however many rows there are.
    ById {
        /// `SELECT … FROM …`.
        select: String,
        filter: Vec<String>,
    },
}

async fn paged(cx: Cx, query: Query, size: u64, cursor: Option<Json>) -> Result<Page, StepError> {
    let cursor = cursor.unwrap_or_default();
    match query {
        Query::Whole(query) => {
            let offset = cursor["offset"].as_u64().unwrap_or_default();
            let Found { rows, more, .. } = page(&cx, &query, size, offset).await?;
            let next = offset + size;
            if more && next >= ROWS_MAX {
                let words = format!("the query has more than {ROWS_MAX} rows, and NetSuite does not show what comes after them");
                return Err(StepError::new(ErrorClass::Invalid, "TOO_MANY_ITEMS", words).with_next(
                    "Walk the rows by their id: add WHERE id > :last and ORDER BY id to the query, and begin again with the last id.",
                ));
            }
            Ok(Page { items: rows, next: more.then(|| json!({ "offset": next })) })
        }
        Query::ById { select, mut filter } => {
            let last = cursor["after"].as_str();
            if let Some(last) = last {
                filter.push(format!("id > {}", literal(&json!(last))?));
            }
            let conditions = if filter.is_empty() { String::new() } else { format!(" WHERE {}", filter.join(" AND ")) };
            let found = page(&cx, &format!("{select}{conditions} ORDER BY id"), size, 0).await?;
            if !found.more {
                return Ok(Page { items: found.rows, next: None });
            }
            match found.rows.last().and_then(|row| row["id"].as_str()) {
                Some(id) if Some(id) != last => Ok(Page { next: Some(json!({ "after": id })), items: found.rows }),
                Some(_) => Err(found.answer.unreadable("it gives the page before again")),
                None => Err(found.answer.unreadable("a row has no id")),
            }
        }
    }
}

async fn all(cx: Cx, input: Json, query: fn(&Json) -> Result<Query, StepError>) -> Result<Json, StepError> {
    let most = usize::try_from(most(&input)).unwrap_or(usize::MAX);
    let next = |cursor| {
        let (cx, input) = (cx.clone(), &input);
        async move { paged(cx, query(input)?, size(input), cursor).await }
    };
    let rows = whole(most, next).await?;
    Ok(json!({ "count": rows.len(), "rows": rows }))
}

fn size(input: &Json) -> u64 {
    input.get("page_size").and_then(Json::as_u64).unwrap_or(PAGE_ROWS).clamp(1, PAGE_ROWS)
}

fn most(input: &Json) -> u64 {
    input.get("max_rows").and_then(Json::as_u64).unwrap_or(HELD_MAX)
}

pub(super) fn rows_schema() -> Json {
    json!({"type": "object", "properties": {
        "count": {"type": "integer", "title": "Rows"},
        "rows": {"type": "array", "title": "Rows", "description": "Every value is text, booleans are T and F; what is empty is left out.", "items": {"type": "object"}}
    }, "required": ["count", "rows"]})
}

/// A query action with pages: `query` makes SuiteQL of the input.
pub(super) fn asking(
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    input: Json,
    query: fn(&Json) -> Result<Query, StepError>,
) -> Action {
    let mut input = input;
    input["properties"]["max_rows"] = json!({"type": "integer", "minimum": 1, "maximum": ROWS_MAX, "default": HELD_MAX, "title": "Most rows held at once", "description": "More is an error; go through the rows with stream: true then."});
    input["properties"]["page_size"] =
        json!({"type": "integer", "minimum": 1, "maximum": PAGE_ROWS, "default": PAGE_ROWS, "title": "Rows of a page"});
    Action::new(id, title, summary, move |cx, input| all(cx, input, query))
        .reads()
        .input(input)
        .output(rows_schema())
        .sample(json!({ "count": 1, "rows": [{ "id": "107", "companyname": "Amber Analytics" }] }))
        .pages(move |cx, input, cursor| async move { paged(cx, query(&input)?, size(&input), cursor).await })
}

fn run_query(input: &Json) -> Result<Query, StepError> {
    Ok(Query::Whole(bound(needed(input, "query")?, input.get("params").unwrap_or(&Json::Null))?))
}

fn picklist(input: &Json) -> Result<Query, StepError> {
    let (table, kind) = table(needed(input, "type")?)?;
    let field = name(needed(input, "field")?)?;
    let of_kind = kind.map(|kind| format!(" AND type = '{kind}'")).unwrap_or_default();
    Ok(Query::Whole(format!(
        "SELECT DISTINCT {field} AS id, BUILTIN.DF({field}) AS name FROM {table} WHERE {field} IS NOT NULL{of_kind} ORDER BY 2"
    )))
}

fn customer_balance(input: &Json) -> Result<Query, StepError> {
    let select = "SELECT id, entityid, companyname, balancesearch AS balance, overduebalancesearch AS overdue FROM customer";
    Ok(Query::ById { select: select.to_owned(), filter: vec![chosen(input, "id")?] })
}

fn open_invoices(input: &Json) -> Result<Query, StepError> {
    let select = "SELECT id, tranid, entity, BUILTIN.DF(entity) AS entityname, TO_CHAR(trandate, 'YYYY-MM-DD') AS trandate, TO_CHAR(duedate, 'YYYY-MM-DD') AS duedate, foreigntotal, foreignamountunpaid FROM transaction";
    let mut filter = vec!["type = 'CustInvc'".to_owned(), "foreignamountunpaid > 0".to_owned()];
    if text(input, "id").or(text(input, "external_id")).is_some() {
        filter.push(format!("entity IN (SELECT id FROM customer WHERE {})", chosen(input, "id")?));
    }
    Ok(Query::ById { select: select.to_owned(), filter })
}

fn item_stock(input: &Json) -> Result<Query, StepError> {
    let select = "SELECT id, itemid, displayname, quantityonhand, quantityavailable FROM item";
    Ok(Query::ById { select: select.to_owned(), filter: vec![chosen(input, "id")?] })
}

fn chosen(input: &Json, column: &str) -> Result<String, StepError> {
    match (text(input, "id"), text(input, "external_id")) {
        (Some(id), None) => Ok(format!("{column} = {}", literal(&json!(id))?)),
        (None, Some(external)) => Ok(format!("externalid = {}", literal(&json!(external))?)),
        _ => Err(invalid("name the record by either id or external_id")),
    }
}

/// The table of a record type, and its code where tables hold several types.
pub(super) fn table(kind: &str) -> Result<(&str, Option<&'static str>), StepError> {
    let code = match kind {
        "salesOrder" => "SalesOrd",
        "invoice" => "CustInvc",
        "creditMemo" => "CustCred",
        "customerPayment" => "CustPymt",
        "vendorBill" => "VendBill",
        "vendorPayment" => "VendPymt",
        "purchaseOrder" => "PurchOrd",
        "itemFulfillment" => "ItemShip",
        "itemReceipt" => "ItemRcpt",
        "journalEntry" => "Journal",
        "estimate" => "Estimate",
        "cashSale" => "CashSale",
        "opportunity" => "Opprtnty",
        "returnAuthorization" => "RtnAuth",
        "expenseReport" => "ExpRept",
        "inventoryItem" | "nonInventorySaleItem" | "serviceSaleItem" => return Ok(("item", None)),
        other => return Ok((name(other)?, None)),
    };
    Ok(("transaction", Some(code)))
}

/// The conditions of `filters`, joined by AND.
pub(super) fn conditions(input: &Json) -> Result<Vec<String>, StepError> {
    let filters = input.get("filters").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    filters.iter().map(condition).collect()
}

fn condition(filter: &Json) -> Result<String, StepError> {
    let field = name(needed(filter, "field")?)?;
    let value = filter.get("value").unwrap_or(&Json::Null);
    let date = value.as_str().filter(|text| text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10);
    let written = match date {
        // A date in the query is read in the user's own format unless it says how it is written.
        Some(date) => format!("TO_DATE('{date}', 'YYYY-MM-DD')"),
        None => literal(value)?,
    };
    let like = |before: &str, after: &str| {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let safe = text.replace('!', "!!").replace('%', "!%").replace('_', "!_").replace('\'', "''");
        format!("{field} LIKE '{before}{safe}{after}' ESCAPE '!'")
    };
    Ok(match text(filter, "operator").unwrap_or("equals") {
        "not_equals" => format!("({field} <> {written} OR {field} IS NULL)"),
        "contains" => like("%", "%"),
        "starts_with" => like("", "%"),
        "greater" | "after" => format!("{field} > {written}"),
        "at_least" | "on_or_after" => format!("{field} >= {written}"),
        "less" | "before" => format!("{field} < {written}"),
        "at_most" | "on_or_before" => format!("{field} <= {written}"),
        "any_of" if value.is_array() => format!("{field} IN {written}"),
        "empty" => format!("{field} IS NULL"),
        "not_empty" => format!("{field} IS NOT NULL"),
        _ => format!("{field} = {written}"),
    })
}

fn search(input: &Json) -> Result<Query, StepError> {
    let (table, kind) = table(needed(input, "type")?)?;
    let mut filter = conditions(input)?;
    filter.extend(kind.map(|kind| format!("type = '{kind}'")));
    Ok(Query::ById { select: format!("SELECT {} FROM {table}", columns(input)?), filter })
}

/// The columns of `fields`, `*` when there are none.
pub(super) fn columns(input: &Json) -> Result<String, StepError> {
    let fields = input.get("fields").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<String> =
        fields.iter().filter_map(Json::as_str).map(|field| name(field).map(str::to_lowercase)).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Ok("*".to_owned());
    }
    if !names.contains(&"id".to_owned()) {
        names.insert(0, "id".to_owned());
    }
    Ok(names.join(", "))
}

pub(super) fn filters_schema() -> Json {
    json!({"type": "array", "title": "Filters", "description": "All must hold.", "items": {"type": "object", "properties": {
        "field": {"type": "string", "title": "Field", "description": "The column as SuiteQL names it, such as companyname or trandate."},
        "operator": {"type": "string", "title": "Comparison", "enum": ["equals", "not_equals", "contains", "starts_with", "greater", "at_least", "less", "at_most", "after", "on_or_after", "before", "on_or_before", "any_of", "empty", "not_empty"], "default": "equals"},
        "value": {"title": "Value", "description": "Dates as 2026-11-21; a list for any_of."}
    }, "required": ["field"], "additionalProperties": false}})
}

fn one_schema(needs: bool) -> Json {
    let mut schema = json!({"type": "object", "properties": {
        "id": {"type": "string", "title": "Internal id"},
        "external_id": {"type": "string", "title": "External id"}
    }, "additionalProperties": false});
    if needs {
        schema["description"] = json!("Give one of the two.");
    }
    schema
}

pub(super) fn actions() -> Vec<Action> {
    let kind = json!({"type": "string", "title": "Record type", "description": "Such as customer, invoice, salesOrder or customrecord_device."});
    vec![
        asking(
            "run_suiteql",
            "Run SuiteQL",
            "Asks NetSuite's tables in SuiteQL.",
            json!({"type": "object", "properties": {
            "query": {"type": "string", "title": "Query", "x-syntax": "sql", "description": "SELECT … with :name where a value belongs. Sort by a unique column; of more than 100,000 rows NetSuite shows no more. Write dates with TO_CHAR(x, 'YYYY-MM-DD')."},
            "params": {"type": "object", "title": "Values", "description": "Put into the query as texts or numbers, safely."}
        }, "required": ["query"], "additionalProperties": false}),
            run_query,
        ),
        asking(
            "search_records",
            "Search records",
            "Finds records of a type by their fields.",
            json!({"type": "object", "properties": {
            "type": kind, "filters": filters_schema(),
            "fields": {"type": "array", "title": "Fields", "description": "All when left out.", "items": {"type": "string"}}
        }, "required": ["type"], "additionalProperties": false}),
            search,
        ),
        asking(
            "picklist_values",
            "Get picklist values",
            "Lists the values of a field that are in use, with their names.",
            json!({"type": "object", "properties": {
            "type": kind, "field": {"type": "string", "title": "Field"}
        }, "required": ["type", "field"], "additionalProperties": false}),
            picklist,
        ),
        asking("customer_balance", "Get customer balance", "Tells what a customer owes.", one_schema(true), customer_balance),
        asking(
            "open_invoices",
            "Get open invoices",
            "Lists invoices that are not paid, of one customer or of all.",
            one_schema(false),
            open_invoices,
        ),
        asking("item_stock", "Get item stock", "Tells how many of an item are there.", one_schema(true), item_stock),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{bound, condition};

    #[test]
    fn values_are_bound_as_literals_and_only_outside_of_texts() {
        let values = json!({ "a": "O'Brien; DROP", "n": 5, "l": ["x", 1] });
        assert_eq!(
            bound("x = :a AND y = ':a' AND z > :n AND w IN :l", &values).unwrap(),
            "x = 'O''Brien; DROP' AND y = ':a' AND z > 5 AND w IN ('x', 1)"
        );
        assert_eq!(bound("TO_CHAR(x, 'HH24:MI:SS') é", &values).unwrap(), "TO_CHAR(x, 'HH24:MI:SS') é");
        assert!(bound("SELECT 1; SELECT 2", &values).is_err());
        assert!(bound("x = :missing", &values).is_err());
    }

    #[test]
    fn a_filter_cannot_leave_its_text() {
        let filter = |value: &str, operator: &str| {
            condition(&json!({ "field": "companyname", "operator": operator, "value": value })).unwrap()
        };
        assert_eq!(filter("50%' OR '1'='1", "contains"), "companyname LIKE '%50!%'' OR ''1''=''1%' ESCAPE '!'");
        assert_eq!(filter("2026-11-21", "after"), "companyname > TO_DATE('2026-11-21', 'YYYY-MM-DD')");
        assert!(condition(&json!({ "field": "a b", "value": 1 })).is_err());
    }
}
