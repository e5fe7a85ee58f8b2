//! The smaller services, all after one pattern: lists of records, their parts, and what is submitted.

use http::Method;
use serde_json::{Value as Json, json};

use super::{Ask, Done, common, day_in, missing, not_with, referred, text_in, wrong};
use crate::workday::{
    answer::Answer,
    docs::{How, ROWS_MAX, SPECS, Spec},
    items::Kind,
    people::Change,
    process::{Process, Start},
    state::State,
};

/// Parts of one record, and bytes of one record.
const PARTS_MAX: usize = 1_000;
const RECORD_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn answer(state: &mut State, ask: &Ask<'_>, service: &str, path: &[&str]) -> Done {
    match (service, path) {
        ("expense", ["expenseItems"]) if ask.is(&Method::GET) => expense_items(state, ask),
        ("expense", ["expenseItems", id]) => Ok(Answer::json(200, &ask.item(state, id, &[Kind::ExpenseItem])?.1.json())),
        ("coreAccounting", ["currencies"]) => {
            let all: Vec<Json> = state.items.of(Kind::Currency).map(|(_, item)| common::currency(ask, item)).collect();
            ask.rows(&all)
        }
        ("coreAccounting", ["currencies", id]) => {
            Ok(Answer::json(200, &common::currency(ask, ask.item(state, id, &[Kind::Currency])?.1)))
        }
        ("payroll" | "compensation", ["workers"]) if ask.is(&Method::GET) => {
            ask.list(&common::searched(state, ask), |(place, view)| common::summary(state, ask, *place, view))
        }
        ("payroll" | "compensation", ["workers", id]) if ask.is(&Method::GET) => {
            let (place, view) = ask.worker(state, id)?;
            Ok(Answer::json(200, &common::summary(state, ask, place, &view)))
        }
        ("compensation", ["workers", id, "requestOneTimePayment"]) if ask.is(&Method::POST) => one_time_payment(state, ask, id),
        ("compensation", ["workers", _, "requestOneTimePayment"]) => Err(not_with("POST")),
        ("payroll", ["jobs"]) => {
            let jobs: Vec<_> = state.visible(ask.now()).collect();
            ask.list(&jobs, |(_, view)| {
                json!({ "id": state.position_of(view).0, "descriptor": format!("{} - {}", view.job_title, view.name()) })
            })
        }
        ("connect", ["sendMessage"]) if ask.is(&Method::POST) => send(state, ask),
        _ => records(state, ask, service, path),
    }
}

fn expense_items(state: &State, ask: &Ask<'_>) -> Done {
    let search = ask.call.param("searchString").unwrap_or_default().to_lowercase();
    let all: Vec<Json> = state
        .items
        .of(Kind::ExpenseItem)
        .filter(|(_, item)| item.name.to_lowercase().contains(&search))
        .map(|(_, item)| item.json())
        .collect();
    ask.rows(&all)
}

/// What the common service tells of a customer.
pub(super) fn common_customer(state: &State, id: &str) -> Done {
    let customer = state.docs.get("customers", id).ok_or_else(missing)?;
    Ok(Answer::json(200, &json!({ "id": customer["id"], "descriptor": customer["descriptor"], "name": customer["name"] })))
}

/// Invoices of a customer as activities.
pub(super) fn activities(state: &State, ask: &Ask<'_>, id: &str) -> Result<Vec<Json>, Answer> {
    let customer = &state.docs.get("customers", id).ok_or_else(missing)?["id"];
    let (from, to) = (ask.day("fromDate")?, ask.day("toDate")?);
    let within = |invoice: &&Json| {
        let day = day_in(invoice, "invoiceDate").ok().flatten();
        invoice["billToCustomer"]["id"] == *customer
            && from.is_none_or(|from| day.is_some_and(|day| day >= from))
            && to.is_none_or(|to| day.is_some_and(|day| day <= to))
    };
    let row = |invoice: &Json| {
        json!({
            "id": invoice["id"],
            "transactionType": "Customer Invoice",
            "transactionNumber": invoice["invoiceNumber"],
            "transactionDate": invoice["invoiceDate"],
            "invoiceDueDate": invoice["dueDate"],
            "transactionAmountSigned": invoice["netAmount"],
            "transactionStatus": invoice["invoiceStatus"]["descriptor"],
        })
    };
    Ok(state.docs.list("invoices").filter(within).map(row).collect())
}

