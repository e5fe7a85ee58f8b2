//! Reports and dashboards REST API: list, describe and run.

use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    answer::Answer,
    errors::{Outcome, Trouble},
    org::Org,
    rest::Call,
    schema::Kind,
    soql::{self, Column, cells, headings},
    system::System,
};

/// Rows a report tells.
const ROWS_MAX: usize = 2_000;

/// The org's reports: developer name, name, what they ask.
pub(super) const REPORTS: &[(&str, &str, &str)] = &[
    (
        "Open_Invoices",
        "Open Invoices",
        "SELECT Invoice_Number__c, Account__r.Name, Amount__c, Due__c FROM Invoice__c WHERE Status__c = 'Open' ORDER BY Due__c, Invoice_Number__c",
    ),
    (
        "Pipeline",
        "Pipeline",
        "SELECT Name, StageName, Amount, CloseDate FROM Opportunity WHERE IsClosed = false ORDER BY CloseDate, Name",
    ),
    ("Customers", "Customers", "SELECT External_Id__c, Name, BillingCountry, Industry FROM Account ORDER BY External_Id__c"),
];

impl System {
    pub(super) fn reports(&self, org: &mut Org, call: &Call, path: &[&str]) -> Outcome<Answer> {
        let Some(id) = path.first() else { return self.list_reports(org, call) };
        let object = org.schema.find("Report").ok_or_else(Trouble::not_found)?;
        let row = org
            .existing(object, id)
            .map_err(|_| Trouble::new(404, "NOT_FOUND", "The report you are looking for does not exist."))?;
        let name = org.schema.objects[object]
            .place("DeveloperName")
            .and_then(|at| row.get(at).text().map(str::to_owned))
            .unwrap_or_default();
        let report = REPORTS.iter().find(|(known, ..)| *known == name).ok_or_else(Trouble::not_found)?;
        match (&call.method, &path[1..]) {
            (&Method::GET | &Method::POST, []) => self.run_report(org, call, row.id(), report),
            (&Method::GET, ["describe"]) => {
                let bound = soql::prepare(org, report.2)?;
                Ok(Answer::ok(
                    json!({ "reportMetadata": metadata(row.id(), report, &headings(&bound)), "reportExtendedMetadata": extended(org, &bound), "reportTypeMetadata": { "categories": [] } }),
                ))
            }
            _ => Err(Trouble::not_found()),
        }
    }

    fn list_reports(&self, org: &Org, call: &Call) -> Outcome<Answer> {
        let object = org.schema.find("Report").ok_or_else(Trouble::not_found)?;
        let list: Vec<Json> = org.tables[object]
            .all()
            .map(|row| {
                let url = call.address(&format!("analytics/reports/{}", row.id()));
                let name = org.schema.objects[object].place("Name").map_or(Json::Null, |at| row.get(at).json(Kind::String));
                json!({ "id": row.id(), "name": name, "url": url, "describeUrl": format!("{url}/describe"), "instancesUrl": format!("{url}/instances") })
            })
            .collect();
        Ok(Answer::ok(json!(list)))
    }

    fn run_report(&self, org: &Org, call: &Call, id: &str, report: &(&str, &str, &str)) -> Outcome<Answer> {
        let bound = soql::prepare(org, report.2)?;
        let found = soql::run(org, &bound, &self.look(false))?;
        let details = call.get("includeDetails").is_none_or(|details| details != "false");
        let rows: Vec<Json> = found
            .rows
            .iter()
            .take(if details { ROWS_MAX } else { 0 })
            .map(|row| {
                let cells: Vec<Json> = cells(org, &bound, row)
                    .into_iter()
                    .map(|text| json!({ "label": if text.is_empty() { "-" } else { &text }, "value": text }))
                    .collect();
                json!({ "dataCells": cells })
            })
            .collect();
        let total = json!({ "label": found.rows.len().to_string(), "value": found.rows.len() });
        Ok(Answer::ok(json!({
            "allData": found.rows.len() <= ROWS_MAX, "attributes": { "describeUrl": call.address(&format!("analytics/reports/{id}/describe")),
                "instancesUrl": call.address(&format!("analytics/reports/{id}/instances")), "reportId": id, "reportName": report.1, "type": "Report" },
            "factMap": { "T!T": { "aggregates": [total], "rows": rows } }, "groupingsAcross": { "groupings": [] }, "groupingsDown": { "groupings": [] },
            "hasDetailRows": details, "reportExtendedMetadata": extended(org, &bound), "reportMetadata": metadata(id, report, &headings(&bound)),
        })))
    }
}

fn metadata(id: &str, (developer, name, _): &(&str, &str, &str), columns: &[String]) -> Json {
    json!({ "aggregates": ["RowCount"], "detailColumns": columns, "developerName": developer, "groupingsAcross": [], "groupingsDown": [],
        "id": id, "name": name, "reportFilters": [], "reportFormat": "TABULAR", "currency": "USD" })
}

fn extended(org: &Org, bound: &soql::Bound) -> Json {
    let mut columns = Map::new();
    for (name, column) in headings(bound).into_iter().zip(&bound.columns) {
        if let Column::Field(path) = column {
            let label = &org.schema.objects[path.object].fields[path.field].label;
            columns.insert(name, json!({ "dataType": path.kind.name(), "label": label }));
        }
    }
    json!({ "aggregateColumnInfo": { "RowCount": { "dataType": "int", "label": "Record Count" } }, "detailColumnInfo": columns, "groupingColumnInfo": {} })
}
