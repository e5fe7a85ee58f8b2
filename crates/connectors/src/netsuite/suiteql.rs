//! SuiteQL: queries, their pages, and the ready ones.

use ::http::Method;
use connector::{Action, Cx, Page, StepError, query::Part, whole};
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

/// One page of a query: its rows without links, and the next offset.
pub(super) async fn page(cx: &Cx, query: &str, size: u64, offset: u64) -> Result<(Vec<Json>, Option<u64>), StepError> {
    let url = api::url(cx, &["services", "rest", "query", "v1", "suiteql"])?;
    let paging = [("limit", size.to_string()), ("offset", offset.to_string())];
    let answer = api::call_with(cx, Method::POST, url, &paging, Some(&json!({ "q": query })), &[(PREFER, "transient")]).await?;
    let body = answer.json()?;
    let Some(items) = body.get("items").and_then(Json::as_array) else { return Err(answer.unreadable("it has no items")) };
    let next = (body["hasMore"] == true && offset + size < ROWS_MAX && !items.is_empty()).then_some(offset + size);
    Ok((items.iter().cloned().map(api::without_links).collect(), next))
}

/// All rows of a short query.
pub(super) async fn rows(cx: &Cx, query: &str) -> Result<Vec<Json>, StepError> {
    Ok(page(cx, query, PAGE_ROWS, 0).await?.0)
}

async fn paged(cx: Cx, query: String, size: u64, cursor: Option<Json>) -> Result<Page, StepError> {
    let offset = cursor.and_then(|cursor| cursor.get("offset")?.as_u64()).unwrap_or_default();
    let (items, next) = page(&cx, &query, size, offset).await?;
    Ok(Page { items, next: next.map(|offset| json!({ "offset": offset })) })
}

async fn all(cx: Cx, query: String, size: u64, most: u64) -> Result<Json, StepError> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let rows = whole(most, |cursor| paged(cx.clone(), query.clone(), size, cursor)).await?;
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
    query: fn(&Json) -> Result<String, StepError>,
) -> Action {
    let mut input = input;
    input["properties"]["max_rows"] = json!({"type": "integer", "minimum": 1, "maximum": ROWS_MAX, "default": HELD_MAX, "title": "Most rows held at once", "description": "More is an error; go through the rows with stream: true then."});
    input["properties"]["page_size"] =
        json!({"type": "integer", "minimum": 1, "maximum": PAGE_ROWS, "default": PAGE_ROWS, "title": "Rows of a page"});
    Action::new(id, title, summary, move |cx, input| async move { all(cx, query(&input)?, size(&input), most(&input)).await })
        .reads()
        .input(input)
        .output(rows_schema())
        .sample(json!({ "count": 1, "rows": [{ "id": "107", "companyname": "Amber Analytics" }] }))
        .pages(move |cx, input, cursor| async move { paged(cx, query(&input)?, size(&input), cursor).await })
}

fn run_query(input: &Json) -> Result<String, StepError> {
    bound(needed(input, "query")?, input.get("params").unwrap_or(&Json::Null))
}

fn picklist(input: &Json) -> Result<String, StepError> {
    let (table, kind) = table(needed(input, "type")?)?;
    let field = name(needed(input, "field")?)?;
    let of_kind = kind.map(|kind| format!(" AND type = '{kind}'")).unwrap_or_default();
    Ok(format!(
        "SELECT DISTINCT {field} AS id, BUILTIN.DF({field}) AS name FROM {table} WHERE {field} IS NOT NULL{of_kind} ORDER BY 2"
    ))
}

fn customer_balance(input: &Json) -> Result<String, StepError> {
    Ok(format!(
        "SELECT id, entityid, companyname, balancesearch AS balance, overduebalancesearch AS overdue FROM customer WHERE {}",
        chosen(input, "id")?
    ))
}

fn open_invoices(input: &Json) -> Result<String, StepError> {
    let customer = match text(input, "id").or(text(input, "external_id")) {
        Some(_) => format!(" AND entity IN (SELECT id FROM customer WHERE {})", chosen(input, "id")?),
        None => String::new(),
    };
    Ok(format!(
        "SELECT id, tranid, entity, BUILTIN.DF(entity) AS entityname, TO_CHAR(trandate, 'YYYY-MM-DD') AS trandate, TO_CHAR(duedate, 'YYYY-MM-DD') AS duedate, foreigntotal, foreignamountunpaid FROM transaction WHERE type = 'CustInvc' AND foreignamountunpaid > 0{customer} ORDER BY id"
    ))
}

fn item_stock(input: &Json) -> Result<String, StepError> {
    Ok(format!("SELECT id, itemid, displayname, quantityonhand, quantityavailable FROM item WHERE {}", chosen(input, "id")?))
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

fn search(input: &Json) -> Result<String, StepError> {
    let (table, kind) = table(needed(input, "type")?)?;
    let mut all = conditions(input)?;
    all.extend(kind.map(|kind| format!("type = '{kind}'")));
    let filter = if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
    Ok(format!("SELECT {} FROM {table}{filter} ORDER BY id", columns(input)?))
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
            "query": {"type": "string", "title": "Query", "x-syntax": "sql", "description": "SELECT … with :name where a value belongs. Sort by a unique column, and write dates with TO_CHAR(x, 'YYYY-MM-DD')."},
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