fn records(state: &mut State, ask: &Ask<'_>, service: &str, path: &[&str]) -> Done {
    let [name, rest @ ..] = path else { return Err(missing()) };
    let spec = SPECS.iter().find(|spec| spec.service == service && spec.name == *name).ok_or_else(missing)?;
    let method = ask.call.method.as_str();
    if rest.len() < 2 && !spec.verbs.split(", ").any(|verb| verb == method) {
        return Err(not_with(spec.verbs));
    }
    match (method, rest) {
        ("GET", []) => listed(state, ask, spec),
        ("POST", []) => made(state, ask, spec),
        ("GET", [id]) => {
            state.docs.get(spec.name, id).map(|record| Answer::json(200, &told(ask, spec, record))).ok_or_else(missing)
        }
        ("PUT" | "PATCH", [id]) => changed(state, ask, spec, id, method == "PUT"),
        ("DELETE", [id]) if state.docs.remove(spec.name, id) => Ok(Answer::new(204, "application/json;charset=utf-8", "")),
        ("POST", [id, "submit"]) if spec.submit.is_some() => submit(state, ask, spec, id),
        (_, [id, part, inner @ ..]) => parts(state, ask, spec, id, part, inner),
        _ => Err(missing()),
    }
}

/// A record without the lists that have addresses of their own.
fn told(ask: &Ask<'_>, spec: &Spec, record: &Json) -> Json {
    let mut told = record.clone();
    if let Some(fields) = told.as_object_mut() {
        fields.retain(|name, _| !spec.parts.iter().any(|(part, _)| part == name));
        let id = fields.get("id").and_then(Json::as_str).unwrap_or_default();
        fields.insert("href".to_owned(), json!(format!("{}/{}/{id}", ask.root, spec.name)));
    }
    told
}

/// The references of a parameter.
fn is(value: &Json, wanted: &str) -> bool {
    let bare = wanted.split_once('=').map_or(wanted, |(_, value)| value);
    let same =
        |value: &Json| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(wanted) || text.eq_ignore_ascii_case(bare));
    same(value) || same(&value["id"]) || same(&value["descriptor"])
}

fn holds(record: &Json, (field, how): (&str, How), wanted: &str) -> bool {
    let text = record[field].as_str().unwrap_or_default();
    match how {
        How::Is => is(&record[field], wanted),
        How::From => text.get(..10).is_some_and(|day| Some(day) >= wanted.get(..10)),
        How::To => text.get(..10).is_some_and(|day| Some(day) <= wanted.get(..10)),
        How::Holds => text.to_lowercase().contains(&wanted.to_lowercase()),
    }
}

fn listed(state: &State, ask: &Ask<'_>, spec: &Spec) -> Done {
    for (name, _, how) in spec.filters {
        if matches!(how, How::From | How::To) {
            ask.day(name)?;
        }
    }
    let fits = |record: &&Json| {
        spec.filters.iter().all(|(name, field, how)| {
            let mut wanted = ask.call.query.iter().filter(|(known, _)| known == name).peekable();
            wanted.peek().is_none() || wanted.any(|(_, wanted)| holds(record, (field, *how), wanted))
        })
    };
    let all: Vec<&Json> = state.docs.list(spec.name).filter(fits).collect();
    ask.list(&all, |record| told(ask, spec, record))
}

/// What is wrong with a record: missing fields, references without an id, dates that are none.
fn check(spec: &Spec, record: &Json) -> Result<(), Answer> {
    let mut problems: Vec<(String, &str)> = Vec::new();
    for name in spec.required {
        match &record[*name] {
            Json::Null => problems.push((format!("{name} is required."), name)),
            Json::String(text) if text.trim().is_empty() => problems.push((format!("{name} is required."), name)),
            value if name.to_lowercase().ends_with("date") && day_in(record, name).is_err() => {
                problems.push((format!("{name}: {value} is not a date."), name));
            }
            _ => {}
        }
    }
    let plain = ["date", "amount", "startDate", "name", "scorecardName"];
    for name in spec.required.iter().filter(|name| !plain.contains(*name) && !record[**name].is_null()) {
        if record[*name]["id"].as_str().is_none() {
            problems.push((format!("{name}: a reference with an id is expected."), name));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Answer::invalid(&problems)) }
}

