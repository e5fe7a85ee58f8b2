//! One trace a run: it goes on from the caller's, through parking, restarts and calls, to a collector.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::Notify;

use crate::{
    harness::{Process, Target},
    scrape::scrape,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Takes spans as a collector does.
#[derive(Default)]
struct Collector {
    spans: Mutex<Vec<Span>>,
    services: Mutex<Vec<String>>,
    came: Notify,
}

impl Collector {
    async fn start() -> (Arc<Self>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let collector = Arc::new(Self::default());
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&collector));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, address)
    }

    /// Waits for a run's span; then what it was made of is there, too, for it ended before.
    async fn trace(&self, name: &str) -> Vec<Span> {
        let came = async {
            loop {
                let next = self.came.notified();
                if let Some(run) = self.spans.lock().iter().find(|span| span.name == name) {
                    return run.trace_id.clone();
                }
                next.await;
            }
        };
        let trace = tokio::time::timeout(Duration::from_secs(30), came).await.unwrap_or_else(|_| panic!("{name} never came"));
        self.spans.lock().iter().filter(|span| span.trace_id == trace).cloned().collect()
    }
}

async fn take(State(collector): State<Arc<Collector>>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP in protobuf");
    for resource in request.resource_spans {
        let fields = resource.resource.unwrap_or_default().attributes;
        collector.services.lock().extend(fields.iter().filter(|field| field.key == "service.name").map(text));
        for scope in resource.scope_spans {
            collector.spans.lock().extend(scope.spans);
        }
    }
    collector.came.notify_waiters();
}

