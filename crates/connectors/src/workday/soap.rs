//! SOAP messages: written as the vendor's clients write them, read into records without prefixes.

use bytes::Bytes;
use connector::{
    Cx, ErrorClass, Secret, StepError,
    api::{Call, Refusal},
    xml,
};
use http::{HeaderName, Method};
use serde_json::{Map, Value as Json, json};

use super::{
    api::{Envelope, WORKDAY, code_of},
    settings::Settings,
};

/// Where the sign-in goes; it is put in when the message is sent.
const SECURITY: &str = "<wsse:Security/>";
const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const PASSWORD_TEXT: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText";
const BSVC: &str = "urn:com.workday/bsvc";

/// The message of an operation. Names of the body are written with the vendor's prefix, attributes begin with `@`.
///
/// # Errors
/// When the body cannot be XML.
pub(super) fn message(operation: &str, version: &str, body: &Json) -> Result<String, StepError> {
    let mut inner = Map::new();
    inner.insert("@xmlns:wd".to_owned(), json!(BSVC));
    inner.insert("@wd:version".to_owned(), json!(version));
    match prefixed(body) {
        Json::Object(fields) => inner.extend(fields),
        Json::Null => {}
        _ => return Err(super::api::invalid("the body of an operation must be a record")),
    }
    let written =
        xml::write(&json!({ format!("wd:{operation}"): inner })).map_err(|problem| super::api::invalid(problem.to_string()))?;
    Ok(enveloped(written.split_once("?>").map_or(written.as_str(), |(_, rest)| rest)))
}

/// An envelope around a body that is XML already.
pub(super) fn enveloped(body: &str) -> String {
    format!(
        "<soap-env:Envelope xmlns:soap-env=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap-env:Header>\
         <wd:Workday_Common_Header xmlns:wd=\"{BSVC}\"><wd:Include_Reference_Descriptors_In_Response>true\
         </wd:Include_Reference_Descriptors_In_Response></wd:Workday_Common_Header>{SECURITY}</soap-env:Header>\
         <soap-env:Body>{body}</soap-env:Body></soap-env:Envelope>"
    )
}

/// Names with the prefix; what has one already keeps it.
fn prefixed(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let named = |name: &String| match name.strip_prefix('@') {
                Some(attribute) if attribute.contains(':') => name.clone(),
                Some(attribute) => format!("@wd:{attribute}"),
                None if name.contains(':') || name == "#text" => name.clone(),
                None => format!("wd:{name}"),
            };
            Json::Object(
                fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (named(name), prefixed(value))).collect(),
            )
        }
        Json::Array(items) => Json::Array(items.iter().map(prefixed).collect()),
        single => single.clone(),
    }
}

fn replaced(body: &Bytes, with: &str) -> String {
    String::from_utf8_lossy(body).replacen(SECURITY, with, 1)
}

/// The message with the user's name and password.
pub(super) fn with_user(body: &Bytes, user: &str, password: &Secret) -> String {
    let token = json!({ "wsse:Security": {
        "@xmlns:wsse": WSSE,
        "wsse:UsernameToken": {
            "wsse:Username": user,
            "wsse:Password": { "@Type": PASSWORD_TEXT, "#text": password.expose() },
        },
    }});
    let written = xml::write(&token).unwrap_or_default();
    replaced(body, written.split_once("?>").map_or(written.as_str(), |(_, rest)| rest))
}

/// The message of a caller with a token.
pub(super) fn without_user(body: &Bytes) -> String {
    replaced(body, "")
}

/// Calls an operation and gives what is inside the answer's element, with the element's name.
///
/// # Errors
/// Those of the call; faults in the vendor's words.
pub(super) async fn call(cx: &Cx, service: &str, version: Option<&str>, message: String) -> Result<(String, Json), StepError> {
    let settings = Settings::of(cx)?;
    let version = version.unwrap_or_else(|| settings.soap_version());
    let url = settings.url(&["ccx", "service", &settings.tenant, service, version]);
    let call = Call::new(cx, &WORKDAY, &Envelope, Method::POST, url)
        .header(HeaderName::from_static("soapaction"), "\"\"")
        .header(http::header::ACCEPT, "text/xml")
        .body("text/xml; charset=utf-8", message.into());
    let answer = call.send().await.map_err(scrubbed)?;
    let text = String::from_utf8_lossy(answer.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&answer.body)).into_owned();
    let read = xml::read(&text).map_err(|problem| problem.to_string()).and_then(|root| body_of(&root));
    read.map_err(|why| scrubbed(answer.unreadable(&why)))
}

