//! Salesforce's event bus over gRPC: one connection, one session, one subscription.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::http::{Request, Response, Uri};
use connector::{Cx, ErrorClass, Mask, Secret, StepError};
use futures_util::stream;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use serde_json::Value as Json;
use tokio::{sync::mpsc, time::timeout};
use tonic::{
    Code, Status, Streaming,
    body::Body,
    client::{Grpc, GrpcService},
    metadata::{AsciiMetadataValue, MetadataMap},
};
use tonic_prost::ProstCodec;

use super::messages::{FetchRequest, FetchResponse, SchemaInfo, SchemaRequest};
use crate::salesforce::{
    api::{connection, signed_in},
    errors::DIALECT,
    settings::pubsub_url,
};

/// What Salesforce's own codes begin with.
const CODES: &str = "sfdc.platform.eventbus.grpc.";
/// Largest message that is taken; Salesforce's largest event has a megabyte, and a batch is cut at some more.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Making the connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Why a call of the bus failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The sign-in ran out.
    SignedOut(Box<StepError>),
    /// The place a subscription was to go on from is unknown or too old.
    Lost,
    /// Anything else.
    Other(Box<StepError>),
}

impl From<StepError> for Trouble {
    fn from(error: StepError) -> Self {
        Self::Other(Box::new(error))
    }
}

impl Trouble {
    pub(super) fn told(self) -> StepError {
        match self {
            Self::SignedOut(error) | Self::Other(error) => *error,
            Self::Lost => {
                let words = "Salesforce does not know the place to go on from";
                StepError::new(ErrorClass::Conflict, format!("{CODES}subscription.fetch.replayid.corrupted"), words)
            }
        }
    }
}

/// The bus as one attempt reaches it.
pub(super) struct Bus {
    grpc: Grpc<Line>,
    headers: MetadataMap,
    mask: Mask,
    /// The token that was used.
    pub(super) token: Secret,
    /// The org's id.
    pub(super) org: String,
}

/// What calls are made on.
struct Line(SendRequest<Body>);

impl GrpcService<Body> for Line {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// Events as they come, and the way to ask for more.
pub(super) struct Subscription {
    asking: mpsc::Sender<FetchRequest>,
    coming: Streaming<FetchResponse>,
    mask: Mask,
}

impl Bus {
    /// Signs in and connects; `refused` is a token that was just refused.
    pub(super) async fn open(cx: &Cx, refused: Option<&Secret>) -> Result<Self, StepError> {
        let connection = Arc::clone(connection(cx)?);
        let token = signed_in(cx, refused).await?;
        let told = |name: &str| token.told.get(name).and_then(Json::as_str);
        // `https://login.salesforce.com/id/00D…/005…` names org and user.
        let named = told("id").and_then(|id| id.rsplit('/').nth(1)).filter(|id| id.starts_with("00D"));
        let org =
            named.or_else(|| connection.config.get("organization_id").and_then(Json::as_str)).unwrap_or_default().to_owned();
        let instance = told("instance_url").unwrap_or_default().to_owned();
        let url = pubsub_url(&connection.config).map_err(|words| {
            StepError::new(ErrorClass::Invalid, "CONNECTION_UNUSABLE", words)
                .with_next("Correct the connection's Pub/Sub address.")
        })?;
        let mut headers = MetadataMap::new();
        for (name, value) in [("accesstoken", token.access.expose()), ("instanceurl", &instance), ("tenantid", &org)] {
            let mut value = AsciiMetadataValue::try_from(value).map_err(|_| {
                StepError::new(ErrorClass::Auth, "CREDENTIAL_UNUSABLE", "the sign-in gave something that cannot be sent")
                    .with_next("Sign the connection in again.")
            })?;
            value.set_sensitive(name == "accesstoken");
            headers.insert(name, value);
        }
        let line = Line(cx.http.dial_http2(&url, CONNECT_MAX.min(cx.left())).await?);
        let origin: Uri = url.as_str().parse().map_err(|_| {
            StepError::new(ErrorClass::Invalid, "CONNECTION_UNUSABLE", "the connection's Pub/Sub address cannot be used")
        })?;
        let grpc = Grpc::with_origin(line, origin).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mask = Mask::new(connection.credentials.values().chain([&token.access]));
        Ok(Self { grpc, headers, mask, token: token.access, org })
    }

