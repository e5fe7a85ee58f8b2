//! `email.send` through real SMTP conversations: what is written, how it is protected, what errors mean.

mod server;
#[path = "../support/shelf.rs"]
mod shelf;

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::{
    AddressPolicy, Connection, Connector, Cx, Doubt, Effect, ErrorClass, Secret, StepError,
    http::{Http, HttpOptions},
};
use serde_json::{Value as Json, json};
use server::{Mode, Server};

const SIGN_IN: [(&str, &str); 2] = [("username", "ann@example.com"), ("password", "hunter2hunter2")];

fn email() -> Connector {
    connectors::all().into_iter().find(|connector| connector.id == "email").unwrap()
}

fn cx(config: Json, credentials: &[(&str, &str)]) -> Cx {
    let credentials: HashMap<String, Secret> =
        credentials.iter().map(|(name, text)| ((*name).to_owned(), Secret::new((*text).to_owned()))).collect();
    (email().validate)(&config, &credentials).unwrap();
    Cx {
        http: Http::new(HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() }).unwrap(),
        connection: Some(Arc::new(Connection { name: "mail".to_owned(), connector: "email".to_owned(), config, credentials })),
        idempotency_key: "run_1/tell".into(),
        timeout: Duration::from_secs(20),
        run_id: "run_1".into(),
        path: "tell".into(),
        began: tokio::time::Instant::now(),
        began_us: 1_760_000_000_000_000,
        attempt: 1,
        in_doubt: false,
        traceparent: None,
        turns: None,
    }
}

fn config(server: &Server, tls: &str) -> Json {
    json!({"host": "localhost", "port": server.port, "tls": tls, "from": "Liaison <reports@example.com>", "ca": server.pem})
}

async fn send(cx: Cx, input: Json) -> Result<Json, StepError> {
    (email().action("send").unwrap().run)(cx, input).await
}

fn hello() -> Json {
    json!({"to": "bob@example.com", "subject": "Hello", "text": "One\n.\nTwo"})
}

#[tokio::test]
async fn files_are_attached_by_reference() {
    let server = Server::start(Mode::Plain, |_| None).await;
    let kept: Arc<shelf::Shelf> = Arc::default();
    let cx = || {
        let cx = cx(config(&server, "none"), &[]);
        cx.http.keep_files_with(Arc::new(shelf::Door(Arc::clone(&kept))));
        cx
    };
    let file = kept.put("a.pdf", "application/pdf", b"content").json();
    let input =
        |attachments: Json| json!({"to": "bob@example.com", "subject": "Hello", "text": "Hi", "attachments": attachments});
    send(cx(), input(json!([file, {"filename": "b.bin", "content_type": "x/y", "file": file}]))).await.unwrap();
    let data = server.messages().remove(0).data;
    for part in ["filename=\"a.pdf\"", "application/pdf", "filename=\"b.bin\"", "x/y"] {
        assert!(data.contains(part), "{part} is not in {data}");
    }
    assert_eq!(data.matches(&BASE64.encode("content")).count(), 2, "{data}");
    let error = send(cx(), input(json!([{"file": "lsnfile_7"}]))).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("FILE_UNKNOWN", Doubt::Settled));
    let large = kept.put("l", "x/y", &vec![0; 25_000_001]).json();
    assert_eq!(send(cx(), input(json!([large]))).await.unwrap_err().code, "FILE_TOO_LARGE");
    assert_eq!((kept.contents().len(), kept.opened()), (2, 2));
    kept.tear(0);
    assert_eq!(send(cx(), input(json!([file]))).await.unwrap_err().code, "FILE_STORE");
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_message_arrives_as_it_was_meant() {
    let server = Server::start(Mode::Plain, |_| None).await;
    let input = json!({
        "to": ["Bob Ü <bob@example.com>", "carl@example.com"], "cc": "dora@example.com", "bcc": "eve@example.com",
        "reply_to": "desk@example.com", "subject": "Rechnung für März", "text": "Hallo,\n.\n..zwei", "html": "<p>Hallo</p>",
        "attachments": [
            {"filename": "a.csv", "content_type": "text/csv", "text": "1,2"},
            {"filename": "ü.bin", "base64": BASE64.encode([0, 1, 2])},
            {"filename": "d.json", "json": {"a": 1}}
        ]
    });
    let output = send(cx(config(&server, "none"), &[]), input).await.unwrap();
    assert_eq!(output["recipients"], 4);
    let message = server.messages().remove(0);
    assert_eq!(
        message.envelope,
        [
            "MAIL FROM:<reports@example.com>",
            "RCPT TO:<bob@example.com>",
            "RCPT TO:<carl@example.com>",
            "RCPT TO:<dora@example.com>",
            "RCPT TO:<eve@example.com>"
        ]
    );
    let data = &message.data;
    for part in [
        "From: Liaison <reports@example.com>\r\n",
        "carl@example.com\r\n",
        "Cc: dora@example.com\r\n",
        "Reply-To: desk@example.com\r\n",
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "<p>Hallo</p>",
        "filename=\"a.csv\"",
        "Content-Type: text/csv",
        &BASE64.encode([0, 1, 2]),
        "Content-Type: application/json",
    ] {
        assert!(data.contains(part), "{part} is not in {data}");
    }
    assert!(!data.contains("eve@example.com"), "{data}");
    // A line that holds a dot alone ends no message.
    assert!(data.contains("\r\n.\r\n..zwei"), "{data}");
    let id = output["message_id"].as_str().unwrap();
    assert!(data.contains(&format!("Message-ID: {id}\r\n")) && id.ends_with("@example.com>"), "{id}");
    // The same step tried again sends the same id.
    assert_eq!(send(cx(config(&server, "none"), &[]), hello()).await.unwrap()["message_id"], id);
}