/// The operation of a typed call.
///
/// # Errors
/// As [`call`].
pub(super) async fn operation(cx: &Cx, service: &str, request: &str, body: &Json) -> Result<Json, StepError> {
    let message = message(request, Settings::of(cx)?.soap_version(), body)?;
    call(cx, service, None, message).await.map(|(_, inside)| inside)
}

/// A password too short for the mask, or written with entities, is in the message that is shown: it is taken out.
fn scrubbed(mut error: StepError) -> StepError {
    if let Some(Json::String(body)) = error.request.as_mut().and_then(|request| request.get_mut("body"))
        && let (Some(start), Some(end)) = (body.find("<wsse:Password"), body.find("</wsse:Password>"))
        && let Some(begin) = body[start..end].find('>').map(|place| start + place + 1)
    {
        body.replace_range(begin..end, connector::mask::MASK);
    }
    error
}

/// What the body of an envelope holds: the element's local name and its record.
fn body_of(root: &Json) -> Result<(String, Json), String> {
    let envelope = without_prefixes(root);
    let body = &envelope["Envelope"]["Body"];
    let inside = body.as_object().and_then(|fields| fields.iter().find(|(name, _)| !name.starts_with('@')));
    let (name, value) = inside.ok_or("it holds no SOAP message")?;
    Ok((name.clone(), value.clone()))
}

/// The record without prefixes and declarations of namespaces.
pub(super) fn without_prefixes(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let mut bare = Map::new();
            for (name, value) in fields {
                if name.starts_with("@xmlns") {
                    continue;
                }
                let attribute = name.starts_with('@');
                let local = name.rsplit(':').next().unwrap_or(name);
                let local = if attribute && !local.starts_with('@') { format!("@{local}") } else { local.to_owned() };
                bare.insert(local, without_prefixes(value));
            }
            // An element whose only other part was a declaration is its text.
            match bare.get("#text") {
                Some(text) if bare.len() == 1 => text.clone(),
                None if bare.is_empty() => Json::String(String::new()),
                _ => Json::Object(bare),
            }
        }
        Json::Array(items) => Json::Array(items.iter().map(without_prefixes).collect()),
        single => single.clone(),
    }
}

/// The refusal in a SOAP answer of any status.
pub(super) fn fault(body: &[u8]) -> Option<Refusal> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.contains("Fault"))?;
    let (name, fault) = body_of(&xml::read(text).ok()?).ok()?;
    if name != "Fault" {
        return None;
    }
    let code = fault["faultcode"].as_str().unwrap_or_default();
    let words = fault["faultstring"].as_str().unwrap_or_default();
    let detail = &fault["detail"];
    let mut told =
        words.trim_start_matches("Validation error occurred.").trim_start_matches("Processing error occurred.").trim().to_owned();
    if told.is_empty() {
        told = detail["Processing_Fault"]["Detail_Message"].as_str().unwrap_or_default().to_owned();
    }
    let path =
        list(&detail["Validation_Fault"]["Validation_Error"]).iter().find_map(|one| one["Xpath"].as_str().map(str::to_owned));
    if let Some(path) = path {
        told = format!("{told} (at {path})");
    }
    if code.ends_with("authenticationError") {
        let mut refusal = Refusal::new("INVALID_LOGIN", "");
        // With a token in place of a password this means that the token ran out.
        refusal.signed_out = true;
        return Some(refusal);
    }
    let known = code_of(words);
    Some(match known {
        "VALIDATION" if code.ends_with("processingError") => Refusal::new("PROCESSING", told).class(ErrorClass::Server),
        known => Refusal::new(known, told),
    })
}

/// An answer that lacks what belongs into it.
pub(super) fn unreadable(why: &str) -> StepError {
    let words = format!("the answer of Workday cannot be read: {why}");
    StepError::new(ErrorClass::Server, "ANSWER_UNREADABLE", words).with_next("Nothing to do where it is tried again.")
}

/// The things of a page, and how many pages there are. Without that number more would seem to be nothing.
///
/// # Errors
/// When the answer is another page, or has not what it says it has.
pub(super) fn page(answer: &Json, name: &str, asked: u64) -> Result<(Vec<Json>, u64), StepError> {
    let results = list(&answer["Response_Results"]).into_iter().next().unwrap_or_default();
    let number = |name: &str| results[name].as_str().and_then(|text| text.trim().parse::<u64>().ok());
    let pages = number("Total_Pages").ok_or_else(|| unreadable("it does not say how many pages there are"))?;
    if let Some(given) = number("Page").filter(|given| *given != asked && pages > 0) {
        return Err(unreadable(&format!("page {asked} was asked for and page {given} came")));
    }
    let items = list(&answer["Response_Data"][name]);
    if items.is_empty() && number("Page_Results").is_some_and(|told| told > 0) {
        return Err(unreadable("it holds nothing and says that it does"));
    }
    Ok((items, pages))
}

