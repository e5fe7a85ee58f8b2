//! A connection whose address is not its system's, or whose system answers something else than it should: what the test call and
//! a step say of it.

mod endless;
mod shapes;
mod sizes;
mod soap;
#[expect(unreachable_pub, dead_code, reason = "it is shared by several tests")]
#[path = "../support/stub.rs"]
mod stub;

use std::{collections::HashMap, sync::Arc, time::Duration};

use connector::{
    AddressPolicy, Connection, Connector, Cx, Doubt, ErrorClass, Secret, StepError,
    http::{Http, HttpOptions},
};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value as Json, json};
use stub::{Said, Stub};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// What no error may show.
const SECRET: &str = "shh-5e6a";

/// A connection, and a step that writes.
struct System {
    id: &'static str,
    config: fn(&str) -> Json,
    credentials: &'static [&'static str],
    write: (&'static str, fn() -> Json),
    /// The test call and the step ask for a token first, so that nothing of them is sent to the wrong host.
    signs_in: [bool; 2],
}

const SYSTEMS: [System; 5] = [
    System {
        id: "netsuite",
        config: |url| json!({"account": "1234567", "base_url": url, "auth": "tba"}),
        credentials: &["consumer_key", "consumer_secret", "token", "token_secret"],
        write: ("create_record", || json!({"type": "customer", "fields": {"companyName": "Fern"}})),
        signs_in: [false, false],
    },
    System {
        id: "salesforce",
        config: |url| json!({"login_url": url, "sign_in": "client_credentials", "client_id": "app"}),
        credentials: &["client_secret"],
        write: ("create", || json!({"object": "Account", "fields": {"Name": "Fern"}})),
        signs_in: [true, true],
    },
    System {
        id: "servicenow",
        config: |url| json!({"base_url": url, "check_fields": false}),
        credentials: &["username", "password"],
        write: ("create_incident", || json!({"short_description": "Broken"})),
        signs_in: [false, false],
    },
    System {
        id: "stripe",
        config: |url| json!({"api_url": url, "files_url": url}),
        credentials: &["api_key"],
        write: ("create_refund", || json!({"charge": "ch_1"})),
        signs_in: [false, false],
    },
    System {
        id: "workday",
        config: |url| json!({"rest_endpoint": format!("{url}/ccx/api/v1/acme"), "token_endpoint": format!("{url}/ccx/oauth2/acme/token")}),
        credentials: &["client_id", "client_secret", "refresh_token", "username", "password"],
        write: ("approve_step", || json!({"step": "0123456789abcdef0123456789abcdef"})),
        signs_in: [false, true],
    },
];

impl System {
    fn connector(&self) -> Connector {
        connectors::all().into_iter().find(|known| known.id == self.id).unwrap()
    }

    /// What an attempt through a connection to this address is given.
    fn cx(&self, url: &str) -> Cx {
        let connector = self.connector();
        let key = |name: &str| match name {
            "api_key" => format!("rk_test_{SECRET}"),
            "username" => "ann@acme".to_owned(),
            _ => SECRET.to_owned(),
        };
        let credentials: HashMap<String, Secret> =
            self.credentials.iter().map(|name| ((*name).to_owned(), Secret::new(key(name)))).collect();
        let config = (self.config)(url);
        (connector.validate)(&config, &credentials).unwrap_or_else(|problems| panic!("{}: {problems:?}", self.id));
        let connection = Connection { name: "there".to_owned(), connector: self.id.to_owned(), config, credentials };
        let http = Http::new(HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() }).unwrap();
        Cx {
            http,
            connection: Some(Arc::new(connection)),
            idempotency_key: "run_1/step".into(),
            timeout: Duration::from_secs(30),
            began: tokio::time::Instant::now(),
            began_us: 1_795_000_000_000_000,
            attempt: 1,
            in_doubt: false,
            run_id: "run_1".into(),
            path: "step".into(),
            traceparent: None,
            turns: None,
        }
    }

    async fn call(&self, url: &str, action: &str, input: Json) -> StepError {
        let connector = self.connector();
        let cx = self.cx(url);
        let done = (connector.action(action).unwrap().run)(cx, input).await;
        done.expect_err(self.id)
    }

    /// What the test call says, and what a step that writes says.
    async fn says(&self, url: &str) -> [StepError; 2] {
        let test = self.connector().test.unwrap();
        [self.call(url, test.action, test.input).await, self.call(url, self.write.0, (self.write.1)()).await]
    }
}

