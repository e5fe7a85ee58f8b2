//! The Streaming API: the bus by long polls, in CometD's dialect of Bayeux.
//!
//! A client shakes hands, subscribes to channels, and keeps one `/meta/connect` waiting, which answers when there is
//! something to tell. Channels are platform events (`/event/…`), changes (`/data/…`), PushTopics (`/topic/…`) and
//! generic channels (`/u/…`). Who stays away too long is forgotten and told `403::Unknown client`.

mod topics;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    response::Response,
    routing::post,
};
use http::HeaderMap;
use http_body_util::{BodyExt, Limited};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

pub(super) use self::topics::{CHANNEL, tell};
use super::{
    answer::Answer,
    errors::Trouble,
    pubsub::Broken,
    rest::{bearer, known_version},
    system::System,
};
use crate::serve::Line;

/// Where the service is.
pub(super) const PATH: &str = "/cometd/";
/// Longest body of a call, in bytes.
const BODY_BYTES_MAX: usize = 1_048_576;
/// Clients an org may have at a time.
const CLIENTS_MAX: usize = 1_000;
/// Events of one answer.
const BATCH_MAX: usize = 200;
const NOBODY: &str = "401::Authentication invalid";
const UNKNOWN: &str = "403::Unknown client";

/// Those who listen by long polls.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    clients: HashMap<String, Client>,
}

#[derive(Debug)]
struct Client {
    /// Channels and how far each was told.
    channels: BTreeMap<String, u64>,
    /// When it last asked, or was last answered.
    seen: Instant,
    /// Counts its long polls; only the newest one is answered with events.
    turn: u64,
    /// True while one of them waits.
    waits: bool,
    delivered: u64,
}

impl Listeners {
    fn forget(&mut self, idle: Duration) {
        self.clients.retain(|_, client| client.waits || client.seen.elapsed() < idle);
    }
}

pub(super) fn router() -> Router<Arc<System>> {
    Router::new().route("/cometd/{*rest}", post(handle))
}

/// The answer to a call without a session.
pub(super) fn signed_out() -> Response {
    Answer::ok(json!([{ "channel": "/meta/connect", "successful": false, "error": NOBODY, "advice": advice("none") }]))
        .response(false)
}

fn advice(reconnect: &str) -> Json {
    json!({ "interval": 0, "reconnect": reconnect })
}

async fn handle(State(system): State<Arc<System>>, Path(rest): Path<String>, request: Request) -> Response {
    let line = request.extensions().get::<Line>().cloned().unwrap_or_default();
    // `replay/` stood in version 36.0 only; some clients add the kind of the message behind the version.
    let version = rest.strip_prefix("replay/").unwrap_or(&rest).split('/').next().unwrap_or_default();
    let (parts, body) = request.into_parts();
    let answered = match known_version(&format!("v{version}")) {
        Ok(_) => messages(&system, &parts.headers, body, &line).await,
        Err(trouble) => Err(trouble),
    };
    answered.unwrap_or_else(|trouble| Answer::trouble(&trouble)).response(false)
}

async fn messages(system: &Arc<System>, headers: &HeaderMap, body: Body, line: &Line) -> Result<Answer, Trouble> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|_| Trouble::new(413, "REQUEST_ENTITY_TOO_LARGE", "The request is too large"))?;
    let messages = match serde_json::from_slice(&body.to_bytes()) {
        Ok(Json::Array(messages)) => messages,
        Ok(message @ Json::Object(_)) => vec![message],
        _ => return Err(Trouble::json("A Bayeux message or a list of them is expected")),
    };
    // Who asks for more in the same call is not kept waiting for it.
    let waits = messages.len() == 1;
    let mut told = Vec::new();
    for message in &messages {
        let channel = message["channel"].as_str().unwrap_or_default();
        let mut answer = match system.listener(headers, channel, message) {
            Err(refused) => refused,
            Ok(id) => match channel {
                "/meta/handshake" => system.handshake(message),
                "/meta/connect" => match system.connect(id, waits, &mut told).await {
                    Ok(answer) => answer,
                    Err(Broken::Expired) => refusal(NOBODY, "none"),
                    Err(Broken::Unavailable) => {
                        return Err(Trouble::new(
                            503,
                            "SERVER_UNAVAILABLE",
                            "Server temporarily unavailable, please try again later",
                        ));
                    }
                    Err(Broken::Reset) => {
                        line.reset();
                        // A broken line has no answer; any would race with its end.
                        return std::future::pending().await;
                    }
                },
                "/meta/subscribe" => system.subscribe(id, message),
                "/meta/unsubscribe" => system.unsubscribe(id, message),
                "/meta/disconnect" => {
                    system.listeners.lock().clients.remove(id);
                    system.bus.lock().ring();
                    json!({ "successful": true })
                }
                _ => refusal("403:denied_by_security_policy:create_denied", "retry"),
            },
        };
        answer["channel"] = json!(channel);
        for same in ["id", "clientId", "subscription"] {
            if !message[same].is_null() && answer[same].is_null() {
                answer[same] = message[same].clone();
            }
        }
        told.push(answer);
    }
    Ok(Answer::ok(Json::Array(told)))
}