/// One or many as a list; nothing is an empty one.
pub(super) fn list(value: &Json) -> Vec<Json> {
    match value {
        Json::Null => Vec::new(),
        Json::Array(items) => items.clone(),
        single => vec![single.clone()],
    }
}

/// A reference by one id.
pub(super) fn reference(id_type: &str, id: &str) -> Json {
    json!({ "ID": { "@type": id_type, "#text": id } })
}

/// The id of a type in a reference; any one when no type is said.
pub(super) fn id_of(reference: &Json, id_type: &str) -> Option<String> {
    let ids = list(&reference["ID"]);
    let found = ids.iter().find(|id| id_type.is_empty() || id["@type"] == id_type)?;
    found["#text"].as_str().or(found.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_as_the_vendors_clients_write_it() {
        let body = json!({ "Response_Filter": { "Page": 1, "Count": 100 }, "Response_Group": { "Include_Reference": true } });
        let text = message("Get_Workers_Request", "v44.2", &body).unwrap();
        let sent = with_user(&Bytes::from(text), "isu@acme", &Secret::new("p&w".to_owned()));
        let expected = concat!(
            r#"<soap-env:Envelope xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/"><soap-env:Header>"#,
            r#"<wd:Workday_Common_Header xmlns:wd="urn:com.workday/bsvc"><wd:Include_Reference_Descriptors_In_Response>true</wd:Include_Reference_Descriptors_In_Response></wd:Workday_Common_Header>"#,
            r#"<wsse:Security xmlns:wsse="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><wsse:UsernameToken><wsse:Username>isu@acme</wsse:Username>"#,
            r#"<wsse:Password Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText">p&amp;w</wsse:Password></wsse:UsernameToken></wsse:Security>"#,
            r#"</soap-env:Header><soap-env:Body><wd:Get_Workers_Request xmlns:wd="urn:com.workday/bsvc" wd:version="v44.2">"#,
            r#"<wd:Response_Filter><wd:Page>1</wd:Page><wd:Count>100</wd:Count></wd:Response_Filter>"#,
            r#"<wd:Response_Group><wd:Include_Reference>true</wd:Include_Reference></wd:Response_Group></wd:Get_Workers_Request>"#,
            "</soap-env:Body></soap-env:Envelope>"
        );
        assert_eq!(sent, expected);
        let mut error = StepError::new(ErrorClass::Invalid, "X", "x");
        error.request = Some(json!({ "body": sent }));
        assert!(!scrubbed(error).request.unwrap().to_string().contains("p&amp;w"));
    }

    #[test]
    fn faults_are_told_apart() {
        let fault_of = |code: &str, words: &str, detail: &str| {
            let text = format!(
                r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>SOAP-ENV:{code}</faultcode><faultstring>{words}</faultstring>{detail}</e:Fault></e:Body></e:Envelope>"#
            );
            fault(text.as_bytes()).unwrap()
        };
        assert_eq!(fault_of("Client.authenticationError", "invalid username or password", "").code, "INVALID_LOGIN");
        let detail = r#"<detail><wd:Validation_Fault xmlns:wd="urn:com.workday/bsvc"><wd:Validation_Error><wd:Message>m</wd:Message><wd:Xpath>/wd:x[1]</wd:Xpath></wd:Validation_Error></wd:Validation_Fault></detail>"#;
        let bad = fault_of(
            "Client.validationError",
            "Validation error occurred. Invalid ID value. 'X' is not a valid ID value for type = 'Employee_ID'",
            detail,
        );
        assert_eq!(bad.code, "INVALID_ID");
        assert!(bad.words.starts_with("Invalid ID value.") && bad.words.ends_with("(at /wd:x[1])"), "{}", bad.words);
        assert_eq!(
            fault_of("Server.processingError", "Processing error occurred. The task submitted is not authorized.", "").code,
            "NOT_AUTHORIZED"
        );
        assert_eq!(fault_of("Server.processingError", "Processing error occurred. Oh.", "").code, "PROCESSING");
        assert!(fault(b"<html>Fault</html>").is_none());
    }
}
