//! The Pub/Sub API: platform events and changes of records over gRPC, on the same address as everything else.
//!
//! Subscribers say how many events they take and get no more. A stream begins behind a replay id, at the beginning
//! of what is kept, or at its end. What is wrong is told by a gRPC status with Salesforce's own code in its trailers.

mod changes;
mod layout;
mod messages;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming, metadata::MetadataMap, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;

pub(super) use self::{
    changes::{gap, tell},
    layout::{Layout, zulu},
};
use self::{
    layout::event_name,
    messages::{
        ConsumerEvent, FetchRequest, FetchResponse, ProducerEvent, PublishError, PublishRequest, PublishResponse, PublishResult,
        ReplayPreset, SchemaInfo, SchemaRequest, TopicInfo, TopicRequest,
    },
};
use super::{bus, schema::Object, system::System, write::Fields};
use crate::{fault::Kind, serve::Line};

/// Where the service is.
pub(super) const PATH: &str = "/eventbus.v1.PubSub/";
/// Events of one answer.
const BATCH_MAX: usize = 50;
/// Events of one publish.
const PUBLISH_MAX: usize = 200;
/// A spoilt event: a number that does not end.
const SPOILT_BYTES: usize = 3;
/// Answers that wait for a slow subscriber.
const ANSWERS_WAITING: usize = 4;

type Out<T> = stream::BoxStream<'static, Result<T, Status>>;
type Answered<T> = Result<tonic::Response<T>, Status>;

pub(super) fn router() -> Router<Arc<System>> {
    Router::new().route("/eventbus.v1.PubSub/{method}", post(handle))
}

/// Publishes a platform event; gives its number and its id.
pub(super) fn publish(system: &System, object: &Object, mut payload: Fields, user: &str, uuid: Option<String>) -> (u64, String) {
    let layout = Layout::event(object);
    let uuid = uuid.unwrap_or_else(|| bus::uuid(&system.random.lock()));
    let now_ms = system.now_ms();
    payload.insert("CreatedDate".to_owned(), json!(now_ms));
    payload.insert("CreatedById".to_owned(), json!(user));
    let topic = format!("/event/{}", object.name);
    let data = layout.event_data(object, &payload);
    let mut written = layout.write(None, &payload);
    let mut settings = system.settings.write();
    if settings.spoilt_events > 0 {
        settings.spoilt_events -= 1;
        written = vec![0xff; SPOILT_BYTES];
    }
    drop(settings);
    let mut bus = system.bus.lock();
    bus.know(&layout);
    let place = bus.publish(&[&topic], bus::New { schema: &layout.id, uuid: &uuid, payload: written.into(), data }, now_ms);
    bus.ring();
    (place, uuid)
}

/// The answer to a call that a fault refuses.
pub(super) fn refused(kind: &Kind) -> Response {
    let status = match kind {
        Kind::ExpiredSession => signed_out(),
        Kind::RateLimited { .. } => {
            trouble(Code::ResourceExhausted, "service.protection.triggered", "Too many connections or requests")
        }
        Kind::DailyLimit => trouble(
            Code::ResourceExhausted,
            "subscription.limit.exceeded",
            "You have exceeded the event delivery limit for your org.",
        ),
        Kind::Denied => {
            trouble(Code::PermissionDenied, "subscription.topic.cannot.subscribe", "The user may not subscribe to the topic")
        }
        Kind::ServerError => trouble(Code::Internal, "subscription.internal.error", "An internal error occurred"),
        _ => away(),
    };
    status.into_http::<Body>()
}

/// A status with Salesforce's own code, which begins with the same words everywhere.
fn trouble(code: Code, own: &str, words: &str) -> Status {
    let mut trailers = MetadataMap::new();
    let rpc_id = "5f6e7d8c-0000-4000-a000-000000000001";
    for (name, value) in [("error-code", format!("sfdc.platform.eventbus.grpc.{own}")), ("rpc-id", rpc_id.to_owned())] {
        if let Ok(value) = value.parse() {
            trailers.insert(name, value);
        }
    }
    Status::with_metadata(code, format!("{words} rpcId: {rpc_id}"), trailers)
}

