//! Every code a problem can have.
//!
//! **Never renumber and never reuse a number**: codes stand in documentation, in people's notes and
//! in tests of others. A code that is no longer given stays in the table. The hundreds tell where a
//! problem lies: L00 the text, L01 the shape of the language, L02 expressions, L03 names of
//! connections, connectors and actions, L04 values against schemas, L05 references, L06 advice.

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

    MISSING "L0101" "Key missing": "A key that must be present is not.";
    UNKNOWN_KEY "L0102" "Unknown key": "The key is not part of the language here. Keys that start with `x-` are kept and ignored.";
    LATER "L0103" "Not available yet": "The word belongs to the language, but this version cannot run it yet.";
    WRONG_TYPE "L0104" "Wrong kind of value": "Text, a number, a list or a record was expected and something else was read.";
    VERSION "L0105" "Language version": "This version reads `liaison: 1`.";
    SLUG "L0106" "Recipe name malformed": "The name of a recipe has 1 to 63 small letters, digits and hyphens.";
    ID "L0107" "Step id malformed": "An id starts with a small letter and has at most 40 small letters, digits and underscores.";
    RESERVED "L0108" "Reserved word": "The word means something else inside formulas. Choose another.";
    REPEATED_ID "L0109" "Id used twice": "Every step of a recipe has its own id, also inside loops and branches.";
    NO_WORD "L0110" "Step does nothing": "A step has exactly one of do, set, choose, each, return and fail.";
    TWO_WORDS "L0111" "Step does two things": "A step has exactly one of do, set, choose, each, return and fail. Make it two steps.";
    ACTION_NAME "L0112" "Action name malformed": "`do` names a connection or built-in connector, a dot and an action, as in `sf.query`.";
    TRIGGER_NAME "L0113" "Unknown trigger": "`from` is webhook, schedule, api, or a connection, a dot and a trigger, as in `pay.event`.";
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
    INPUT_SCHEMA "L0125" "JSON Schema malformed": "`input` of an api trigger is a JSON Schema; a word in it cannot have this value.";

    UNCLOSED "L0201" "Expression not closed": "`${` has no matching `}`. A quote inside may be open, or YAML cut the value short: put quotes around it.";
    EMPTY_EXPRESSION "L0202" "Expression empty": "There is nothing to evaluate.";
    NOT_EVALUATED "L0203" "Expression where none is evaluated": "`${ }` works only in values below with, set, return, fail, each, collect, label and dedupe.by. Write `$${` for the plain text.";
    DELIMITERS "L0204" "Delimiters in a decision": "`if` and `when` are formulas as they stand; write them without `${ }`.";
    EXPRESSION "L0205" "Expression malformed": "The formula or path cannot be read.";
    SCRIPT "L0206" "Script malformed": "The script of a `set` step cannot be read.";

    CONNECTOR "L0301" "Unknown connector": "No connector of this name is installed.";
    CONNECTION "L0302" "Unknown connection": "The name is neither under `connections` nor a built-in connector.";
    ACTION "L0303" "Unknown action": "The connector has no such action.";
    TRIGGER "L0304" "Unknown trigger of a connector": "The connector has no such trigger.";
    NEEDS_CONNECTION "L0305" "Needs a connection": "The action can be used only through a connection. Name one under `connections`.";
    SHADOWS "L0306" "Name of a built-in connector": "A connection named like a built-in connector would hide it. Choose another name.";
    UNUSED "L0307" "Connection not used": "No trigger and no step uses the connection.";
    CRON "L0308" "Cron expression malformed": "A schedule has five fields: minute, hour, day of month, month, day of week.";
    ZONE "L0309" "Unknown time zone": "Zones are named like Europe/Berlin or UTC.";

    REQUIRED "L0401" "Required field missing": "The action or trigger cannot work without the field.";
    UNKNOWN_FIELD "L0402" "Unknown field": "The action or trigger does not know the field.";
    FIELD_TYPE "L0403" "Value of another type": "The field takes another type of value.";
    FIELD_CHOICE "L0404" "Value not one of the choices": "The field takes only the listed values.";
    FIELD_RANGE "L0405" "Value out of range": "The number is smaller or larger than the field takes.";

    ROOT "L0501" "Unknown name": "Expressions see trigger, steps, meta, params, run and, inside loops, item and index.";
    STEP "L0502" "Unknown step": "No step has this id.";
    NOT_RUN_YET "L0503" "Step cannot have run": "The step comes later, is the step itself, or is in another branch.";
    INSIDE_LOOP "L0504" "Step inside a loop": "A step inside a loop runs many times. From outside, read the loop's `results`.";
    MAYBE_NOT_RUN "L0505" "Step may not have run": "The step is in a branch that may not be taken; then its output is null.";
    FIELD "L0506" "Unknown field of an output": "The output is known and has no such field.";
    PARAM "L0507" "Unknown parameter": "No parameter of this name is declared under `params`.";
    NO_LOOP "L0508" "Not inside a loop": "The name exists only inside a loop.";

    UNREACHABLE "L0601" "Never reached": "The run has always ended before this step.";
    SHADOWED "L0602" "Loop name hides another": "An outer loop uses the same name for its item.";
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
