//! The words of the language: every record with its keys.
//!
//! The parser accepts exactly these keys, suggests from them and names what must be present; the
//! JSON Schema and completion are made from the same tables.

mod trigger;

pub(crate) use self::trigger::{DEDUPE, FAILURE_WITH, INPUT_WITH, POLL, SCHEDULE_WITH, TRIGGER, WEBHOOK_WITH};

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

/// What a key's value looks like. Decoding is written out beside; the schema is made from this.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// The language version.
    Version,
    Slug,
    Id,
    /// A name such as `item` or `sf`.
    Name,
    Text,
    Texts,
    /// Names to connectors.
    Connections,
    /// Names to parameters, state or form fields.
    Params,
    Table(&'static Table),
    /// `webhook`, `schedule`, `api` or `connection.trigger`.
    Source,
    /// `connection.action`.
    Action,
    /// Any value without expressions.
    Literal,
    /// A record without expressions.
    LiteralRecord,
    /// A list without expressions.
    LiteralList,
    /// A JSON Schema.
    JsonSchema,
    /// Any value, with expressions.
    Value,
    /// A record of values, with expressions.
    Values,
    /// A text, with expressions.
    TextValue,
    /// A list, or an expression that gives one.
    ListValue,
    /// A record of values, or a script.
    SetValue,
    /// A formula, or true or false.
    Decision,
    /// A date-time, a bare formula or an expression.
    Instant,
    Duration,
    /// A duration, or an expression that gives one.
    DurationValue,
    Retry,
    Boolean,
    Number,
    WholeNumber {
        min: u32,
        max: u32,
    },
    Factor,
    Choice(&'static [&'static str]),
    Choices(&'static [&'static str]),
    Steps,
    Branches,
    /// Names to lists of steps, or, beside `each`, a whole number.
    Parallel,
    /// `all`, `any` or a number.
    WaitFor,
    /// A list of tests.
    Tests,
    /// Data of a test, or the path of a file.
    TestData,
    /// Step ids or paths to data.
    ByStep,
    /// Step ids or paths to failures.
    Failures,
}

/// One key.
#[derive(Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    pub(crate) shape: Shape,
    pub(crate) doc: &'static str,
}

/// One kind of record.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    /// As it stands in "… is not a key of {what}".
    pub(crate) what: &'static str,
    pub(crate) keys: &'static [Key],
}

impl Table {
    pub(crate) fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().map(|key| key.name)
    }
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, need: Need::Required, shape, doc }
}

const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, need: Need::Optional, shape, doc }
}

/// The whole file.
pub(crate) static RECIPE: Table = Table {
    what: "a recipe",
    keys: &[
        required("liaison", Shape::Version, "The version of the language: 1."),
        required("recipe", Shape::Slug, "The recipe's name: 1 to 63 small letters, digits and hyphens, unique in the workspace."),
        optional("title", Shape::Text, "What people call it."),
        optional("note", Shape::Text, "Free text for its readers."),
        optional("tags", Shape::Texts, "Words to find it by."),
        optional("connections", Shape::Connections, "Logical connection names and the connector each needs."),
        optional("params", Shape::Params, "Typed parameters, set per environment."),
        optional("state", Shape::Params, "What is kept between runs: typed values, changed by `save` with a run's end."),
        required("trigger", Shape::Table(&TRIGGER), "What starts a run."),
        optional("settings", Shape::Table(&SETTINGS), "Settings of the whole recipe."),
        optional("defaults", Shape::Table(&DEFAULTS), "What steps take that say nothing themselves."),
        required("steps", Shape::Steps, "What a run does, in order."),
        optional("tests", Shape::Tests, "Tests of the recipe, run by `liaison test`."),
    ],
};

