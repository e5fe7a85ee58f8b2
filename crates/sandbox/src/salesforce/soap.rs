//! The partner SOAP API as far as clients sign in with it.

use super::{answer::Answer, system::System};
use crate::{
    tokens::Grant,
    xml::{
        Element,
        soap::{CONTENT_TYPE, envelope, read},
    },
};

const PARTNER: &str = "urn:partner.soap.sforce.com";
const FAULT: &str = "urn:fault.partner.soap.sforce.com";
/// How long a session lives without use, as it is told.
const SESSION_S: &str = "7200";

/// A fault as the partner API writes it.
pub(super) fn fault(status: u16, code: &str, words: &str) -> Answer {
    let text = crate::xml::soap::fault(&[("xmlns:sf", FAULT)], &format!("sf:{code}"), &format!("{code}: {words}"), |out| {
        let kind = if code.starts_with("INVALID_LOGIN") { "LoginFault" } else { "UnexpectedErrorFault" };
        out.element(&format!("sf:{kind}"), &[("xmlns:xsi", crate::xml::XSI), ("xsi:type", &format!("sf:{kind}"))], |out| {
            out.text("sf:exceptionCode", &[], code);
            out.text("sf:exceptionMessage", &[], words);
        });
    });
    Answer::bytes(status, CONTENT_TYPE, text)
}

/// Text that stands in XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Does a SOAP call.
pub(super) fn answer(system: &System, path: &[&str], body: &[u8]) -> Answer {
    let Ok(message) = read(body) else {
        return fault(500, "UNKNOWN_EXCEPTION", "The request is no SOAP 1.1 envelope that can be read");
    };
    let version = path.get(3).copied().unwrap_or("62.0");
    match message.body.name.as_str() {
        "login" => login(system, version, &message.body),
        name => {
            let session = message
                .header("SessionHeader")
                .and_then(|header| header.text_of("sessionId"))
                .unwrap_or_default()
                .trim()
                .to_owned();
            let Ok(grant) = system.tokens.check(system.now_s(), &session) else {
                return fault(
                    500,
                    "INVALID_SESSION_ID",
                    "Invalid Session ID found in SessionHeader: Illegal Session. Session not found, missing session key",
                );
            };
            match name {
                "getUserInfo" => {
                    let info = info(system, &grant.subject);
                    wrapped("getUserInfoResponse", |out| out.element("result", &[], |out| written(out, &info)))
                }
                "getServerTimestamp" => {
                    let now = super::value::datetime(system.now_ms()).replace("+0000", "Z");
                    wrapped("getServerTimestampResponse", |out| {
                        out.element("result", &[], |out| out.text("timestamp", &[], &now))
                    })
                }
                "logout" => {
                    system.tokens.revoke(&session);
                    wrapped("logoutResponse", |_| {})
                }
                _ => fault(500, "INVALID_OPERATION", &format!("The operation {name} is not simulated over SOAP; use REST")),
            }
        }
    }
}

fn wrapped(name: &str, inside: impl FnOnce(&mut crate::xml::Writer)) -> Answer {
    let text = envelope(&[("xmlns", PARTNER), ("xmlns:xsi", crate::xml::XSI)], |_| {}, |out| out.element(name, &[], inside));
    Answer::bytes(200, CONTENT_TYPE, text)
}

fn login(system: &System, version: &str, call: &Element) -> Answer {
    let text = |name: &str| call.text_of(name).unwrap_or_default().trim().to_owned();
    let identity = system.identity.read().clone();
    let (username, password) = (text("username"), text("password"));
    let with_token = format!("{}{}", identity.password, identity.security_token);
    if username != identity.username || password != with_token && password != identity.password {
        return fault(500, "INVALID_LOGIN", "Invalid username, password, security token; or user locked out.");
    }
    let access = system.access_token();
    let grant = Grant { client: "soap".to_owned(), subject: identity.user.to_string(), scope: "api".to_owned() };
    system.tokens.issue(system.now_s(), &grant, &access, None);
    let (url, info) = (system.url(), info(system, &identity.user));
    let org: String = system.org.lock().id.chars().take(15).collect();
    wrapped("loginResponse", |out| {
        out.element("result", &[], |out| {
            out.text("metadataServerUrl", &[], &format!("{url}/services/Soap/m/{version}/{org}"));
            out.text("passwordExpired", &[], "false");
            out.text("sandbox", &[], "false");
            out.text("serverUrl", &[], &format!("{url}/services/Soap/u/{version}/{org}"));
            out.text("sessionId", &[], &access);
            out.text("userId", &[], &identity.user);
            out.element("userInfo", &[], |out| written(out, &info));
        });
    })
}

fn written(out: &mut crate::xml::Writer, info: &[(&'static str, String)]) {
    for (name, value) in info {
        out.text(name, &[], value);
    }
}

/// What a client is told of the user.
fn info(system: &System, user: &str) -> Vec<(&'static str, String)> {
    let told = system.who(user, "").unwrap_or_default();
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    vec![
        ("accessibilityMode", "false".to_owned()),
        ("currencySymbol", "$".to_owned()),
        ("orgDefaultCurrencyIsoCode", "USD".to_owned()),
        ("organizationId", text("organization_id")),
        ("organizationMultiCurrency", "false".to_owned()),
        ("organizationName", "Northwind Instruments".to_owned()),
        ("profileId", String::new()),
        ("roleId", String::new()),
        ("sessionSecondsValid", SESSION_S.to_owned()),
        ("userEmail", text("email")),
        ("userFullName", text("name")),
        ("userId", text("user_id")),
        ("userLanguage", "en_US".to_owned()),
        ("userLocale", "en_US".to_owned()),
        ("userName", text("username")),
        ("userTimeZone", "GMT".to_owned()),
        ("userType", "Standard".to_owned()),
        ("userUiSkin", "Theme3".to_owned()),
    ]
}
