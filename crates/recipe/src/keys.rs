//! The words of the language: every record with its keys.
//!
//! The parser accepts exactly these keys, suggests from them and names what must be present; the
//! JSON Schema is made from the same tables. A word that the language has but this version cannot
//! run yet is in the table as [`Need::Later`].

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
    /// Part of the language, not of this version.
    Later,
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
    /// Names to parameters.
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
    Duration,
    Retry,
    WholeNumber {
        min: u32,
        max: u32,
    },
    Factor,
    Choice(&'static [&'static str]),
    Choices(&'static [&'static str]),
    Steps,
    Branches,
    /// Of a later version.
    Unknown,
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

    /// The names that can be used in this version.
    pub(crate) fn usable(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().filter(|key| key.need != Need::Later).map(|key| key.name)
    }
}

const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, need: Need::Required, shape, doc }
}

const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, need: Need::Optional, shape, doc }
}

const fn later(name: &'static str) -> Key {
    Key { name, need: Need::Later, shape: Shape::Unknown, doc: "Not available yet in this version." }
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
        required("trigger", Shape::Table(&TRIGGER), "What starts a run."),
        optional("settings", Shape::Table(&SETTINGS), "Settings of the whole recipe."),
        required("steps", Shape::Steps, "What a run does, in order."),
        later("state"),
        later("defaults"),
        later("tests"),
    ],
};

/// One parameter.
pub(crate) static PARAM: Table = Table {
    what: "a parameter",
    keys: &[
        required("type", Shape::Choice(PARAM_TYPES), "The type of its values."),
        optional("default", Shape::Literal, "The value when the environment sets none."),
        optional("title", Shape::Text, "What people call it."),
    ],
};

/// The trigger.
pub(crate) static TRIGGER: Table = Table {
    what: "a trigger",
    keys: &[
        required("from", Shape::Source, "Where events come from: webhook, schedule, api, or connection.trigger."),
        optional("with", Shape::LiteralRecord, "The trigger's own settings, without expressions."),
        optional("if", Shape::Decision, "Events for which this is false start no run."),
        optional("dedupe", Shape::Table(&DEDUPE), "Which events are the same."),
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
    ],
};

/// `with` of `from: api`.
pub(crate) static API_WITH: Table = Table {
    what: "an api trigger",
    keys: &[optional("input", Shape::LiteralRecord, "The JSON Schema that a call's body must fit.")],
};

/// `with` of `from: webhook`.
pub(crate) static WEBHOOK_WITH: Table =
    Table { what: "a webhook", keys: &[optional("path", Shape::Text, "The last part of its web address.")] };

/// Settings of the whole recipe.
pub(crate) static SETTINGS: Table = Table {
    what: "settings",
    keys: &[
        optional("retry", Shape::Retry, "Retry for steps that say nothing themselves."),
        optional("timeout", Shape::Duration, "How long a run may take from its start."),
        optional("label", Shape::TextValue, "What people see and search for in run lists."),
        later("concurrency"),
        later("on_failure"),
        later("keep"),
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
        optional("do", Shape::Action, "Calls an action: connection.action, or a built-in such as http.request."),
        optional("with", Shape::Values, "The action's input."),
        optional("set", Shape::SetValue, "Computes a record: names to values, or a script whose last value counts."),
        optional("choose", Shape::Branches, "Takes the first branch whose `when` holds."),
        optional("each", Shape::ListValue, "Runs its steps for every item of a list."),
        optional("steps", Shape::Steps, "The steps of one pass."),
        optional("as", Shape::Name, "The name of the item inside the loop. `item` unless said otherwise."),
        optional("collect", Shape::Value, "What each pass adds to `results`; the output of the last step unless said otherwise."),
        optional("return", Shape::Value, "Ends the run as succeeded with this result."),
        optional("fail", Shape::TextValue, "Ends the run as failed with this message."),
        later("on_error"),
        later("fallback"),
        later("undo"),
        later("disabled"),
        later("batch"),
        later("partial"),
        later("parallel"),
        later("repeat"),
        later("try"),
        later("save"),
        later("wait"),
        later("call"),
        later("start"),
        later("respond"),
        later("stop"),
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

/// The step words of this version, each with the keys only it may have and those it must have.
pub(crate) static STEP_WORDS: &[(&str, &[&str], &[&str])] = &[
    ("do", &["with"], &[]),
    ("set", &[], &[]),
    ("choose", &[], &[]),
    ("each", &["steps", "as", "collect"], &["steps"]),
    ("return", &[], &[]),
    ("fail", &[], &[]),
];

/// Step words of later versions. Their companions are not looked at either.
pub(crate) static LATER_WORDS: &[&str] = &["repeat", "parallel", "try", "save", "wait", "call", "start", "respond", "stop"];

/// Triggers of later versions.
pub(crate) static LATER_TRIGGERS: &[&str] = &["call", "failure"];

/// Names in expressions that come with later versions.
pub(crate) static LATER_ROOTS: &[&str] = &["state", "error"];

/// The triggers without a connection.
pub(crate) static TRIGGERS: &[&str] = &["webhook", "schedule", "api"];

/// The types of parameters.
pub(crate) static PARAM_TYPES: &[&str] = &["string", "number", "integer", "boolean", "list", "record"];

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
                assert!(STEP.find(name).is_some_and(|key| key.need != Need::Later), "{name}");
            }
        }
        for word in LATER_WORDS {
            assert!(STEP.find(word).is_some_and(|key| key.need == Need::Later), "{word}");
        }
    }
}
