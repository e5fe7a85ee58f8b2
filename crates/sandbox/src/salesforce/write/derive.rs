//! Fields the system fills, the org's validation rules, and records that follow from others.

use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Fields, Writer};
use crate::salesforce::{
    errors::{Outcome, Trouble},
    org::{Org, Row},
    schema::place,
    value::Value,
};

/// Probability of each stage of a new org's sales process.
const STAGES: &[(&str, f64)] = &[
    ("Prospecting", 10.0),
    ("Qualification", 10.0),
    ("Needs Analysis", 20.0),
    ("Value Proposition", 50.0),
    ("Id. Decision Makers", 60.0),
    ("Perception Analysis", 70.0),
    ("Proposal/Price Quote", 75.0),
    ("Negotiation/Review", 90.0),
    ("Closed Won", 100.0),
    ("Closed Lost", 0.0),
];

impl Org {
    /// What a new record gets when the call leaves it out.
    pub(super) fn fill(&self, object: usize, row: &mut Row, writer: &Writer) {
        let described = &self.schema.objects[object];
        if let Some(owner) = described.place("OwnerId").filter(|owner| row.get(*owner).is_null()) {
            row.values[owner] = Value::Text(writer.user.clone());
        }
        if let Some((at, _)) = described.live_fields().find(|(_, field)| field.auto_number) {
            let number = self.tables[object].counter + 1;
            let text = match described.name.as_str() {
                "Invoice__c" => format!("IN-{number:06}"),
                "Invoice_Line__c" => format!("IL-{number:06}"),
                _ => format!("{number:08}"),
            };
            row.values[at] = Value::Text(text.into());
        }
        if described.name == "ContentVersion" {
            self.fill_file(object, row);
        }
    }

    fn fill_file(&self, object: usize, row: &mut Row) {
        let described = &self.schema.objects[object];
        let path = described.place("PathOnClient").and_then(|at| row.get(at).text().map(str::to_owned)).unwrap_or_default();
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
        let data = match described.place("VersionData").map(|at| row.get(at).clone()) {
            Some(Value::Bytes(bytes)) => bytes,
            _ => bytes::Bytes::new(),
        };
        let checksum = hex::encode(&Sha256::digest(&data)[..16]);
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        let size = data.len() as f64;
        let title = described.place("Title").filter(|at| row.get(*at).is_null()).map(|at| (at, Value::Text(stem.into())));
        let named = [
            ("FileExtension", Value::Text(extension.into())),
            ("FileType", Value::Text(extension.to_uppercase().into())),
            ("ContentSize", Value::Number(size)),
            ("Checksum", Value::Text(checksum.into())),
            ("VersionNumber", Value::Text("1".into())),
            ("IsLatest", Value::Bool(true)),
        ];
        let places: Vec<(usize, Value)> =
            named.into_iter().filter_map(|(name, value)| Some((described.place(name)?, value))).chain(title).collect();
        for (at, value) in places {
            row.values[at] = value;
        }
    }