fn signed_out() -> Status {
    trouble(Code::Unauthenticated, "service.auth.error", "An authentication exception occurred. Provide valid authentication.")
}

fn away() -> Status {
    trouble(Code::Unavailable, "service.unavailable", "The service is unavailable")
}

async fn handle(State(system): State<Arc<System>>, Path(method): Path<String>, request: Request) -> Response {
    let line = request.extensions().get::<Line>().cloned().unwrap_or_default();
    let answer = match method.as_str() {
        "GetTopic" => {
            let ask = service_fn(move |call: tonic::Request<TopicRequest>| {
                let answered = system.clone().topic_info(&call);
                async move { answered }
            });
            Grpc::new(ProstCodec::default()).unary(ask, request).await
        }
        "GetSchema" => {
            let ask = service_fn(move |call: tonic::Request<SchemaRequest>| {
                let answered = system.clone().schema_info(&call);
                async move { answered }
            });
            Grpc::new(ProstCodec::default()).unary(ask, request).await
        }
        "Publish" => {
            let ask = service_fn(move |call: tonic::Request<PublishRequest>| {
                let answered = system.published(&call);
                async move { answered }
            });
            Grpc::new(ProstCodec::default()).unary(ask, request).await
        }
        "PublishStream" => {
            let ask = service_fn(move |call: tonic::Request<Streaming<PublishRequest>>| {
                let answered = publish_stream(system.clone(), call);
                async move { answered }
            });
            Grpc::new(ProstCodec::default()).streaming(ask, request).await
        }
        "Subscribe" => {
            let ask = service_fn(move |call: tonic::Request<Streaming<FetchRequest>>| {
                let answered = subscribe(system.clone(), line.clone(), call);
                async move { answered }
            });
            Grpc::new(ProstCodec::default()).streaming(ask, request).await
        }
        _ => return Status::unimplemented("this method is not simulated").into_http::<Body>(),
    };
    answer.map(Body::new).into_response()
}

/// Who calls.
struct Session {
    token: String,
    user: String,
}

