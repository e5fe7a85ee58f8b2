//! Asynchronous calls: kept with what they answered, and batches of records.

use std::collections::{HashMap, VecDeque};

use http::{StatusCode, header};
use serde_json::{Map, Value as Json, json};

use super::{
    NetSuite, State,
    answer::{Answer, Call, MANY, ONE, Page},
    record_api::{self, Work, segments},
    refusal::Refusal,
    schema,
    values::link,
};

/// Records of a batch.
pub(super) const BATCH_MAX: usize = 100;
/// Asynchronous calls remembered.
const JOBS_MAX: usize = 5_000;
pub(super) const BASE: &str = "/services/rest/async/v1/job";

#[derive(Debug)]
struct Job {
    begun_ms: i64,
    tasks: Vec<Answer>,
    key: Option<String>,
}

/// Asynchronous calls by number.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    last: u64,
    jobs: HashMap<u64, Job>,
    order: VecDeque<u64>,
    keys: HashMap<String, u64>,
}

impl Jobs {
    fn keep(&mut self, job: Job) -> u64 {
        if self.order.len() >= JOBS_MAX
            && let Some(old) = self.order.pop_front().and_then(|old| self.jobs.remove(&old))
            && let Some(key) = old.key
        {
            self.keys.remove(&key);
        }
        self.last += 1;
        if let Some(key) = &job.key {
            self.keys.insert(key.clone(), self.last);
        }
        self.order.push_back(self.last);
        self.jobs.insert(self.last, job);
        self.last
    }
}

/// True for a call that shall be done later.
pub(super) fn is_async(call: &Call) -> bool {
    call.prefers("respond-async")
}

fn is_batch(call: &Call) -> bool {
    let media = call.header("content-type").replace(' ', "");
    media.contains("type=collection") || (call.method == http::Method::DELETE && call.parameter("ids").is_some())
}

impl NetSuite {
    /// Does a call as an asynchronous one: `act` does it at once, the answer is given out later.
    pub(super) fn submit(&self, call: &Call, act: impl FnOnce() -> Result<Vec<Answer>, Refusal>) -> Result<Answer, Refusal> {
        let key = Some(call.header("x-netsuite-idempotency-key"))
            .filter(|key| !key.is_empty())
            .map(|key| key.chars().take(255).collect::<String>());
        let base = format!("{}{BASE}", call.base());
        let first = key.as_ref().and_then(|key| self.state.lock().jobs.keys.get(key).copied());
        if let Some(first) = first {
            let detail = "The idempotency key has already been used for another request.";
            return Err(Refusal::bad("IDEMPOTENCY_ERROR", detail)
                .header("X-NetSuite-Idempotency-Key")
                .at(format!("{base}/{first}")));
        }
        let tasks = act()?;
        let begun_ms = self.world.clock().now_ms();
        let number = self.state.lock().jobs.keep(Job { begun_ms, tasks, key });
        let mut answer = Answer::done(Some(format!("{base}/{number}"))).with("preference-applied", "respond-async".to_owned());
        answer.status = StatusCode::ACCEPTED;
        Ok(answer.with("x-netsuite-jobid", number.to_string()))
    }

    /// The parts of an asynchronous record call: one, or one for every record of a batch.
    pub(super) fn record_tasks(&self, call: &Call) -> Result<Vec<Answer>, Refusal> {
        if !is_batch(call) {
            return Ok(vec![self.records(call).unwrap_or_else(|refusal| kept(&refusal))]);
        }
        let parts = segments(&call.path, record_api::BASE);
        let kind = parts.first().filter(|_| parts.len() == 1).and_then(|name| schema::find_rest(name));
        let kind = kind.ok_or_else(|| Refusal::no_record(&call.path))?;
        let items = batch(call)?;
        let mut state = self.state.lock();
        state.may(kind, true)?;
        let now = state.now(&self.world);
        let mut work = Work { call, state: &mut state, now, events: Vec::new() };
        let answers = items.iter().map(|item| one(&mut work, kind, item).unwrap_or_else(|refusal| kept(&refusal))).collect();
        let events = std::mem::take(&mut work.events);
        self.tell(&state, &events);
        Ok(answers)
    }

