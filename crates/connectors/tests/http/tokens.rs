//! OAuth 2.0: one token for all, renewed in time, renewed once when it is refused, never shown.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::{
    Connection, Cx, Doubt, ErrorClass, Secret,
    oauth::{Keeper, Kept},
};
use serde_json::{Value as Json, json};

use super::{
    call, cx, http, http_client,
    support::{Act, Server, answer},
    through,
};

/// What the token service saw and how often; the API takes the newest token only.
#[derive(Default)]
struct Seen {
    sign_ins: AtomicUsize,
    calls: AtomicUsize,
}

fn granted(fields: Json) -> Act {
    answer("200 OK", "content-type: application/json\r\n", fields.to_string())
}

fn bearer(request: &str) -> String {
    request.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or_default().to_owned()
}

/// A token service at `/token`, and an API that does what `api` says to (number of the call, its token).
async fn service(
    token: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
    api: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
) -> (Server, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let counted = Arc::clone(&seen);
    let server = Server::start(move |_, request| {
        if request.contains(" /token ") {
            token(counted.sign_ins.fetch_add(1, Ordering::SeqCst), request)
        } else {
            api(counted.calls.fetch_add(1, Ordering::SeqCst), &bearer(request))
        }
    })
    .await;
    (server, seen)
}

fn connection(server: &Server, more: Json, credentials: &[(&str, &str)]) -> Connection {
    let mut auth = json!({"kind": "oauth2", "token_url": server.url("/token")});
    auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    through(json!({"base_url": server.url("/v1"), "auth": auth}), credentials)
}

const CLIENT: [(&str, &str); 2] = [("client_id", "c:1"), ("client_secret", "s3cret/+")];

#[tokio::test]
async fn one_token_serves_every_call_also_at_the_same_time() {
    let (server, seen) = service(
        |number, _| granted(json!({"access_token": format!("tok{number}"), "expires_in": "3600"})),
        |_, token| if token == "tok0" { answer("200 OK", "", "") } else { answer("401 No", "", "") },
    )
    .await;
    let cx = cx(Some(connection(&server, json!({"scope": "read write", "params": {"audience": "a&b"}}), &CLIENT)));
    let calls: Vec<_> = (0..20).map(|_| tokio::spawn(call(cx.clone(), json!({"path": "/x"})))).collect();
    for one in calls {
        one.await.unwrap().unwrap();
    }
    assert_eq!(seen.sign_ins.load(Ordering::SeqCst), 1);
    assert_eq!(seen.calls.load(Ordering::SeqCst), 20);
    let sign_in = server.requests().into_iter().find(|request| request.contains(" /token ")).unwrap();
    assert!(
        sign_in.starts_with("POST /token ")
            && sign_in.contains(&format!("authorization: Basic {}\r\n", BASE64.encode("c%3A1:s3cret%2F%2B"))),
        "{sign_in}"
    );
    assert!(sign_in.ends_with("\r\n\r\ngrant_type=client_credentials&scope=read+write&audience=a%26b"), "{sign_in}");
}