/// One parameter, state value or form field.
pub(crate) static PARAM: Table = Table {
    what: "a typed value",
    keys: &[
        required("type", Shape::Choice(PARAM_TYPES), "The type of its values."),
        optional("default", Shape::Literal, "The value when nobody sets one."),
        optional("title", Shape::Text, "What people call it."),
        optional("note", Shape::Text, "What people should know about it."),
        optional("required", Shape::Boolean, "A value must be set. Without it a missing one is null."),
        optional("enum", Shape::LiteralList, "The only values it takes."),
        optional("format", Shape::Choice(FORMATS), "What a text looks like."),
        optional("minimum", Shape::Number, "The smallest number."),
        optional("maximum", Shape::Number, "The largest number."),
        optional("items", Shape::JsonSchema, "The JSON Schema of each item of a list."),
        optional("properties", Shape::LiteralRecord, "The fields of a record, each a JSON Schema."),
    ],
};

/// Settings of the whole recipe.
pub(crate) static SETTINGS: Table = Table {
    what: "settings",
    keys: &[
        optional("concurrency", Shape::Table(&CONCURRENCY), "How many runs go at once, and which wait for each other."),
        optional("timeout", Shape::Duration, "How long a run may take from its start."),
        optional("retry", Shape::Retry, "Retry for steps that say nothing themselves; `defaults.retry` goes before it."),
        optional("label", Shape::TextValue, "What people see and search for in run lists."),
        optional("on_failure", Shape::Slug, "The recipe that is told of a failed run; its trigger is `failure`."),
        optional("keep", Shape::Table(&KEEP), "How long runs are kept."),
    ],
};

/// How many runs go at once.
pub(crate) static CONCURRENCY: Table = Table {
    what: "concurrency",
    keys: &[
        required("limit", Shape::WholeNumber { min: 1, max: 10_000 }, "Runs at once, of each key if there is one."),
        optional("key", Shape::Value, "Runs of one key wait for each other, in the order their events were accepted."),
        optional("on_overlap", Shape::Choice(OVERLAPS), "What happens to an event that finds the limit reached."),
    ],
};

/// How long runs are kept.
pub(crate) static KEEP: Table = Table {
    what: "keep",
    keys: &[
        optional("succeeded", Shape::Duration, "Runs that succeeded."),
        optional("failed", Shape::Duration, "Runs that failed or were cancelled."),
        optional("payloads", Shape::Choice(PAYLOADS), "What is kept of the data that went through a run."),
    ],
};

/// What steps take that say nothing themselves.
pub(crate) static DEFAULTS: Table = Table {
    what: "defaults",
    keys: &[
        optional("retry", Shape::Retry, "The retry policy of steps."),
        optional("timeout", Shape::Duration, "How long one attempt of a step may take."),
    ],
};

/// A retry policy.
pub(crate) static RETRY: Table = Table {
    what: "retry",
    keys: &[
        required("times", Shape::WholeNumber { min: 1, max: 100 }, "How many times in all, the first try included."),
        optional("wait", Shape::Duration, "Pause before the second try."),
        optional("factor", Shape::Factor, "What each further pause is multiplied by."),
        optional("max_wait", Shape::Duration, "The longest pause."),
        optional("jitter", Shape::Choice(JITTER), "How the pause is spread, so that many runs do not come back at once."),
        optional("within", Shape::Duration, "No further try once this long after the first began."),
        optional("on", Shape::Choices(ERROR_CLASSES), "The error classes that are tried again."),
    ],
};

