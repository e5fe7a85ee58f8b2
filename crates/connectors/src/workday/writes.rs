//! What is written over REST: time off, decisions, expenses, supplier invoices, payments; and waiting for an event.

use std::time::Duration;

use connector::{Action, Cx, Effect, ErrorClass, StepError};
use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    api::{self, invalid, text},
    people::worker_key,
    schema,
};

/// Pause between two looks at an event that is waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Longest wait in one step.
const WAIT_S_MAX: u64 = 600;

async fn request_time_off(cx: Cx, input: Json) -> Result<Json, StepError> {
    let given = input["days"].as_array().filter(|days| !days.is_empty()).ok_or_else(|| invalid("at least one day is needed"))?;
    let day = |day: &Json| {
        let mut row = json!({ "date": day["date"], "timeOffType": { "id": day["type"] }, "dailyQuantity": day["quantity"] });
        for (from, to) in [("start", "start"), ("end", "end"), ("comment", "comment")] {
            if !day[from].is_null() {
                row[to] = day[from].clone();
            }
        }
        if let Some(reason) = day["reason"].as_str() {
            row["reason"] = json!({ "id": reason });
        }
        row
    };
    let days: Vec<Json> = given.iter().map(day).collect();
    let mut parameters = json!({ "comment": input["comment"] });
    if let Some(action) = input["action"].as_str() {
        parameters["action"] = json!({ "id": action });
    }
    let body = json!({ "days": days, "businessProcessParameters": parameters });
    let key = worker_key(text(&input, "worker"));
    api::rest(&cx, Method::POST, ("absenceManagement", &["workers", &key, "requestTimeOff"]), &[], Some(&body)).await
}

async fn decide(cx: Cx, input: Json, verb: &str) -> Result<Json, StepError> {
    let body = match verb {
        "sendBack" => json!({ "reason": input["reason"], "to": { "id": input["to"] } }),
        _ => json!({ "comment": input["comment"] }),
    };
    api::rest(&cx, Method::POST, ("businessProcess", &["eventSteps", text(&input, "step"), verb]), &[], Some(&body)).await
}

/// An event; with `wait_s` it is looked at again until it is over or the time is.
async fn get_event(cx: Cx, input: Json) -> Result<Json, StepError> {
    let wait = Duration::from_secs(input["wait_s"].as_u64().unwrap_or_default().min(WAIT_S_MAX))
        .min(cx.left().saturating_sub(LOOK_AGAIN));
    let begun = tokio::time::Instant::now();
    loop {
        let mut event = api::rest(&cx, Method::GET, ("businessProcess", &["events", text(&input, "event")]), &[], None).await?;
        let over = !event["completedDate"].is_null();
        let left = wait.saturating_sub(begun.elapsed());
        if over || left.is_zero() {
            event["completed"] = json!(over);
            return Ok(event);
        }
        tokio::time::sleep(LOOK_AGAIN.min(left)).await;
    }
}

async fn create_expense_report(cx: Cx, input: Json) -> Result<Json, StepError> {
    let mut body =
        json!({ "payee": { "id": worker_wid(&cx, text(&input, "worker")).await? }, "expenseReportMemo": input["memo"] });
    if let Some(company) = input["company"].as_str() {
        body["company"] = json!({ "id": company });
    }
    let report = api::rest(&cx, Method::POST, ("expense", &["reports"]), &[], Some(&body)).await?;
    let id = known(&report)?;
    let mut lines = Vec::new();
    for line in input["lines"].as_array().into_iter().flatten() {
        let body = json!({
            "date": line["date"],
            "expenseItem": { "id": line["item"] },
            "memo": line["memo"],
            "totalAmount": { "value": line["amount"], "currency": line["currency"] },
        });
        // The report is there already: what fails from here on may have had its effect.
        let made = api::rest(&cx, Method::POST, ("expense", &["reports", &id, "lines"]), &[], Some(&body)).await;
        lines.push(made.map_err(|error| begun(error, &id))?);
    }
    if input["submit"].as_bool().unwrap_or(false) {
        submit_report(&cx, &id).await.map_err(|error| begun(error, &id))?;
    }
    Ok(json!({ "report": id, "lines": lines.len(), "submitted": input["submit"].as_bool().unwrap_or(false) }))
}

