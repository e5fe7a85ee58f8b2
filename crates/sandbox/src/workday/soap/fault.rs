//! Faults as the services answer them: always HTTP 500 and SOAP 1.1.

use super::BSVC;
use crate::{
    workday::answer::Answer,
    xml::{Writer, soap},
};

fn fault(code: &str, words: &str, detail: impl FnOnce(&mut Writer)) -> Answer {
    let text = soap::fault(&[("xmlns:SOAP-ENV", soap::ENVELOPE), ("xmlns:wd", BSVC)], &format!("SOAP-ENV:{code}"), words, detail);
    Answer::new(500, "text/xml;charset=UTF-8", text)
}

/// The name or the password is wrong, or the account is locked.
pub(in crate::workday) fn authentication() -> Answer {
    fault("Client.authenticationError", "invalid username or password", |_| {})
}

/// Something of the request is wrong; `path` leads to it when it is known.
pub(in crate::workday) fn invalid(words: &str, path: &str) -> Answer {
    let message = format!("Validation error occurred. {words}");
    fault("Client.validationError", &message, |xml| {
        xml.element("wd:Validation_Fault", &[], |xml| {
            xml.element("wd:Validation_Error", &[], |xml| {
                xml.text("wd:Message", &[], &message);
                xml.text("wd:Detail_Message", &[], words);
                xml.maybe("wd:Xpath", Some(path).filter(|path| !path.is_empty()));
            });
        });
    })
}

/// The service failed, or refuses what the caller may not do.
pub(in crate::workday) fn processing(words: &str, detail: &str) -> Answer {
    fault("Server.processingError", words, |xml| {
        xml.element("wd:Processing_Fault", &[], |xml| xml.text("wd:Detail_Message", &[], detail));
    })
}

/// The caller's security groups lack the domain or the business process.
pub(in crate::workday) fn unauthorized() -> Answer {
    let words = "Processing error occurred. The task submitted is not authorized.";
    processing(words, "The task submitted is not authorized.")
}

/// The operation is of another service or version.
pub(super) fn wrong_service() -> Answer {
    invalid("The request is not valid: the web service or version is invalid for the requested operation", "")
}