/// A step: the common fields, the step words and their companions.
pub(crate) static STEP: Table = Table {
    what: "a step",
    keys: &[
        required("id", Shape::Id, "What references use; unique in the recipe."),
        optional("title", Shape::Text, "What people call it."),
        optional("note", Shape::Text, "Free text for its readers."),
        optional("if", Shape::Decision, "The step is skipped when this is false."),
        optional("retry", Shape::Retry, "Its own retry policy."),
        optional("timeout", Shape::Duration, "How long one attempt may take."),
        optional("on_error", Shape::Choice(ON_ERROR), "What its failure does to the run: fail or continue."),
        optional("fallback", Shape::Value, "Its output when it fails; the run then goes on."),
        optional("undo", Shape::Table(&UNDO), "The action that takes it back if the run fails later; newest first."),
        optional("disabled", Shape::Boolean, "It is passed over as if it were not there; its output is null."),
        optional("do", Shape::Action, "Calls an action: connection.action, or a built-in such as http.request."),
        optional("with", Shape::Values, "The input of the action or recipe."),
        optional(
            "stream",
            Shape::Boolean,
            "Its pages are fetched by the `each` that goes through its output, one after the other, instead of all at once.",
        ),
        optional("each", Shape::ListValue, "Runs its steps for every item of a list or a stream."),
        optional("as", Shape::Name, "The name of the item inside the loop. `item` unless said otherwise."),
        optional("batch", Shape::WholeNumber { min: 1, max: 10_000 }, "How many items one pass takes; the item is then a list."),
        optional(
            "parallel",
            Shape::Parallel,
            "Runs named lists of steps side by side. Beside `each`: how many passes go at once.",
        ),
        optional("partial", Shape::Choice(PARTIAL), "What a failed pass does: stop, skip or dead_letter."),
        optional("collect", Shape::Value, "What each pass adds to `results`; the output of the last step unless said otherwise."),
        optional(
            "file",
            Shape::Value,
            "Writes what each pass adds into a file of that name instead of `results`, one line of JSON each, however many.",
        ),
        optional("steps", Shape::Steps, "The steps of one pass or turn."),
        optional("repeat", Shape::Table(&REPEAT), "Runs its steps again and again until something holds."),
        optional("wait_for", Shape::WaitFor, "How many branches must be done: all, any or a number."),
        optional("choose", Shape::Branches, "Takes the first branch whose `when` holds."),
        optional("try", Shape::Steps, "Runs steps, and others if one of them fails."),
        optional("catch", Shape::Steps, "Runs when a step of `try` failed; sees `error`."),
        optional("finally", Shape::Steps, "Runs after `try` and `catch` in any case."),
        optional("set", Shape::SetValue, "Computes a record: names to values, or a script whose last value counts."),
        optional("save", Shape::Values, "Changes the state: names to values, written with the run's end."),
        optional("wait", Shape::Table(&WAIT), "Waits for a time, a caller or a person."),
        optional("call", Shape::Slug, "Runs another recipe and waits for its result."),
        optional("start", Shape::Slug, "Starts a run of another recipe and goes on."),
        optional("respond", Shape::Table(&RESPOND), "Answers the caller of an API or webhook trigger; the run goes on."),
        optional("return", Shape::Value, "Ends the run as succeeded with this result."),
        optional("stop", Shape::TextValue, "Ends the run as succeeded, with a reason."),
        optional("fail", Shape::TextValue, "Ends the run as failed with this message."),
    ],
};

/// The action that takes a step back.
pub(crate) static UNDO: Table = Table {
    what: "undo",
    keys: &[
        required("do", Shape::Action, "The action: connection.action."),
        optional("with", Shape::Values, "Its input; it sees the output of the step itself."),
        optional("retry", Shape::Retry, "Its own retry policy."),
        optional("timeout", Shape::Duration, "How long one attempt may take."),
    ],
};

/// What `repeat` says.
pub(crate) static REPEAT: Table = Table {
    what: "repeat",
    keys: &[
        optional("until", Shape::Decision, "Judged after each turn; the loop ends when it is true."),
        optional("wait", Shape::Duration, "The pause between turns."),
        optional("max", Shape::WholeNumber { min: 1, max: 100_000 }, "The most turns."),
    ],
};

