//! OAuth 2.0: one token for all, renewed in time, renewed once when it is refused, never shown.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use connector::{
    Connection, Cx, Doubt, ErrorClass, Secret,
    oauth::{Ask, Keeper, Kept, Pair, Place, Turn},
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

/// What several processes share: tokens, whose turn it is, and who was refused.
#[derive(Default)]
struct Drawer {
    kept: Mutex<Option<Pair>>,
    holder: Mutex<Option<String>>,
    refused: Mutex<Vec<String>>,
    /// The next so many attempts to keep something fail.
    away: AtomicUsize,
    keeps: AtomicUsize,
}

impl Drawer {
    /// The refresh token as it is kept.
    fn refresh(&self) -> Option<String> {
        self.kept.lock().unwrap().as_ref()?.refresh.as_ref().map(|refresh| refresh.expose().to_owned())
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> Kept<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Keeper for Drawer {
    fn now_us(&self) -> i64 {
        1_000_000
    }

    fn kept<'a>(&'a self, _place: &'a Place) -> Kept<'a, Option<Pair>> {
        ready(self.kept.lock().unwrap().clone())
    }

    fn turn<'a>(&'a self, ask: Ask<'a>) -> Kept<'a, Turn> {
        if let Some(pair) = self.kept.lock().unwrap().clone().filter(|pair| pair.revision > ask.seen) {
            return ready(Turn::Moved(pair));
        }
        if let Some(reason) = self.refused.lock().unwrap().first() {
            return ready(Turn::Refused(reason.clone()));
        }
        let mut holder = self.holder.lock().unwrap();
        if holder.as_ref().is_some_and(|known| known != ask.holder) {
            return ready(Turn::Taken);
        }
        *holder = Some(ask.holder.to_owned());
        ready(Turn::Mine)
    }

    fn give_back<'a>(&'a self, _place: &'a Place, holder: &'a str) -> Kept<'a, ()> {
        self.holder.lock().unwrap().take_if(|known| known == holder);
        ready(())
    }

    fn keep<'a>(&'a self, _place: &'a Place, holder: &'a str, pair: &'a Pair) -> Kept<'a, bool> {
        self.keeps.fetch_add(1, Ordering::SeqCst);
        if self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Box::pin(std::future::ready(Err("away".to_owned())));
        }
        let mut kept = self.kept.lock().unwrap();
        if kept.as_ref().map_or(0, |kept| kept.revision) != pair.revision {
            return ready(false);
        }
        *kept = Some(Pair { revision: pair.revision + 1, ..pair.clone() });
        self.holder.lock().unwrap().take_if(|known| known == holder);
        ready(true)
    }

    fn refused<'a>(&'a self, connection: &'a str, reason: &'a str, _began_us: i64) -> Kept<'a, ()> {
        self.refused.lock().unwrap().push(format!("{connection}: {reason}"));
        ready(())
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
async fn a_replaced_refresh_token_is_kept_and_used_by_the_next_process() {
    let (server, _) = service(rotating, |_, _| answer("200 OK", "", "")).await;
    let drawer = Arc::new(Drawer::default());
    let cx = cx(Some(connection(&server, json!({"grant": "refresh_token"}), &REFRESH)));
    cx.http.keep_tokens_with(drawer.clone());
    for number in 1..4 {
        call(cx.clone(), json!({"path": "/x"})).await.unwrap();
        assert_eq!(drawer.refresh(), Some(format!("r{number}")));
    }
    // Another process knows nothing but what people gave the connection, and what is kept.
    let other = http_client();
    other.keep_tokens_with(drawer.clone());
    call(Cx { http: other, ..cx }, json!({"path": "/x"})).await.unwrap();
    assert_eq!(drawer.refresh().unwrap(), "r4");
}