/// References to people and picklists must exist.
fn check_references(state: &State, record: &Json) -> Result<(), Answer> {
    for (field, kind) in [("expenseItem", Kind::ExpenseItem), ("payComponent", Kind::PayComponent), ("company", Kind::Company)] {
        referred(state, record, field, &[kind])?;
    }
    for field in ["payee", "worker", "requester"] {
        if let Some(id) = record[field]["id"].as_str()
            && state.worker_at(id).is_none()
        {
            return Err(wrong(field, format!("{field}: \"{id}\" is not a valid ID value")));
        }
    }
    Ok(())
}

fn made(state: &mut State, ask: &Ask<'_>, spec: &Spec) -> Done {
    let mut record = ask.call.json()?;
    if ask.call.body.len() > RECORD_BYTES_MAX {
        return Err(Answer::error(413, "the request is too large"));
    }
    check(spec, &record)?;
    check_references(state, &record)?;
    let id = state.docs.next_id(state.seed);
    record["id"] = json!(id);
    if record["descriptor"].is_null() {
        record["descriptor"] = json!(format!("{} {}", spec.name.trim_end_matches('s'), &id[..6]));
    }
    if let Some((field, word)) = spec.state {
        record[field] = json!({ "descriptor": word });
    }
    if spec.name == "reports" && record["creationDate"].is_null() {
        record["creationDate"] = json!(state.day(ask.now()).to_string());
    }
    for line in record["lines"].as_array_mut().into_iter().flatten().filter(|line| line.is_object()) {
        line["id"] = json!(state.docs.next_id(state.seed));
    }
    let told = told(ask, spec, &record);
    if !state.docs.put(spec.name, &[], record) {
        return Err(Answer::error(400, &format!("there are {ROWS_MAX} records already")));
    }
    Ok(Answer::json(201, &told))
}

fn changed(state: &mut State, ask: &Ask<'_>, spec: &Spec, id: &str, whole: bool) -> Done {
    let body = ask.call.json()?;
    let now = state.docs.get(spec.name, id).ok_or_else(missing)?;
    let mut next = if whole { json!({ "id": now["id"], "descriptor": now["descriptor"] }) } else { now.clone() };
    for (name, value) in body.as_object().into_iter().flatten().filter(|(name, _)| !matches!(name.as_str(), "id" | "href")) {
        next[name] = value.clone();
    }
    if let Some((field, _)) = spec.state {
        next[field] = now[field].clone();
    }
    check(spec, &next)?;
    check_references(state, &next)?;
    let told = told(ask, spec, &next);
    if let Some(record) = state.docs.get_mut(spec.name, id) {
        *record = next;
    }
    Ok(Answer::json(200, &told))
}

fn parts(state: &mut State, ask: &Ask<'_>, spec: &Spec, id: &str, part: &str, inner: &[&str]) -> Done {
    let (_, can_add) = spec.parts.iter().find(|(known, _)| *known == part).ok_or_else(missing)?;
    let record = state.docs.get(spec.name, id).ok_or_else(missing)?;
    let rows: Vec<Json> = record[part].as_array().cloned().unwrap_or_default();
    match (ask.call.method.as_str(), inner) {
        ("GET", []) => ask.rows(&rows),
        ("GET", [one]) => rows.iter().find(|row| row["id"] == **one).map(|row| Answer::json(200, row)).ok_or_else(missing),
        ("POST", []) if *can_add => {
            let mut row = if part == "attachments" { attached(ask) } else { ask.call.json()? };
            if rows.len() >= PARTS_MAX {
                return Err(wrong(part, format!("there are at most {PARTS_MAX} {part}.")));
            }
            check_references(state, &row)?;
            row["id"] = json!(state.docs.next_id(state.seed));
            if let Some(record) = state.docs.get_mut(spec.name, id) {
                add(record, part, row.clone());
            }
            Ok(Answer::json(201, &row))
        }
        _ => Err(not_with(if *can_add { "GET, POST" } else { "GET" })),
    }
}

