//! Actions of a declared connector.

use std::{sync::Arc, time::Duration};

use connector::{Action, Cx, Effect, ErrorClass, KeyLife, Page, StepError, whole};
use serde_json::{Value as Json, json};

use super::{
    pages::{self, Position, Walk, lookup},
    problem::{Code, Problems},
    record::{self, Record},
    request::{self, Asking, System},
    schema,
    template::{Names, Over, Template},
    yaml::Node,
};

/// Items an action gives at once; more go page by page.
const ITEMS_MAX: usize = 10_000;
const KEYS: [&str; 13] =
    ["id", "title", "summary", "note", "effect", "key_life", "input", "output", "take", "result", "answer", "paginate", "sample"];
const EFFECTS: [&str; 3] = ["none", "idempotent", "once"];
/// What formulas of a request can read.
const NAMES: [&str; 3] = ["input", "config", "call"];
/// What formulas of a result can read besides.
const RESULT_NAMES: [&str; 6] = ["input", "config", "call", "status", "headers", "body"];

/// An action as its file says it.
pub(crate) struct Spec {
    pub(crate) id: String,
    title: String,
    summary: String,
    pub(crate) effect: Effect,
    key_life: Option<Duration>,
    pub(crate) input: Json,
    pub(crate) output: Json,
    sample: Option<Json>,
    run: Run,
}

struct Run {
    asking: Asking,
    walk: Option<Walk>,
    take: Option<String>,
    result: Option<Template>,
    text: bool,
}

impl Spec {
    pub(crate) fn read(node: &Node, settings: &[&str], problems: &mut Problems) -> Option<Self> {
        let known: Vec<&str> = KEYS.iter().chain(&request::KEYS).copied().collect();
        let record = Record::read(node, "an action", &known, problems)?;
        let id = record::name(&record, "id", "an action", problems);
        let title = record.need_text("title", "an action", problems);
        let summary = record.need_text("summary", "an action", problems);
        record.need("effect", "an action", problems);
        let effect = record.word("effect", &EFFECTS, problems);
        let input = schema::fields(record.get("input"), "input", problems);
        let fields = schema::names(&input);
        let names = |roots| Names::new(roots).with("input", fields.iter().copied()).with("config", settings.iter().copied());
        let asking = Asking::read(&record, &names(&NAMES), "input", problems);
        for field in asking.unused(&fields, "input") {
            let used_later = record.get("result").is_some_and(|node| node.json().to_string().contains(field));
            if !used_later {
                problems.helped(
                    Code::UnknownName,
                    record.place("input"),
                    format!("Nothing is done with the input \"{field}\"."),
                    "Put it into the path, the query or the body, or say rest: query, json or form.",
                );
            }
        }
        let walk = pages::read(&record, problems);
        let result = record.get("result").map(|node| Template::read(node, &names(&RESULT_NAMES), problems));
        if walk.is_some() {
            for key in ["take", "result"].into_iter().filter(|key| record.get(key).is_some()) {
                let message = format!("\"{key}\" does not go with paginate: an action in pages gives its items as they are.");
                problems.add(Code::UnknownKey, record.place(key), message);
            }
            if effect == Some(2) {
                let at = record.place("paginate");
                problems.add(Code::Value, at, "A call that may happen only once cannot be made page by page.");
            }
        }
        let reads = matches!(asking.method().as_str(), "GET" | "HEAD");
        if reads && effect.is_some_and(|effect| effect != 0) {
            problems.helped(
                Code::Value,
                record.place("effect"),
                "A request with GET or HEAD only reads.",
                "Write effect: none, or use the method that writes.",
            );
        }
        let key_life = record.text("key_life", problems).and_then(|text| {
            let life = record::duration(text);
            if life.is_none() {
                let at = record.place("key_life");
                problems.add(Code::Value, at, "\"key_life\" must be a time such as 23h or 7d.");
            }
            life
        });
        if key_life.is_some() && effect.is_some_and(|effect| effect != 1) {
            problems.helped(
                Code::Value,
                record.place("key_life"),
                "Only what is repeated by its key has a key_life.",
                "Write effect: idempotent, or leave key_life out.",
            );
        }
        let item = schema::schema(record.get("output"), problems);
        let output = match walk {
            None => item,
            Some(_) => json!({
                "type": "object",
                "properties": {"items": {"type": "array", "items": item, "description": "All items of all pages."}},
                "required": ["items"],
            }),
        };
        let sample = schema::sample(record.get("sample"), &output, "The sample", problems);
        Some(Self {
            id: id?.to_owned(),
            title: title?.to_owned(),
            summary: summary?.to_owned(),
            effect: [Effect::None, Effect::Idempotent, Effect::Once][effect?],
            key_life,
            input,
            output,
            sample,
            run: Run {
                take: record.text("take", problems).map(str::to_owned),
                text: record.word("answer", &["json", "text"], problems) == Some(1),
                asking,
                walk,
                result,
            },
        })
    }

