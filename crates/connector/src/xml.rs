//! XML as records and back, for requests and answers.
//!
//! An element is a record of its children by name; a child that occurs more than once is a list.
//! Attributes carry an `@` before their name, text beside children or attributes is `#text`, and an
//! element with text alone is that text. The whole is a record with one field, the root. Names keep
//! their prefix as written. Document types are refused, so no entity is ever expanded.

use quick_xml::{
    Reader, XmlVersion,
    escape::escape,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value as Json, map::Entry};

/// How deep elements may lie in each other.
pub const DEPTH_MAX: usize = 64;
/// Elements and attributes read from one text.
pub const PARTS_MAX: usize = 500_000;

const TEXT: &str = "#text";

/// Why a text is no XML, or a value cannot be written as XML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct XmlProblem(String);

impl XmlProblem {
    fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// An element that is not closed yet.
struct Open {
    name: String,
    fields: Map<String, Json>,
    text: String,
}

impl Open {
    fn finish(mut self) -> (String, Json) {
        if self.fields.is_empty() {
            return (self.name, Json::String(self.text));
        }
        let text = self.text.trim();
        if !text.is_empty() {
            self.fields.insert(TEXT.to_owned(), Json::from(text));
        }
        (self.name, Json::Object(self.fields))
    }
}

/// Reads one document.
///
/// # Errors
/// When it is not well-formed, has a document type, or is beyond a limit.
pub fn read(text: &str) -> Result<Json, XmlProblem> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut parts = 0_usize;
    loop {
        let event = reader.read_event().map_err(|error| problem_at(&reader, error.to_string()))?;
        let outside = open.is_empty();
        match event {
            Event::Start(start) => {
                if open.len() == DEPTH_MAX {
                    return Err(problem_at(&reader, format!("elements lie more than {DEPTH_MAX} deep in each other")));
                }
                open.push(opened(&start, &mut parts).map_err(|why| problem_at(&reader, why))?);
            }
            Event::Empty(start) => {
                let element = opened(&start, &mut parts).map_err(|why| problem_at(&reader, why))?;
                close(element, &mut open, &mut root).map_err(|why| problem_at(&reader, why))?;
            }
            Event::End(_) => {
                // The reader has already refused an end without its beginning.
                let Some(element) = open.pop() else { continue };
                close(element, &mut open, &mut root).map_err(|why| problem_at(&reader, why))?;
            }
            Event::Text(piece) if outside => {
                if !piece.trim_matches(['\u{feff}', ' ', '\t', '\r', '\n']).is_empty() {
                    return Err(problem_at(&reader, "there is text outside the root element".to_owned()));
                }
            }
            Event::Text(piece) => add_text(&mut open, &piece.xml10_content()),
            Event::CData(piece) if !outside => add_text(&mut open, &piece.xml10_content()),
            Event::GeneralRef(name) if !outside => {
                let text = referred(&name).ok_or_else(|| problem_at(&reader, format!("the entity &{}; is not known", &*name)))?;
                add_text(&mut open, &text);
            }
            Event::CData(_) | Event::GeneralRef(_) => {
                return Err(problem_at(&reader, "there is text outside the root element".to_owned()));
            }
            Event::DocType(_) => return Err(problem_at(&reader, "it has a document type, which is never read".to_owned())),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => break,
        }
    }
    match (open.last(), root) {
        (Some(element), _) => Err(XmlProblem::new(format!("the text ends inside <{}>", element.name))),
        (None, Some((name, value))) => Ok(Json::Object(Map::from_iter([(name, value)]))),
        (None, None) => Err(XmlProblem::new("there is no element")),
    }
}

fn problem_at(reader: &Reader<&[u8]>, why: String) -> XmlProblem {
    XmlProblem(format!("{why} (byte {})", reader.buffer_position()))
}