#[tokio::test]
async fn it_is_protected_and_signed_in() {
    for (mode, tls) in [(Mode::Starttls, "starttls"), (Mode::Implicit, "implicit"), (Mode::Plain, "none")] {
        let server = Server::start(mode, |_| None).await;
        let output = send(cx(config(&server, tls), &SIGN_IN), hello()).await.unwrap();
        assert_eq!(output["response"], "taken", "{tls}");
        let auth = format!("AUTH PLAIN {}", BASE64.encode("\0ann@example.com\0hunter2hunter2"));
        assert!(server.commands().contains(&auth), "{tls}: {:?}", server.commands());
        assert_eq!(server.commands().last().unwrap(), "QUIT");
        (email().action("check").unwrap().run)(cx(config(&server, tls), &SIGN_IN), json!({})).await.unwrap();
        assert_eq!(server.messages().len(), 1, "{tls}");
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_nobody_vouches_for() {
    for (mode, tls) in [(Mode::Starttls, "starttls"), (Mode::Implicit, "implicit")] {
        let server = Server::start(mode, |_| None).await;
        let mut open = config(&server, tls);
        open.as_object_mut().unwrap().remove("ca");
        let error = send(cx(open, &SIGN_IN), hello()).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str(), error.doubt), (ErrorClass::Network, "TLS_FAILED", Doubt::Settled), "{tls}");
        assert!(!server.commands().iter().any(|command| command.starts_with("AUTH")), "{tls}");
    }
    // A server, or somebody in between, that hides STARTTLS gets no password.
    let bare = Server::start(Mode::Plain, |_| None).await;
    let error = send(cx(config(&bare, "starttls"), &SIGN_IN), hello()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.doubt), ("TLS_MISSING", Doubt::Settled));
    assert!(!bare.commands().iter().any(|command| command.starts_with("AUTH")));
}

