//! SuiteTalk over SOAP: what REST lacks, and what older clients speak.

mod cabinet;
mod convert;
mod search;
mod wsdl;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::Value as Json;

use self::convert::Given;
pub(super) use self::search::Searches;
use super::{NetSuite, State, answer::Call, books, oauth1::Passport, record_api::Event, refusal::Refusal, schema, store::Record};
use crate::{
    fault::Kind,
    xml::{Element, Writer, XSI, soap},
};

/// Records of one list call.
const LIST_MAX: usize = 200;

/// A namespace of a version, such as `urn:core_2025_1.platform.webservices.netsuite.com`.
fn namespace(name: &str, area: &str, version: &str) -> String {
    format!("urn:{name}_{version}.{area}.webservices.netsuite.com")
}

/// `2025_1` of `/services/NetSuitePort_2025_1`.
fn version(path: &str) -> String {
    let digits = path.rsplit("NetSuitePort_").next().unwrap_or_default();
    digits.chars().filter(|c| c.is_ascii_digit() || *c == '_').take(6).collect()
}

/// A fault of the platform.
struct Fault {
    element: &'static str,
    code: &'static str,
    words: String,
}

impl Fault {
    fn login() -> Self {
        Self { element: "invalidCredentialsFault", code: "INVALID_LOGIN_ATTEMPT", words: "Invalid login attempt.".to_owned() }
    }

    fn busy() -> Self {
        let words = "SuiteTalk concurrent request limit exceeded. Request blocked.".to_owned();
        Self { element: "exceededConcurrentRequestLimitFault", code: "WS_REQUEST_BLOCKED", words }
    }

    fn unexpected(words: impl Into<String>) -> Self {
        Self { element: "unexpectedErrorFault", code: "UNEXPECTED_ERROR", words: words.into() }
    }

    fn response(&self, version: &str) -> Response {
        let faults = namespace("faults", "platform", version);
        let text = soap::fault(&[], "soapenv:Server.userException", &self.words, |xml| {
            xml.element(&format!("platformFaults:{}", self.element), &[("xmlns:platformFaults", &faults)], |xml| {
                xml.text("platformFaults:code", &[], self.code);
                xml.text("platformFaults:message", &[], &self.words);
            });
            xml.text("ns1:hostname", &[("xmlns:ns1", "http://xml.apache.org/axis/")], "partners-java10001.sea");
        });
        respond(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

fn respond(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, soap::CONTENT_TYPE)], text).into_response()
}

/// The answer to a call that a fault of the sandbox refuses.
pub(super) fn refusal(kind: &Kind, path: &str) -> Response {
    let version = version(path);
    match kind {
        Kind::RateLimited { .. } | Kind::DailyLimit => Fault::busy().response(&version),
        Kind::ExpiredSession => Fault::login().response(&version),
        Kind::Denied => {
            let words = "You do not have permission to perform this operation.".to_owned();
            Fault { element: "insufficientPermissionFault", code: "INSUFFICIENT_PERMISSION", words }.response(&version)
        }
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => Fault::unexpected("An unexpected error occurred. Error ID: lw3jdgpo1x0b5xr8l1t3w").response(&version),
    }
}

/// Whether something was done, and why not.
type Outcome = Result<(), (String, String)>;

fn told(refusal: &Refusal) -> (String, String) {
    let code = match refusal.code {
        "NONEXISTENT_ID" => "RCRD_DSNT_EXIST",
        "INVALID_VALUE" => "INVALID_KEY_OR_REF",
        "NONEXISTENT_FIELD" => "INVALID_FLD",
        code => code,
    };
    let words = if code == "RCRD_DSNT_EXIST" {
        "That record does not exist."
    } else {
        refusal.detail.trim_start_matches("Error while accessing a resource. ")
    };
    (code.to_owned(), words.to_owned())
}