    /// `/services/rest/async/v1/job/…`
    pub(super) fn job(&self, call: &Call) -> Result<Answer, Refusal> {
        if call.method != http::Method::GET {
            return Err(Refusal::method(&call.method, &call.path));
        }
        let parts = segments(&call.path, BASE);
        let nothing = || Refusal::no_record(&call.path);
        let state = self.state.lock();
        let number: u64 = parts.first().and_then(|part| part.parse().ok()).ok_or_else(nothing)?;
        let job = state.jobs.jobs.get(&number).ok_or_else(nothing)?;
        let done = self.done(&state, job);
        let address = format!("{}{BASE}/{number}", call.base());
        let rest: Vec<&str> = parts.iter().skip(1).map(String::as_str).collect();
        let task =
            |text: &str| text.parse::<usize>().ok().filter(|place| (1..=job.tasks.len()).contains(place)).ok_or_else(nothing);
        match rest.as_slice() {
            [] => Ok(Answer::json(
                ONE,
                &json!({
                    "links": [link("self", address.clone())], "id": number.to_string(), "completed": done,
                    "progress": if done { "succeeded" } else { "processing" }, "task": { "links": [link("self", format!("{address}/task"))] },
                }),
            )),
            ["task"] => {
                let asked = Page::read(call)?;
                let page = Page { limit: asked.limit.min(state.settings.task_page_rows), ..asked };
                let total = job.tasks.len().saturating_sub(state.settings.tasks_forgotten);
                let items = (1..=total)
                    .skip(page.offset)
                    .take(page.limit)
                    .map(|place| json!({ "links": [link("self", format!("{address}/task/{place}"))], "id": place.to_string() }))
                    .collect();
                Ok(Answer::json(MANY, &page.wrap(&format!("{address}/task"), "", items, total)))
            }
            ["task", place] => {
                let place = task(place)?;
                let good = job.tasks[place - 1].status.is_success();
                let progress = if !done {
                    "processing"
                } else if good {
                    "succeeded"
                } else {
                    "failed"
                };
                let own = format!("{address}/task/{place}");
                Ok(Answer::json(
                    ONE,
                    &json!({
                        "links": [link("self", own.clone())], "id": place.to_string(), "completed": done, "progress": progress,
                        "result": { "links": [link("self", format!("{own}/result"))] },
                    }),
                ))
            }
            ["task", place, "result"] if done => Ok(job.tasks[task(place)? - 1].clone()),
            ["task", _, "result"] => {
                Err(Refusal::bad("USER_ERROR", "The result is not available yet. The task has not been completed."))
            }
            _ => Err(nothing()),
        }
    }

    fn done(&self, state: &State, job: &Job) -> bool {
        let wait = i64::try_from(state.settings.async_ms).unwrap_or(i64::MAX);
        self.world.clock().now_ms().saturating_sub(job.begun_ms) >= wait
    }
}

fn kept(refusal: &Refusal) -> Answer {
    let mut answer = Answer::json("application/vnd.oracle.resource+json; type=error", &refusal.body());
    answer.status = refusal.status;
    answer
}

type Item = (Option<String>, Map<String, Json>);

/// The records of a batch: the key in the address, if one is given, and the body.
fn batch(call: &Call) -> Result<Vec<Item>, Refusal> {
    if let Some(ids) = call.parameter("ids") {
        let keys: Vec<Item> = ids.split(',').map(|key| (Some(key.trim().to_owned()), Map::new())).collect();
        return within(keys);
    }
    let body = call.object()?;
    let Some(Json::Array(items)) = body.get("items") else {
        return Err(Refusal::bad("INVALID_CONTENT", "Invalid content in the request body. A collection has an array 'items'.")
            .path("items"));
    };
    let item = |item: &Json| {
        let body = item.as_object()?.clone();
        let text = |name: &str| match body.get(name)? {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let key =
            text("id").or_else(|| text("externalId").map(|external| format!("eid:{}", external.trim_start_matches("eid:"))));
        Some((key, body))
    };
    let items: Option<Vec<Item>> = items.iter().map(item).collect();
    within(items.ok_or_else(|| {
        Refusal::bad("INVALID_CONTENT", "Invalid content in the request body. An item is an object.").path("items")
    })?)
}

fn within(items: Vec<Item>) -> Result<Vec<Item>, Refusal> {
    if items.is_empty() || items.len() > BATCH_MAX {
        return Err(Refusal::bad("INVALID_CONTENT", "A batch holds between 1 and 100 records.").path("items"));
    }
    Ok(items)
}

fn one(work: &mut Work<'_>, kind: &'static schema::Type, (key, body): &Item) -> Result<Answer, Refusal> {
    let missing = || Refusal::bad("MISSING_PARAMETER", "An item needs the member 'id' or 'externalId'.");
    let key = key.as_deref();
    match work.call.method.as_str() {
        "POST" => work.create(kind, body),
        "PATCH" => {
            let mut body = body.clone();
            body.remove("id");
            work.update(kind, key.ok_or_else(missing)?, &body)
        }
        "PUT" => work.upsert(kind, key.ok_or_else(missing)?, body),
        "DELETE" => work.delete(kind, key.ok_or_else(missing)?),
        _ => Err(Refusal::method(&work.call.method, &work.call.path)),
    }
}

/// Refuses a batch that asks for an answer at once.
pub(super) fn check_sync(call: &Call) -> Result<(), Refusal> {
    if is_batch(call) && call.method != http::Method::GET {
        let detail = "A batch operation is asynchronous. Set the header Prefer to respond-async.";
        return Err(Refusal::bad("INVALID_PARAMETER", detail).header(header::HeaderName::from_static("prefer").as_str()));
    }
    Ok(())
}
