//! Requests against the schema that is served: which elements, in which order, how often, and of which kind.

use std::{collections::HashMap, sync::LazyLock};

use super::{BSVC, fault, read_day, read_moment};
use crate::{
    workday::answer::Answer,
    xml::{Element, read},
};

/// The schema of both services.
pub(super) const XSD: &str = include_str!("bsvc.xsd");

struct Part {
    name: String,
    kind: String,
    least: usize,
    many: bool,
}

#[derive(Default)]
struct Kind {
    parts: Vec<Part>,
    attributes: Vec<String>,
    /// Text with attributes.
    simple: bool,
}

struct Schema {
    kinds: HashMap<String, Kind>,
    roots: HashMap<String, String>,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    // The text is ours; a test reads it.
    let root = read(XSD.as_bytes()).unwrap_or_default();
    let name = |element: &Element| element.attribute("name").unwrap_or_default().to_owned();
    let kinds = root.all("complexType").map(|element| (name(element), kind(element))).collect();
    let roots = root.all("element").map(|element| (name(element), local(element, "type"))).collect();
    Schema { kinds, roots }
});

/// The value of an attribute without its prefix.
fn local(element: &Element, attribute: &str) -> String {
    element.attribute(attribute).unwrap_or_default().rsplit(':').next().unwrap_or_default().to_owned()
}

fn kind(element: &Element) -> Kind {
    let simple = element.at(&["simpleContent", "extension"]);
    let parts = element.child("sequence").into_iter().flat_map(|sequence| sequence.all("element")).map(|part| Part {
        name: part.attribute("name").unwrap_or_default().to_owned(),
        kind: local(part, "type"),
        least: part.attribute("minOccurs").and_then(|least| least.parse().ok()).unwrap_or(1),
        many: part.attribute("maxOccurs") == Some("unbounded"),
    });
    let attributes = simple.unwrap_or(element).all("attribute").filter_map(|attribute| attribute.attribute("name"));
    Kind { parts: parts.collect(), attributes: attributes.map(str::to_owned).collect(), simple: simple.is_some() }
}

/// Checks a request.
///
/// # Errors
/// A validation fault that names the place.
pub(super) fn check(body: &Element) -> Result<(), Answer> {
    let schema = &*SCHEMA;
    let root = schema.roots.get(&body.name).ok_or_else(fault::wrong_service)?;
    schema.check(body, root, &format!("/wd:{}", body.name))
}

impl Schema {
    fn check(&self, element: &Element, kind: &str, path: &str) -> Result<(), Answer> {
        let Some(kind) = self.kinds.get(kind) else { return check_text(element, kind, path) };
        for attribute in &element.attributes {
            let foreign = &*attribute.namespace != BSVC;
            // Attributes of schema instances and of security may stand anywhere.
            if foreign && !attribute.namespace.is_empty() {
                continue;
            }
            if foreign || !kind.attributes.contains(&attribute.name) {
                let words = format!("Invalid attribute '{}' on element '{}'.", attribute.name, element.name);
                return Err(fault::invalid(&words, path));
            }
        }
        if kind.simple {
            return Ok(());
        }
        self.check_parts(element, kind, path)
    }

    fn check_parts(&self, element: &Element, kind: &Kind, path: &str) -> Result<(), Answer> {
        let mut children = element.children.iter().peekable();
        for part in &kind.parts {
            let mut count = 0;
            while let Some(child) = children.next_if(|child| child.is(BSVC, &part.name) && (part.many || count == 0)) {
                count += 1;
                self.check(child, &part.kind, &format!("{path}/wd:{}[{count}]", part.name))?;
            }
            if count < part.least {
                let words =
                    format!("Required element '{}' is missing or stands in the wrong place in '{}'.", part.name, element.name);
                return Err(fault::invalid(&words, path));
            }
        }
        match children.next() {
            None => Ok(()),
            Some(child) => {
                let words = format!("Element '{}' is not expected at this place in '{}'.", child.name, element.name);
                Err(fault::invalid(&words, &format!("{path}/wd:{}[1]", child.name)))
            }
        }
    }
}

fn check_text(element: &Element, kind: &str, path: &str) -> Result<(), Answer> {
    let text = element.text.trim();
    let sound = match kind {
        // An empty element of these is taken as left out, as clients send them for nothing.
        _ if text.is_empty() => true,
        "boolean" => matches!(text, "true" | "false" | "1" | "0"),
        "decimal" => text.parse::<f64>().is_ok_and(f64::is_finite) && !text.contains(['e', 'E']),
        "date" => read_day(text).is_some(),
        "dateTime" => read_moment(text).is_some(),
        _ => true,
    };
    if sound && element.children.is_empty() {
        return Ok(());
    }
    Err(fault::invalid(&format!("Element Content '{text}' is invalid for type {kind} of element '{}'.", element.name), path))
}

#[cfg(test)]
mod tests {
    use super::{super::SERVICES, SCHEMA};

    #[test]
    fn the_schema_holds_every_type_it_names_and_every_operation() {
        let schema = &*SCHEMA;
        assert!(schema.kinds.len() > 150, "{}", schema.kinds.len());
        for part in schema.kinds.values().flat_map(|kind| &kind.parts) {
            let plain = ["string", "boolean", "decimal", "date", "dateTime", "base64Binary"].contains(&part.kind.as_str());
            assert!(plain || schema.kinds.contains_key(&part.kind), "{}", part.kind);
        }
        for (_, request, response) in SERVICES.iter().flat_map(|(_, operations)| *operations) {
            assert!(schema.roots.contains_key(*request) && schema.roots.contains_key(*response), "{request}");
        }
    }
}
