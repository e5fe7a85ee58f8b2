//! SOAP, for what REST lacks: saved searches, and records older accounts only reach so.

use ::http::{HeaderName, Method};
use async_trait::async_trait;
use connector::{
    Action, Cx, Effect, ErrorClass, Page, Secret, StepError,
    api::{Answer, Call, Dialect, Refusal, Sign},
    http::Request,
    whole, xml,
};
use serde_json::{Map, Value as Json, json};

use super::{
    api::{ERRORS, UNEXPECTED, needed, text},
    settings,
    tba::{self, Tba},
};

const ROWS_MAX: usize = 10_000;
/// Filters of a saved search, and values of one.
const FILTERS_MAX: usize = 50;
const FILTER_VALUES_MAX: usize = 1_000;
/// Rows of a page; the service takes 5 to 1,000.
const PAGE_ROWS: u64 = 500;

static DIALECT: Dialect = Dialect { system: "NetSuite", errors: ERRORS, refusal, fails_late: true };

/// Where the passport goes; it is put in when the message is sent.
const PASSPORT: &str = "<m:tokenPassport/>";

/// The passport in the message is the proof.
struct InMessage(Tba);

#[async_trait]
impl Sign for InMessage {
    async fn sign(&self, cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        let Self(keys) = self;
        tba::before(cx, refused).await;
        // Every sending has its own nonce, time and signature.
        let (nonce, now) = (tba::nonce()?, cx.now_s());
        let passport = format!(
            "<m:tokenPassport><c:account>{}</c:account><c:consumerKey>{}</c:consumerKey><c:token>{}</c:token><c:nonce>{nonce}</c:nonce><c:timestamp>{now}</c:timestamp><c:signature algorithm=\"HMAC-SHA256\">{}</c:signature></m:tokenPassport>",
            escaped(&keys.account),
            escaped(keys.consumer_key.expose()),
            escaped(keys.token.expose()),
            keys.passport(&nonce, now)
        );
        request.body = String::from_utf8_lossy(&request.body).replacen(PASSPORT, &passport, 1).into();
        Ok(Some(keys.token.clone()))
    }

    fn is_timed(&self) -> bool {
        true
    }
}

/// Names without their prefixes; declarations of namespaces are gone.
fn local(value: Json) -> Json {
    match value {
        Json::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| !name.starts_with("@xmlns"));
            Json::Object(
                kept.map(|(name, value)| {
                    let (mark, name) = name.strip_prefix('@').map_or(("", name.as_str()), |name| ("@", name));
                    (format!("{mark}{}", name.rsplit(':').next().unwrap_or_default()), local(value))
                })
                .collect::<Map<_, _>>(),
            )
        }
        Json::Array(items) => Json::Array(items.into_iter().map(local).collect()),
        other => other,
    }
}

fn body(answer: &Answer) -> Option<Json> {
    let text = std::str::from_utf8(&answer.body).ok()?.trim_start_matches('\u{feff}');
    let document = local(xml::read(text).ok()?);
    document.get("Envelope")?.get("Body").cloned()
}

/// The first failed status anywhere in an answer.
fn failed(value: &Json) -> Option<Refusal> {
    if let Some(status) = value.get("status").filter(|status| status["@isSuccess"] == "false") {
        let detail = list(&status["statusDetail"]).into_iter().next().unwrap_or_default();
        let code = detail["code"].as_str().unwrap_or(UNEXPECTED);
        let words = detail["message"].as_str().unwrap_or_default();
        let code = if words.contains("already exists") { "ALREADY_EXISTS" } else { code };
        let class = DIALECT.error(code).map_or(ErrorClass::Invalid, |row| row.class);
        return Some(Refusal::new(code, words).class(class).in_doubt(code == UNEXPECTED));
    }
    value.as_object()?.values().find_map(failed)
}