fn status(xml: &mut Writer, outcome: &Outcome) {
    match outcome {
        Ok(()) => xml.element("platformCore:status", &[("isSuccess", "true")], |_| {}),
        Err((code, words)) => xml.element("platformCore:status", &[("isSuccess", "false")], |xml| {
            xml.element("platformCore:statusDetail", &[("type", "ERROR")], |xml| {
                xml.text("platformCore:code", &[], code);
                xml.text("platformCore:message", &[], words);
            });
        }),
    }
}

/// A call in work.
struct Talk<'a> {
    state: &'a mut State,
    now: books::Now,
    version: String,
    /// Lists are left out of records when true.
    body_only: bool,
    page_size: usize,
    events: Vec<Event>,
}

impl NetSuite {
    /// The description of a version, `/wsdl/v2025_1_0/netsuite.wsdl`.
    pub(super) fn wsdl(&self, call: &Call) -> Response {
        let part = call.path.split('/').find_map(|part| part.strip_prefix('v')).unwrap_or_default();
        let version: String = part.split('_').take(2).collect::<Vec<_>>().join("_");
        let known = version.len() == 6 && version.chars().all(|c| c.is_ascii_digit() || c == '_');
        if !known || !call.path.ends_with("netsuite.wsdl") {
            return StatusCode::NOT_FOUND.into_response();
        }
        respond(StatusCode::OK, wsdl::document(&version, &call.base()))
    }

    pub(super) async fn soap(&self, call: &Call) -> Response {
        let version = version(&call.path);
        match self.talk(call, &version).await {
            Ok(text) => respond(StatusCode::OK, text),
            Err(fault) => fault.response(&version),
        }
    }

    async fn talk(&self, call: &Call, version: &str) -> Result<String, Fault> {
        let message =
            soap::read(&call.body).map_err(|problem| Fault::unexpected(format!("org.xml.sax.SAXException: {problem}")))?;
        let passport = message.header("tokenPassport").ok_or_else(Fault::login)?;
        let text = |name: &str| passport.text_of(name).unwrap_or_default();
        let signature = passport.child("signature");
        let good = self.passport(&Passport {
            account: text("account"),
            consumer_key: text("consumerKey"),
            token: text("token"),
            nonce: text("nonce"),
            timestamp: text("timestamp"),
            signature: text("signature"),
            algorithm: signature.and_then(|signature| signature.attribute("algorithm")).unwrap_or_default(),
        });
        if !good {
            return Err(Fault::login());
        }
        let _place = self.place().ok_or_else(|| {
            if self.state.lock().settings.concurrency_as_invalid_login { Fault::login() } else { Fault::busy() }
        })?;
        self.pause(false).await;
        let preference = |name: &str| message.header("searchPreferences").and_then(|header| header.text_of(name));
        let mut state = self.state.lock();
        let now = state.now(&self.world);
        let mut talk = Talk {
            state: &mut state,
            now,
            version: version.to_owned(),
            body_only: preference("bodyFieldsOnly") != Some("false"),
            page_size: preference("pageSize").and_then(|size| size.parse().ok()).unwrap_or(1_000).clamp(5, 1_000),
            events: Vec::new(),
        };
        let answer = talk.answer(&message.body);
        let events = std::mem::take(&mut talk.events);
        let lost = !events.is_empty() && state.lose_answer();
        self.tell(&state, &events);
        if lost { Err(Fault::unexpected("An unexpected error occurred.")) } else { answer }
    }
}