fn refusal(error: &str, reconnect: &str) -> Json {
    json!({ "successful": false, "error": error, "advice": advice(reconnect) })
}

impl System {
    /// The client that speaks, or why it may not.
    fn listener<'a>(&self, headers: &HeaderMap, channel: &str, message: &'a Json) -> Result<&'a str, Json> {
        let signed_in = bearer(headers).is_some_and(|token| self.tokens.check(self.now_s(), token).is_ok());
        if channel == "/meta/handshake" {
            let mut refused = refusal("403::Handshake denied", "none");
            refused["ext"] = json!({ "sfdc": { "failureReason": NOBODY }, "replay": true });
            return if signed_in { Ok("") } else { Err(refused) };
        }
        if !signed_in {
            return Err(refusal(NOBODY, "none"));
        }
        let idle = Duration::from_millis(self.settings.read().stream_idle_ms);
        let mut listeners = self.listeners.lock();
        listeners.forget(idle);
        let id = message["clientId"].as_str().unwrap_or_default();
        let client = listeners.clients.get_mut(id).ok_or_else(|| refusal(UNKNOWN, "handshake"))?;
        client.seen = Instant::now();
        Ok(id)
    }

    fn handshake(&self, message: &Json) -> Json {
        let kinds = message["supportedConnectionTypes"].as_array();
        if !kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "long-polling")) {
            return refusal("400::Unsupported connection types", "none");
        }
        let idle = Duration::from_millis(self.settings.read().stream_idle_ms);
        let id = self.random.lock().text("0123456789abcdefghijklmnopqrstuvwxyz", 28);
        let mut listeners = self.listeners.lock();
        listeners.forget(idle);
        if listeners.clients.len() >= CLIENTS_MAX {
            return refusal("403::Organization concurrent user limit exceeded", "none");
        }
        let client = Client { channels: BTreeMap::new(), seen: Instant::now(), turn: 0, waits: false, delivered: 0 };
        listeners.clients.insert(id.clone(), client);
        json!({
            "clientId": id, "successful": true, "version": "1.0", "minimumVersion": "1.0",
            "supportedConnectionTypes": ["long-polling"], "ext": { "replay": true, "payload.format": true },
        })
    }

    fn subscribe(&self, id: &str, message: &Json) -> Json {
        for channel in channels(message) {
            let place = match self.channel(channel).and_then(|()| self.begin(&message["ext"]["replay"][channel])) {
                Ok(place) => place,
                Err(error) => return refusal(&error, "retry"),
            };
            if let Some(client) = self.listeners.lock().clients.get_mut(id) {
                client.channels.insert(channel.to_owned(), place);
            }
        }
        // A long poll that waits looks at the new channel, too.
        self.bus.lock().ring();
        json!({ "successful": true })
    }

    fn unsubscribe(&self, id: &str, message: &Json) -> Json {
        if let Some(client) = self.listeners.lock().clients.get_mut(id) {
            channels(message).for_each(|channel| _ = client.channels.remove(channel));
        }
        json!({ "successful": true })
    }

    /// Whether there is such a channel.
    fn channel(&self, name: &str) -> Result<(), String> {
        let known = match name.strip_prefix("/topic/") {
            Some(topic) => topics::named(&self.org.lock(), topics::TOPIC, topic),
            None if name.starts_with("/u/") => topics::named(&self.org.lock(), CHANNEL, name),
            None => self.with_topic(name, |_| ()).is_ok(),
        };
        known.then_some(()).ok_or_else(|| format!("400::The channel you requested to subscribe to does not exist {{{name}}}"))
    }

    /// The place a subscription begins behind: -1 stands for the newest event, -2 for the oldest that is kept.
    fn begin(&self, replay: &Json) -> Result<u64, String> {
        let mut bus = self.bus.lock();
        bus.forget(self.now_ms());
        match replay.as_i64() {
            None | Some(-1) => Ok(bus.newest()),
            Some(-2) => Ok(0),
            Some(id) => u64::try_from(id).ok().filter(|place| bus.keeps(*place)).ok_or_else(|| {
                format!(
                    "400::The replayId {{{id}}} you provided was invalid.  Please provide a valid ID, -2 to replay all events, \
                     or -1 to replay only new events."
                )
            }),
        }
    }

    /// Waits until there is something to tell, and puts it before the answer. The first poll of a client answers at once.
    async fn connect(self: &Arc<Self>, id: &str, waits: bool, told: &mut Vec<Json>) -> Result<Json, Broken> {
        let poll = Duration::from_millis(self.settings.read().stream_poll_ms);
        let mut answer = json!({ "successful": true, "advice": advice("retry") });
        answer["advice"]["timeout"] = json!(poll.as_millis());
        let Some(waiting) = Waiting::new(self, id) else { return Ok(refusal(UNKNOWN, "handshake")) };
        let over = tokio::time::sleep(poll);
        tokio::pin!(over);
        loop {
            // Listening begins before the look, so that nothing comes between. A reset of the org begins a new bus.
            let mut news = self.bus.lock().news.subscribe();
            match self.gather(&waiting)? {
                None => return Ok(refusal(UNKNOWN, "handshake")),
                Some(events) if events.is_empty() && waits && waiting.turn > 1 && !waiting.overtaken(self) => {}
                Some(events) => {
                    told.extend(events);
                    return Ok(answer);
                }
            }
            tokio::select! {
                _ = news.changed() => {}
                () = &mut over => return Ok(answer),
            }
        }
    }

    /// What is new on the channels of a client; `None` when it was forgotten.
    fn gather(&self, waiting: &Waiting) -> Result<Option<Vec<Json>>, Broken> {
        let twice = self.settings.read().stream_twice;
        let mut listeners = self.listeners.lock();
        let Some(client) = listeners.clients.get_mut(&waiting.id) else { return Ok(None) };
        if client.turn != waiting.turn {
            return Ok(Some(Vec::new()));
        }
        let most = self.before_break(client.delivered)?.min(BATCH_MAX);
        let bus = self.bus.lock();
        let mut found: Vec<(u64, &String, Json)> = Vec::new();
        for (channel, place) in &client.channels {
            for event in bus.after(channel, *place, most) {
                let mut data: Json = serde_json::from_slice(&event.data).unwrap_or_default();
                data["event"]["replayId"] = json!(event.place);
                if !event.uuid.is_empty() {
                    data["event"]["EventUuid"] = json!(event.uuid);
                }
                found.push((event.place, channel, json!({ "channel": channel, "clientId": waiting.id, "data": data })));
            }
        }
        found.sort_by_key(|(place, ..)| *place);
        found.truncate(most);
        let told: Vec<(u64, String, Json)> =
            found.into_iter().map(|(place, channel, message)| (place, channel.clone(), message)).collect();
        let mut messages = Vec::with_capacity(told.len());
        for (place, channel, message) in told {
            client.channels.insert(channel, place);
            client.delivered += 1;
            messages.extend(std::iter::repeat_n(message, if twice { 2 } else { 1 }));
        }
        Ok(Some(messages))
    }
}

fn channels(message: &Json) -> impl Iterator<Item = &str> {
    let subscription = &message["subscription"];
    subscription.as_str().into_iter().chain(subscription.as_array().into_iter().flatten().filter_map(Json::as_str))
}

/// A long poll that waits.
struct Waiting {
    system: Arc<System>,
    id: String,
    turn: u64,
}

impl Waiting {
    fn new(system: &Arc<System>, id: &str) -> Option<Self> {
        let mut listeners = system.listeners.lock();
        let client = listeners.clients.get_mut(id)?;
        client.turn += 1;
        client.waits = true;
        let turn = client.turn;
        drop(listeners);
        // The poll before, if there is one, gives up.
        system.bus.lock().ring();
        Some(Self { system: system.clone(), id: id.to_owned(), turn })
    }

    fn overtaken(&self, system: &System) -> bool {
        system.listeners.lock().clients.get(&self.id).is_none_or(|client| client.turn != self.turn)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(client) = self.system.listeners.lock().clients.get_mut(&self.id)
            && client.turn == self.turn
        {
            (client.waits, client.seen) = (false, Instant::now());
        }
    }
}
