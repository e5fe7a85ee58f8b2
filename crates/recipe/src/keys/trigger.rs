//! The words of triggers.

use super::{MISSED, Shape, Table, optional, required};

/// The trigger.
pub(crate) static TRIGGER: Table = Table {
    what: "a trigger",
    keys: &[
        required("from", Shape::Source, "Where events come from: webhook, schedule, api, call, failure, or connection.trigger."),
        optional("with", Shape::LiteralRecord, "The trigger's own settings, without expressions."),
        optional("if", Shape::Decision, "Events for which this is false start no run."),
        optional("dedupe", Shape::Table(&DEDUPE), "Which events are the same."),
        optional("poll", Shape::Table(&POLL), "How a trigger that asks a system does so."),
        optional("sample", Shape::Literal, "An example of `trigger`, from which editor and checker know its fields."),
    ],
};

/// How a trigger asks.
pub(crate) static POLL: Table = Table {
    what: "poll",
    keys: &[
        optional(
            "every",
            Shape::Duration,
            "The pause between two questions, 10s to 1d. Without it the pause follows how much happens.",
        ),
        optional(
            "since",
            Shape::Text,
            "What happened at or after this instant starts runs, too; without it, what happens from switching on.",
        ),
    ],
};

/// What tells equal events.
pub(crate) static DEDUPE: Table = Table {
    what: "dedupe",
    keys: &[
        required("by", Shape::Value, "The key of an event; an event whose key was seen before starts no run."),
        optional("for", Shape::Duration, "How long keys are remembered. 7d unless said otherwise."),
    ],
};

/// `with` of `from: schedule`.
pub(crate) static SCHEDULE_WITH: Table = Table {
    what: "a schedule",
    keys: &[
        required("cron", Shape::Text, "Five fields: minute, hour, day of month, month, day of week."),
        optional("zone", Shape::Text, "The time zone, such as Europe/Berlin. UTC unless said otherwise."),
        optional(
            "on_missed",
            Shape::Choice(MISSED),
            "What fire times that passed while nothing ran start: no run, one, or each its own.",
        ),
    ],
};

/// `with` of `from: api` and `from: call`.
pub(crate) static INPUT_WITH: Table =
    Table { what: "this trigger", keys: &[optional("input", Shape::JsonSchema, "The JSON Schema that the event must fit.")] };

/// `with` of `from: webhook`.
pub(crate) static WEBHOOK_WITH: Table =
    Table { what: "a webhook", keys: &[optional("path", Shape::Text, "The last part of its web address.")] };

/// `with` of `from: failure`: nothing.
pub(crate) static FAILURE_WITH: Table = Table { what: "a failure trigger", keys: &[] };