    /// The action itself; its names live as long as the process.
    pub(crate) fn action(self, system: &Arc<System>) -> Action {
        let (run, paged) = (Arc::new(self.run), Arc::clone(system));
        let whole = (Arc::clone(&run), Arc::clone(system));
        let mut action = Action::new(self.id.leak(), self.title.leak(), self.summary.leak(), move |cx, input| {
            let (run, system) = (Arc::clone(&whole.0), Arc::clone(&whole.1));
            async move { run.whole(cx, &system, input).await }
        })
        .input(self.input)
        .output(self.output)
        .effect(match self.effect {
            Effect::None => |_| Effect::None,
            Effect::Idempotent => |_| Effect::Idempotent,
            Effect::Once => |_| Effect::Once,
        });
        action.sample = self.sample;
        action.key_life = self.key_life.map(KeyLife::For);
        if run.walk.is_none() {
            return action;
        }
        action.pages(move |cx, input, cursor| {
            let (run, system) = (Arc::clone(&run), Arc::clone(&paged));
            async move { run.page(&cx, &system, input, cursor).await }
        })
    }
}

impl Run {
    async fn whole(self: Arc<Self>, cx: Cx, system: &System, input: Json) -> Result<Json, StepError> {
        if self.walk.is_some() {
            let items = whole(ITEMS_MAX, |cursor| self.page(&cx, system, input.clone(), cursor)).await?;
            return Ok(json!({ "items": items }));
        }
        let mut over = over(&cx, input)?;
        let asked = self.asking.asked(&over)?;
        let (answer, _) = self.asking.send(&cx, system, &over, &asked, None).await?;
        let body =
            if self.text { Json::String(String::from_utf8_lossy(&answer.body).into_owned()) } else { pages::json(&answer)? };
        let taken = match &self.take {
            None => body,
            Some(place) => match lookup(&body, place) {
                Some(found) => found.clone(),
                None => return Err(answer.unreadable(&format!("there is nothing at {place}"))),
            },
        };
        let Some(result) = &self.result else { return Ok(taken) };
        over.scope.set("status", Json::from(answer.status.as_u16()));
        let headers =
            answer.headers.iter().filter_map(|(name, value)| Some((name.to_string(), Json::from(value.to_str().ok()?))));
        over.scope.set("headers", Json::Object(headers.collect()));
        over.scope.set("body", taken);
        result.value(&over).map_err(|error| answer.describe(error))
    }

    async fn page(&self, cx: &Cx, system: &System, input: Json, cursor: Option<Json>) -> Result<Page, StepError> {
        let Some(walk) = &self.walk else { return Ok(Page { items: Vec::new(), next: None }) };
        let position = match cursor {
            None => Position::default(),
            Some(kept) => serde_json::from_value(kept).map_err(|_| {
                StepError::new(ErrorClass::Internal, "CURSOR_INVALID", "where the pages stood cannot be read")
                    .with_next("Run the recipe again from its event.")
            })?,
        };
        let (items, next) = pages::turn(cx, system, &self.asking, walk, &over(cx, input)?, position).await?;
        Ok(Page { items, next: next.map(|next| json!(next)) })
    }
}

fn over(cx: &Cx, input: Json) -> Result<Over, StepError> {
    let mut over = Over::new("input", input, &request::connection(cx)?.config);
    request::tell(&mut over, cx);
    Ok(over)
}