/// A fault, which comes with 500, or a failure inside an answer with 200.
fn refusal(answer: &Answer) -> Option<Refusal> {
    let Some(body) = body(answer) else {
        return (!answer.status.is_success()).then(Refusal::default);
    };
    let Some(fault) = body.get("Fault") else { return failed(&body) };
    let words = fault["faultstring"].as_str().unwrap_or_default();
    let detail =
        fault.get("detail").and_then(Json::as_object).into_iter().flatten().find_map(|(_, part)| part.get("code")?.as_str());
    let code = match detail {
        _ if words.contains("concurrent request limit exceeded") => "WS_REQUEST_BLOCKED",
        _ if words.contains("Invalid login attempt") => "INVALID_LOGIN_ATTEMPT",
        Some(code) => code,
        None => UNEXPECTED,
    };
    let refusal = Refusal::new(code, words);
    // Too many calls are refused like a bad sign-in, too, and nothing tells the two apart but another try.
    Some(if code == "INVALID_LOGIN_ATTEMPT" { refusal.signed_out() } else { refusal })
}

fn list(value: &Json) -> Vec<Json> {
    match value {
        Json::Null => Vec::new(),
        Json::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Calls an operation; `inside` is XML of the version's namespaces, prefixes `m`, `c`, `s`, `r`.
pub(super) async fn talk(cx: &Cx, operation: &'static str, preferences: &str, inside: &str) -> Result<Json, StepError> {
    let (sign, version) = (InMessage(settings::tba(cx)?), settings::soap_version(cx)?);
    let space = |name: &str, area: &str| format!("urn:{name}_{version}.{area}.webservices.netsuite.com");
    let message = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:m=\"{}\" xmlns:c=\"{}\"><e:Header>{PASSPORT}{preferences}</e:Header><e:Body><m:{operation}>{inside}</m:{operation}></e:Body></e:Envelope>",
        space("messages", "platform"),
        space("core", "platform")
    );
    let mut url = settings::base(cx, "suitetalk")?;
    url.set_path(&format!("/services/NetSuitePort_{version}"));
    let call = Call::new(cx, &DIALECT, &sign, Method::POST, url)
        .header(HeaderName::from_static("soapaction"), &format!("\"{operation}\""))
        .header(::http::header::ACCEPT, "text/xml")
        .body("text/xml; charset=utf-8", message.into());
    let answer = call.send().await?;
    let body = body(&answer).ok_or_else(|| answer.unreadable("it is no SOAP message"))?;
    body.get(format!("{operation}Response")).cloned().ok_or_else(|| answer.unreadable("it answers something else"))
}

/// A record or row for recipes: attributes become `id` and `external_id`, search values their value.
pub(super) fn shown(value: &Json) -> Json {
    match value {
        Json::Object(members) => {
            if let (1, Some(inner)) = (members.len(), members.get("searchValue")) {
                return shown(inner);
            }
            let mut out = Map::new();
            for (name, value) in members {
                match name.as_str() {
                    "@type" | "@nil" => {}
                    "@internalId" => drop(out.insert("id".to_owned(), value.clone())),
                    "@externalId" => drop(out.insert("external_id".to_owned(), value.clone())),
                    "basic" => out.extend(shown(value).as_object().cloned().unwrap_or_default()),
                    name => drop(out.insert(name.trim_start_matches('@').to_owned(), shown(value))),
                }
            }
            Json::Object(out)
        }
        Json::Array(items) => Json::Array(items.iter().map(shown).collect()),
        other => other.clone(),
    }
}

fn row(value: &Json) -> Json {
    let mut row = shown(value);
    // The id of a row is a search column of its own.
    if let Some(id) = row.get("internalId").and_then(|id| id.get("id")).cloned() {
        row["id"] = id;
    }
    row
}

/// One page of a saved search; the cursor names the search that runs and its next page.
pub(super) async fn page(cx: &Cx, input: &Json, cursor: Option<Json>) -> Result<Page, StepError> {
    let size = input.get("page_size").and_then(Json::as_u64).unwrap_or(PAGE_ROWS).clamp(5, 1_000);
    let asked = cursor.as_ref().map_or(1, |cursor| cursor["page"].as_u64().unwrap_or(1));
    let response = match &cursor {
        Some(cursor) => {
            let inside = format!(
                "<m:searchId>{}</m:searchId><m:pageIndex>{asked}</m:pageIndex>",
                escaped(cursor["search"].as_str().unwrap_or_default()),
            );
            talk(cx, "searchMoreWithId", "", &inside).await?
        }
        None => {
            let (of, area, home) = family(text(input, "search_type").unwrap_or("transaction"));
            let search = needed(input, "search")?;
            let attribute = if search.chars().all(|c| c.is_ascii_digit()) { "savedSearchId" } else { "savedSearchScriptId" };
            let version = settings::soap_version(cx)?;
            let inside = format!(
                "<m:searchRecord xmlns:r=\"urn:{home}_{version}.{area}.webservices.netsuite.com\" xmlns:s=\"urn:common_{version}.platform.webservices.netsuite.com\" xsi:type=\"r:{of}SearchAdvanced\" {attribute}=\"{}\">{}</m:searchRecord>",
                escaped(search),
                criteria(input)?
            );
            let preferences = format!(
                "<m:searchPreferences><m:bodyFieldsOnly>true</m:bodyFieldsOnly><m:returnSearchColumns>true</m:returnSearchColumns><m:pageSize>{size}</m:pageSize></m:searchPreferences>"
            );
            talk(cx, "search", &preferences, &inside).await?
        }
    };
    let result = &response["searchResult"];
    let mut items: Vec<Json> = list(&result["searchRowList"]["searchRow"]).iter().map(row).collect();
    items.extend(list(&result["recordList"]["record"]).iter().map(shown));
    let number = |name: &str| result[name].as_str().and_then(|text| text.parse::<u64>().ok());
    let (Some(index), Some(pages)) = (number("pageIndex"), number("totalPages")) else {
        return Err(unreadable("it does not say which page it is, and of how many"));
    };
    // Nothing found is page 1 of 0. Any other page than the one that was asked for would be gone through without end.
    if index != asked {
        return Err(unreadable(&format!("page {asked} was asked for and page {index} came")));
    }
    let next = (index < pages).then(|| json!({ "search": result["searchId"], "page": index + 1 }));
    Ok(Page { items, next })
}

/// Conditions that hold besides those of the saved search. Each field is declared with one kind of value, so none is said.
fn criteria(input: &Json) -> Result<String, StepError> {
    let filters = list(&input["filters"]);
    let texts = |value: &Json| -> Vec<String> {
        list(value).iter().map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)).collect()
    };
    let mut inside = String::new();
    for filter in &filters {
        let field = named(needed(filter, "field")?)?;
        let operator = text(filter, "operator").unwrap_or_default();
        let (values, ids) = (texts(&filter["values"]), texts(&filter["ids"]));
        let two = matches!(operator, "between" | "notBetween" | "within" | "notWithin") && values.len() == 2;
        inside.push_str(&format!("<s:{field}"));
        if !operator.is_empty() {
            inside.push_str(&format!(" operator=\"{}\"", escaped(operator)));
        }
        inside.push('>');
        for (place, value) in values.iter().enumerate() {
            let element = if two && place == 1 { "c:searchValue2" } else { "c:searchValue" };
            inside.push_str(&format!("<{element}>{}</{element}>", escaped(value)));
        }
        inside.extend(ids.iter().map(|id| format!("<c:searchValue internalId=\"{}\"/>", escaped(id))));
        inside.push_str(&format!("</s:{field}>"));
    }
    Ok(if inside.is_empty() { inside } else { format!("<r:criteria><r:basic>{inside}</r:basic></r:criteria>") })
}

