use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    AddressPolicy,
    error::Doubt,
    http::{Http, HttpOptions},
};

const DIALECT: Dialect = Dialect {
    system: "Books",
    errors: &[ErrorRow {
        code: "NO_FIELD",
        class: ErrorClass::Invalid,
        sentence: "Books does not know a field that was sent",
        next: "Correct the field's name.",
    }],
    refusal: |answer| {
        let body = answer.peek()?;
        let code = body["code"].as_str()?.to_owned();
        let refusal = Refusal::new(code.clone(), body["words"].as_str().unwrap_or_default());
        Some(if code == "SIGNED_OUT" { refusal.signed_out() } else { refusal })
    },
    fails_late: false,
};

/// Gives `one`, then `two`.
struct Tokens(AtomicUsize);

#[async_trait]
impl Sign for Tokens {
    async fn sign(&self, _cx: &Cx, request: &mut Request, refused: Option<&Secret>) -> Result<Option<Secret>, StepError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let token = Secret::new(if refused.is_some() { "token-two" } else { "token-one" }.to_owned());
        put_secret(&mut request.headers, &header::AUTHORIZATION, &token)?;
        Ok(Some(token))
    }
}

/// Answers each request with the next of these texts, and gives what it was sent.
async fn server(answers: &'static [&'static str]) -> (Url, tokio::task::JoinHandle<Vec<String>>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/v1/things?secret_key=hidden-in-query", socket.local_addr().unwrap())).unwrap();
    let served = tokio::spawn(async move {
        let mut heard = Vec::new();
        for answer in answers {
            let (mut stream, _) = socket.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            let (status, body) = answer.split_once(' ').unwrap();
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        heard
    });
    (url, served)
}

fn cx() -> Cx {
    let policy = AddressPolicy::with_private();
    let connection = Connection {
        name: "books".to_owned(),
        connector: "books".to_owned(),
        config: json!({}),
        credentials: HashMap::from([("password".to_owned(), Secret::new("very-private".to_owned()))]),
    };
    Cx {
        http: Http::new(HttpOptions { policy, ..HttpOptions::default() }).unwrap(),
        connection: Some(Arc::new(connection)),
        idempotency_key: "key".into(),
        timeout: Duration::from_secs(10),
        began: tokio::time::Instant::now(),
        began_us: 1_760_000_000_000_000,
        attempt: 1,
        in_doubt: false,
        run_id: "run".into(),
        path: "step".into(),
        traceparent: None,
        turns: None,
    }
}

async fn asked(answers: &'static [&'static str]) -> (Result<Answer, StepError>, Vec<String>) {
    let (url, served) = server(answers).await;
    let (cx, tokens) = (cx(), Tokens(AtomicUsize::new(0)));
    let call = Call::new(&cx, &DIALECT, &tokens, Method::POST, url).json(&json!({"name": "very-private thing"}));
    let result = call.send().await;
    (result, served.await.unwrap())
}

#[tokio::test]
async fn a_sign_in_that_ran_out_is_renewed_once_and_no_more() {
    let (result, heard) = asked(&["401 {\"code\":\"SIGNED_OUT\"}", "200 {\"id\":1}"]).await;
    assert_eq!(result.unwrap().json().unwrap(), json!({"id": 1}));
    assert!(heard[0].contains("token-one") && heard[1].contains("token-two"), "{heard:?}");
    let (result, heard) = asked(&["401 {\"code\":\"SIGNED_OUT\"}", "401 {\"code\":\"SIGNED_OUT\"}"]).await;
    let error = result.err().unwrap();
    assert_eq!((error.class, error.doubt, heard.len()), (ErrorClass::Auth, Doubt::Settled, 2));
}