/// An error after a document was begun.
fn begun(mut error: StepError, id: &str) -> StepError {
    error.message = format!("the document {id} was made in Workday, but not finished: {}", error.message);
    error.doubt = connector::Doubt::MayHaveHappened;
    error
}

async fn worker_wid(cx: &Cx, worker: &str) -> Result<String, StepError> {
    let key = worker_key(worker);
    if !key.contains('=') {
        return Ok(key);
    }
    let found = api::rest(cx, Method::GET, ("common", &["workers", &key]), &[], None).await?;
    known(&found).map_err(|error| StepError { doubt: connector::Doubt::Settled, ..error })
}

/// The id of what an answer tells of.
fn known(record: &Json) -> Result<String, StepError> {
    let error = || {
        StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", "Workday's answer has no id, so it is not known what it tells of")
            .with_next("Look in Workday whether it was done before it is done again.")
    };
    match text(record, "id") {
        "" => Err(StepError { doubt: connector::Doubt::MayHaveHappened, ..error() }),
        id => Ok(id.to_owned()),
    }
}

async fn submit_report(cx: &Cx, id: &str) -> Result<Json, StepError> {
    api::rest(cx, Method::POST, ("expense", &["reports", id, "submit"]), &[], Some(&json!({}))).await
}

async fn create_supplier_invoice_request(cx: Cx, input: Json) -> Result<Json, StepError> {
    let line = |line: &Json| {
        json!({
            "itemDescription": line["description"],
            "quantity": line["quantity"],
            "extendedAmount": { "value": line["amount"], "currency": input["currency"] },
        })
    };
    let lines: Vec<Json> = input["lines"].as_array().into_iter().flatten().map(line).collect();
    let mut body = Map::from_iter([
        ("company".to_owned(), json!({ "id": input["company"] })),
        ("supplier".to_owned(), json!({ "id": input["supplier"] })),
        ("lines".to_owned(), json!(lines)),
    ]);
    let copied =
        [("number", "suppliersInvoiceNumber"), ("invoice_date", "invoiceDate"), ("due_date", "dueDate"), ("memo", "memo")];
    for (from, to) in copied.iter().filter(|(from, _)| !input[*from].is_null()) {
        body.insert((*to).to_owned(), input[*from].clone());
    }
    let path = ("accountsPayable", &["supplierInvoiceRequests"][..]);
    let made = api::rest(&cx, Method::POST, path, &[], Some(&Json::Object(body))).await?;
    let id = known(&made)?;
    if input["submit"].as_bool().unwrap_or(false) {
        let path = ["supplierInvoiceRequests", &id, "submit"];
        let done = api::rest(&cx, Method::POST, ("accountsPayable", &path), &[], Some(&json!({}))).await;
        done.map_err(|error| begun(error, &id))?;
    }
    Ok(json!({ "request": id, "submitted": input["submit"].as_bool().unwrap_or(false) }))
}

async fn one_time_payment(cx: Cx, input: Json) -> Result<Json, StepError> {
    let payment = json!({
        "oneTimePaymentPlan": { "id": input["plan"] },
        "paymentAmount": { "value": input["amount"], "currency": input["currency"] },
        "additionalInformation": input["comment"],
    });
    let body = json!({ "effectiveDate": input["date"], "oneTimePayments": [payment] });
    let key = worker_key(text(&input, "worker"));
    let made =
        api::rest(&cx, Method::POST, ("compensation", &["workers", &key, "requestOneTimePayment"]), &[], Some(&body)).await?;
    Ok(json!({ "event": made["id"], "adopted": false, "worker": input["worker"] }))
}