/// A name of a field, which becomes one of an element.
fn named(name: &str) -> Result<&str, StepError> {
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good { Ok(name) } else { Err(super::api::invalid(format!("\"{name}\" is no name of a field"))) }
}

fn unreadable(why: &str) -> StepError {
    let words = format!("the answer of NetSuite to a search cannot be read: {why}");
    StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", words)
        .with_next("Nothing to do where it is tried again. If it stays, see in NetSuite whether the search can be opened.")
}

/// What a saved search is about: the type's word, the area and the namespace it is declared in.
fn family(of: &str) -> (&'static str, &'static str, &'static str) {
    match of {
        "customer" => ("Customer", "lists", "relationships"),
        "vendor" => ("Vendor", "lists", "relationships"),
        "contact" => ("Contact", "lists", "relationships"),
        "employee" => ("Employee", "lists", "employees"),
        "item" => ("Item", "lists", "accounting"),
        _ => ("Transaction", "transactions", "sales"),
    }
}

async fn saved(cx: Cx, input: Json) -> Result<Json, StepError> {
    let rows = whole(ROWS_MAX, |cursor| {
        let (cx, input) = (cx.clone(), input.clone());
        async move { page(&cx, &input, cursor).await }
    })
    .await?;
    Ok(json!({ "count": rows.len(), "rows": rows }))
}