/// What is kept of an attachment: its size; the bytes are not.
fn attached(ask: &Ask<'_>) -> Json {
    let kind = ask.call.header(http::header::CONTENT_TYPE).unwrap_or("application/octet-stream").to_owned();
    json!({ "fileLength": ask.call.body.len(), "contentType": { "descriptor": kind } })
}

fn add(record: &mut Json, part: &str, row: Json) {
    if let Some(more) = row["totalAmount"]["value"].as_f64() {
        let total = record["totalAmount"]["value"].as_f64().unwrap_or_default() + more;
        record["totalAmount"] = json!({ "value": total, "currency": row["totalAmount"]["currency"] });
    }
    match record[part].as_array_mut() {
        Some(rows) => rows.push(row),
        None => record[part] = json!([row]),
    }
}

fn submit(state: &mut State, ask: &Ask<'_>, spec: &Spec, id: &str) -> Done {
    let record = state.docs.get(spec.name, id).ok_or_else(missing)?;
    let (Some(process), Some((field, word))) = (spec.submit, spec.state) else { return Err(missing()) };
    if record[field]["descriptor"] != word {
        return Err(wrong("", "The document has been submitted already."));
    }
    if record["lines"].as_array().is_none_or(Vec::is_empty) {
        return Err(wrong("lines", "At least one line is required."));
    }
    let payee = ["payee", "requester"].iter().find_map(|name| state.worker_at(record[*name]["id"].as_str()?));
    let (who, descriptor) = (ask.done_by(), record["descriptor"].clone());
    let event = Start {
        process,
        worker: payee.unwrap_or_default(),
        effective: state.day(ask.now()),
        change: Change::Elsewhere,
        auto_complete: false,
        comment: None,
        who: &who,
    };
    // Several documents of one person may wait at the same time.
    state.waiting.remove(&(event.worker, process));
    let event = state.start(event, ask.now()).map_err(|why| wrong("", why))?;
    let wid = state.events[event].wid.clone();
    if let Some(record) = state.docs.get_mut(spec.name, id) {
        record[field] = json!({ "descriptor": "In Progress" });
    }
    Ok(Answer::json(201, &json!({ "id": id, "descriptor": descriptor, "event": { "id": wid, "descriptor": process.name() } })))
}

fn one_time_payment(state: &mut State, ask: &Ask<'_>, id: &str) -> Done {
    let mut body = ask.call.json()?;
    let worker = ask.worker(state, id)?.0;
    let payments = body["oneTimePayments"].as_array().filter(|payments| !payments.is_empty());
    let payments = payments.ok_or_else(|| wrong("oneTimePayments", "oneTimePayments is required."))?;
    for payment in payments {
        if referred(state, payment, "oneTimePaymentPlan", &[Kind::PaymentPlan])?.is_none() {
            return Err(wrong("oneTimePaymentPlan", "oneTimePaymentPlan is required."));
        }
        if payment["paymentAmount"].is_null() && payment["paymentPercent"].is_null() {
            return Err(wrong("paymentAmount", "paymentAmount or paymentPercent is required."));
        }
    }
    let effective = day_in(&body, "effectiveDate")?.ok_or_else(|| wrong("effectiveDate", "effectiveDate is required."))?;
    let place = common::begin(state, ask, Process::OneTimePayment, worker, effective, Change::Elsewhere, &body)?;
    body["id"] = json!(state.events[place].wid);
    body["descriptor"] = json!(format!("One-Time Payment: {}", state.name_of(worker, ask.now())));
    state.docs.put("oneTimePayments", &[], body.clone());
    Ok(Answer::json(201, &body))
}

fn send(state: &mut State, ask: &Ask<'_>) -> Done {
    let mut body = ask.call.json()?;
    for (part, field) in [("emailDetail", "subject"), ("emailDetail", "body"), ("pushDetail", "message")] {
        if body[part].is_object() {
            text_in(&body[part], field)?;
        }
    }
    if body["emailDetail"].is_null() && body["pushDetail"].is_null() && body["messageTemplate"].is_null() {
        return Err(wrong("messageTemplate", "messageTemplate, emailDetail or pushDetail is required."));
    }
    body["id"] = json!(state.docs.next_id(state.seed));
    state.docs.put("sentMessages", &[], body.clone());
    Ok(Answer::json(201, &body))
}
