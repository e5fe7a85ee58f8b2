//! Polling triggers of a declared connector.
//!
//! `keyset`: the system gives records in the order of their time from a place on; the cursor is the last record taken, with
//! the ids of that instant, because systems give those in any order.
//! `since`: the system gives what changed since a time in any order; the pages of one look are walked one by one, and the
//! time moves on when the look is over. What is read twice starts nothing twice: an occurrence has one key.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use connector::{Cx, ErrorClass, Occurrence, Poll, PollAttempt, Polled, Position as From, StepError, read_cursor};
use formula::Expression;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{
    pages::{self, Position, Walk},
    problem::{Code, Problems},
    record::{self, Record},
    request::{self, Asking, System},
    template::{self, Names, Over, Template},
    yaml::Node,
};

/// How often is asked when nothing is said.
const EVERY: Duration = Duration::from_secs(60);
/// Most often.
const EVERY_MIN: Duration = Duration::from_secs(10);
/// Pages read in one question while nothing new comes.
const PAGES_MAX: usize = 50;
/// Records of one instant that are told apart.
const TIES_MAX: usize = 10_000;
/// From here on a number is milliseconds: as seconds it would be the year 5138.
const MILLISECONDS_FROM: f64 = 100_000_000_000.0;
const KEYS: [&str; 10] = ["way", "every", "items", "id", "at", "key", "where", "lag", "overlap", "newest_first"];
/// Beside those: the event of the trigger, and paging.
const MORE_KEYS: [&str; 2] = ["data", "paginate"];
const NAMES: [&str; 7] = ["with", "config", "call", "since", "since_s", "since_ms", "after"];
const ITEM_NAMES: [&str; 3] = ["item", "with", "config"];

/// A poll as its file says it.
pub(crate) struct Spec {
    asking: Asking,
    walk: Option<Walk>,
    items: Option<String>,
    keyset: bool,
    every: Duration,
    id: Template,
    at: Template,
    key: Template,
    wanted: Option<Expression>,
    data: Option<Template>,
    /// The newest moments are left for the next question: a record that becomes visible late carries an older time.
    lag_us: i64,
    overlap_us: i64,
    newest_first: bool,
}

/// How far a trigger is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    /// What is older came already: microseconds since the epoch.
    at: i64,
    /// The last record of that instant that came.
    id: String,
    /// All records of that instant that came.
    #[serde(default)]
    ties: Vec<String>,
    /// How the system spells that time.
    told: Option<String>,
    /// The page of a look that is not over.
    page: Option<Position>,
    /// The newest time of that look.
    top: i64,
}

struct Item {
    at: i64,
    told: String,
    id: String,
    data: Json,
}

