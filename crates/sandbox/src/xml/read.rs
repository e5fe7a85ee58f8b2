//! Text to a tree, within limits.

use std::sync::Arc;

use quick_xml::{
    NsReader, XmlVersion,
    events::{BytesRef, BytesStart, Event},
    name::ResolveResult,
};

use super::{Attribute, Element, Problem};

/// Longest text that is read.
pub const BYTES_MAX: usize = 32 * 1024 * 1024;
/// How deep elements may lie in each other.
pub const DEPTH_MAX: usize = 64;
/// Elements and attributes read from one text.
pub const PARTS_MAX: usize = 500_000;

/// Reads one document.
///
/// # Errors
/// When it is not UTF-8, not well-formed, has a document type, an unknown entity or prefix, or is beyond a limit.
pub fn read(text: &[u8]) -> Result<Element, Problem> {
    if text.len() > BYTES_MAX {
        return Err(Problem(format!("the document is longer than {BYTES_MAX} bytes")));
    }
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|error| Problem(format!("the document is not UTF-8: {error}")))?;
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut tree = Tree::default();
    loop {
        let event = reader.read_event().map_err(|error| at(&reader, error.to_string()))?;
        if matches!(event, Event::Eof) {
            return tree.finish();
        }
        tree.take(&reader, event).map_err(|why| at(&reader, why))?;
    }
}

fn at(reader: &NsReader<&[u8]>, why: String) -> Problem {
    Problem(format!("{why} (byte {})", reader.buffer_position()))
}

#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    parts: usize,
    /// Namespaces seen, so that each is kept once.
    namespaces: Vec<Arc<str>>,
}

impl Tree {
    fn finish(self) -> Result<Element, Problem> {
        match (self.open.last(), self.root) {
            (Some(open), _) => Err(Problem(format!("the document ends inside <{}>", open.name))),
            (None, Some(root)) => Ok(root),
            (None, None) => Err(Problem("there is no element".to_owned())),
        }
    }

    fn take(&mut self, reader: &NsReader<&[u8]>, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(start) => {
                let element = self.opened(reader, &start)?;
                self.open.push(element);
            }
            Event::End(_) => self.close(),
            Event::Text(piece) => self.text(&piece.xml10_content())?,
            Event::CData(piece) => self.text(&piece.xml10_content())?,
            Event::GeneralRef(name) => {
                let c = referred(&name).ok_or_else(|| format!("the entity &{}; is not known", &*name))?;
                self.text(c.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err("it has a document type, which is never read".to_owned()),
            Event::Empty(_) | Event::Comment(_) | Event::PI(_) | Event::Decl(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn text(&mut self, piece: &str) -> Result<(), String> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(piece),
            None if piece.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
            None => return Err("there is text outside the root element".to_owned()),
        }
        Ok(())
    }

    fn close(&mut self) {
        // The reader has already refused an end without its beginning.
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn count(&mut self) -> Result<(), String> {
        self.parts += 1;
        if self.parts > PARTS_MAX { Err(format!("there are more than {PARTS_MAX} elements and attributes")) } else { Ok(()) }
    }

    fn opened(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, String> {
        if self.open.len() == DEPTH_MAX {
            return Err(format!("elements lie more than {DEPTH_MAX} deep in each other"));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err("there is more than one root element".to_owned());
        }
        self.count()?;
        let (namespace, name) = reader.resolver().resolve_element(start.name());
        let (namespace, name) = (self.known(namespace)?, name.as_ref().to_owned());
        let mut attributes: Vec<Attribute> = Vec::new();
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| error.to_string())?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            self.count()?;
            let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
            let (namespace, name) = (self.known(namespace)?, name.as_ref().to_owned());
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?.into_owned();
            attributes.push(Attribute { namespace, name, value });
        }
        refuse_doubles(&attributes)?;
        Ok(Element { namespace, name, attributes, ..Element::default() })
    }

    fn known(&mut self, namespace: ResolveResult<'_>) -> Result<Arc<str>, String> {
        let name = match &namespace {
            ResolveResult::Unbound => "",
            ResolveResult::Bound(namespace) => namespace.into_inner(),
            ResolveResult::Unknown(prefix) => return Err(format!("the prefix \"{}\" is not declared", prefix.as_str())),
        };
        if let Some(known) = self.namespaces.iter().find(|known| &***known == name) {
            return Ok(known.clone());
        }
        let new: Arc<str> = name.into();
        // A document of many namespaces is read, but only a few of them are shared.
        if self.namespaces.len() < 32 {
            self.namespaces.push(new.clone());
        }
        Ok(new)
    }
}

fn refuse_doubles(attributes: &[Attribute]) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    match attributes.iter().find(|attribute| !seen.insert((&attribute.namespace, &attribute.name))) {
        Some(double) => Err(format!("the attribute {} is given twice", double.name)),
        None => Ok(()),
    }
}

/// The five names every document has, and characters by number.
fn referred(name: &BytesRef<'_>) -> Option<char> {
    match &**name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => name.resolve_char_ref().ok().flatten(),
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, PARTS_MAX, read};

    #[test]
    fn names_are_read_by_namespace_and_not_by_prefix() {
        let first =
            read(br#"<a:x xmlns:a="urn:one" a:k="1" k="2"><a:y>t&amp;&#65;<![CDATA[<b>]]></a:y><z xmlns="urn:two"/></a:x>"#);
        let second =
            read(br#"<x xmlns="urn:one" xmlns:b="urn:one" b:k="1" k="2"><b:y>t&amp;A&lt;b></b:y><q:z xmlns:q="urn:two"/></x>"#);
        assert_eq!(first, second);
        let root = first.unwrap();
        assert!(root.is("urn:one", "x") && root.children[1].is("urn:two", "z"));
        assert_eq!((root.text_of("y"), root.attributes[0].namespace.as_ref()), (Some("t&A<b>"), "urn:one"));
    }

    #[test]
    fn bombs_and_broken_texts_are_refused_in_words() {
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        let wide = format!("<a>{}</a>", "<b/>".repeat(PARTS_MAX));
        for (text, words) in [
            (r#"<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>"#, "document type"),
            (r#"<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>"#, "document type"),
            ("<a>&nbsp;</a>", "entity"),
            ("<a><b></a>", "byte"),
            ("<a>", "ends inside <a>"),
            ("<a/><b/>", "more than one root"),
            ("<a/>text", "outside the root"),
            ("", "no element"),
            ("<p:a/>", "not declared"),
            (r#"<a x="1" x="2"/>"#, "given twice"),
            (deep.as_str(), "deep"),
            (wide.as_str(), "more than 500000"),
        ] {
            let problem = read(text.as_bytes()).unwrap_err();
            assert!(problem.0.contains(words), "{}: {problem}", &text[..text.len().min(60)]);
        }
        assert!(read(b"<a>\xff</a>").unwrap_err().0.contains("UTF-8"));
    }
}