    /// The schema of an id, in Avro's JSON.
    pub(super) async fn schema(&mut self, id: &str, limit: Duration) -> Result<String, Trouble> {
        let mask = self.mask.clone();
        let asked = self.signed(SchemaRequest { schema_id: id.to_owned() });
        let call = async {
            self.ready().await?;
            let path = "/eventbus.v1.PubSub/GetSchema".parse().map_err(|_| Status::internal("no path"))?;
            let codec = ProstCodec::<SchemaRequest, SchemaInfo>::default();
            self.grpc.unary(asked, path, codec).await
        };
        Ok(within(limit, &mask, call).await?.into_inner().schema_json)
    }

    /// Begins a subscription.
    pub(super) async fn subscribe(&mut self, first: FetchRequest, limit: Duration) -> Result<Subscription, Trouble> {
        let mask = self.mask.clone();
        let (asking, asked) = mpsc::channel(4);
        // There is room, and the other end is here.
        let _ = asking.try_send(first);
        let asked = stream::unfold(asked, |mut asked| async move { asked.recv().await.map(|request| (request, asked)) });
        let asked = self.signed(asked);
        let call = async {
            self.ready().await?;
            let path = "/eventbus.v1.PubSub/Subscribe".parse().map_err(|_| Status::internal("no path"))?;
            let codec = ProstCodec::<FetchRequest, FetchResponse>::default();
            self.grpc.streaming(asked, path, codec).await
        };
        let coming = within(limit, &mask, call).await?.into_inner();
        Ok(Subscription { asking, coming, mask })
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }

    fn signed<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request
    }
}

impl Subscription {
    /// What comes next; `None` when nothing does for so long, or the stream ended in an orderly way.
    pub(super) async fn next(&mut self, limit: Duration) -> Result<Option<FetchResponse>, Trouble> {
        match timeout(limit, self.coming.message()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(status)) => Err(trouble(&status, &self.mask)),
            Err(_) => Ok(None),
        }
    }

    /// Asks for more events.
    pub(super) async fn ask(&self, topic: &str, count: i32) {
        let more = FetchRequest { topic_name: topic.to_owned(), num_requested: count, ..FetchRequest::default() };
        // When the stream is gone, reading from it says so.
        let _ = self.asking.send(more).await;
    }
}

async fn within<T>(limit: Duration, mask: &Mask, call: impl Future<Output = Result<T, Status>>) -> Result<T, Trouble> {
    match timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(status)) => Err(trouble(&status, mask)),
        Err(_) => Err(StepError::new(ErrorClass::Timeout, "TIMEOUT", "Salesforce's event bus did not answer in time").into()),
    }
}

/// What a status means. Salesforce's own code in the trailers says more than gRPC's.
fn trouble(status: &Status, mask: &Mask) -> Trouble {
    // What the other side writes could repeat what we sent.
    let said = mask.text(status.message());
    let code = status.metadata().get("error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
    if code.ends_with(".fetch.replayid.corrupted") || code.ends_with(".fetch.replayid.validation.failed") {
        return Trouble::Lost;
    }
    if code.is_empty() && std::error::Error::source(status).is_some() {
        let words = format!("the connection to Salesforce's event bus broke: {said}");
        return StepError::new(ErrorClass::Network, "CONNECTION_LOST", words)
            .with_next("Nothing to do: it is asked again.")
            .into();
    }
    let known = DIALECT.error(code);
    let class = known.map_or_else(|| class(status.code()), |row| row.class);
    let code = if code.is_empty() { format!("GRPC_{:?}", status.code()).to_uppercase() } else { code.to_owned() };
    let sentence = known.map_or("Salesforce's event bus did not do what was asked", |row| row.sentence);
    let error = StepError::new(class, code, format!("{sentence}: {said}"));
    let error = match known {
        Some(row) => error.with_next(row.next),
        None => error,
    };
    if class == ErrorClass::Auth { Trouble::SignedOut(Box::new(error)) } else { error.into() }
}

fn class(code: Code) -> ErrorClass {
    match code {
        Code::Unauthenticated => ErrorClass::Auth,
        Code::PermissionDenied => ErrorClass::Denied,
        Code::NotFound => ErrorClass::NotFound,
        Code::ResourceExhausted => ErrorClass::RateLimited,
        Code::DeadlineExceeded => ErrorClass::Timeout,
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => ErrorClass::Invalid,
        Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => ErrorClass::Conflict,
        // What the connection itself suffers comes as Unknown or Unavailable.
        Code::Unknown | Code::Unavailable | Code::Cancelled => ErrorClass::Network,
        Code::Ok | Code::Internal | Code::DataLoss => ErrorClass::Server,
    }
}