    /// Fields that follow from other fields of the record.
    pub(super) fn derive(&self, object: usize, row: &mut Row) {
        let described = &self.schema.objects[object];
        let text = |row: &Row, name: &str| described.place(name).and_then(|at| row.get(at).text().map(str::to_owned));
        let number = |row: &Row, name: &str| match described.place(name).map(|at| row.get(at)) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        };
        let mut set: Vec<(&str, Value)> = Vec::new();
        match described.name.as_str() {
            "Contact" | "Lead" | "User" => {
                let parts: Vec<String> = [text(row, "FirstName"), text(row, "LastName")].into_iter().flatten().collect();
                set.push(("Name", Value::Text(parts.join(" ").into())));
            }
            "Opportunity" => {
                let stage = text(row, "StageName").unwrap_or_default();
                let usual = STAGES.iter().find(|(name, _)| *name == stage).map(|(_, percent)| *percent);
                let closed = stage.starts_with("Closed");
                let percent = if closed { usual } else { number(row, "Probability").or(usual) };
                set.push(("IsClosed", Value::Bool(closed)));
                set.push(("IsWon", Value::Bool(stage == "Closed Won")));
                set.push(("Probability", percent.map_or(Value::Null, Value::Number)));
                let expected = number(row, "Amount").zip(percent).map(|(amount, percent)| amount * percent / 100.0);
                set.push(("ExpectedRevenue", expected.map_or(Value::Null, Value::Number)));
            }
            "Case" => {
                let closed = text(row, "Status").is_some_and(|status| status == "Closed");
                set.push(("IsClosed", Value::Bool(closed)));
                set.push(("ClosedDate", if closed { row.get(place::STAMP).clone() } else { Value::Null }));
            }
            "Task" => set.push(("IsClosed", Value::Bool(text(row, "Status").as_deref() == Some("Completed")))),
            "OpportunityLineItem" => {
                let total = number(row, "Quantity").zip(number(row, "UnitPrice")).map(|(quantity, price)| quantity * price);
                set.push(("TotalPrice", total.map_or(Value::Null, Value::Number)));
            }
            "CampaignMember" => {
                set.push(("HasResponded", Value::Bool(text(row, "Status").as_deref() == Some("Responded"))));
            }
            "Attachment" => {
                if let Some(Value::Bytes(bytes)) = described.place("Body").map(|at| row.get(at)) {
                    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
                    set.push(("BodyLength", Value::Number(bytes.len() as f64)));
                }
            }
            _ => {}
        }
        let places: Vec<(usize, Value)> =
            set.into_iter().filter_map(|(name, value)| Some((described.place(name)?, value))).collect();
        for (at, value) in places {
            row.values[at] = value;
        }
    }

    /// The validation rules an admin of this org wrote.
    pub(super) fn rules(&self, object: usize, row: &Row) -> Outcome<()> {
        let described = &self.schema.objects[object];
        let number = |name: &str| match described.place(name).map(|at| row.get(at)) {
            Some(Value::Number(number)) => *number,
            _ => 0.0,
        };
        let refused =
            |message: &'static str, field: &str| Err(Trouble::bad("FIELD_CUSTOM_VALIDATION_EXCEPTION", message).on(field));
        match described.name.as_str() {
            "Opportunity" if number("Amount") < 0.0 => refused("The amount of an opportunity cannot be negative.", "Amount"),
            "Invoice__c" if number("Amount__c") < 0.0 => refused("An invoice cannot be about less than nothing.", "Amount__c"),
            "PushTopic" => self.check_topic(object, row),
            "CampaignMember" => {
                let who =
                    ["LeadId", "ContactId"].iter().filter_map(|name| described.place(name)).filter(|at| !row.get(*at).is_null());
                if who.count() == 1 { Ok(()) } else { refused("A campaign member is either a lead or a contact.", "LeadId") }
            }
            _ => Ok(()),
        }
    }

    /// Records that come with a new one: a file's document and its link.
    pub(super) fn follow(&mut self, writer: &Writer, object: usize, serial: u64) -> Outcome<()> {
        if self.schema.objects[object].name != "ContentVersion" {
            return Ok(());
        }
        let (Some(row), Some(document)) = (self.tables[object].row(serial).cloned(), self.schema.find("ContentDocument")) else {
            return Ok(());
        };
        let at = |name: &str| self.schema.objects[object].place(name).unwrap_or_default();
        let (parent, title, location) = (at("ContentDocumentId"), at("Title"), at("FirstPublishLocationId"));
        let mut version = (*row).clone();
        let id: Arc<str> = match row.get(parent).text() {
            Some(known) => known.into(),
            None => self.insert(writer, document, &Fields::from_iter([("Title".to_owned(), json!(row.get(title).text()))]))?,
        };
        version.values[parent] = Value::Text(id.clone());
        self.put(object, serial, Some(Arc::new(version)));
        self.point(document, object, &id, &row);
        if let (Some(link), Some(entity)) = (self.schema.find("ContentDocumentLink"), row.get(location).text()) {
            let fields = json!({"ContentDocumentId": &*id, "LinkedEntityId": entity, "ShareType": "V"});
            self.insert(writer, link, fields.as_object().unwrap_or(&Fields::new()))?;
        }
        Ok(())
    }

    /// A document shows its newest version, and older versions know that they are.
    fn point(&mut self, document: usize, versions: usize, id: &str, newest: &Row) {
        let Some(row) = self.by_id(document, id).cloned() else { return };
        let (from, to) = (&self.schema.objects[versions], &self.schema.objects[document]);
        let mut values: Vec<(usize, Value)> = ["FileType", "FileExtension", "ContentSize"]
            .iter()
            .filter_map(|name| Some((to.place(name)?, newest.get(from.place(name)?).clone())))
            .collect();
        values.extend(to.place("LatestPublishedVersionId").map(|at| (at, newest.get(place::ID).clone())));
        let (latest, parent) = (from.place("IsLatest"), from.place("ContentDocumentId"));
        let mut shown = (*row).clone();
        for (at, value) in values {
            shown.values[at] = value;
        }
        self.put(document, shown.serial, Some(Arc::new(shown)));
        if let (Some(latest), Some(parent)) = (latest, parent) {
            for older in self.with_value(versions, parent, &Value::Text(id.into())) {
                if older.serial != newest.serial {
                    let mut older = (*older).clone();
                    older.values[latest] = Value::Bool(false);
                    self.put(versions, older.serial, Some(Arc::new(older)));
                }
            }
        }
    }
}