/// Fifty steps in three processes, all at once, with a token that the system does not take any more.
#[tokio::test(flavor = "multi_thread")]
async fn many_in_several_processes_renew_once() {
    let (server, seen) = service(
        |number, _| {
            granted(
                json!({"access_token": format!("tok{number}"), "expires_in": 3600, "refresh_token": format!("r{}", number + 1)}),
            )
        },
        |_, token| if token == "tok1" { answer("200 OK", "", "") } else { answer("401 No", "", "") },
    )
    .await;
    let drawer = Arc::new(Drawer::default());
    let cx = cx(Some(connection(&server, json!({"grant": "refresh_token"}), &REFRESH)));
    let processes: Vec<Cx> = (0..3)
        .map(|_| {
            let http = http_client();
            http.keep_tokens_with(drawer.clone());
            Cx { http, ..cx.clone() }
        })
        .collect();
    let calls: Vec<_> = (0..50).map(|number| tokio::spawn(call(processes[number % 3].clone(), json!({"path": "/x"})))).collect();
    for one in calls {
        one.await.unwrap().unwrap();
    }
    // One for the first token, one for the one that was refused.
    assert_eq!((seen.sign_ins.load(Ordering::SeqCst), drawer.refresh().unwrap().as_str()), (2, "r2"));
}

#[tokio::test]
async fn a_token_is_used_only_once_it_is_durable() {
    let drawer = Arc::new(Drawer { away: AtomicUsize::new(3), ..Drawer::default() });
    let kept = Arc::clone(&drawer);
    let durable = move |_: usize, token: &str| {
        let known = kept.kept.lock().unwrap().as_ref().is_some_and(|pair| pair.access.expose() == token);
        if known { answer("200 OK", "", "") } else { answer("500 Used", "", "") }
    };
    let (server, seen) = service(rotating, durable).await;
    let mut cx = cx(Some(connection(&server, json!({"grant": "refresh_token"}), &REFRESH)));
    cx.timeout = std::time::Duration::from_secs(30);
    cx.http.keep_tokens_with(drawer.clone());
    call(cx, json!({"path": "/x"})).await.unwrap();
    // The token that came is tried again to be kept, not asked for anew: the old one is spent.
    assert_eq!((seen.sign_ins.load(Ordering::SeqCst), drawer.keeps.load(Ordering::SeqCst)), (1, 4));
    assert!(drawer.refused.lock().unwrap().is_empty());
}

/// The answer to a renewal is lost: where the old refresh token is good for a while, nothing is lost with it.
#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more() {
    let token = |number: usize, request: &str| match number {
        0 => Act::Reset,
        _ if request.contains("refresh_token=r0") => {
            granted(json!({"access_token": "a", "expires_in": 3600, "refresh_token": "r1"}))
        }
        _ => answer("400 No", "content-type: application/json\r\n", r#"{"error":"invalid_grant"}"#),
    };
    let (server, seen) = service(token, |_, _| answer("200 OK", "", "")).await;
    let drawer = Arc::new(Drawer::default());
    let cx = cx(Some(connection(&server, json!({"grant": "refresh_token"}), &REFRESH)));
    cx.http.keep_tokens_with(drawer.clone());
    call(cx, json!({"path": "/x"})).await.unwrap();
    assert_eq!((seen.sign_ins.load(Ordering::SeqCst), drawer.refresh().unwrap().as_str()), (2, "r1"));
}

#[tokio::test]
async fn a_definite_refusal_is_told_once_and_shared() {
    let refusing = |_: usize, _: &str| answer("400 No", "content-type: application/json\r\n", r#"{"error":"invalid_grant"}"#);
    let (server, seen) = service(refusing, |_, _| answer("200 OK", "", "")).await;
    let drawer = Arc::new(Drawer::default());
    let cx = cx(Some(connection(&server, json!({"grant": "refresh_token"}), &REFRESH)));
    cx.http.keep_tokens_with(drawer.clone());
    let other = http_client();
    other.keep_tokens_with(drawer.clone());
    let error = call(cx.clone(), json!({"path": "/x"})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "SIGN_IN_FAILED"));
    let error = call(Cx { http: other, ..cx }, json!({"path": "/x"})).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Auth, "SIGN_IN_NEEDED"));
    assert!(error.message.contains("invalid_grant") && error.next.is_some(), "{error:?}");
    assert_eq!((seen.sign_ins.load(Ordering::SeqCst), drawer.refused.lock().unwrap().len()), (1, 1));
}

