//! An independent reading of recipes.

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value as Json, json};

/// What a text says, read without the tree of the product. Keys of records keep their order.
pub(crate) fn read(text: &str) -> Option<Json> {
    let mut events = Vec::new();
    for next in Parser::new_from_str(text) {
        events.push(next.ok()?.0);
    }
    let mut events = events.into_iter();
    let next =
        events.by_ref().find(|event| !matches!(event, Event::StreamStart | Event::DocumentStart(..) | Event::Comment(..)))?;
    node(next, &mut events)
}

fn node<'t>(event: Event<'t>, events: &mut impl Iterator<Item = Event<'t>>) -> Option<Json> {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => Some(match text.as_ref() {
            "~" | "null" | "" => Json::Null,
            "true" => json!(true),
            "false" => json!(false),
            // A leading zero is text in recipes.
            number if number.len() > 1 && number.starts_with('0') && !number.starts_with("0.") => json!(number),
            text => text.parse::<serde_json::Number>().map_or_else(|_| json!(text), Json::Number),
        }),
        Event::Scalar(text, ..) => Some(json!(text)),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match content(events)? {
                    Event::SequenceEnd => return Some(Json::Array(items)),
                    event => items.push(node(event, events)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut fields = Map::new();
            loop {
                let key = match content(events)? {
                    Event::MappingEnd => return Some(Json::Object(fields)),
                    Event::Scalar(key, ..) => key.to_string(),
                    _ => return None,
                };
                let event = content(events)?;
                fields.insert(key, node(event, events)?);
            }
        }
        _ => None,
    }
}

fn content<'t>(events: &mut impl Iterator<Item = Event<'t>>) -> Option<Event<'t>> {
    events.find(|event| !matches!(event, Event::Comment(..)))
}