/// What a `wait` waits for: one of the first four.
pub(crate) static WAIT: Table = Table {
    what: "wait",
    keys: &[
        optional("for", Shape::DurationValue, "How long: a duration, or an expression that gives one."),
        optional("until", Shape::Instant, "The instant: a date-time, or an expression that gives one."),
        optional("callback", Shape::Table(&CALLBACK), "A call to the one-time address `meta.<id>.callback`."),
        optional("approval", Shape::Table(&APPROVAL), "A decision by a person."),
        optional("timeout", Shape::Duration, "When it is given up. That is an outcome, `timed_out`, not an error."),
    ],
};

/// What of a `wait` says for what.
pub(crate) static WAIT_WORDS: &[&str] = &["for", "until", "callback", "approval"];

/// A call from outside.
pub(crate) static CALLBACK: Table =
    Table { what: "callback", keys: &[optional("input", Shape::JsonSchema, "The JSON Schema that the body must fit.")] };

/// A question to people.
pub(crate) static APPROVAL: Table = Table {
    what: "an approval",
    keys: &[
        required("from", Shape::Values, "Who may decide: `group` or `user`, one name or a list."),
        required("ask", Shape::TextValue, "What they are asked."),
        optional("form", Shape::Params, "What they fill in: names and types."),
    ],
};

/// An answer to the caller.
pub(crate) static RESPOND: Table = Table {
    what: "respond",
    keys: &[
        optional("status", Shape::Value, "The HTTP status; 200 unless said otherwise."),
        optional("headers", Shape::Values, "Headers."),
        optional("body", Shape::Value, "The body: JSON, or text as it is."),
    ],
};

/// A branch of `choose`.
pub(crate) static BRANCH: Table = Table {
    what: "a branch",
    keys: &[
        optional("when", Shape::Decision, "The branch is taken when this is the first that holds."),
        optional("steps", Shape::Steps, "The steps of the branch."),
        optional("otherwise", Shape::Steps, "The steps when no branch above is taken; stands alone and last."),
    ],
};

/// A test.
pub(crate) static TEST: Table = Table {
    what: "a test",
    keys: &[
        required("title", Shape::Text, "What it shows."),
        optional("event", Shape::TestData, "The event: data, or the path of a JSON file beside the recipe."),
        optional("at", Shape::Text, "The instant the run starts, such as 2026-03-01T08:00:00Z."),
        optional("params", Shape::LiteralRecord, "Values of params."),
        optional("state", Shape::LiteralRecord, "The state before the run."),
        optional("given", Shape::ByStep, "What steps give without being done, by id, or by path for one pass: push[0].up."),
        optional("fails", Shape::Failures, "Steps that fail, by id or path."),
        required("expect", Shape::Table(&EXPECT), "What must come out."),
    ],
};

/// A step that fails in a test.
pub(crate) static FAILURE: Table = Table {
    what: "a failure",
    keys: &[
        required("class", Shape::Choice(ERROR_CLASSES), "The error class."),
        optional("code", Shape::Text, "The vendor's code."),
        optional("message", Shape::Text, "The sentence."),
        optional(
            "times",
            Shape::WholeNumber { min: 1, max: 100 },
            "How many attempts fail before the given output comes; all unless said otherwise.",
        ),
    ],
};

/// What must come out of a test.
pub(crate) static EXPECT: Table = Table {
    what: "expect",
    keys: &[
        optional("status", Shape::Choice(STATUSES), "How the run ends."),
        optional("calls", Shape::ByStep, "The input of each call, by id or path; a list of records where there are several."),
        optional("steps", Shape::ByStep, "The outputs of steps, by id or path."),
        optional("not_run", Shape::Texts, "Steps that must not run."),
        optional("output", Shape::Literal, "The result of the run."),
        optional("error", Shape::LiteralRecord, "The error of a failed run: any of class, code, message, step."),
        optional("state", Shape::LiteralRecord, "The state after the run."),
        optional("response", Shape::LiteralRecord, "The answer to the caller: any of status, headers, body."),
        optional(
            "match",
            Shape::Choice(MATCHES),
            "subset: records may hold more than is written (the default). exact: what is written is all there is.",
        ),
    ],
};

