//! Sends spans to a collector over OTLP (HTTP, protobuf), when one is named.
//!
//! Spans wait in a bounded queue; what does not fit, or is not taken, is counted and dropped. A collector that is
//! away costs a run nothing.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use engine::trace::{self, Span};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor},
};
use store::Timestamp;
use tokio::runtime::Handle;

use crate::config::Config;

/// How long an orderly stop waits for the last spans to be taken.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);
/// A collector that takes longer is away.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Spans on their way.
pub(crate) struct Traces(Arc<BatchSpanProcessor>);

impl Traces {
    /// Lets the last spans go.
    pub(crate) async fn end(self) {
        let flushed = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH_WITHIN)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("traces.end: the collector did not take the last spans");
        }
    }
}

/// Starts sending, if the settings or the standard variables name a collector.
pub(crate) fn start(config: &Config) -> anyhow::Result<Option<Traces>> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let ours = config.layer.otlp_endpoint.as_deref().filter(|url| !url.is_empty());
    let named =
        ours.is_some() || set("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")).is_some();
    let off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if !named || off {
        return Ok(None);
    }
    #[expect(clippy::disallowed_methods, reason = "the collector is named by whoever runs this process, not by a recipe")]
    let client = reqwest::Client::builder().timeout(SEND_WITHIN).build().context("cannot make a client for traces")?;
    let client = Client { client, runtime: Handle::current() };
    let mut builder = opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(client);
    if let Some(url) = ours {
        builder = builder.with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')));
    }
    let exporter = builder.build().context("the collector for traces cannot be used")?;
    let mut processor = BatchSpanProcessor::builder(Counted(exporter)).build();
    let resource = Resource::builder();
    processor.set_resource(&match set("OTEL_SERVICE_NAME") {
        Some(_) => resource.build(),
        None => resource.with_service_name("liaison").build(),
    });
    let processor = Arc::new(processor);
    let queue = Arc::clone(&processor);
    let scope = InstrumentationScope::builder("liaison").with_version(env!("CARGO_PKG_VERSION")).build();
    trace::send_spans_to(Box::new(move |span| {
        metrics::counter!("liaison_trace_spans_total", "outcome" => "made").increment(1);
        queue.on_end(data(span, scope.clone()));
    }));
    Ok(Some(Traces(processor)))
}

fn data(span: Span, scope: InstrumentationScope) -> SpanData {
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(span.trace),
            SpanId::from_bytes(span.id),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: !span.calls && span.parent.is_some(),
        span_kind: if span.calls { SpanKind::Client } else { SpanKind::Server },
        name: span.name.into(),
        start_time: instant(span.from),
        end_time: instant(span.to),
        attributes: span.fields.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.failed.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope,
    }
}

fn instant(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(at.micros()).unwrap_or_default())
}

/// Counts what the collector took.
#[derive(Debug)]
struct Counted(opentelemetry_otlp::SpanExporter);

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let outcome = self.0.export(batch).await;
        let label = if outcome.is_ok() { "sent" } else { "failed" };
        metrics::counter!("liaison_trace_spans_total", "outcome" => label).increment(spans);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Sends from the process's own runtime: the thread that gathers spans has none.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request).await?;
            let mut response = Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.extend(answer.headers().clone());
            }
            // Nobody reads what a collector says; a long answer is cut off with its connection.
            let body = if answer.content_length().is_some_and(|bytes| bytes <= ANSWER_BYTES_MAX) {
                answer.bytes().await?
            } else {
                Bytes::new()
            };
            Ok::<_, HttpError>(response.body(body)?)
        });
        sent.await?
    }
}

/// An answer of a collector is read up to here.
const ANSWER_BYTES_MAX: u64 = 65_536;