/// A service that is away for a moment costs nothing while the token lasts.
#[tokio::test]
async fn a_token_that_ends_soon_serves_while_no_new_one_comes() {
    let (server, seen) = service(
        |number, _| match number {
            0 => granted(json!({"access_token": "a", "expires_in": 3600})),
            _ => answer("503 Busy", "", ""),
        },
        |_, _| answer("200 OK", "", ""),
    )
    .await;
    let drawer = Arc::new(Drawer::default());
    let cx = cx(Some(connection(&server, json!({}), &CLIENT)));
    cx.http.keep_tokens_with(drawer.clone());
    call(cx.clone(), json!({"path": "/x"})).await.unwrap();
    if let Some(pair) = drawer.kept.lock().unwrap().as_mut() {
        pair.renew_us = Some(0);
    }
    let other = http_client();
    other.keep_tokens_with(drawer);
    call(Cx { http: other, ..cx }, json!({"path": "/x"})).await.unwrap();
    assert_eq!((seen.sign_ins.load(Ordering::SeqCst), seen.calls.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_may_go_and_the_token_is_kept_all_the_same() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let token = move |_: usize, _: &str| {
        // Whoever only blocks may take the runtime's clock and sockets with him.
        tokio::task::block_in_place(|| gate.lock().unwrap().recv().unwrap());
        granted(json!({"access_token": "a", "expires_in": 3600, "refresh_token": "r1"}))
    };
    let (server, seen) = service(token, |_, _| answer("200 OK", "", "")).await;
    let drawer = Arc::new(Drawer::default());
    let mut short = cx(Some(connection(&server, json!({"grant": "refresh_token"}), &REFRESH)));
    short.http.keep_tokens_with(drawer.clone());
    short.timeout = std::time::Duration::from_millis(50);
    let error = call(short.clone(), json!({"path": "/x"})).await.unwrap_err();
    assert_eq!((error.class, error.doubt), (ErrorClass::Timeout, Doubt::Settled), "{error:?}");
    open.send(()).unwrap();
    let long = Cx { timeout: std::time::Duration::from_secs(10), began: tokio::time::Instant::now(), ..short };
    call(long, json!({"path": "/x"})).await.unwrap();
    assert_eq!((seen.sign_ins.load(Ordering::SeqCst), drawer.refresh().unwrap().as_str()), (1, "r1"));
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

#[test]
fn a_sign_in_with_the_browser_is_read_from_the_connection() {
    let config = |more: Json| {
        let mut auth = json!({
            "kind": "oauth2", "grant": "authorization_code", "token_url": "https://id.example/token",
            "authorize_url": "https://id.example/authorize", "scope": "read", "authorize_params": {"prompt": "consent"}
        });
        auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"base_url": "https://api.example", "auth": auth})
    };
    let client = || [("client_id".to_owned(), Secret::new("c".to_owned()))].into();
    let problems = |config: &Json| -> Vec<String> {
        (http().validate)(config, &client()).err().unwrap_or_default().into_iter().map(|(field, _)| field).collect()
    };
    assert_eq!(problems(&config(json!({}))), [""; 0], "a client may have no secret");
    for (more, field) in [
        (json!({"authorize_url": null}), "config.auth.authorize_url"),
        (json!({"authorize_url": "ftp://id.example"}), "config.auth.authorize_url"),
        (json!({"pkce": "no"}), "config.auth.pkce"),
        (json!({"authorize_params": {"a": 1}}), "config.auth.authorize_params"),
        (json!({"grant": "client_credentials"}), "config.auth.authorize_url"),
    ] {
        let found = problems(&config(more.clone()));
        assert!(found.contains(&field.to_owned()), "{more}: {found:?}");
    }
    let sign_in = http().sign_in.unwrap();
    let connection =
        |config: Json| Connection { name: "shop".to_owned(), connector: "http".to_owned(), config, credentials: client() };
    let read = sign_in.of(&connection(config(json!({})))).unwrap().unwrap();
    assert_eq!((read.id.as_str(), read.pkce, read.scope.as_deref()), ("c", true, Some("read")));
    assert_eq!(read.params, [("prompt".to_owned(), "consent".to_owned())]);
    let other = json!({"base_url": "https://api.example", "auth": "basic"});
    assert!(sign_in.of(&connection(other)).unwrap().is_none());
}