fn text(field: &opentelemetry_proto::tonic::common::v1::KeyValue) -> String {
    match field.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn field(span: &Span, name: &str) -> String {
    span.attributes.iter().find(|field| field.key == name).map(text).unwrap_or_else(|| panic!("no {name} in {span:?}"))
}

async fn send(server: &Process, slug: &str, traceparent: Option<&str>) -> String {
    #[expect(clippy::disallowed_methods, reason = "a test calls its own server")]
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(format!("http://{}/hooks/{slug}", server.address)).body("{\"id\":\"a\"}");
    if let Some(trace) = traceparent {
        request = request.header("traceparent", trace);
    }
    let told: serde_json::Value = request.header("content-type", "application/json").send().await.unwrap().json().await.unwrap();
    told["run_id"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()
}

async fn recipe(server: &Process, slug: &str, rest: &str) {
    let text = format!("liaison: 1\nrecipe: {slug}\n{rest}");
    let (status, told) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(&text)).await;
    assert_eq!(status, 201, "{told}");
    assert_eq!(server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_one_trace_from_its_caller_to_what_it_calls_also_through_a_restart() {
    let (collector, endpoint) = Collector::start().await;
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--otlp-endpoint", endpoint.as_str()];
    let server = Process::serve_with(folder.path(), &flags);
    let child = format!(
        "trigger: {{ from: call }}\nsteps:\n  - {{ id: inner, do: http.request, with: {{ method: PUT, url: \"http://{}/call\", json: {{ step: 2 }} }} }}\n",
        target.address
    );
    recipe(&server, "child", &child).await;
    let parent = format!(
        "trigger: {{ from: webhook }}\nsteps:\n  - {{ id: first, do: http.request, with: {{ method: PUT, url: \"http://{}/call\", json: {{ step: 1 }} }} }}\n  \
         - {{ id: rest, wait: {{ for: 3s }} }}\n  - {{ id: sub, call: child, with: {{ a: 1 }} }}\n",
        target.address
    );
    recipe(&server, "parent", &parent).await;
    *target.failures.lock() = 1;
    let run = send(&server, "parent", Some(&format!("00-{TRACE}-{CALLER}-01"))).await;
    server.wait(&run, "waiting").await;
    // What the run had done is told when the process stops; the rest by the one that goes on.
    assert!(server.stop());
    let server = Process::serve_with(folder.path(), &flags);
    server.wait(&run, "succeeded").await;
    let spans = collector.trace("run parent").await;
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (whole, tries, inner) = (named("run parent"), named("step first"), named("step inner"));
    assert_eq!((whole.len(), tries.len(), inner.len()), (1, 2, 1), "{spans:#?}");
    let (whole, child) = (whole[0], named("run child")[0]);
    assert_eq!((hex::encode(&whole.trace_id), hex::encode(&whole.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    assert_eq!((field(whole, "liaison.run.id"), field(whole, "liaison.run.status")), (run, "succeeded".to_owned()));
    assert!(tries.iter().all(|span| span.parent_span_id == whole.span_id && span.kind == SpanKind::Client as i32));
    assert_eq!(inner[0].parent_span_id, child.span_id);
    assert!(spans.iter().all(|span| span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0));
    let failed = |span: &Span| span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32);
    let (bad, good): (Vec<_>, Vec<_>) = tries.into_iter().partition(|span| failed(span));
    assert_eq!((field(bad[0], "liaison.attempt"), field(good[0], "liaison.attempt")), ("1".to_owned(), "2".to_owned()));
    // Each call said which attempt it came from.
    let sent: Vec<_> = target.calls().into_iter().map(|call| call.trace).collect();
    let expected: Vec<_> =
        [bad[0], good[0], inner[0]].iter().map(|span| format!("00-{TRACE}-{}-01", hex::encode(&span.span_id))).collect();
    assert_eq!(sent, expected);
    assert!(collector.services.lock().iter().all(|name| name == "liaison"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_nobody_sent_a_trace_for_has_its_own_and_one_that_is_not_wanted_is_not_told() {
    let (collector, endpoint) = Collector::start().await;
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve_with(folder.path(), &["--otlp-endpoint", &endpoint]);
    server.set_up(&target.recipe(1, false).replace("  dedupe: { by: \"${ trigger.body.id }\" }\n", "")).await;
    let quiet = send(&server, "story", Some(&format!("00-{TRACE}-{CALLER}-00"))).await;
    let broken = send(&server, "story", Some("00-nonsense")).await;
    server.wait(&quiet, "succeeded").await;
    server.wait(&broken, "succeeded").await;
    let spans = collector.trace("run story").await;
    assert_ne!(hex::encode(&spans[0].trace_id), TRACE);
    assert!(server.stop());
    assert!(collector.spans.lock().iter().all(|span| hex::encode(&span.trace_id) != TRACE), "nobody wanted it told");
    let calls = target.calls();
    assert!(calls[0].trace.starts_with(&format!("00-{TRACE}-")) && calls[0].trace.ends_with("-00"), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_nothing_and_is_counted_and_without_one_nothing_is_sent() {
    let target = Target::start().await;
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens on port 9, the one for what is thrown away.
    let server = Process::serve_with(folder.path(), &["--otlp-endpoint", "http://127.0.0.1:9"]);
    server.set_up(&target.recipe(1, false)).await;
    for number in 0..20 {
        let run = server.send(&number.to_string()).await.unwrap();
        server.wait(&run, "succeeded").await;
    }
    let counted = async {
        loop {
            let series = scrape(&server.address).await;
            let count = |outcome: &str| {
                series
                    .get(&format!("liaison_trace_spans_total{:?}", [format!("outcome={outcome}")]))
                    .map_or(0.0, |(_, value)| *value)
            };
            assert!((count("made") - 40.0).abs() < 0.1, "{} spans", count("made"));
            if count("failed") > 0.0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), counted).await.expect("the loss is counted");
    assert!(server.stop());
    let server = Process::serve(folder.path(), None);
    let run = server.send("quiet").await.unwrap();
    server.wait(&run, "succeeded").await;
    assert_eq!(target.calls().last().unwrap().trace, "", "nobody takes spans and the caller sent no trace");
}
