//! Every code a problem can have.
//!
//! **Never renumber and never reuse a number**: codes stand in documentation, in people's notes and
//! in tests of others. A code that is no longer given stays in the table. The hundreds tell where a
//! problem lies: L00 the text, L01 the shape of the language, L02 expressions, L03 names of
//! connections, connectors and actions, L04 values against schemas, L05 references, L06 advice.

mod examples;

use serde::Serialize;

/// One code and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CodeInfo {
    /// `L0123`.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// Why it is a problem and what to do.
    pub explanation: &'static str,
}

impl CodeInfo {
    /// Lines of a recipe that have the problem, and the same lines without it. [`example`] makes a
    /// whole recipe of them. `None` for codes that one recipe alone cannot have.
    #[must_use]
    pub fn examples(&self) -> Option<(&'static str, &'static str)> {
        examples::EXAMPLES.iter().find(|(code, ..)| *code == self.code).map(|(_, bad, good)| (*bad, *good))
    }
}

/// A whole recipe around the lines of an example.
///
/// Lines that start with `- ` are its steps; keys at the top replace those of the plain recipe around
/// them. Connections and parameters are declared as the lines use them.
#[must_use]
pub fn example(lines: &str) -> Vec<u8> {
    examples::whole(lines)
}

/// All codes, ascending.
#[must_use]
pub fn codes() -> &'static [CodeInfo] {
    TABLE
}

macro_rules! codes {
    ($($name:ident $code:literal $title:literal: $explanation:literal;)*) => {
        $(pub(crate) const $name: &str = $code;)*
        static TABLE: &[CodeInfo] = &[$(CodeInfo { code: $code, title: $title, explanation: $explanation }),*];
    };
}

