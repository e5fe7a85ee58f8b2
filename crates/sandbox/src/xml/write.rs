//! A writer of XML text.

use std::borrow::Cow;

use quick_xml::escape::{escape, partial_escape};

/// Attributes as they are written: names with their prefix, values unescaped.
pub type Attributes<'a> = &'a [(&'a str, &'a str)];

/// Writes elements one after the other, without blanks between them.
///
/// ```
/// let mut xml = sandbox::xml::Writer::new();
/// xml.element("a", &[("k", "1 < 2")], |xml| xml.text("b", &[], "x & y"));
/// assert_eq!(xml.finish(), r#"<a k="1 &lt; 2"><b>x &amp; y</b></a>"#);
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
}

impl Writer {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with the declaration of XML 1.0 in UTF-8.
    #[must_use]
    pub fn document() -> Self {
        Self { out: r#"<?xml version="1.0" encoding="UTF-8"?>"#.to_owned() }
    }

    /// An element and what `inside` writes in it; written as an empty element when that is nothing.
    pub fn element(&mut self, name: &str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Self)) {
        self.begin(name, attributes);
        let before = self.out.len();
        inside(self);
        if self.out.len() == before {
            self.out.pop();
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
    }

    /// An element that holds only text.
    pub fn text(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        // Quotes stay as they are: people look for them in error texts.
        self.element(name, attributes, |xml| xml.out.push_str(&sound(partial_escape(text))));
    }

    /// An element that holds only text, or nothing at all.
    pub fn maybe(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, &[], text);
        }
    }

    /// XML that is written as it is.
    pub fn raw(&mut self, xml: &str) {
        self.out.push_str(xml);
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.out
    }

    fn begin(&mut self, name: &str, attributes: Attributes<'_>) {
        self.out.push('<');
        self.out.push_str(name);
        for (name, value) in attributes {
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            // A reader would turn bare line breaks and tabs in an attribute into blanks.
            self.out.push_str(&sound(escape(*value)).replace('\n', "&#10;").replace('\t', "&#9;"));
            self.out.push('"');
        }
        self.out.push('>');
    }
}

/// Text as it stands in a document. What XML 1.0 cannot carry (2.2 of its text) becomes U+FFFD, and a carriage
/// return is numbered, as a bare one would be read as a line feed.
fn sound(text: Cow<'_, str>) -> Cow<'_, str> {
    let odd = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if !text.contains(odd) {
        return text;
    }
    let sound = text.chars().map(|c| if c != '\r' && odd(c) { '\u{fffd}' } else { c });
    Cow::Owned(sound.collect::<String>().replace('\r', "&#13;"))
}

#[cfg(test)]
mod tests {
    use super::Writer;

    #[test]
    fn what_is_written_is_read_again() {
        let mut xml = Writer::document();
        let nasty = "<&>'\" é\n\t\r]]>";
        xml.element("a", &[("xmlns:p", "urn:p"), ("p:k", nasty)], |xml| {
            xml.text("p:b", &[], nasty);
            xml.element("c", &[], |_| {});
            xml.text("d", &[], "bell\u{7}");
        });
        let root = super::super::read(xml.finish().as_bytes()).unwrap();
        assert_eq!(root.attribute("k"), Some(nasty));
        assert_eq!(root.child("b").unwrap().text, nasty);
        assert_eq!((root.text_of("c"), root.text_of("d")), (None, Some("bell\u{fffd}")));
    }
}