/// The step words, each with the keys that go with it and those it must have.
pub(crate) static STEP_WORDS: &[(&str, &[&str], &[&str])] = &[
    ("do", &["with", "stream"], &[]),
    ("each", &["as", "batch", "parallel", "partial", "collect", "file", "steps"], &["steps"]),
    ("repeat", &["steps"], &["steps"]),
    ("parallel", &["wait_for"], &[]),
    ("choose", &[], &[]),
    ("try", &["catch", "finally"], &[]),
    ("set", &[], &[]),
    ("save", &[], &[]),
    ("wait", &[], &[]),
    ("call", &["with"], &[]),
    ("start", &["with"], &[]),
    ("respond", &[], &[]),
    ("return", &[], &[]),
    ("stop", &[], &[]),
    ("fail", &[], &[]),
];

/// The triggers without a connection.
pub(crate) static TRIGGERS: &[&str] = &["webhook", "schedule", "api", "call", "failure"];

/// The types of parameters.
pub(crate) static PARAM_TYPES: &[&str] = &["string", "number", "integer", "boolean", "list", "record"];

/// What a text can look like.
pub(crate) static FORMATS: &[&str] = &["date", "date-time", "email", "uri", "uuid"];

/// `on_missed` of a schedule.
pub(crate) static MISSED: &[&str] = &["skip", "once", "all"];

/// What happens to an event that finds the limit reached.
pub(crate) static OVERLAPS: &[&str] = &["queue", "skip", "cancel_running"];

/// What is kept of the data that went through a run.
pub(crate) static PAYLOADS: &[&str] = &["full", "redacted", "none"];

/// What a failing step does to its run.
pub(crate) static ON_ERROR: &[&str] = &["fail", "continue"];

/// What a failed pass does to its loop.
pub(crate) static PARTIAL: &[&str] = &["stop", "skip", "dead_letter"];

/// How a run ends in a test.
pub(crate) static STATUSES: &[&str] = &["succeeded", "failed", "cancelled", "waiting", "filtered"];

/// How what came out is compared.
pub(crate) static MATCHES: &[&str] = &["subset", "exact"];

/// How pauses are spread.
pub(crate) static JITTER: &[&str] = &["full", "none"];

/// Error classes, as in the engine's list.
pub(crate) static ERROR_CLASSES: &[&str] = &[
    "timeout",
    "network",
    "rate_limited",
    "server",
    "auth",
    "not_found",
    "conflict",
    "invalid",
    "denied",
    "partial",
    "cancelled",
    "recipe",
    "internal",
];

/// Words that mean something inside formulas, so no step and no loop item may be called like them.
pub(crate) static RESERVED: &[&str] = &[
    "trigger",
    "steps",
    "meta",
    "state",
    "params",
    "run",
    "item",
    "index",
    "error",
    "true",
    "false",
    "null",
    "nil",
    "void",
    "let",
    "const",
    "var",
    "static",
    "if",
    "else",
    "switch",
    "match",
    "case",
    "default",
    "do",
    "while",
    "until",
    "loop",
    "for",
    "in",
    "continue",
    "break",
    "return",
    "exit",
    "goto",
    "throw",
    "try",
    "catch",
    "fn",
    "private",
    "public",
    "protected",
    "import",
    "export",
    "as",
    "global",
    "this",
    "is",
    "new",
    "use",
    "with",
    "module",
    "package",
    "super",
    "shared",
    "thread",
    "spawn",
    "go",
    "async",
    "await",
    "sync",
    "yield",
    "eval",
    "print",
    "debug",
    "call",
    "curry",
    "type_of",
    "is_shared",
    "is_def_fn",
    "is_def_var",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_word_is_in_the_step_table() {
        for (word, own, must) in STEP_WORDS {
            for name in std::iter::once(word).chain(*own).chain(*must) {
                assert!(STEP.find(name).is_some(), "{name}");
            }
        }
    }
}