fn reference(input: &Json) -> Result<String, StepError> {
    let kind = escaped(needed(input, "type")?);
    let named = match super::api::key(input)?.strip_prefix("eid:") {
        Some(external) => format!("externalId=\"{}\"", escaped(external)),
        None => format!("internalId=\"{}\"", escaped(needed(input, "id")?)),
    };
    Ok(format!("<m:baseRef xsi:type=\"c:RecordRef\" type=\"{kind}\" {named}/>"))
}

async fn get(cx: Cx, input: Json) -> Result<Json, StepError> {
    let response = talk(&cx, "get", "", &reference(&input)?).await?;
    Ok(shown(&response["readResponse"]["record"]))
}

/// A field as XML: references by id or external id, lists of rows, or text.
fn element(name: &str, value: &Json) -> Result<String, StepError> {
    let name = named(name)?;
    let plain = |value: &Json| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    Ok(match value {
        Json::Object(members) => match (members.get("id"), members.get("externalId")) {
            (Some(id), _) => format!("<r:{name} internalId=\"{}\"/>", escaped(&plain(id))),
            (None, Some(external)) => format!("<r:{name} externalId=\"{}\"/>", escaped(&plain(external))),
            _ => {
                let parts: String = members.iter().map(|(name, value)| element(name, value)).collect::<Result<_, _>>()?;
                format!("<r:{name}>{parts}</r:{name}>")
            }
        },
        Json::Array(items) => items.iter().map(|item| element(name, item)).collect::<Result<String, _>>()?,
        Json::Null => String::new(),
        other => format!("<r:{name}>{}</r:{name}>", escaped(&plain(other))),
    })
}

async fn write(cx: Cx, input: Json) -> Result<Json, StepError> {
    let kind = needed(&input, "type")?;
    let operation = match needed(&input, "operation")? {
        "add" => "add",
        "update" => "update",
        _ => "upsert",
    };
    let mut letters = kind.chars();
    let class: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let (area, home) = home(kind);
    let version = settings::soap_version(&cx)?;
    let mut attributes = String::new();
    for (name, attribute) in [("id", "internalId"), ("external_id", "externalId")] {
        if let Some(value) = text(&input, name) {
            attributes.push_str(&format!(" {attribute}=\"{}\"", escaped(value)));
        }
    }
    let fields = input.get("fields").and_then(Json::as_object).cloned().unwrap_or_default();
    let inside: String = fields.iter().map(|(name, value)| element(name, value)).collect::<Result<_, _>>()?;
    let record = format!(
        "<m:record xmlns:r=\"urn:{home}_{version}.{area}.webservices.netsuite.com\" xsi:type=\"r:{}\"{attributes}>{inside}</m:record>",
        escaped(&class)
    );
    let response = talk(&cx, operation, "", &record).await?;
    Ok(shown(&response["writeResponse"]["baseRef"]))
}