codes! {
    NOT_UTF8 "L0001" "Not UTF-8": "A recipe is UTF-8 text. Save the file as UTF-8 in your editor.";
    TOO_LARGE "L0002" "File too large": "A recipe is at most 1 MB. Split it, or keep large data outside the recipe.";
    CONTROL "L0003" "Control character": "The text holds a NUL or another control character, usually from a binary or UTF-16 file.";
    SYNTAX "L0004" "YAML syntax": "The text is not well-formed YAML. Only the first such place can be shown, as what follows cannot be read.";
    TAB "L0005" "Tab in indentation": "YAML indents with spaces only. Replace the tab by spaces.";
    TOO_DEEP "L0006" "Nested too deeply": "Records and lists may lie at most 64 deep.";
    DOCUMENTS "L0007" "More than one document": "One file holds one recipe. Put what follows `---` into a file of its own.";
    ANCHOR "L0008" "Anchor or alias": "`&name` and `*name` are not part of the language. Write the value where it is used, or quote the text.";
    TAG "L0009" "YAML tag": "`!tag` is not part of the language. Remove it, or quote the text.";
    MERGE "L0010" "Merge key": "`<<` is not part of the language. Write the fields where they are used.";
    REPEATED "L0011" "Key written twice": "A record has each key once. Remove one of the two.";
    KEY_NOT_TEXT "L0012" "Key is not text": "Keys are text. Put quotes around a key that YAML reads as a number, true, false or null.";
    INEXACT "L0013" "Number cannot be kept exactly": "The number has more digits than can be kept. Put quotes around it to keep it as text.";
    LOOKS_NUMERIC "L0014" "Text that looks like a number": "A leading zero or plus, `0x` and `0o` are kept as text so that numbers of customers and phones survive. Put quotes around it to say so, or write the plain number.";
    DIRECTIVE "L0015" "YAML directive": "Lines that start with `%` are not part of the language. Remove the line.";
    EMPTY "L0016" "Empty file": "There is no recipe in the file.";
    NOT_A_RECORD "L0017" "Not a record": "A recipe is a record: lines of `key: value`.";
    MORE "L0018" "More problems": "Only the first problems are shown. Mend them and look again.";
    BIDI "L0019" "Hidden change of direction": "The text holds a character that is not seen but turns the direction of what follows, so the recipe would show otherwise than it runs. Right-to-left text needs none. Remove it, or write it as an escape in double quotes, such as \"\\u202E\".";

    MISSING "L0101" "Key missing": "A key that must be present is not.";
    UNKNOWN_KEY "L0102" "Unknown key": "The key is not part of the language here. Keys that start with `x-` are kept and ignored.";
    LATER "L0103" "Not available yet": "The word belongs to the language, but this version cannot run it yet.";
    WRONG_TYPE "L0104" "Wrong kind of value": "Text, a number, a list or a record was expected and something else was read.";
    VERSION "L0105" "Language version": "This version reads `liaison: 1`.";
    SLUG "L0106" "Recipe name malformed": "The name of a recipe has 1 to 63 small letters, digits and hyphens.";
    ID "L0107" "Step id malformed": "An id starts with a small letter and has at most 40 small letters, digits and underscores.";
    RESERVED "L0108" "Reserved word": "The word means something else inside formulas. Choose another.";
    REPEATED_ID "L0109" "Id used twice": "Every step of a recipe has its own id, also inside loops and branches.";
    NO_WORD "L0110" "Step does nothing": "A step has exactly one step word: do, each, repeat, parallel, choose, try, set, save, wait, call, start, respond, return, stop or fail.";
    TWO_WORDS "L0111" "Step does two things": "A step has exactly one step word: do, each, repeat, parallel, choose, try, set, save, wait, call, start, respond, return, stop or fail. Make it two steps.";
    ACTION_NAME "L0112" "Action name malformed": "`do` names a connection or built-in connector, a dot and an action, as in `sf.query`.";
    TRIGGER_NAME "L0113" "Unknown trigger": "`from` is webhook, schedule, api, call, failure, or a connection, a dot and a trigger, as in `pay.event`.";
    DURATION "L0114" "Duration malformed": "Durations are a whole number and a unit: 500ms 30s 5m 12h 7d.";
    RANGE "L0115" "Out of range": "The number or duration is smaller or larger than allowed.";
    NOT_A_CHOICE "L0116" "Not one of the choices": "Only the listed words are allowed here.";
    NOTHING_IN_IT "L0117" "Nothing in it": "A list or record that needs at least one entry has none.";
    OTHERWISE "L0118" "otherwise is not last": "`otherwise` is taken when no branch above it is; it stands last and once.";
    BRANCH "L0119" "Branch malformed": "A branch has `when` and `steps`, or only `otherwise`.";
    NAME "L0120" "Name malformed": "A name starts with a small letter and has at most 40 small letters, digits and underscores.";
    DEFAULT "L0121" "Default of another type": "The default of a parameter must be of its type.";
    MISPLACED "L0122" "Key of another step word": "The key belongs to another kind of step.";
    PATH "L0123" "Web path malformed": "The path of a webhook has 1 to 63 small letters, digits and hyphens and does not start with a hyphen.";
    SAME_KEY "L0124" "Same key for every event": "`dedupe.by` must differ between events, so it needs an expression.";
    INPUT_SCHEMA "L0125" "JSON Schema malformed": "`input`, `items` and `properties` hold JSON Schemas; a word in one cannot have this value.";
    TRY_ALONE "L0126" "try without catch or finally": "`try` alone changes nothing: a failure still ends the run. Add `catch`, `finally` or both.";
    NO_END "L0127" "Loop without an end": "`repeat` needs `until`, `max` or both; otherwise its turns never end.";
    WAIT "L0128" "Waits for nothing or for two things": "`wait` has exactly one of for, until, callback and approval, and `timeout` for a limit.";
    FILE "L0129" "File outside the recipe's folder": "Tests read files below the folder of the recipe only, so that a folder of recipes can be moved and shared.";

    POLL "L0130" "Asks too often, or nobody": "`poll` says how a trigger of a connection asks its system: every 10s to 1d. Other triggers ask nobody.";

    UNCLOSED "L0201" "Expression not closed": "`${` has no matching `}`. A quote inside may be open, or YAML cut the value short: put quotes around it.";
    EMPTY_EXPRESSION "L0202" "Expression empty": "There is nothing to evaluate.";
    NOT_EVALUATED "L0203" "Expression where none is evaluated": "`${ }` works in the values of a step (with, set, save, each, collect, file, fallback, wait, respond, return, stop, fail), in label, concurrency.key and dedupe.by. Write `$${` for the plain text.";
    DELIMITERS "L0204" "Delimiters in a decision": "`if`, `when` and `until` are formulas as they stand; write them without `${ }`.";
    EXPRESSION "L0205" "Expression malformed": "The formula or path cannot be read.";
    SCRIPT "L0206" "Script malformed": "The script of a `set` step cannot be read.";
    NOT_A_DECISION "L0207" "Decision is not true or false": "`if`, `when` and `until` must give true or false; nothing else counts as either.";
    EXPRESSION_TYPE "L0208" "Expression of another type": "What the expression gives is known before any run, and it does not fit here. Text, numbers, lists and records never turn into each other by themselves.";
    INSTANT "L0209" "Instant malformed": "An instant is a date and a time with its zone, such as 2026-03-01T08:00:00Z.";

    CONNECTOR "L0301" "Unknown connector": "No connector of this name is installed.";
    CONNECTION "L0302" "Unknown connection": "The name is neither under `connections` nor a built-in connector.";
    ACTION "L0303" "Unknown action": "The connector has no such action.";
    TRIGGER "L0304" "Unknown trigger of a connector": "The connector has no such trigger.";
    NEEDS_CONNECTION "L0305" "Needs a connection": "The action can be used only through a connection. Name one under `connections`.";
    SHADOWS "L0306" "Name of a built-in connector": "A connection named like a built-in connector would hide it. Choose another name.";
    UNUSED "L0307" "Connection not used": "No trigger and no step uses the connection.";
    CRON "L0308" "Cron expression malformed": "A schedule has five fields: minute, hour, day of month, month, day of week.";
    ZONE "L0309" "Unknown time zone": "Zones are named like Europe/Berlin or UTC.";
    OWN_FAILURE "L0310" "Told of its own failure": "`on_failure` names another recipe; a recipe that fails while it is told of a failure would start itself without end.";
    CALLS_ITSELF "L0311" "Calls itself": "A recipe that calls or starts itself, directly or through others, never ends by itself.";
    UNKNOWN_RECIPE "L0312" "Unknown recipe": "No recipe among those checked has this name. It must exist where the recipe is switched on.";
    NOT_CALLABLE "L0313" "Recipe cannot be started like that": "`call` and `start` start recipes whose trigger is `call` or `api`; `on_failure` names one whose trigger is `failure`.";

    REQUIRED "L0401" "Required field missing": "The action or trigger cannot work without the field.";
    UNKNOWN_FIELD "L0402" "Unknown field": "The action or trigger does not know the field.";
    FIELD_TYPE "L0403" "Value of another type": "The field takes another type of value.";
    FIELD_CHOICE "L0404" "Value not one of the choices": "The field takes only the listed values.";
    FIELD_RANGE "L0405" "Value out of range": "The value is smaller, larger, shorter or longer than the field takes.";
    READ_ONLY "L0406" "Field can only be read": "The other system sets the field by itself: a formula, a sum, a time of a change. A value written to it is refused or lost.";

    ROOT "L0501" "Unknown name": "Expressions see trigger, steps, meta, params, run and, inside loops, item and index.";
    STEP "L0502" "Unknown step": "No step has this id.";
    NOT_RUN_YET "L0503" "Step cannot have run": "The step comes later, is the step itself, or is in another branch.";
    INSIDE_LOOP "L0504" "Step inside a loop": "A step inside a loop runs many times. From outside, read the loop's `results`.";
    MAYBE_NOT_RUN "L0505" "Step may not have run": "The step is in a branch that may not be taken; then its output is null.";
    FIELD "L0506" "Unknown field of an output": "The output is known and has no such field.";
    PARAM "L0507" "Unknown parameter": "No parameter of this name is declared under `params`.";
    NO_LOOP "L0508" "Not inside a loop": "The name exists only inside a loop.";
    STATE "L0509" "Unknown value of the state": "No value of this name is declared under `state`.";
    NO_ERROR "L0510" "No error here": "`error` exists only where a failure is handled: in the steps of a `catch` and in a `fallback`.";
    INSIDE_PARALLEL "L0511" "Step inside a branch that runs side by side": "After a `parallel` its steps are read through it: `steps.<parallel>.<branch>.<step>`.";
    NOT_IN_SAMPLE "L0512" "Field not in the sample": "The trigger's `sample` has no such field. Real events may have it; then add it to the sample.";
    TEST_STEP "L0513" "Unknown step of a test": "The test names a step that the recipe does not have.";
    TEST_DATA "L0514" "Test data that cannot be": "The test gives a step an output, a param or a state value that it can never have.";
    STREAM_READ "L0515" "Stream read as a value": "The output of a step with `stream: true` is never there as a whole. Only an `each` that has it as its list, and nothing else in the expression, goes through it.";
    NO_PAGES "L0516" "No pages": "`stream: true` is for actions that can give their result page by page.";

    UNREACHABLE "L0601" "Never reached": "The run has always ended before this step.";
    SHADOWED "L0602" "Loop name hides another": "An outer loop uses the same name for its item.";
    BLIND_RETRY "L0603" "Repeats what happens once": "The action happens again each time it is called, and no answer does not mean that it did not happen. Such a call is never repeated by itself; it waits for a person. If the other system knows the Idempotency-Key, say `idempotent: true`.";
    SPLICED "L0604" "Data inside a statement": "Data written into the text of a query, a page or a command can change what it does. Hand it over as a parameter, or escape it.";
    NEVER_READ "L0605" "Nothing reads it": "The value is computed or declared, but nothing uses it.";
    NO_LIMIT "L0606" "Loop without a limit": "If the condition never holds, the loop goes on until the engine's own limit ends it. Say how many turns are enough.";
    NO_CALL "L0607" "Says nothing to this step": "The key concerns calls to other systems, and this step makes none.";
    UNANSWERED "L0608" "Caller may get no answer": "Some ways through the recipe answer the caller and others do not; then the caller gets the plain acceptance.";
    NO_STATUS "L0609" "Answer to a failure without a status": "An answer without a status says 200, as if all had gone well.";
    NO_DEDUPE "L0610" "Repeated events are not recognised": "Senders repeat events when they get no answer in time. Without `dedupe` each repetition runs the recipe again, and what happens once happens twice.";
    NO_EFFECT "L0611" "Changes nothing": "The key is there but cannot change anything.";
}

#[cfg(test)]
mod tests {
    use super::codes;

    #[test]
    fn codes_are_unique_and_ascending() {
        for pair in codes().windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
        assert!(codes().iter().all(|c| c.code.len() == 5 && c.code.starts_with('L')));
        assert!(codes().iter().all(|c| !c.title.is_empty() && c.explanation.ends_with('.')));
    }
}