fn amount() -> Json {
    json!({ "type": "number", "title": "Amount" })
}

fn decisions() -> Vec<Action> {
    let step = || schema::text("Step", "Its WID, as the trigger or list_steps gives it.");
    let output = || schema::output(&[("id", schema::told("Step")), ("eventStatus", schema::reference("Status of the event"))]);
    let sample = || json!({ "id": "1f5d0cc1a4ff4cf9b1bbaa4b1d9bc9a0", "eventStatus": { "id": "d9e4108c446c11de98360015c5e6daf6", "descriptor": "Successfully Completed" } });
    let comment = |title| schema::text(title, "Shown in Workday.");
    vec![
        Action::new("approve_step", "Approve a step", "Approves what waits in an inbox.", |cx, input| decide(cx, input, "approve"))
            .input(schema::input(&[("step", step()), ("comment", comment("Comment"))], &["step"]))
            .output(output())
            .sample(sample()),
        Action::new("deny_step", "Deny a step", "Denies what waits in an inbox, and says why.", |cx, input| decide(cx, input, "deny"))
            .input(schema::input(&[("step", step()), ("comment", comment("Reason"))], &["step", "comment"]))
            .output(output())
            .sample(sample()),
        Action::new("send_back_step", "Send a step back", "Sends what waits in an inbox back to somebody.", |cx, input| decide(cx, input, "sendBack"))
            .input(schema::input(
                &[("step", step()), ("reason", comment("Reason")), ("to", schema::text("To", "The WID of who gets it."))],
                &["step", "reason", "to"],
            ))
            .output(output())
            .sample(sample()),
        Action::new("get_event", "Get an event", "Reads how a business process stands, or waits until it is over.", get_event)
            .reads()
            .input(schema::input(
                &[
                    ("event", schema::text("Event", "Its WID, as the action that started it gives it.")),
                    ("wait_s", json!({ "type": "integer", "minimum": 0, "maximum": WAIT_S_MAX, "title": "Wait", "description": "Seconds to wait for its end within this step. For approvals that take days, use the trigger for completed events." })),
                ],
                &["event"],
            ))
            .output(schema::output(&[
                ("id", schema::told("Event")),
                ("completed", json!({ "type": "boolean", "title": "Over" })),
                ("status", schema::reference("Status")),
                ("completedDate", schema::told("Completed")),
            ]))
            .sample(json!({ "id": "3aa5550b7fe348b98d7b5741afc65534", "completed": true, "status": { "id": "a", "descriptor": "Successfully Completed" } })),
    ]
}

