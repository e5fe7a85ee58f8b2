//! SOAP 1.1: envelopes in and out, and faults.

use super::{Element, Problem, Writer};

/// The namespace of SOAP 1.1 envelopes.
pub const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// What SOAP 1.1 is sent as.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What the header holds, in order.
    pub headers: Vec<Element>,
    /// The first element of the body: the operation's request.
    pub body: Element,
}

impl Message {
    /// The first header of that local name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Element> {
        self.headers.iter().find(|header| header.name == name)
    }
}

/// Reads a message.
///
/// # Errors
/// When it is no XML that is read here, no SOAP 1.1 envelope, or has an empty body.
pub fn read(text: &[u8]) -> Result<Message, Problem> {
    let mut root = super::read(text)?;
    if !root.is(ENVELOPE, "Envelope") {
        return Err(Problem(format!("the document is no SOAP 1.1 envelope but <{}>", root.name)));
    }
    let part = |root: &mut Element, name: &str| {
        let place = root.children.iter().position(|child| child.is(ENVELOPE, name))?;
        Some(root.children.swap_remove(place).children)
    };
    let headers = part(&mut root, "Header").unwrap_or_default();
    let body = part(&mut root, "Body").ok_or_else(|| Problem("the envelope has no body".to_owned()))?;
    let body = body.into_iter().next().ok_or_else(|| Problem("the body of the envelope is empty".to_owned()))?;
    Ok(Message { headers, body })
}

/// An envelope with the prefix `soapenv`; `namespaces` are declared at its root, as `xmlns:` attributes.
pub fn envelope(namespaces: super::Attributes<'_>, header: impl FnOnce(&mut Writer), body: impl FnOnce(&mut Writer)) -> String {
    let mut xml = Writer::document();
    let mut attributes = vec![("xmlns:soapenv", ENVELOPE)];
    attributes.extend_from_slice(namespaces);
    let mut inner = Writer::new();
    header(&mut inner);
    let header = inner.finish();
    xml.element("soapenv:Envelope", &attributes, |xml| {
        if !header.is_empty() {
            xml.element("soapenv:Header", &[], |xml| xml.raw(&header));
        }
        xml.element("soapenv:Body", &[], body);
    });
    xml.finish()
}

/// A fault in an envelope of its own. `code` is written as given, with its prefix; `detail` writes inside `<detail>`,
/// which is left out when that is nothing.
pub fn fault(namespaces: super::Attributes<'_>, code: &str, words: &str, detail: impl FnOnce(&mut Writer)) -> String {
    let mut inner = Writer::new();
    detail(&mut inner);
    let detail = inner.finish();
    envelope(
        namespaces,
        |_| {},
        |xml| {
            xml.element("soapenv:Fault", &[], |xml| {
                xml.text("faultcode", &[], code);
                xml.text("faultstring", &[], words);
                if !detail.is_empty() {
                    xml.element("detail", &[], |xml| xml.raw(&detail));
                }
            });
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{envelope, fault, read};

    #[test]
    fn a_message_is_taken_apart_and_a_fault_is_a_message() {
        let text = envelope(&[("xmlns:w", "urn:w")], |xml| xml.text("w:h", &[], "1"), |xml| xml.text("w:ask", &[], "2"));
        let message = read(text.as_bytes()).unwrap();
        assert!(message.header("h").is_some() && message.body.is("urn:w", "ask"));

        let text = fault(&[("xmlns:w", "urn:w")], "soapenv:Client", "no & no", |xml| xml.text("w:why", &[], "because"));
        let fault = read(text.as_bytes()).unwrap().body;
        assert_eq!(
            (fault.text_of("faultstring"), fault.at(&["detail", "why"]).unwrap().text.as_str()),
            (Some("no & no"), "because")
        );
    }

    #[test]
    fn other_documents_are_no_messages() {
        for text in ["<a/>", r#"<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"><Body><a/></Body></Envelope>"#] {
            assert!(read(text.as_bytes()).unwrap_err().0.contains("SOAP 1.1"));
        }
        let empty = envelope(&[], |_| {}, |_| {});
        assert!(read(empty.as_bytes()).unwrap_err().0.contains("empty"));
    }
}