fn opened(start: &BytesStart<'_>, parts: &mut usize) -> Result<Open, String> {
    let mut count = || {
        *parts += 1;
        if *parts > PARTS_MAX { Err(format!("there are more than {PARTS_MAX} elements and attributes")) } else { Ok(()) }
    };
    count()?;
    let mut fields = Map::new();
    // Looking for doubles is our map's part; the reader's own way takes the square of their number.
    for attribute in start.attributes().with_checks(false) {
        count()?;
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        let name = format!("@{}", attribute.key.as_ref());
        if fields.insert(name, Json::String(value.into_owned())).is_some() {
            return Err(format!("the attribute {} is given twice", attribute.key.as_ref()));
        }
    }
    let name = start.name().as_ref().to_owned();
    if name.is_empty() {
        return Err("an element has no name".to_owned());
    }
    Ok(Open { name, fields, text: String::new() })
}

fn close(element: Open, open: &mut [Open], root: &mut Option<(String, Json)>) -> Result<(), String> {
    let (name, value) = element.finish();
    let Some(parent) = open.last_mut() else {
        if root.replace((name, value)).is_some() {
            return Err("there is more than one root element".to_owned());
        }
        return Ok(());
    };
    match parent.fields.entry(name) {
        Entry::Vacant(slot) => {
            slot.insert(value);
        }
        Entry::Occupied(mut slot) => match slot.get_mut() {
            Json::Array(all) => all.push(value),
            single => *single = Json::Array(vec![single.take(), value]),
        },
    }
    Ok(())
}

fn add_text(open: &mut [Open], piece: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(piece);
    }
}

/// The five names every document has, and characters by number.
fn referred(name: &quick_xml::events::BytesRef<'_>) -> Option<String> {
    let single = match &**name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => name.resolve_char_ref().ok().flatten()?,
    };
    Some(single.to_string())
}

/// Writes a record with one field, the root, as a document.
///
/// # Errors
/// When a name cannot be one of XML, a text holds a character XML cannot, or the value has another shape.
pub fn write(value: &Json) -> Result<String, XmlProblem> {
    let root = value.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.iter().next());
    let Some((name, inner)) = root.filter(|(_, inner)| !inner.is_array()) else {
        return Err(XmlProblem::new("it must be a record with one field, the root element"));
    };
    let mut out = r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned();
    element(&mut out, name, inner, 0)?;
    Ok(out)
}

fn element(out: &mut String, name: &str, value: &Json, depth: usize) -> Result<(), XmlProblem> {
    if depth == DEPTH_MAX {
        return Err(XmlProblem::new(format!("elements lie more than {DEPTH_MAX} deep in each other")));
    }
    if let Json::Array(items) = value {
        return items.iter().try_for_each(|item| match item {
            Json::Array(_) => Err(XmlProblem::new(format!("\"{name}\" holds a list inside a list"))),
            single => element(out, name, single, depth),
        });
    }
    check_name(name)?;
    out.push('<');
    out.push_str(name);
    let mut inside = String::new();
    match value {
        Json::Object(fields) => {
            for (field, value) in fields {
                if let Some(attribute) = field.strip_prefix('@') {
                    check_name(attribute)?;
                    let Some(text) = scalar(field, value)? else { continue };
                    // A parser would turn a bare line break in an attribute into a blank.
                    let safe = escape(&text).replace('\n', "&#10;").replace('\r', "&#13;").replace('\t', "&#9;");
                    out.push_str(&format!(" {attribute}=\"{safe}\""));
                } else if field == TEXT {
                    inside.push_str(&scalar(field, value)?.map(|text| written(&text)).unwrap_or_default());
                } else {
                    element(&mut inside, field, value, depth + 1)?;
                }
            }
        }
        single => inside.push_str(&scalar(name, single)?.map(|text| written(&text)).unwrap_or_default()),
    }
    if inside.is_empty() {
        out.push_str("/>");
    } else {
        out.push_str(&format!(">{inside}</{name}>"));
    }
    Ok(())
}

/// Text as it stands between tags; a bare carriage return would be read as a line feed.
fn written(text: &str) -> String {
    escape(text).replace('\r', "&#13;")
}