#[tokio::test]
async fn answers_of_the_server_have_their_class() {
    for (at, reply, class) in [
        ("AUTH", "535 5.7.8 wrong password hunter2hunter2", ErrorClass::Auth),
        ("AUTH", "454 4.7.0 try later", ErrorClass::Server),
        ("MAIL", "421 4.3.2 closing", ErrorClass::Server),
        ("MAIL", "530 5.7.0 sign in first", ErrorClass::Auth),
        ("MAIL", "552 5.3.4 too big", ErrorClass::Invalid),
        ("RCPT", "450 4.2.0 greylisted", ErrorClass::Server),
        ("RCPT", "452 4.5.3 too many", ErrorClass::RateLimited),
        ("RCPT", "550 5.1.1 no such user", ErrorClass::NotFound),
        ("RCPT", "550 5.7.1 relaying denied", ErrorClass::Denied),
        ("DATA", "554 no", ErrorClass::Denied),
        (".", "554 5.7.1 spam", ErrorClass::Denied),
        (".", "451 4.3.0 disk", ErrorClass::Server),
    ] {
        let server = Server::start(Mode::Plain, move |verb| (verb == at).then(|| format!("{reply}\r\n"))).await;
        let error = send(cx(config(&server, "none"), &SIGN_IN), hello()).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (class, Doubt::Settled), "{at} {reply}: {error:?}");
        assert_eq!(error.code, format!("SMTP_{}", &reply[..3]));
        assert!(error.next.is_some() && !format!("{error:?}").contains("hunter2"), "{error:?}");
        assert!(server.messages().is_empty() || at == ".");
    }
}

#[tokio::test]
async fn a_lost_answer_is_a_doubt_only_after_the_message() {
    for (at, doubt) in [("EHLO", Doubt::Settled), ("AUTH", Doubt::Settled), (".", Doubt::MayHaveHappened)] {
        let server = Server::start(Mode::Plain, move |verb| (verb == at).then(String::new)).await;
        let error = send(cx(config(&server, "none"), &SIGN_IN), hello()).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (ErrorClass::Network, doubt), "{at}: {error:?}");
    }
    for (at, doubt) in [("greeting", Doubt::Settled), (".", Doubt::MayHaveHappened)] {
        let server = Server::start(Mode::Plain, move |verb| (verb == at).then(|| "hang".to_owned())).await;
        let hurried = Cx { timeout: Duration::from_millis(300), ..cx(config(&server, "none"), &[]) };
        let error = send(hurried, hello()).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (ErrorClass::Timeout, doubt), "{at}: {error:?}");
    }
    let endless = Server::start(Mode::Plain, |verb| (verb == "greeting").then(|| format!("220-{}", "x".repeat(2_000_000)))).await;
    let error = send(cx(config(&endless, "none"), &[]), hello()).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Network, Doubt::Settled), "{error:?}");
    let nobody = json!({"host": "127.0.0.1", "port": 1, "tls": "none", "from": "a@example.com"});
    assert_eq!(send(cx(nobody, &[]), hello()).await.unwrap_err().code, "CONNECTION_REFUSED");
}

#[tokio::test]
async fn private_mail_servers_are_refused_unless_allowed() {
    let server = Server::start(Mode::Plain, |_| None).await;
    for host in ["localhost", "127.0.0.1", "[::1]", "2130706433"] {
        let mut config = config(&server, "none");
        config["host"] = host.into();
        let public = Cx { http: Http::new(HttpOptions::default()).unwrap(), ..cx(config, &[]) };
        assert_eq!(send(public, hello()).await.unwrap_err().code, "ADDRESS_REFUSED", "{host}");
    }
    assert!(server.commands().is_empty());
}

