//! Files of the file cabinet, and what they are attached to.

use serde_json::{Map, Value as Json, json};

use super::{Talk, base_ref, status, told};
use crate::{
    netsuite::refusal::Refusal,
    xml::{Element, Writer},
};

/// File types by the ending of a name; anything else is kept as it is (unverified which words the real one has for it).
const TYPES: [(&str, &str); 8] = [
    ("csv", "_CSV"),
    ("jpg", "_JPGIMAGE"),
    ("json", "_JSON"),
    ("pdf", "_PDF"),
    ("png", "_PNGIMAGE"),
    ("txt", "_PLAINTEXT"),
    ("xml", "_XMLDOC"),
    ("zip", "_ZIP"),
];

/// Gives a file the type its name tells, when nobody said one.
pub(super) fn typed(body: &mut Map<String, Json>) {
    let ending = body.get("name").and_then(Json::as_str).and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    let known = TYPES.iter().find(|(known, _)| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(known)));
    if let Some((_, kind)) = known.filter(|_| !body.contains_key("fileType")) {
        body.insert("fileType".to_owned(), json!(kind));
    }
}

impl Talk<'_> {
    /// Ties a file to a record; what is tied already stays so (unverified).
    pub(super) fn attach(&mut self, xml: &mut Writer, reference: &Element) {
        let done = self.attached(reference);
        xml.element("platformMsgs:writeResponse", &[], |xml| {
            status(xml, &done.as_ref().map(|_| ()).map_err(told));
            if let Ok((kind, id)) = &done {
                base_ref(xml, kind, &id.to_string(), None);
            }
        });
    }

    fn attached(&mut self, reference: &Element) -> Result<(&'static str, u64), Refusal> {
        let named = |name: &str| {
            let reference =
                reference.child(name).ok_or_else(|| Refusal::bad("INVALID_KEY_OR_REF", format!("{name} is missing")))?;
            self.found(reference).map(|record| (record.kind, record.id))
        };
        let (to, file) = (named("attachTo")?, named("attachedRecord")?);
        self.state.may(to.0, true)?;
        if file.0.name != "file" || to.0.is_cabinet() {
            return Err(Refusal::bad("INVALID_KEY_OR_REF", "Only a file can be attached to a record here."));
        }
        let row = (to.0.name, to.1, file.1);
        if !self.state.attachments.contains(&row) {
            self.state.attachments.push(row);
        }
        Ok((to.0.name, to.1))
    }
}
