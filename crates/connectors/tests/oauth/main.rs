//! Sign-ins without a person against an OAuth server of somebody else's: client credentials (RFC 6749, 4.4) and signed
//! assertions (RFC 7523), each as the connectors that offer them send them.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use connector::{
    AddressPolicy, Connection, Connector, Cx, ErrorClass, Secret, StepError,
    http::{Http, HttpOptions, Request},
};
use serde_json::{Value as Json, json};

/// The server, made of Authlib.
struct Server {
    child: Child,
    url: String,
    http: Http,
}

impl Server {
    fn start(wanted: &Json) -> Self {
        let python = std::env::var("LIAISON_TEST_PYTHON")
            .expect("set LIAISON_TEST_PYTHON, or run `cargo xtask test`, which installs the servers");
        let mut command = Command::new(python);
        command.args(["-W", "ignore"]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oauth/server.py"));
        let mut child = command.arg(wanted.to_string()).stdout(Stdio::piped()).spawn().expect("python starts");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let url = lines.next().expect("it says where it listens").expect("text");
        let http = Http::new(HttpOptions { policy: AddressPolicy::with_private(), ..HttpOptions::default() }).unwrap();
        Self { child, url, http }
    }

    async fn seen(&self) -> Json {
        let url = format!("{}/seen", self.url).parse().unwrap();
        let answer = self.http.send(Request::new(http::Method::GET, url)).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// One call of an action through a connection to this server.
    async fn call(&self, connector: &str, action: &str, input: Json, config: Json, credentials: Json) -> Result<Json, StepError> {
        let known = connectors::all().into_iter().find(|known| known.id == connector).unwrap();
        self.call_of(&known, action, input, config, credentials).await
    }

    async fn call_of(
        &self,
        known: &Connector,
        action: &str,
        input: Json,
        config: Json,
        credentials: Json,
    ) -> Result<Json, StepError> {
        let config: Json = serde_json::from_str(&config.to_string().replace("{self}", &self.url)).unwrap();
        let credentials: HashMap<String, Secret> = serde_json::from_value::<HashMap<String, String>>(credentials)
            .unwrap()
            .into_iter()
            .map(|(k, v)| (k, Secret::new(v)))
            .collect();
        (known.validate)(&config, &credentials).unwrap();
        let connection = Connection { name: "there".to_owned(), connector: known.id.to_owned(), config, credentials };
        let cx = Cx {
            http: self.http.clone(),
            connection: Some(Arc::new(connection)),
            idempotency_key: "run_1/step".into(),
            timeout: std::time::Duration::from_secs(30),
            began: tokio::time::Instant::now(),
            began_us: jiff::Timestamp::now().as_microsecond(),
            attempt: 1,
            in_doubt: false,
            run_id: "run_1".into(),
            path: "step".into(),
            traceparent: None,
            turns: None,
        };
        (known.action(action).unwrap().run)(cx, input).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sign-in that must work: one token, one call that takes it along. Gives what the server saw.
async fn signs_in(wanted: Json, connector: &str, action: &str, input: Json, config: Json, credentials: Json) -> Json {
    let server = Server::start(&wanted);
    let done = server.call(connector, action, input, config, credentials).await;
    let seen = server.seen().await;
    assert_eq!((&seen["calls"], &seen["strangers"]), (&json!(1), &json!(0)), "{connector}: {done:?}\n{seen:#}");
    assert!(done.as_ref().err().is_none_or(|error| error.class != ErrorClass::Auth), "{connector}: {done:?}");
    assert_eq!(seen["good"].as_array().unwrap().len(), 1, "{connector}: {seen:#}");
    seen
}

/// A key pair: the private and the public half in PEM.
fn pair(algorithm: &str) -> (String, String) {
    let kind = if algorithm == "ES256" { &rcgen::PKCS_ECDSA_P256_SHA256 } else { &rcgen::PKCS_RSA_SHA256 };
    let key = rcgen::KeyPair::generate_for(kind).unwrap();
    (key.serialize_pem(), key.public_key_pem())
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

#[tokio::test(flavor = "multi_thread")]
async fn client_credentials_are_sent_as_each_system_wants_them() {
    let client = |method: &str| json!({"client_id": "id:1 ä", "client_secret": "s e%c+r&t:ö", "grant": "client_credentials", "method": method});
    let own = json!({"client_id": "id:1 ä", "client_secret": "s e%c+r&t:ö"});
    for (client_auth, method) in [("basic", "client_secret_basic"), ("body", "client_secret_post")] {
        let config =
            json!({"base_url": "{self}", "auth": {"kind": "oauth2", "token_url": "{self}/token", "client_auth": client_auth}});
        let seen = signs_in(client(method), "http", "request", json!({"path": "/x"}), config, own.clone()).await;
        assert_eq!(seen["good"], json!([{"grant": "client_credentials", "method": method}]));
    }
    let config = json!({"login_url": "{self}", "sign_in": "client_credentials", "client_id": "id:1 ä"});
    let secret = json!({"client_secret": "s e%c+r&t:ö"});
    signs_in(client("client_secret_post"), "salesforce", "limits", json!({}), config, secret).await;
    let config = json!({"base_url": "{self}", "auth": "client_credentials"});
    signs_in(client("client_secret_post"), "servicenow", "who_am_i", json!({}), config, own).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_assertions_get_tokens() {
    for algorithm in ["RS256", "PS256", "ES256"] {
        let (private, public) = pair(algorithm);
        let wanted = json!({"client_id": "app", "grant": JWT_BEARER, "algorithm": algorithm, "public_key": public,
            "audiences": ["app"], "subject": "ann@example.com"});
        let config = json!({"base_url": "{self}", "auth": "jwt", "jwt_subject": "ann@example.com", "jwt_key_id": "k1", "jwt_signature": algorithm});
        let credentials = json!({"client_id": "app", "client_secret": "s", "private_key": private});
        let seen = signs_in(wanted, "servicenow", "who_am_i", json!({}), config, credentials).await;
        assert_eq!((&seen["assertions"][0]["alg"], &seen["assertions"][0]["kid"]), (&json!(algorithm), &json!("k1")), "{seen:#}");
    }
    let (private, public) = pair("RS256");
    let wanted = json!({"client_id": "app", "grant": JWT_BEARER, "algorithm": "RS256", "public_key": public,
        "audiences": ["https://login.salesforce.com"], "subject": "ann@example.com"});
    let config = json!({"login_url": "{self}", "sign_in": "jwt_bearer", "client_id": "app", "username": "ann@example.com",
        "audience": "https://login.salesforce.com"});
    signs_in(wanted, "salesforce", "limits", json!({}), config, json!({"private_key": private})).await;
    for algorithm in ["PS256", "ES256"] {
        let (private, public) = pair(algorithm);
        let wanted = json!({"client_id": "app", "grant": "client_credentials", "method": "client_assertion_jwt", "algorithm": algorithm,
            "public_key": public, "audiences": ["{self}/services/rest/auth/oauth2/v1/token"]});
        let config = json!({"account": "1234567", "base_url": "{self}", "auth": "certificate", "certificate_id": "cert1", "signature": algorithm});
        let credentials = json!({"client_id": "app", "private_key": private});
        let query = json!({"query": "SELECT 1 AS ok FROM dual"});
        let seen = signs_in(wanted, "netsuite", "run_suiteql", query, config, credentials).await;
        assert_eq!(
            (&seen["assertions"][0]["alg"], &seen["assertions"][0]["kid"]),
            (&json!(algorithm), &json!("cert1")),
            "{seen:#}"
        );
    }
}

/// A connector file whose connections sign.
const SIGNING: &str = r#"
connector: 1
id: there
title: There
summary: A system with tokens.
connection:
  base_url: https://there.example
  fields: { user: { type: string, required: true } }
  auth:
    kind: oauth2
    grants: [jwt_bearer]
    token_url: https://there.example/token
    algorithm: ALGORITHM
    key_id: "key of ${ config.user }"
    subject: "${ config.user }"
    audience: "https://${ config.user }.example"
    claims: { tenant: "${ config.user }" }
actions:
  - { id: get, title: Get, summary: Gets., effect: none, path: /x }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn signed_assertions_get_tokens_for_http_and_connector_files() {
    for algorithm in ["RS256", "PS256", "ES256"] {
        let (private, public) = pair(algorithm);
        let wanted = |audience: &str, subject: &str| {
            json!({"client_id": "app", "grant": JWT_BEARER, "algorithm": algorithm, "public_key": public,
                "audiences": [audience], "subject": subject})
        };
        let auth = json!({"kind": "oauth2", "grant": "jwt_bearer", "token_url": "{self}/token", "algorithm": algorithm, "key_id": "k1",
            "issuer": "app", "subject": "ann@example.com", "claims": {"tenant": 7}});
        let config = json!({"base_url": "{self}", "auth": auth});
        let wants = wanted("{self}/token", "ann@example.com");
        let seen = signs_in(wants, "http", "request", json!({"path": "/x"}), config, json!({"private_key": private})).await;
        assert_eq!((&seen["assertions"][0]["alg"], &seen["assertions"][0]["kid"]), (&json!(algorithm), &json!("k1")), "{seen:#}");

        assert_eq!(seen["assertions"][0]["tenant"], 7, "{seen:#}");

        let file = connectors::declared::File::read(&SIGNING.replace("ALGORITHM", algorithm)).unwrap().connector();
        let server = Server::start(&wanted("https://ann.example", "ann"));
        let config = json!({"base_url": "{self}", "token_url": "{self}/token", "user": "ann"});
        let done = server.call_of(&file, "get", json!({}), config, json!({"client_id": "app", "private_key": private})).await;
        let seen = server.seen().await;
        assert_eq!((&seen["calls"], &seen["strangers"]), (&json!(1), &json!(0)), "{done:?}\n{seen:#}");
        assert_eq!((&seen["assertions"][0]["kid"], &seen["assertions"][0]["tenant"]), (&json!("key of ann"), &json!("ann")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_told_in_its_words_without_the_secret() {
    let wanted =
        json!({"client_id": "app", "client_secret": "right", "grant": "client_credentials", "method": "client_secret_post"});
    let server = Server::start(&wanted);
    let config = json!({"base_url": "{self}", "auth": "client_credentials"});
    let credentials = json!({"client_id": "app", "client_secret": "wrong-secret"});
    let error = server.call("servicenow", "who_am_i", json!({}), config, credentials).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "SIGN_IN_FAILED"), "{error:?}");
    assert!(error.message.contains("invalid_client") && !format!("{error:?}").contains("wrong-secret"), "{error:?}");

    // Signed with a key the server does not know, and made out to somebody else.
    let ((private, _), (_, public)) = (pair("RS256"), pair("RS256"));
    let wanted = json!({"client_id": "app", "grant": JWT_BEARER, "algorithm": "RS256", "public_key": public,
        "audiences": ["https://login.salesforce.com"], "subject": "ann@example.com"});
    let server = Server::start(&wanted);
    let config = json!({"login_url": "{self}", "sign_in": "jwt_bearer", "client_id": "app", "username": "ann@example.com",
        "audience": "https://login.salesforce.com"});
    let error = server.call("salesforce", "limits", json!({}), config, json!({"private_key": private})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "SIGN_IN_FAILED"), "{error:?}");
    assert!(error.message.contains("invalid_grant") && error.next.is_some(), "{error:?}");
    let seen = server.seen().await;
    assert_eq!((seen["good"].as_array().map(Vec::len), &seen["calls"]), (Some(0), &json!(0)), "nothing else was sent: {seen:#}");
}