/// What a topic is about.
pub(super) enum Topic<'a> {
    Event(&'a Object),
    Changes(&'a Object),
    AllChanges,
}

impl System {
    fn caller(&self, metadata: &MetadataMap) -> Result<Session, Status> {
        let held = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (token, tenant) = (held("accesstoken"), held("tenantid"));
        if token.is_empty() || tenant.is_empty() || held("instanceurl").is_empty() {
            let words = "accesstoken, instanceurl and tenantid must be given";
            return Err(trouble(Code::Unauthenticated, "service.auth.headers.invalid", words));
        }
        let org = self.org.lock().id.clone();
        let grant = self.tokens.check(self.now_s(), token).map_err(|_| signed_out())?;
        if tenant.len() < 15 || !org.starts_with(tenant) {
            return Err(signed_out());
        }
        Ok(Session { token: token.to_owned(), user: grant.subject })
    }

    /// Gives a topic to a function, with the org's lock held.
    pub(super) fn with_topic<T>(&self, name: &str, then: impl FnOnce(Topic<'_>) -> T) -> Result<T, Status> {
        if name.is_empty() {
            return Err(trouble(Code::InvalidArgument, "topic.validation.empty", "The topic name is blank"));
        }
        let org = self.org.lock();
        let captured = self.settings.read().change_capture.clone();
        let found = if let Some(event) = name.strip_prefix("/event/") {
            let object = org.schema.objects.iter().find(|object| object.event() && object.name == event);
            object.map(Topic::Event)
        } else if name == changes::ALL {
            Some(Topic::AllChanges)
        } else {
            let event = name.strip_prefix("/data/").unwrap_or_default();
            let object = org.schema.objects.iter().find(|object| event_name(&object.name) == event);
            object.filter(|object| captured.contains(&object.name)).map(Topic::Changes)
        };
        let words = format!("The topic {name} does not exist");
        found.map(then).ok_or_else(|| trouble(Code::NotFound, "topic.not.found", &words))
    }

    fn topic_info(&self, call: &tonic::Request<TopicRequest>) -> Answered<TopicInfo> {
        self.caller(call.metadata())?;
        let name = call.get_ref().topic_name.clone();
        let (layout, can_publish) = self.with_topic(&name, |topic| match topic {
            Topic::Event(object) => (Some(Layout::event(object)), true),
            Topic::Changes(object) => (Some(Layout::changes(object)), false),
            Topic::AllChanges => (None, false),
        })?;
        if let Some(layout) = &layout {
            self.bus.lock().know(layout);
        }
        Ok(tonic::Response::new(TopicInfo {
            topic_name: name,
            tenant_guid: self.org.lock().id.to_string(),
            can_publish,
            can_subscribe: true,
            schema_id: layout.map(|layout| layout.id.to_string()).unwrap_or_default(),
            rpc_id: String::new(),
        }))
    }

    fn schema_info(&self, call: &tonic::Request<SchemaRequest>) -> Answered<SchemaInfo> {
        self.caller(call.metadata())?;
        let id = call.get_ref().schema_id.clone();
        if id.is_empty() {
            return Err(trouble(Code::InvalidArgument, "schema.validation.failed", "The schema ID is blank"));
        }
        let schema = self.bus.lock().layout(&id).map(|layout| layout.json.clone());
        let schema_json = schema
            .ok_or_else(|| trouble(Code::NotFound, "schema.meta.permission", "The schema cannot be read or does not exist"))?;
        Ok(tonic::Response::new(SchemaInfo { schema_json, schema_id: id, rpc_id: String::new() }))
    }

    fn published(&self, call: &tonic::Request<PublishRequest>) -> Answered<PublishResponse> {
        let session = self.caller(call.metadata())?;
        self.publish_batch(&session, call.get_ref()).map(tonic::Response::new)
    }

    fn publish_batch(&self, session: &Session, asked: &PublishRequest) -> Result<PublishResponse, Status> {
        if asked.events.is_empty() || asked.events.len() > PUBLISH_MAX {
            return Err(trouble(Code::InvalidArgument, "publish.event.count.invalid", "There must be 1 to 200 events"));
        }
        let object = self.with_topic(&asked.topic_name, |topic| match topic {
            Topic::Event(object) => Some(object.clone()),
            _ => None,
        })?;
        let object = object.ok_or_else(|| {
            trouble(Code::PermissionDenied, "publish.topic.cannot.publish", "The topic does not allow publishing")
        })?;
        let schema_id = Layout::event(&object).id.to_string();
        let results = asked.events.iter().map(|event| self.publish_one(session, &object, event)).collect();
        Ok(PublishResponse { results, schema_id, rpc_id: String::new() })
    }

    fn publish_one(&self, session: &Session, object: &Object, event: &ProducerEvent) -> PublishResult {
        let layout = Layout::event(object);
        let read = (*event.schema_id == *layout.id).then(|| layout.read(&event.payload)).flatten();
        let missing = |values: &Map<String, Json>| {
            let mut needed = object
                .live_fields()
                .filter(|(_, field)| field.custom() && field.required && field.kind != super::schema::Kind::Boolean);
            needed.find(|(_, field)| !values.contains_key(&field.name)).map(|(_, field)| field.name.clone())
        };
        let refused = match &read {
            None => Some("The payload does not fit the schema of the topic".to_owned()),
            Some(values) => missing(values).map(|field| format!("REQUIRED_FIELD_MISSING: {field}")),
        };
        let (correlation_key, error) = (event.id.clone(), refused.map(|msg| PublishError { code: 1, msg }));
        let mut replay_id = Vec::new();
        if let (None, Some(values)) = (&error, read) {
            let uuid = (!event.id.is_empty()).then(|| event.id.clone());
            let place = publish(self, object, values, &session.user, uuid).0;
            replay_id = self.bus.lock().replay_id(place);
        }
        PublishResult { replay_id, error, correlation_key }
    }
}

/// How a stream breaks.
pub(super) enum Broken {
    Expired,
    Unavailable,
    Reset,
}

impl System {
    /// Events that a stream may deliver before it breaks, or how it breaks now.
    pub(super) fn before_break(&self, delivered: u64) -> Result<usize, Broken> {
        let mut settings = self.settings.write();
        if settings.stream_breaks == 0 {
            return Ok(usize::MAX);
        }
        let left = settings.stream_break_events.saturating_sub(delivered);
        if left > 0 {
            return Ok(usize::try_from(left).unwrap_or(usize::MAX));
        }
        settings.stream_breaks -= 1;
        match settings.stream_break_with.as_str() {
            "expired" => {
                self.tokens.expire_all();
                Err(Broken::Expired)
            }
            "unavailable" => Err(Broken::Unavailable),
            _ => Err(Broken::Reset),
        }
    }
}

/// Answers out of a channel, for as long as it is fed.
fn answers<T: Send + 'static>(out: mpsc::Receiver<Result<T, Status>>) -> Answered<Out<T>> {
    let answers = stream::unfold(out, |mut out| async move { out.recv().await.map(|answer| (answer, out)) });
    Ok(tonic::Response::new(Box::pin(answers)))
}

fn publish_stream(system: Arc<System>, call: tonic::Request<Streaming<PublishRequest>>) -> Answered<Out<PublishResponse>> {
    let session = system.caller(call.metadata())?;
    let mut asked = call.into_inner();
    let (give, out) = mpsc::channel(ANSWERS_WAITING);
    tokio::spawn(async move {
        let mut topic = String::new();
        while let Ok(Some(mut batch)) = asked.message().await {
            if topic.is_empty() {
                topic = batch.topic_name.clone();
            }
            if batch.topic_name.is_empty() {
                batch.topic_name = topic.clone();
            }
            let answer = if batch.topic_name == topic {
                system.publish_batch(&session, &batch)
            } else {
                Err(trouble(Code::InvalidArgument, "publish.topic.mismatch", "The topic changed"))
            };
            let over = answer.is_err();
            if give.send(answer).await.is_err() || over {
                break;
            }
        }
    });
    answers(out)
}

/// One subscription while it lasts.
struct Subscription {
    system: Arc<System>,
    session: Session,
    topic: String,
    /// The last place that was delivered.
    place: u64,
    /// Events the subscriber still takes.
    credit: usize,
    delivered: u64,
}

fn subscribe(system: Arc<System>, line: Line, call: tonic::Request<Streaming<FetchRequest>>) -> Answered<Out<FetchResponse>> {
    let session = system.caller(call.metadata())?;
    let mut asked = call.into_inner();
    let (give, out) = mpsc::channel(ANSWERS_WAITING);
    tokio::spawn(async move {
        let Ok(Some(first)) = asked.message().await else { return };
        let told = match begin(system, session, &first) {
            Ok(subscription) => subscription.run(&mut asked, &give, &line).await,
            Err(status) => Err(status),
        };
        if let Err(status) = told {
            let _ = give.send(Err(status)).await;
        }
    });
    answers(out)
}

fn begin(system: Arc<System>, session: Session, first: &FetchRequest) -> Result<Subscription, Status> {
    system.with_topic(&first.topic_name, |_| ())?;
    let credit = requested(first)?;
    let invalid = |own: &str, words: &str| trouble(Code::InvalidArgument, own, words);
    let place = {
        let mut bus = system.bus.lock();
        bus.forget(system.now_ms());
        match ReplayPreset::try_from(first.replay_preset) {
            Ok(ReplayPreset::Earliest) => 0,
            Ok(ReplayPreset::Custom) if first.replay_id.is_empty() => {
                let words = "The replay ID must be given with the preset CUSTOM";
                return Err(invalid("subscription.fetch.replayid.validation.failed", words));
            }
            Ok(ReplayPreset::Custom) => bus.place(&first.replay_id).ok_or_else(|| {
                let words =
                    "The Replay ID validation failed. Ensure that the Replay ID is valid and within the retention window.";
                invalid("subscription.fetch.replayid.corrupted", words)
            })?,
            _ => bus.newest(),
        }
    };
    Ok(Subscription { system, session, topic: first.topic_name.clone(), place, credit, delivered: 0 })
}

fn requested(request: &FetchRequest) -> Result<usize, Status> {
    usize::try_from(request.num_requested).ok().filter(|count| *count > 0).ok_or_else(|| {
        let words = "The number of requested events must be greater than zero";
        trouble(Code::InvalidArgument, "subscription.fetch.requested.events.invalid", words)
    })
}

impl Subscription {
    async fn run(
        mut self,
        asked: &mut Streaming<FetchRequest>,
        give: &mpsc::Sender<Result<FetchResponse, Status>>,
        line: &Line,
    ) -> Result<(), Status> {
        let mut news = self.system.bus.lock().news.subscribe();
        loop {
            news.borrow_and_update();
            loop {
                let response = match self.next() {
                    Ok(Some(response)) => response,
                    Ok(None) => break,
                    Err(Broken::Expired) => return Err(signed_out()),
                    Err(Broken::Unavailable) => return Err(away()),
                    Err(Broken::Reset) => {
                        line.reset();
                        // A broken line has no answer; any would race with its end.
                        give.closed().await;
                        return Ok(());
                    }
                };
                if give.send(Ok(response)).await.is_err() {
                    return Ok(());
                }
            }
            let keepalive = Duration::from_millis(self.system.settings.read().stream_keepalive_ms);
            tokio::select! {
                more = asked.message() => match more {
                    Ok(Some(more)) if more.topic_name.is_empty() || more.topic_name == self.topic => self.credit += requested(&more)?,
                    Ok(Some(_)) => return Err(trouble(Code::InvalidArgument, "subscription.fetch.topic.mismatch", "The topic changed")),
                    _ => return Ok(()),
                },
                Ok(()) = news.changed() => {}
                () = tokio::time::sleep(keepalive) => {
                    self.still_signed_in().map_err(|_| signed_out())?;
                    let response = self.alive();
                    if give.send(Ok(response)).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn still_signed_in(&self) -> Result<(), Broken> {
        self.system.tokens.check(self.system.now_s(), &self.session.token).map(drop).map_err(|_| Broken::Expired)
    }

    /// The next events, if there are some and they are wanted.
    fn next(&mut self) -> Result<Option<FetchResponse>, Broken> {
        let left = self.system.before_break(self.delivered)?;
        let most = self.credit.min(BATCH_MAX).min(left);
        let events = self.system.bus.lock().after(&self.topic, self.place, most);
        let Some(last) = events.last() else { return Ok(None) };
        self.still_signed_in()?;
        self.place = last.place;
        self.credit -= events.len();
        self.delivered += events.len() as u64;
        let twice = if self.system.settings.read().stream_twice { 2 } else { 1 };
        let bus = self.system.bus.lock();
        let written = events.iter().flat_map(|event| {
            let payload: Bytes = event.payload.clone();
            let produced = ProducerEvent { id: event.uuid.clone(), schema_id: event.schema.to_string(), payload };
            std::iter::repeat_n(ConsumerEvent { event: Some(produced), replay_id: bus.replay_id(event.place) }, twice)
        });
        Ok(Some(FetchResponse {
            events: written.collect(),
            latest_replay_id: bus.replay_id(self.place),
            rpc_id: String::new(),
            pending_num_requested: i32::try_from(self.credit).unwrap_or(i32::MAX),
        }))
    }

    /// Says that the stream is alive, and how far it is.
    fn alive(&mut self) -> FetchResponse {
        let mut bus = self.system.bus.lock();
        if bus.after(&self.topic, self.place, 1).is_empty() {
            self.place = bus.pass();
        }
        FetchResponse {
            latest_replay_id: bus.replay_id(self.place),
            pending_num_requested: i32::try_from(self.credit).unwrap_or(i32::MAX),
            ..FetchResponse::default()
        }
    }
}