/// Area and namespace of a record type.
fn home(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "customer" | "vendor" | "contact" | "job" => ("lists", "relationships"),
        "employee" => ("lists", "employees"),
        "supportCase" => ("lists", "support"),
        "phoneCall" | "task" => ("activities", "scheduling"),
        "estimate" | "salesOrder" | "invoice" | "cashSale" | "itemFulfillment" | "opportunity" => ("transactions", "sales"),
        "purchaseOrder" | "vendorBill" | "vendorPayment" | "itemReceipt" => ("transactions", "purchases"),
        "creditMemo" | "customerPayment" | "returnAuthorization" => ("transactions", "customers"),
        "journalEntry" => ("transactions", "general"),
        "expenseReport" => ("transactions", "employees"),
        _ => ("lists", "accounting"),
    }
}

pub(super) fn search_properties() -> Json {
    json!({
        "search": {"type": "string", "title": "Saved search", "description": "Its number or id, such as customsearch_open_invoices."},
        "search_type": {"type": "string", "enum": ["transaction", "customer", "vendor", "contact", "employee", "item"], "default": "transaction", "title": "What it finds"},
        "filters": {"type": "array", "maxItems": FILTERS_MAX, "title": "Filters", "description": "Conditions that must hold besides those of the search.", "items": {"type": "object", "required": ["field"], "additionalProperties": false, "properties": {
            "field": {"type": "string", "title": "Field", "description": "As SOAP calls it, such as companyName, tranDate or entity."},
            "operator": {"type": "string", "title": "Operator", "description": "Such as is, contains, onOrAfter, greaterThan or anyOf; none for fields that are true or false."},
            "values": {"type": "array", "maxItems": FILTER_VALUES_MAX, "items": {"type": ["string", "number", "boolean"]}, "title": "Values", "description": "The second one ends a span. A date is a date and time."},
            "ids": {"type": "array", "maxItems": FILTER_VALUES_MAX, "items": {"type": ["string", "integer"]}, "title": "Internal ids", "description": "For fields that name other records, instead of values."}
        }}},
        "page_size": {"type": "integer", "minimum": 5, "maximum": 1000, "default": PAGE_ROWS, "title": "Rows of a page"}
    })
}

pub(super) fn actions() -> Vec<Action> {
    let one = json!({"type": {"type": "string", "title": "Record type"}, "id": {"type": "string", "title": "Internal id"}, "external_id": {"type": "string", "title": "External id"}});
    let mut writes = one.clone();
    writes["operation"] = json!({"type": "string", "enum": ["add", "update", "upsert"], "title": "What to do"});
    writes["fields"] = json!({"type": "object", "title": "Fields", "description": "In the order of the service's description."});
    let effect = |input: &Json| if input["operation"] == "add" { Effect::Once } else { Effect::Idempotent };
    vec![
        Action::new("run_saved_search", "Run saved search", "Gives the rows of a saved search. Works with token-based authentication only, as SOAP does.", saved)
            .reads()
            .input(json!({"type": "object", "properties": search_properties(), "required": ["search"], "additionalProperties": false}))
            .output(super::suiteql::rows_schema())
            .sample(json!({ "count": 1, "rows": [{ "id": "1180", "tranId": "INV-1180" }] }))
            .pages(|cx, input, cursor| async move { page(&cx, &input, cursor).await }),
        Action::new("soap_get_record", "Get record over SOAP", "Reads a record through SOAP.", get).reads()
            .input(json!({"type": "object", "properties": one, "required": ["type"], "additionalProperties": false}))
            .output(json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}))
            .sample(json!({ "id": "107", "external_id": "C-0001", "companyName": "Amber Analytics" })),
        Action::new("soap_write_record", "Write record over SOAP", "Adds, updates or upserts a record through SOAP.", write).effect(effect)
            .input(json!({"type": "object", "properties": writes, "required": ["operation", "type", "fields"], "additionalProperties": false}))
            .output(json!({"type": "object", "properties": {"id": {"type": "string"}, "external_id": {"type": "string"}}, "required": ["id"]}))
            .sample(json!({ "id": "107", "external_id": "C-0001" })),
    ]
}