fn documents() -> Vec<Action> {
    let report_line = json!({
        "type": "object",
        "properties": { "date": schema::date("Date", ""), "item": schema::text("Expense item", "Its WID."), "amount": amount(), "currency": schema::text("Currency", "Three letters."), "memo": schema::text("Memo", "") },
        "required": ["date", "item", "amount", "currency"],
        "additionalProperties": false
    });
    let invoice_line = json!({
        "type": "object",
        "properties": { "description": schema::text("Description", ""), "quantity": { "type": "number", "title": "Quantity" }, "amount": amount() },
        "required": ["description", "amount"],
        "additionalProperties": false
    });
    let submit = || schema::flag("Submit", "Sends it on its way at once.");
    vec![
        Action::new(
            "create_expense_report",
            "Create an expense report",
            "Makes an expense report with its lines, and submits it when wanted.",
            create_expense_report,
        )
        .input(schema::input(
            &[
                ("worker", schema::worker()),
                ("memo", schema::text("Memo", "")),
                ("company", schema::text("Company", "Its WID.")),
                ("lines", json!({ "type": "array", "items": report_line, "minItems": 1, "title": "Lines" })),
                ("submit", submit()),
            ],
            &["worker", "lines"],
        ))
        .output(schema::output(&[("report", schema::told("Report")), ("lines", json!({ "type": "integer", "title": "Lines" }))]))
        .sample(json!({ "report": "cb550da820584750aae8f807882fa79a", "lines": 1, "submitted": true })),
        Action::new(
            "submit_expense_report",
            "Submit an expense report",
            "Sends an expense report on its way.",
            |cx, input| async move { submit_report(&cx, text(&input, "report")).await },
        )
        .input(schema::input(&[("report", schema::text("Expense report", "Its WID."))], &["report"]))
        .output(schema::output(&[("id", schema::told("Report"))]))
        .sample(json!({ "id": "cb550da820584750aae8f807882fa79a" })),
        Action::new(
            "create_supplier_invoice_request",
            "Create a supplier invoice request",
            "Asks for a supplier's invoice to be paid.",
            create_supplier_invoice_request,
        )
        .input(schema::input(
            &[
                ("company", schema::text("Company", "Its WID, or Company_Reference_ID=….")),
                ("supplier", schema::text("Supplier", "Its WID.")),
                ("currency", schema::text("Currency", "Three letters.")),
                ("number", schema::text("Supplier's invoice number", "")),
                ("invoice_date", schema::date("Invoice date", "")),
                ("due_date", schema::date("Due date", "")),
                ("memo", schema::text("Memo", "")),
                ("lines", json!({ "type": "array", "items": invoice_line, "minItems": 1, "title": "Lines" })),
                ("submit", submit()),
            ],
            &["company", "supplier", "currency", "lines"],
        ))
        .output(schema::output(&[("request", schema::told("Request"))]))
        .sample(json!({ "request": "cb550da820584750aae8f807882fa79a", "submitted": false })),
        Action::new(
            "request_one_time_payment",
            "Request a one-time payment",
            "Starts the process that pays a worker once, such as a bonus.",
            one_time_payment,
        )
        .input(schema::input(
            &[
                ("worker", schema::worker()),
                ("plan", schema::text("Plan", "The WID of a one-time payment plan, or One-Time_Payment_Plan_ID=….")),
                ("amount", amount()),
                ("currency", schema::text("Currency", "Three letters.")),
                ("date", schema::date("Effective date", "")),
                ("comment", schema::text("Comment", "")),
            ],
            &["worker", "plan", "amount", "currency", "date"],
        ))
        .output(schema::event())
        .sample(schema::event_sample()),
    ]
}

pub(super) fn actions() -> Vec<Action> {
    let day = json!({
        "type": "object",
        "properties": {
            "date": schema::date("Date", ""),
            "type": schema::text("Type of time off", "Its id, as list_time_off_types gives it."),
            "quantity": { "type": "number", "exclusiveMinimum": 0, "title": "Quantity", "description": "In the unit of the type: days or hours. The worker's usual day when left out." },
            "start": schema::text("Start", ""),
            "end": schema::text("End", ""),
            "reason": schema::text("Reason", "Its id."),
            "comment": schema::text("Comment", "")
        },
        "required": ["date", "type"],
        "additionalProperties": false
    });
    let time_off = Action::new(
        "request_time_off",
        "Request time off",
        "Asks for days off; a day that is asked for already is refused.",
        request_time_off,
    )
    // Workday refuses a second entry for the same day, but not in every tenant: a doubtful attempt is left to people.
    .effect(|_| Effect::Once)
    .input(schema::input(
        &[
            ("worker", schema::worker()),
            ("days", json!({ "type": "array", "items": day, "minItems": 1, "title": "Days" })),
            ("comment", schema::text("Comment", "")),
            ("action", schema::text("Action", "The id of the process's action; submitting when left out.")),
        ],
        &["worker", "days"],
    ))
    .output(schema::output(&[("days", json!({ "type": "array", "title": "Days" }))]))
    .sample(json!({ "days": [{ "id": "1f5d0cc1a4ff4cf9b1bbaa4b1d9bc9a0", "date": "2026-12-24" }] }));
    std::iter::once(time_off).chain(decisions()).chain(documents()).collect()
}