impl Spec {
    pub(crate) fn read(node: &Node, with: &[&str], settings: &[&str], problems: &mut Problems) -> Option<Self> {
        let known: Vec<&str> = KEYS.iter().chain(&MORE_KEYS).chain(&request::KEYS).copied().collect();
        let record = Record::read(node, "poll", &known, problems)?;
        let names = Names::new(&NAMES).with("with", with.iter().copied()).with("config", settings.iter().copied());
        let names = names.with("after", ["at", "id"]);
        let item = Names::new(&ITEM_NAMES).with("with", with.iter().copied()).with("config", settings.iter().copied());
        let asking = Asking::read(&record, &names, "with", problems);
        record.need("way", "poll", problems);
        let keyset = record.word("way", &["keyset", "since"], problems) == Some(0);
        record.need("at", "poll", problems);
        let template = |key: &str, otherwise: &str, problems: &mut Problems| {
            let text = record.text(key, problems).unwrap_or(otherwise);
            Template::text_of(text, record.place(key), &item, problems)
        };
        let id = template("id", "${ item.id }", problems);
        let at = template("at", "${ item.id }", problems);
        let key = match record.get("key") {
            Some(_) => template("key", "", problems),
            None => id.clone(),
        };
        let time = |key: &str, problems: &mut Problems| {
            let text = record.text(key, problems)?;
            let found = record::duration(text);
            if found.is_none() {
                problems.add(Code::Value, record.place(key), format!("\"{key}\" must be a time such as 30s, 5m or 2h."));
            }
            found
        };
        let every = time("every", problems).unwrap_or(EVERY);
        if every < EVERY_MIN {
            problems.add(
                Code::Value,
                record.place("every"),
                format!("Nothing is asked more often than every {} s.", EVERY_MIN.as_secs()),
            );
        }
        for (key, of_keyset) in [("overlap", false), ("newest_first", false), ("lag", true)] {
            if record.get(key).is_some() && of_keyset != keyset {
                let way = if of_keyset { "keyset" } else { "since" };
                problems.add(Code::UnknownKey, record.place(key), format!("\"{key}\" goes with way: {way}."));
            }
        }
        let walk = pages::read(&record, problems);
        if walk.is_some() && record.get("items").is_some() {
            problems.add(Code::UnknownKey, record.place("items"), "\"items\" belongs into paginate, where there is one.");
        }
        Some(Self {
            walk,
            items: record.text("items", problems).map(str::to_owned),
            keyset,
            every,
            id,
            at,
            key,
            wanted: record
                .text("where", problems)
                .and_then(|text| template::formula(text, record.place("where"), &item, problems)),
            data: record.get("data").map(|node| Template::read(node, &item, problems)),
            lag_us: time("lag", problems).map_or(0, |span| i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
            overlap_us: time("overlap", problems).map_or(0, |span| i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
            newest_first: record.flag("newest_first", problems),
            asking,
        })
    }

    pub(crate) fn poll(self, system: &Arc<System>) -> Poll {
        let (spec, system) = (Arc::new(self), Arc::clone(system));
        let every = spec.every;
        let ask = move |cx: Cx, with: Json, from: From| -> PollAttempt {
            let (spec, system) = (Arc::clone(&spec), Arc::clone(&system));
            Box::pin(async move { spec.ask(&cx, &system, with, &from).await })
        };
        Poll { ask: Arc::new(ask), every, steady: false }
    }

    async fn ask(&self, cx: &Cx, system: &System, with: Json, from: &From) -> Result<Polled, StepError> {
        let mut place = Place::of(from)?;
        let mut over = Over::new("with", with, &request::connection(cx)?.config);
        request::tell(&mut over, cx);
        place.tell(&mut over);
        let mut page = place.page.take();
        for _ in 0..PAGES_MAX {
            let (items, next) = self.page(cx, system, &over, page.take()).await?;
            let items = self.sorted(items, &over)?;
            let older = items.iter().any(|item| item.at < place.at);
            let until = if self.keyset { cx.now_us().saturating_sub(self.lag_us) } else { i64::MAX };
            let too_new = self.lag_us > 0 && items.iter().any(|item| item.at > until);
            let found: Vec<Item> = items
                .into_iter()
                .filter(|item| !too_new || item.at <= until)
                .filter(|item| place.is_new(item, self.keyset))
                .collect();
            let more = next.is_some() && !too_new && !(self.newest_first && older);
            if self.keyset && found.is_empty() && more {
                // A page of what came already: the system knows no place between records of one instant.
                page = next;
                continue;
            }
            return self.polled(place, found, next.filter(|_| more), &mut over);
        }
        Err(StepError::new(ErrorClass::Server, "POLL_STUCK", format!("{PAGES_MAX} pages held nothing that did not come before"))
            .with_next("Check the poll of the connector file: its request must begin at the cursor."))
    }

    async fn page(
        &self,
        cx: &Cx,
        system: &System,
        over: &Over,
        page: Option<Position>,
    ) -> Result<(Vec<Json>, Option<Position>), StepError> {
        match &self.walk {
            Some(walk) => pages::turn(cx, system, &self.asking, walk, over, page.unwrap_or_default()).await,
            None => {
                let asked = self.asking.asked(over)?;
                Ok((pages::items(cx, system, &self.asking, over, &asked, self.items.as_deref()).await?, None))
            }
        }
    }

    /// The items with their times, oldest first.
    fn sorted(&self, items: Vec<Json>, over: &Over) -> Result<Vec<Item>, StepError> {
        let mut found = Vec::with_capacity(items.len());
        for data in items {
            let over = over.with_item(&data);
            let told = self.at.text(&over)?.unwrap_or_default();
            let id = self.id.text(&over)?.unwrap_or_default();
            let at = micros(&told).ok_or_else(|| {
                StepError::new(ErrorClass::Server, "POLL_TIME", format!("a record came whose time, \"{told}\", cannot be read"))
                    .with_next("Check \"at\" in the poll of the connector file.")
            })?;
            if id.is_empty() {
                return Err(StepError::new(ErrorClass::Server, "POLL_ID", "a record came without an id")
                    .with_next("Check \"id\" in the poll of the connector file."));
            }
            found.push(Item { at, told, id, data });
        }
        found.sort_by(|one, other| one.at.cmp(&other.at).then_with(|| order(&one.id, &other.id)));
        Ok(found)
    }

    fn polled(&self, mut place: Place, found: Vec<Item>, next: Option<Position>, over: &mut Over) -> Result<Polled, StepError> {
        let more = next.is_some();
        let top = found.iter().map(|item| item.at).fold(place.top.max(place.at), i64::max);
        let mut events = Vec::new();
        for item in &found {
            let over = over.with_item(&item.data);
            if let Some(wanted) = &self.wanted
                && !template::decided(wanted, &over.scope)?
            {
                continue;
            }
            let key = self.key.text(&over)?.unwrap_or_default();
            let data = match &self.data {
                Some(template) => template.value(&over)?,
                None => item.data.clone(),
            };
            events.push(Occurrence { key, data });
        }
        if self.keyset {
            if let Some(last) = found.last() {
                let mut ties = if last.at == place.at { place.ties } else { Vec::new() };
                ties.extend(found.iter().filter(|item| item.at == last.at).map(|item| item.id.clone()));
                if ties.len() > TIES_MAX {
                    let message = format!("more than {TIES_MAX} records carry one and the same time, {}", last.told);
                    return Err(StepError::new(ErrorClass::Invalid, "POLL_TIES", message).with_next(
                        "Move the trigger's start behind that time, and take those records in by a recipe of their own.",
                    ));
                }
                place = Place { at: last.at, id: last.id.clone(), ties, told: Some(last.told.clone()), page: None, top: 0 };
            }
        } else if more {
            (place.page, place.top) = (next, top);
        } else {
            let at = place.at.max(top.saturating_sub(self.overlap_us));
            place = Place { at, id: String::new(), ties: Vec::new(), told: None, page: None, top: 0 };
        }
        Ok(Polled { events, cursor: json!(place), more })
    }
}

impl Place {
    fn of(from: &From) -> Result<Self, StepError> {
        match from {
            From::Since(at) => Ok(Self { at: *at, id: String::new(), ties: Vec::new(), told: None, page: None, top: 0 }),
            From::After(cursor) => read_cursor(cursor),
        }
    }

    /// At the very instant of the cursor, only what did not come yet is new.
    fn is_new(&self, item: &Item, keyset: bool) -> bool {
        match item.at.cmp(&self.at) {
            Ordering::Greater => true,
            Ordering::Equal => !keyset || !self.ties.contains(&item.id),
            Ordering::Less => false,
        }
    }

    fn tell(&self, over: &mut Over) {
        let iso = jiff::Timestamp::from_microsecond(self.at).map(|at| at.to_string()).unwrap_or_default();
        over.scope.set("after", json!({"at": self.told.as_deref().unwrap_or(&iso), "id": self.id}));
        over.scope.set("since_s", Json::from(self.at.div_euclid(1_000_000)));
        over.scope.set("since_ms", Json::from(self.at.div_euclid(1000)));
        // Whole seconds: many systems read no parts of one. Rounded down, so that nothing is passed over.
        let whole = jiff::Timestamp::from_second(self.at.div_euclid(1_000_000)).map(|at| at.to_string()).unwrap_or_default();
        over.scope.set("since", Json::from(whole));
    }
}

impl Over {
    fn with_item(&self, item: &Json) -> Self {
        let mut over = self.again();
        over.scope.set("item", item.clone());
        over
    }
}

/// Numbers as numbers, anything else as text.
fn order(one: &str, other: &str) -> Ordering {
    match (one.parse::<u128>(), other.parse::<u128>()) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => one.cmp(other),
    }
}

/// A time as systems write it: ISO 8601 with its offset, a day, seconds or milliseconds since the epoch.
pub(crate) fn micros(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some((whole, part)) =
        text.split_once('.').or(Some((text, ""))).filter(|(whole, part)| digits(whole) && (part.is_empty() || digits(part)))
    {
        // Exact: a float would move the last microseconds.
        let number: i64 = whole.parse().ok()?;
        if whole.parse::<f64>().ok()? >= MILLISECONDS_FROM {
            return number.checked_mul(1000);
        }
        let part: i64 = format!("{part:0<6}").get(..6)?.parse().ok()?;
        return number.checked_mul(1_000_000)?.checked_add(part);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_microsecond());
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
