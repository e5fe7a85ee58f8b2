//! Hiring, which has no worker yet whose events could be looked through: a number of our own makes it repeatable.

use connector::{Action, Cx, Effect, StepError};
use serde_json::{Map, Value as Json, json};

use super::{
    api::text,
    changes::{event_of, named, parameters},
    people::organization_reference,
    schema, soap,
};

async fn hire(cx: Cx, input: Json) -> Result<Json, StepError> {
    let number = text(&input, "employee_id");
    // A number of our own makes the hire repeatable: it is looked up first.
    if !number.is_empty()
        && let Some(found) = hired_already(&cx, number, text(&input, "date")).await?
    {
        return Ok(json!({ "event": null, "adopted": true, "worker": found }));
    }
    let maybe = |field: &str, usual: &str| input[field].as_str().map(|text| named(text, usual));
    let channel = |row: &str, field: &str| {
        input[field].as_str().map(|value| {
            json!({ row: value, "Usage_Data": { "Type_Data": { "@Primary": true, "Type_Reference": soap::reference("Communication_Usage_Type_ID", "HOME") } } })
        })
    };
    let name = json!({ "First_Name": input["first_name"], "Last_Name": input["last_name"] });
    let mut contact = Map::new();
    contact.extend(channel("Phone_Number", "home_phone").map(|row| ("Phone_Data".to_owned(), row)));
    contact.extend(channel("Email_Address", "home_email").map(|row| ("Email_Address_Data".to_owned(), row)));
    let body = json!({
        "Business_Process_Parameters": parameters(&cx, &input),
        "Hire_Employee_Data": {
            "Applicant_Data": { "Personal_Data": {
                "Name_Data": { "Legal_Name_Data": { "Name_Detail_Data": name } },
                "Contact_Data": if contact.is_empty() { Json::Null } else { Json::Object(contact) },
            } },
            "Organization_Reference": organization_reference(text(&input, "organization")),
            "Position_Reference": maybe("position", "Position_ID"),
            "Hire_Date": input["date"],
            "Hire_Employee_Event_Data": {
                "Employee_ID": input["employee_id"],
                "Employee_Type_Reference": maybe("employee_type", "Employee_Type_ID"),
                "Hire_Reason_Reference": maybe("reason", "General_Event_Subcategory_ID"),
                "Position_Details": {
                    "Job_Profile_Reference": maybe("job_profile", "Job_Profile_ID"),
                    "Business_Title": input["title"],
                    "Location_Reference": maybe("location", "Location_ID"),
                },
            },
            "Propose_Compensation_for_Hire_Sub_Process": compensation(&input),
        },
    });
    let answer = soap::operation(&cx, "Staffing", "Hire_Employee_Request", &body).await?;
    let worker = soap::id_of(&answer["Employee_Reference"], "Employee_ID");
    Ok(json!({ "event": event_of(&answer)?, "adopted": false, "worker": worker }))
}

/// What is proposed to be paid, as a part of the hire.
fn compensation(input: &Json) -> Option<Json> {
    let pay = input.get("compensation").filter(|pay| !pay.is_null())?;
    let reference = |field: &str, usual: &str| named(text(pay, field), usual);
    Some(json!({
        "Business_Sub_Process_Parameters": { "Auto_Complete": input["auto_complete"].as_bool().unwrap_or(false) },
        "Propose_Compensation_for_Hire_Data": { "Pay_Plan_Data": { "Pay_Plan_Sub_Data": {
            "Pay_Plan_Reference": reference("plan", "Compensation_Plan_ID"),
            "Amount": pay["amount"],
            "Currency_Reference": reference("currency", "Currency_ID"),
            "Frequency_Reference": reference("frequency", "Frequency_ID"),
        } } },
    }))
}

async fn hired_already(cx: &Cx, number: &str, day: &str) -> Result<Option<String>, StepError> {
    let body = json!({
        "Request_References": { "Worker_Reference": soap::reference("Employee_ID", number) },
        "Response_Filter": { "As_Of_Effective_Date": day },
        "Response_Group": { "Include_Reference": true },
    });
    match soap::operation(cx, "Human_Resources", "Get_Workers_Request", &body).await {
        Ok(_) => Ok(Some(number.to_owned())),
        Err(error) if error.code == "INVALID_ID" => Ok(None),
        Err(error) => Err(error),
    }
}

/// The action that hires.
pub(super) fn action() -> Action {
    let mut pay = schema::input(
        &[
            ("plan", schema::text("Plan", "The id of a compensation plan, for instance SALARY_Salary_Plan.")),
            ("amount", json!({ "type": "number", "minimum": 0, "title": "Amount" })),
            ("currency", schema::text("Currency", "For instance USD.")),
            ("frequency", schema::text("Frequency", "For instance Annual, Monthly or Hourly.")),
        ],
        &["plan", "amount", "currency", "frequency"],
    );
    pay["title"] = json!("Compensation");
    pay["description"] = json!("What is proposed to be paid. It is decided on with the hire.");
    let fields = [
        ("first_name", schema::text("First name", "")),
        ("last_name", schema::text("Last name", "")),
        ("date", schema::date("First day", "")),
        ("organization", schema::text("Supervisory organization", "A reference id, a WID, or a type and value.")),
        (
            "employee_id",
            schema::text(
                "Employee number",
                "Where the tenant allows own numbers. With one a repeated attempt finds the worker instead of hiring twice.",
            ),
        ),
        ("position", schema::text("Position", "One that is open, for tenants that staff by position.")),
        ("title", schema::text("Business title", "")),
        ("job_profile", schema::text("Job profile", "")),
        ("location", schema::text("Location", "")),
        ("employee_type", schema::text("Employee type", "")),
        ("reason", schema::text("Reason", "A hire reason.")),
        ("compensation", pay),
        ("home_email", schema::text("Private email", "")),
        ("home_phone", schema::text("Private phone", "")),
        (
            "auto_complete",
            schema::flag("Without approvals", "The process is completed at once instead of waiting for approvals."),
        ),
        ("comment", schema::text("Comment", "Shown in Workday beside the process.")),
    ];
    Action::new("hire_employee", "Hire an employee", "Starts the process that hires somebody, now or for a day to come.", hire)
        .effect(|input| if input["employee_id"].is_string() { Effect::Idempotent } else { Effect::Once })
        .input(schema::input(&fields, &["first_name", "last_name", "date", "organization"]))
        .output(schema::output(&[
            ("event", schema::told("Event")),
            ("adopted", json!({ "type": "boolean", "title": "Found again" })),
            ("worker", schema::told("Employee number")),
        ]))
        .sample(schema::event_sample())
}