impl Talk<'_> {
    fn answer(&mut self, request: &Element) -> Result<String, Fault> {
        let operation = request.name.clone();
        let mut inside = Writer::new();
        match operation.as_str() {
            "get" => {
                let reference = request.child("baseRef").ok_or_else(|| Fault::unexpected("baseRef is missing"))?;
                self.read(&mut inside, reference);
            }
            "getList" => self.each(&mut inside, request, "baseRef", "readResponseList", Self::read)?,
            "add" | "update" | "upsert" => {
                let record = request.child("record").ok_or_else(|| Fault::unexpected("record is missing"))?;
                self.write(&mut inside, record, &operation);
            }
            "addList" | "updateList" | "upsertList" => {
                let one = operation.trim_end_matches("List").to_owned();
                self.each(&mut inside, request, "record", "writeResponseList", |talk, xml, record| {
                    talk.write(xml, record, &one)
                })?;
            }
            "delete" => {
                let reference = request.child("baseRef").ok_or_else(|| Fault::unexpected("baseRef is missing"))?;
                self.delete(&mut inside, reference);
            }
            "deleteList" => self.each(&mut inside, request, "baseRef", "writeResponseList", Self::delete)?,
            "attach" => {
                let reference = request.child("attachReferece").ok_or_else(|| Fault::unexpected("attachReferece is missing"))?;
                self.attach(&mut inside, reference);
            }
            "getAll" => self.all(&mut inside, request),
            "search" => self.search(&mut inside, request)?,
            "searchMoreWithId" => self.more(&mut inside, request),
            "getDeleted" => self.deleted(&mut inside, request),
            "getServerTime" => {
                let at = convert::moment(self.now.at, &self.now.zone);
                inside.element("platformCore:getServerTimeResult", &[], |xml| {
                    status(xml, &Ok(()));
                    xml.text("platformCore:serverTime", &[], &at);
                });
            }
            other => return Err(Fault::unexpected(format!("No such operation '{other}'"))),
        }
        Ok(self.envelope(&operation, &inside.finish()))
    }

    fn envelope(&self, operation: &str, inside: &str) -> String {
        let [messages, core, common] = ["messages", "core", "common"].map(|name| namespace(name, "platform", &self.version));
        let namespaces = [
            ("xmlns:platformMsgs", messages.as_str()),
            ("xmlns:platformCore", &core),
            ("xmlns:platformCommon", &common),
            ("xmlns:xsi", XSI),
        ];
        soap::envelope(
            &namespaces,
            |xml| {
                xml.element("platformMsgs:documentInfo", &[], |xml| {
                    xml.text(
                        "platformMsgs:nsId",
                        &[],
                        &format!("WEBSERVICES_{}_{}", super::ACCOUNT, self.state.random.text("0123456789", 12)),
                    );
                });
            },
            |xml| xml.element(&format!("platformMsgs:{operation}Response"), &[], |xml| xml.raw(inside)),
        )
    }

    fn each(
        &mut self,
        xml: &mut Writer,
        request: &Element,
        name: &str,
        list: &str,
        mut act: impl FnMut(&mut Self, &mut Writer, &Element),
    ) -> Result<(), Fault> {
        if request.all(name).count() > LIST_MAX {
            return Err(Fault {
                element: "exceededRequestSizeFault",
                code: "WS_EXCEEDED_MAX_RECORDS",
                words: format!("At most {LIST_MAX} records can be given."),
            });
        }
        let mut inside = Writer::new();
        status(&mut inside, &Ok(()));
        for one in request.all(name) {
            act(self, &mut inside, one);
        }
        let inside = inside.finish();
        xml.element(&format!("platformMsgs:{list}"), &[], |xml| xml.raw(&inside));
        Ok(())
    }

    /// The record a `baseRef` names.
    fn found(&self, reference: &Element) -> Result<&Record, Refusal> {
        // `xsi:type` has the same local name.
        let named = reference.attributes.iter().find(|attribute| attribute.name == "type" && attribute.namespace.is_empty());
        let kind = schema::find(named.map(|attribute| attribute.value.as_str()).unwrap_or_default())
            .ok_or_else(|| Refusal::bad("INVALID_RCRD_TYPE", "The record type is invalid."))?;
        self.state.may(kind, false)?;
        let id = match (reference.attribute("internalId"), reference.attribute("externalId")) {
            (Some(id), _) => id.parse().ok(),
            (None, Some(external)) => self.state.store.by_external(kind, external),
            _ => None,
        };
        id.and_then(|id| self.state.store.get(kind, id)).ok_or_else(|| Refusal::no_record(""))
    }

    fn read(&mut self, xml: &mut Writer, reference: &Element) {
        let found = self.found(reference);
        xml.element("platformMsgs:readResponse", &[], |xml| {
            status(xml, &found.as_ref().map(|_| ()).map_err(told));
            if let Ok(record) = found {
                convert::write(xml, "platformMsgs:record", record, &self.state.store, (&self.version, &self.now.zone), false);
            }
        });
    }

    fn write(&mut self, xml: &mut Writer, record: &Element, operation: &str) {
        let done = self.written(record, operation);
        xml.element("platformMsgs:writeResponse", &[], |xml| {
            status(xml, &done.as_ref().map(|_| ()).map_err(told));
            if let Ok((kind, id)) = &done {
                let external = self.state.store.get(kind, *id).and_then(|record| record.external.clone());
                base_ref(xml, kind.name, &id.to_string(), external.as_deref());
            }
        });
    }

    fn written(&mut self, record: &Element, operation: &str) -> Result<(&'static schema::Type, u64), Refusal> {
        let Given { kind, id, mut body, manner } = convert::read(record)?;
        if kind.name == "file" {
            cabinet::typed(&mut body);
        }
        self.state.may(kind, true)?;
        let external =
            body.get("externalId").and_then(Json::as_str).and_then(|external| self.state.store.by_external(kind, external));
        let known = id.or(external);
        let (id, event) = match (operation, known) {
            ("add", _) | ("upsert", None) => (books::create(&mut self.state.store, kind, &body, &manner, &self.now)?.0, "create"),
            (_, Some(id)) => {
                books::update(&mut self.state.store, kind, id, &body, &manner, &self.now)?;
                (id, "edit")
            }
            _ => return Err(Refusal::no_record("")),
        };
        self.events.push(Event { kind, id, event });
        Ok((kind, id))
    }

    fn delete(&mut self, xml: &mut Writer, reference: &Element) {
        let found = self.found(reference).map(|record| (record.kind, record.id));
        let done = found.and_then(|(kind, id)| {
            self.state.may(kind, true)?;
            books::delete(&mut self.state.store, kind, id, &self.now)
        });
        xml.element("platformMsgs:writeResponse", &[], |xml| {
            status(xml, &done.as_ref().map(|_| ()).map_err(told));
            if let Ok(record) = &done {
                base_ref(xml, record.kind.name, &record.id.to_string(), record.external.as_deref());
            }
        });
        if let Ok(record) = done {
            self.events.push(Event { kind: record.kind, id: record.id, event: "delete" });
        }
    }

    fn all(&mut self, xml: &mut Writer, request: &Element) {
        let name = request.child("record").and_then(|record| record.attribute("recordType")).unwrap_or_default();
        let kind = schema::find(name).filter(|kind| matches!(kind.family, schema::Family::Own(_)));
        xml.element("platformCore:getAllResult", &[], |xml| {
            let Some(kind) = kind else {
                return status(xml, &Err(("INVALID_RCRD_TYPE".to_owned(), "The record type is invalid.".to_owned())));
            };
            status(xml, &Ok(()));
            xml.text("platformCore:totalRecords", &[], &self.state.store.count(kind).to_string());
            xml.element("platformCore:recordList", &[], |xml| {
                for record in self.state.store.all(kind) {
                    convert::write(xml, "platformCore:record", record, &self.state.store, (&self.version, &self.now.zone), false);
                }
            });
        });
    }
}

fn base_ref(xml: &mut Writer, kind: &str, id: &str, external: Option<&str>) {
    let mut attributes = vec![("xsi:type", "platformCore:RecordRef"), ("type", kind), ("internalId", id)];
    attributes.extend(external.map(|external| ("externalId", external)));
    xml.element("platformMsgs:baseRef", &attributes, |_| {});
}
