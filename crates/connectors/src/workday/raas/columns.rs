//! The columns of a report, as its schema (`?xsd`) has them.

use connector::{
    Cx, StepError,
    api::{Answer, Call},
    xml,
};
use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{User, WORKDAY, address, refusal};
use crate::workday::{
    settings::Settings,
    soap::{list, without_prefixes},
};

/// A JSON Schema of one row.
pub(in crate::workday) async fn columns(cx: &Cx, report: &str) -> Result<Json, StepError> {
    let settings = Settings::of(cx)?;
    let mut url = address(&settings, report)?;
    url.set_query(Some("xsd"));
    let answer = Call::new(cx, &WORKDAY, &User, Method::GET, url).refusals(&refusal).send().await?;
    row(&answer, report)
}

fn row(answer: &Answer, report: &str) -> Result<Json, StepError> {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let root = xml::read(text.trim_start_matches('\u{feff}')).map_err(|problem| answer.unreadable(&problem.to_string()))?;
    schema(&without_prefixes(&root), report).ok_or_else(|| answer.unreadable("it describes no rows"))
}

fn schema(root: &Json, report: &str) -> Option<Json> {
    let types = list(&root["schema"]["complexType"]);
    let entry = types.iter().find(|one| one["@name"] == "Report_EntryType")?;
    let mut properties = Map::new();
    for column in list(&entry["sequence"]["element"]) {
        let name = column["@name"].as_str()?;
        let kind = column["@type"].as_str().unwrap_or_default();
        let mut told = json!({ "title": name.replace('_', " ") });
        // Other kinds come in more than one spelling: a flag as "1", a reference as its text or with its ids.
        if kind.ends_with(":string") && column["@maxOccurs"] != "unbounded" {
            told["type"] = json!("string");
        }
        properties.insert(name.to_owned(), told);
    }
    Some(json!({ "type": "object", "title": report, "properties": properties, "additionalProperties": false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Json> {
        schema(&without_prefixes(&xml::read(text).unwrap()), "lm/Workers")
    }

    #[test]
    fn columns_are_those_of_the_entry() {
        let text = r#"<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:wd="urn:com.workday.report/Workers">
            <xsd:complexType name="InstanceType"><xsd:sequence><xsd:element name="ID" type="wd:IDType"/></xsd:sequence></xsd:complexType>
            <xsd:complexType name="Report_EntryType"><xsd:sequence>
                <xsd:element name="Employee_ID" type="xsd:string" minOccurs="0"/>
                <xsd:element name="Active" type="xsd:boolean" minOccurs="0"/>
                <xsd:element name="Skills" type="xsd:string" minOccurs="0" maxOccurs="unbounded"/>
            </xsd:sequence></xsd:complexType></xsd:schema>"#;
        let told = of(text).unwrap();
        assert_eq!(
            told["properties"],
            json!({ "Employee_ID": { "title": "Employee ID", "type": "string" }, "Active": { "title": "Active" }, "Skills": { "title": "Skills" } })
        );
        assert_eq!(told["additionalProperties"], false);
    }

    #[test]
    fn one_column_or_none() {
        let with = |inside: &str| {
            format!(r#"<s:schema xmlns:s="x"><s:complexType name="Report_EntryType">{inside}</s:complexType></s:schema>"#)
        };
        let one = of(&with(r#"<s:sequence><s:element name="Only" type="s:string"/></s:sequence>"#)).unwrap();
        assert_eq!(one["properties"].as_object().unwrap().len(), 1);
        assert_eq!(of(&with("")).unwrap()["properties"], json!({}));
        assert!(of(r#"<s:schema xmlns:s="x"/>"#).is_none());
    }
}