/// Each try is a call of the trace its run is.
#[tokio::test]
async fn the_trace_is_told_to_the_system() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (url, served) = server(&["401 {\"code\":\"SIGNED_OUT\"}", "200 {\"id\":1}"]).await;
    let (cx, tokens) = (Cx { traceparent: Some(TRACE.into()), ..cx() }, Tokens(AtomicUsize::new(0)));
    Call::new(&cx, &DIALECT, &tokens, Method::POST, url).send().await.unwrap();
    let heard = served.await.unwrap();
    assert!(heard.len() == 2 && heard.iter().all(|call| call.contains(&format!("traceparent: {TRACE}"))), "{heard:?}");
    let (_, heard) = asked(&["200 {\"id\":1}"]).await;
    assert!(!heard[0].contains("traceparent"), "{heard:?}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_table_without_secrets_whatever_its_status() {
    for status in ["400", "200"] {
        let answer: &'static str = format!("{status} {{\"code\":\"NO_FIELD\",\"words\":\"no very-private here\"}}").leak();
        let (result, _) = asked(vec![answer].leak()).await;
        let error = result.err().unwrap();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::Invalid, "NO_FIELD"));
        assert_eq!(error.message, "Books does not know a field that was sent: no ••• here");
        assert_eq!(error.next.as_deref(), Some("Correct the field's name."));
        let told = format!("{:?} {:?}", error.request, error.response);
        assert!(told.contains("/v1/things") && told.contains("thing"), "{told}");
        for secret in ["very-private", "hidden-in-query", "token-one"] {
            assert!(!told.contains(secret), "{secret}: {told}");
        }
    }
}

#[tokio::test]
async fn statuses_without_a_refusal_are_judged_by_themselves() {
    for (answer, class) in [
        ("500 oh", ErrorClass::Server),
        ("503 away", ErrorClass::Server),
        ("429 slow", ErrorClass::RateLimited),
        ("403 no", ErrorClass::Denied),
        ("404 none", ErrorClass::NotFound),
        ("302 gone", ErrorClass::Invalid),
    ] {
        let (result, _) = asked(vec![answer].leak()).await;
        let error = result.err().unwrap();
        assert_eq!(error.class, class, "{answer}");
        assert_eq!(error.doubt, Doubt::Settled, "{answer}");
    }
}

#[tokio::test]
async fn a_gateway_does_not_know_what_the_system_did() {
    for answer in ["502 <html>Bad gateway</html>", "504 late"] {
        let error = asked(vec![answer].leak()).await.0.err().unwrap();
        assert_eq!((error.class, error.doubt), (ErrorClass::Server, Doubt::MayHaveHappened), "{answer}");
    }
    let late = Dialect { fails_late: true, ..DIALECT };
    let doubt = async |answer: &'static str| {
        let (url, served) = server(vec![answer].leak()).await;
        let (cx, tokens) = (cx(), Tokens(AtomicUsize::new(0)));
        let error = Call::new(&cx, &late, &tokens, Method::POST, url).json(&json!({})).send().await.err().unwrap();
        served.await.unwrap();
        error.doubt
    };
    assert_eq!(doubt("500 oh").await, Doubt::MayHaveHappened);
    assert_eq!(doubt("500 {\"code\":\"NO_FIELD\"}").await, Doubt::Settled, "the table knows what it means");
    assert_eq!(doubt("503 away").await, Doubt::Settled);
}

#[tokio::test]
async fn an_answer_of_success_that_cannot_be_read_may_have_had_its_effect() {
    for answer in ["200 <!DOCTYPE html><html>maintenance</html>", "200 {\"id\":", "200 {\"id\":1} trailing", "200 "] {
        let (result, _) = asked(vec![answer].leak()).await;
        let error = result.unwrap().json().unwrap_err();
        assert_eq!((error.class, error.doubt), (ErrorClass::Server, Doubt::MayHaveHappened), "{answer}");
    }
    let (result, _) = asked(&["200 \u{feff}{\"id\":1}"]).await;
    assert_eq!(result.unwrap().json().unwrap(), json!({"id": 1}), "a byte order mark is no fault");
}
