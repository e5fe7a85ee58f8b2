//! SOAP that is not what its status says, and XML that wants more of its reader than to be read.

use connector::{Doubt, ErrorClass};
use serde_json::{Value as Json, json};

use crate::{
    SYSTEMS,
    stub::{Said, Stub},
};

/// How each system's SOAP is called: a read and, where there is one, a write.
fn calls() -> Vec<(&'static str, &'static str, Json, bool)> {
    let fields = json!({ "companyName": "Fern" });
    vec![
        ("netsuite", "soap_get_record", json!({ "type": "customer", "id": "107" }), false),
        ("netsuite", "soap_write_record", json!({ "operation": "add", "type": "customer", "fields": fields }), true),
        ("workday", "get_server_time", json!({}), false),
    ]
}

fn envelope(inside: &str) -> String {
    format!("<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>{inside}</e:Body></e:Envelope>")
}

fn xml(body: String) -> Said {
    Said { status: 200, headers: vec![("content-type", "text/xml; charset=utf-8".to_owned())], body }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_an_answer_with_200_is_a_failure_in_words() {
    for (id, action, input, _) in calls() {
        let (fault, expected) = if id == "netsuite" {
            let detail = "<detail><insufficientPermissionFault><code>INSUFFICIENT_PERMISSION</code></insufficientPermissionFault></detail>";
            let fault = format!(
                "<e:Fault><faultcode>soapenv:Server</faultcode><faultstring>You do not have permission.</faultstring>{detail}</e:Fault>"
            );
            (fault, (ErrorClass::Denied, "INSUFFICIENT_PERMISSION", "You do not have permission"))
        } else {
            let words = "invalid username or password";
            let fault = format!(
                "<e:Fault><faultcode>SOAP-ENV:Client.authenticationError</faultcode><faultstring>{words}</faultstring></e:Fault>"
            );
            (fault, (ErrorClass::Auth, "INVALID_LOGIN", "did not accept the user name"))
        };
        let stub = Stub::start(move |_| xml(envelope(&fault))).await;
        let system = SYSTEMS.iter().find(|system| system.id == id).unwrap();
        let error = system.call(&stub.url, action, input).await;
        assert_eq!((error.class, error.code.as_str()), (expected.0, expected.1), "{action}: {error:?}");
        assert!(error.message.contains(expected.2), "{action}: {error:?}");
        assert_eq!(error.doubt, Doubt::Settled, "{action}: it says that nothing was done: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_entities_and_half_messages_are_never_read() {
    let mut laughs = "<!ENTITY l0 \"ha\">".to_owned();
    for n in 1..30 {
        laughs.push_str(&format!("<!ENTITY l{n} \"&l{0};&l{0};&l{0};&l{0};&l{0};&l{0};&l{0};&l{0};&l{0};&l{0};\">", n - 1));
    }
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "of this machine").unwrap();
    let outside = Stub::start(|_| Said { status: 200, headers: Vec::new(), body: "<x>of another</x>".to_owned() }).await;
    let file = secret.path().display();
    for (what, body) in [
        ("a bomb", format!("<!DOCTYPE e [{laughs}]>{}", envelope("<r>&l29;</r>"))),
        ("a file", format!("<!DOCTYPE e [<!ENTITY f SYSTEM \"file://{file}\">]>{}", envelope("<r>&f;</r>"))),
        ("another host", format!("<!DOCTYPE e [<!ENTITY f SYSTEM \"{}/x\">]>{}", outside.url, envelope("<r>&f;</r>"))),
        ("another document type", format!("<!DOCTYPE e SYSTEM \"{}/e.dtd\">{}", outside.url, envelope("<r/>"))),
        ("half of it", envelope("<r>1</r>").replace("</e:Envelope>", "")),
        ("more behind it", format!("{}{}", envelope("<r>1</r>"), envelope("<r>2</r>"))),
        ("ten thousand levels", envelope(&format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000)))),
    ] {
        let stub = Stub::start(move |_| xml(body.clone())).await;
        for (id, action, input, writes) in calls() {
            let system = SYSTEMS.iter().find(|system| system.id == id).unwrap();
            let error = system.call(&stub.url, action, input).await;
            let told = (error.class, error.code.as_str());
            assert_eq!(told, (ErrorClass::Server, "ANSWER_UNREADABLE"), "{action}, {what}: {error:?}");
            assert!(!error.message.contains("of this machine") && error.next.is_some(), "{action}, {what}: {error:?}");
            assert!(!writes || error.doubt == Doubt::MayHaveHappened, "{action}, {what}: {error:?}");
        }
    }
    assert!(outside.asked().is_empty(), "nobody is asked for what an answer names");
}