fn scalar(name: &str, value: &Json) -> Result<Option<String>, XmlProblem> {
    let text = match value {
        Json::Null => return Ok(None),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::Array(_) | Json::Object(_) => {
            return Err(XmlProblem::new(format!("\"{name}\" must be text, a number or true or false")));
        }
    };
    // XML 1.0, 2.2: these cannot occur in a document, not even by number.
    match text.chars().find(|c| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')) {
        Some(bad) => {
            Err(XmlProblem::new(format!("\"{name}\" holds the character U+{:04X}, which XML cannot carry", u32::from(bad))))
        }
        None => Ok(Some(text)),
    }
}

/// XML 1.0, 2.3, a little narrower: letters, digits, `_ - . :`, and what is not ASCII.
fn check_name(name: &str) -> Result<(), XmlProblem> {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || (!c.is_ascii() && c.is_alphabetic());
    let goes_on = |c: char| starts(c) || c.is_ascii_digit() || matches!(c, '-' | '.' | ':');
    let mut chars = name.chars();
    if chars.next().is_some_and(starts) && chars.all(goes_on) {
        Ok(())
    } else {
        Err(XmlProblem::new(format!("\"{}\" cannot be the name of an element or attribute", name.escape_debug())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_become_records() {
        for (text, expected) in [
            ("<a/>", json!({"a": ""})),
            ("<a>x &lt; y &#65;&amp;</a>", json!({"a": "x < y A&"})),
            ("<a><![CDATA[<b>]]></a>", json!({"a": "<b>"})),
            (
                "\u{feff}<?xml version=\"1.0\"?><!-- c --><a>\n <b>1</b>\n <b>2</b><c/></a>\n",
                json!({"a": {"b": ["1", "2"], "c": ""}}),
            ),
            ("<n:a xmlns:n=\"u\" k='v &quot;'>t</n:a>", json!({"n:a": {"@xmlns:n": "u", "@k": "v \"", "#text": "t"}})),
            ("<a>one<b/>two</a>", json!({"a": {"b": "", "#text": "onetwo"}})),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_xml_is_told() {
        for (text, part) in [
            ("", "no element"),
            ("plain", "outside the root"),
            ("<a>", "ends inside <a>"),
            ("<a><b></a></b>", "byte"),
            ("<a/><b/>", "more than one root"),
            ("<a k='1' k='2'/>", "twice"),
            ("<a k=1/>", "byte"),
            ("<a>&nope;</a>", "&nope;"),
            ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "document type"),
            ("<a/>tail", "outside the root"),
        ] {
            let problem = read(text).unwrap_err().to_string();
            assert!(problem.contains(part), "{text}: {problem}");
        }
        assert!(read(&"<a>".repeat(DEPTH_MAX + 1)).unwrap_err().to_string().contains("deep"));
        let many = format!("<r>{}</r>", "<a/>".repeat(PARTS_MAX));
        assert!(read(&many).unwrap_err().to_string().contains("more than 500000"));
    }

    #[test]
    fn records_become_elements_and_come_back() {
        let value = json!({"Order": {"@id": "a\"<\n", "Line": [{"Sku": "A&B"}, {"Sku": "x\r\ny"}], "Note": "ü", "Empty": ""}});
        let text = write(&value).unwrap();
        assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Order id=\"a&quot;&lt;&#10;\">"), "{text}");
        assert_eq!(read(&text).unwrap(), value);
        assert!(write(&json!({"a": {"b": null, "n": 1.5, "t": true}})).unwrap().ends_with("<a><b/><n>1.5</n><t>true</t></a>"));
    }

    #[test]
    fn what_cannot_be_xml_is_refused() {
        for value in [
            json!("text"),
            json!({}),
            json!({"a": 1, "b": 2}),
            json!({"a": [1, 2]}),
            json!({"a b": 1}),
            json!({"a><evil": 1}),
            json!({"1a": 1}),
            json!({"a": {"@b c": 1}}),
            json!({"a": {"@b": {}}}),
            json!({"a": {"b": [[1]]}}),
            json!({"a": "\u{0}"}),
        ] {
            assert!(write(&value).is_err(), "{value}");
        }
        let deep = (0..=DEPTH_MAX).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(write(&deep).unwrap_err().to_string().contains("deep"));
    }
}