/// What a person must be able to read out of an error.
fn is_told(id: &str, error: &StepError, host: &str) {
    let all = format!("{error:?}");
    assert!(!all.contains(SECRET), "{id}: a secret is shown: {all}");
    let called = error.request.as_ref().is_some_and(|request| request["url"].as_str().is_some_and(|url| url.contains(host)));
    assert!(called || error.message.contains(host), "{id}: it does not say which address: {error:?}");
    assert!(error.next.is_some(), "{id}: it does not say what to do: {error:?}");
    assert!(!error.message.contains("Error {") && !error.message.contains("::"), "{id}: that is for programmers: {error:?}");
}

async fn each(url: &str, judge: impl Fn(&System, &StepError, bool)) {
    let host = url::Url::parse(url).unwrap().host_str().unwrap().to_owned();
    for system in &SYSTEMS {
        let [test, write] = system.says(url).await;
        for (error, writes) in [(&test, false), (&write, true)] {
            is_told(system.id, error, &host);
            judge(system, error, writes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_exist() {
    each("http://there-is-none.invalid", |system, error, _| {
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Network, "DNS_FAILED"), "{}: {error:?}", system.id);
        assert_eq!(error.doubt, Doubt::Settled, "{}: nothing was sent: {error:?}", system.id);
        assert!(error.next.as_ref().unwrap().contains("host name"), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_answers_everything_with_a_page() {
    let stub = Stub::start(|_| Said::page(200)).await;
    each(&stub.url, |system, error, writes| {
        let signs_in = system.signs_in[usize::from(writes)];
        let expected =
            if signs_in { (ErrorClass::Auth, "SIGN_IN_UNREADABLE") } else { (ErrorClass::Server, "ANSWER_UNREADABLE") };
        assert_eq!((error.class, error.code.as_str()), expected, "{}: {error:?}", system.id);
        if signs_in {
            assert_eq!(error.doubt, Doubt::Settled, "{}: the step was not sent: {error:?}", system.id);
        } else if writes {
            assert_eq!(error.doubt, Doubt::MayHaveHappened, "{}: {error:?}", system.id);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_wants_tls_and_gets_none() {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { drop(acceptor.accept(stream).await) });
        }
    });
    each(&format!("http://127.0.0.1:{port}"), |system, error, _| {
        assert_eq!(error.class, ErrorClass::Network, "{}: {error:?}", system.id);
        assert!(error.next.as_ref().unwrap().contains("https://"), "{}: {error:?}", system.id);
    })
    .await;
    // Nor is a certificate taken that nobody vouches for.
    each(&format!("https://127.0.0.1:{port}"), |system, error, _| {
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Network, "TLS_FAILED"), "{}: {error:?}", system.id);
        assert!(
            error.doubt == Doubt::Settled && error.next.as_ref().unwrap().contains("certificate"),
            "{}: {error:?}",
            system.id
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_asked_for_tls_and_has_none() {
    // As web servers answer what is no HTTP.
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            let mut hello = [0; 1024];
            if stream.read(&mut hello).await.is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    });
    each(&format!("https://127.0.0.1:{port}"), |system, error, _| {
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Network, "TLS_FAILED"), "{}: {error:?}", system.id);
        assert!(error.message.contains("does not speak TLS"), "{}: {error:?}", system.id);
        assert_eq!(error.doubt, Doubt::Settled, "{}: {error:?}", system.id);
    })
    .await;
}