#[tokio::test]
async fn mistakes_and_injections_are_refused_before_anything_is_sent() {
    let server = Server::start(Mode::Plain, |_| None).await;
    for (change, part) in [
        (json!({"subject": "Hi\r\nBcc: eve@example.com"}), "line break"),
        (json!({"subject": "a\u{0}b"}), "control"),
        (json!({"subject": null}), "subject is missing"),
        (json!({"to": "bob@example.com\r\nBcc: eve@example.com"}), "not one e-mail address"),
        (json!({"to": "bob@example.com>\r\nRCPT TO:<eve@example.com"}), "not one e-mail address"),
        (json!({"to": "bob@example.com, eve@example.com"}), "not one e-mail address"),
        (json!({"to": "Bob\n <bob@example.com>"}), "not one e-mail address"),
        (json!({"to": "bob"}), "not one e-mail address"),
        (json!({"to": ["bob@example.com", 7]}), "a number"),
        (json!({"to": []}), "1 to 500"),
        (json!({"cc": vec!["a@example.com"; 501]}), "more than 500"),
        (json!({"from": "x\r\ny@example.com"}), "not one e-mail address"),
        (json!({"reply_to": "a b@example.com\n"}), "not one e-mail address"),
        (json!({"titel": "x"}), "titel"),
        (json!({"text": 7}), "a number"),
        (json!({"html": "a\u{0}b"}), "U+0000"),
        (json!({"attachments": {}}), "a list"),
        (json!({"attachments": ["x"]}), "a record"),
        (json!({"attachments": [{"text": "x"}]}), "filename"),
        (json!({"attachments": [{"filename": "a\r\nX-Evil: 1", "text": "x"}]}), "filename"),
        (json!({"attachments": [{"filename": "a", "text": "x", "content_type": "text/csv\r\nX-Evil: 1"}]}), "content_type"),
        (json!({"attachments": [{"filename": "a", "base64": "%"}]}), "base64"),
        (json!({"attachments": [{"filename": "a"}]}), "one of text, base64, json and file"),
        (json!({"attachments": [{"filename": "a", "body": "x"}]}), "body"),
        (json!({"attachments": [{"filename": "a", "text": "x".repeat(25_000_001)}]}), "at most 25000000"),
    ] {
        let mut input = hello();
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = send(cx(config(&server, "none"), &[]), input).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (ErrorClass::Invalid, Doubt::Settled), "{change:.80}");
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    assert!(server.commands().is_empty());
    let alone = Cx { connection: None, ..cx(config(&server, "none"), &[]) };
    assert_eq!(send(alone, hello()).await.unwrap_err().code, "CONNECTION_MISSING");
}

#[test]
fn settings_that_cannot_work_are_told() {
    let problems = |config: Json, credentials: &[(&str, &str)]| -> Vec<String> {
        let credentials = credentials.iter().map(|(name, text)| ((*name).to_owned(), Secret::new((*text).to_owned()))).collect();
        (email().validate)(&config, &credentials).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    };
    let none: [&str; 0] = [];
    assert_eq!(problems(json!({"host": "smtp.example.com"}), &SIGN_IN), none);
    assert_eq!(problems(json!({"host": "localhost", "tls": "none"}), &SIGN_IN), none);
    assert_eq!(problems(json!({"host": "smtp.example.com", "tls": "none"}), &[]), none);
    assert_eq!(problems(json!({"host": "smtp.example.com", "tls": "none"}), &SIGN_IN), ["config.tls"]);
    assert_eq!(problems(json!({"host": "smtp.example.com"}), &[("username", "a")]), ["credentials.password"]);
    for (wrong, field) in [
        (json!({}), "config.host"),
        (json!({"host": "a b"}), "config.host"),
        (json!({"host": "a", "port": 0}), "config.port"),
        (json!({"host": "a", "port": 70000}), "config.port"),
        (json!({"host": "a", "tls": "ssl"}), "config.tls"),
        (json!({"host": "a", "from": "nobody"}), "config.from"),
        (json!({"host": "a", "from": "a@example.com\r\nBcc: b@example.com"}), "config.from"),
        (json!({"host": "a", "hello": "x\r\nQUIT"}), "config.hello"),
        (json!({"host": "a", "prot": 25}), "config.prot"),
    ] {
        assert_eq!(problems(wrong.clone(), &[]), [field], "{wrong}");
    }
}

#[test]
fn sending_happens_once_and_checking_changes_nothing() {
    let connector = email();
    assert_eq!((connector.action("send").unwrap().effect)(&hello()), Effect::Once);
    assert_eq!((connector.action("check").unwrap().effect)(&json!({})), Effect::None);
}