#[tokio::test]
async fn id_and_secret_may_go_in_the_body() {
    let (server, _) = service(|_, _| granted(json!({"access_token": "t"})), |_, _| answer("200 OK", "", "")).await;
    call(cx(Some(connection(&server, json!({"client_auth": "body"}), &CLIENT))), json!({"path": "/x"})).await.unwrap();
    let sign_in = server.requests().remove(0);
    assert!(!sign_in.contains("authorization"), "{sign_in}");
    assert!(sign_in.ends_with("grant_type=client_credentials&client_id=c%3A1&client_secret=s3cret%2F%2B"), "{sign_in}");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_runs_out() {
    let (server, seen) = service(
        |number, _| granted(json!({"access_token": format!("tok{number}"), "expires_in": if number == 0 { 0 } else { 3600 }})),
        |_, _| answer("200 OK", "", ""),
    )
    .await;
    let cx = cx(Some(connection(&server, json!({}), &CLIENT)));
    for _ in 0..3 {
        call(cx.clone(), json!({"path": "/x"})).await.unwrap();
    }
    assert_eq!(seen.sign_ins.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_call_repeated_once() {
    let (server, seen) = service(
        |number, _| granted(json!({"access_token": format!("tok{number}"), "expires_in": 3600})),
        |_, token| if token == "tok1" { answer("200 OK", "", "") } else { answer("401 No", "", "") },
    )
    .await;
    let cx_good = cx(Some(connection(&server, json!({}), &CLIENT)));
    call(cx_good, json!({"path": "/x", "method": "POST", "json": {"a": 1}})).await.unwrap();
    assert_eq!((seen.sign_ins.load(Ordering::SeqCst), seen.calls.load(Ordering::SeqCst)), (2, 2));

    let (never, seen) = service(
        |number, _| granted(json!({"access_token": format!("tokentoken{number}")})),
        |_, token| answer("401 No", "content-type: text/plain\r\n", format!("{token} is no good")),
    )
    .await;
    let error = call(cx(Some(connection(&never, json!({}), &CLIENT))), json!({"path": "/x"})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str(), error.doubt), (ErrorClass::Auth, "HTTP_401", Doubt::Settled));
    assert!(!format!("{error:?}").contains("tokentoken"), "{error:?}");
    assert_eq!((seen.sign_ins.load(Ordering::SeqCst), seen.calls.load(Ordering::SeqCst)), (2, 2));

    // No answer is no refusal: it is not sent a second time.
    let (silent, seen) = service(|_, _| granted(json!({"access_token": "t"})), |_, _| Act::Reset).await;
    let error =
        call(cx(Some(connection(&silent, json!({}), &CLIENT))), json!({"path": "/x", "method": "POST"})).await.unwrap_err();
    assert_eq!((error.doubt, seen.calls.load(Ordering::SeqCst)), (Doubt::MayHaveHappened, 1));
    // Nor is it when the step takes 401 for an answer.
    let (taken, seen) = service(|_, _| granted(json!({"access_token": "t"})), |_, _| answer("401 No", "", "")).await;
    call(cx(Some(connection(&taken, json!({}), &CLIENT))), json!({"path": "/x", "accept": [401]})).await.unwrap();
    assert_eq!(seen.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_sign_in_that_fails_says_so_without_secrets_and_nothing_was_sent() {
    let form = "content-type: application/json\r\n";
    for (act, class, part) in [
        (
            answer("401 No", form, r#"{"error":"invalid_client","error_description":"s3cret/+ is wrong"}"#),
            ErrorClass::Auth,
            "invalid_client",
        ),
        (answer("400 No", form, r#"{"error":"invalid_scope"}"#), ErrorClass::Auth, "invalid_scope"),
        (answer("200 OK", form, r#"{"access_token": "#), ErrorClass::Auth, "no access token"),
        (answer("200 OK", form, r#"{"token": "x"}"#), ErrorClass::Auth, "no access token"),
        (answer("302 Found", "location: http://127.0.0.1:1/\r\n", ""), ErrorClass::Auth, "302"),
        (answer("503 Busy", "", "<html>"), ErrorClass::Server, "503"),
        (answer("429 Slow", "", ""), ErrorClass::RateLimited, "429"),
        (Act::Reset, ErrorClass::Network, "sign-in"),
    ] {
        let (server, seen) = service(move |_, _| act.clone(), |_, _| answer("200 OK", "", "")).await;
        let input = json!({"path": "/x", "method": "POST"});
        let error = call(cx(Some(connection(&server, json!({}), &CLIENT))), input).await.unwrap_err();
        assert_eq!((error.class, error.doubt), (class, Doubt::Settled), "{error:?}");
        assert!(error.message.contains(part) && error.message.contains("\"shop\""), "{}", error.message);
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        assert_eq!(seen.calls.load(Ordering::SeqCst), 0);
    }
    let (server, seen) = service(|_, _| granted(json!({"access_token": "t"})), |_, _| answer("200 OK", "", "")).await;
    let error = call(cx(Some(connection(&server, json!({}), &CLIENT))), json!({"path": "//evil.example"})).await.unwrap_err();
    assert_eq!((error.code.as_str(), seen.sign_ins.load(Ordering::SeqCst)), ("PATH_REFUSED", 0));
}

/// Keeps what it is given, and knows what another process has kept.
#[derive(Default)]
struct Drawer {
    kept: Mutex<Vec<String>>,
    latest: Mutex<Option<String>>,
}

impl Keeper for Drawer {
    fn keep<'a>(&'a self, connection: &'a str, field: &'a str, value: Secret) -> Kept<'a, ()> {
        self.kept.lock().unwrap().push(format!("{connection}.{field}={}", value.expose()));
        Box::pin(std::future::ready(Ok(())))
    }

    fn latest<'a>(&'a self, _connection: &'a str, _field: &'a str) -> Kept<'a, Option<Secret>> {
        Box::pin(std::future::ready(Ok(self.latest.lock().unwrap().clone().map(Secret::new))))
    }
}

/// Each refresh token is good once, as many services have it.
fn rotating(number: usize, request: &str) -> Act {
    if request.contains(&format!("grant_type=refresh_token&refresh_token=r{number}")) {
        granted(json!({"access_token": format!("a{number}"), "expires_in": 0, "refresh_token": format!("r{}", number + 1)}))
    } else {
        answer("400 No", "content-type: application/json\r\n", r#"{"error":"invalid_grant"}"#)
    }
}

const REFRESH: [(&str, &str); 2] = [("client_id", "c"), ("refresh_token", "r0")];

#[tokio::test]
async fn a_replaced_refresh_token_is_used_and_kept() {
    let (server, _) = service(rotating, |_, _| answer("200 OK", "", "")).await;
    let drawer = Arc::new(Drawer::default());
    let cx = cx(Some(connection(&server, json!({"grant": "refresh_token"}), &REFRESH)));
    cx.http.keep_credentials_with(drawer.clone());
    for _ in 0..3 {
        call(cx.clone(), json!({"path": "/x"})).await.unwrap();
    }
    assert_eq!(*drawer.kept.lock().unwrap(), ["shop.refresh_token=r1", "shop.refresh_token=r2", "shop.refresh_token=r3"]);
    // The connection is read again with what was kept: it goes on from there.
    let again = connection(&server, json!({"grant": "refresh_token"}), &[("client_id", "c"), ("refresh_token", "r3")]);
    call(Cx { connection: Some(Arc::new(again)), ..cx }, json!({"path": "/x"})).await.unwrap();
    assert_eq!(drawer.kept.lock().unwrap().last().unwrap(), "shop.refresh_token=r4");
}

#[tokio::test]
async fn a_refresh_token_another_process_used_up_is_replaced_by_the_one_it_kept() {
    let token = |_: usize, request: &str| {
        if request.contains("refresh_token=r7") {
            granted(json!({"access_token": "a", "expires_in": 3600}))
        } else {
            answer("400 No", "content-type: application/json\r\n", r#"{"error":"invalid_grant"}"#)
        }
    };
    let (server, seen) = service(token, |_, _| answer("200 OK", "", "")).await;
    let drawer = Arc::new(Drawer { latest: Mutex::new(Some("r7".to_owned())), ..Drawer::default() });
    let mut cx = cx(Some(connection(&server, json!({"grant": "refresh_token"}), &REFRESH)));
    cx.http.keep_credentials_with(drawer);
    call(cx.clone(), json!({"path": "/x"})).await.unwrap();
    assert_eq!(seen.sign_ins.load(Ordering::SeqCst), 2);
    // Without anybody to ask it stays refused.
    cx.http = http_client();
    assert_eq!(call(cx, json!({"path": "/x"})).await.unwrap_err().code, "SIGN_IN_FAILED");
    assert!(http().credentials["properties"]["refresh_token"].is_object());
}

#[tokio::test]
async fn changed_credentials_sign_in_anew() {
    let (server, seen) =
        service(|_, _| granted(json!({"access_token": "t", "expires_in": 3600})), |_, _| answer("200 OK", "", "")).await;
    let cx = cx(Some(connection(&server, json!({}), &CLIENT)));
    call(cx.clone(), json!({"path": "/x"})).await.unwrap();
    let changed = connection(&server, json!({}), &[("client_id", "c:1"), ("client_secret", "other")]);
    call(Cx { connection: Some(Arc::new(changed)), ..cx }, json!({"path": "/x"})).await.unwrap();
    assert_eq!(seen.sign_ins.load(Ordering::SeqCst), 2);
}
