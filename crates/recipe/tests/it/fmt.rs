//! Formatting: one layout, the same meaning, no comment lost.

use proptest::prelude::*;
use recipe::{FormatError, fmt};

use crate::edit_corpus::{Tape, comments, recipe};
use crate::edit_read::read;
use crate::good::FULL;

#[track_caller]
fn formats(text: &str, expected: &str) {
    let once = fmt(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(once, expected);
    assert_eq!(fmt(&once).as_deref(), Ok(expected), "formatting again changes nothing");
}

/// What must hold of any text that was formatted.
fn holds(text: &str) -> Result<(), TestCaseError> {
    let once = fmt(text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
    prop_assert_eq!(read(&once), read(text), "\n{}\n=====\n{}", text, once);
    prop_assert_eq!(comments(&once), comments(text), "\n{}\n=====\n{}", text, once);
    let again = fmt(&once).map_err(|error| TestCaseError::fail(format!("{error}\n{once}")))?;
    prop_assert_eq!(&again, &once, "\n{}", text);
    Ok(())
}

#[test]
fn steps_stand_apart_and_are_indented() {
    formats(
        "\n\nliaison:   1\nrecipe: a   \ntrigger:\n    from: api\nsteps:\n- id: a\n  set: {x: 1,y: [1,2 , 3]}\n\n\n\n- id: b\n  # why\n  return:\n      total:   ${ 1 }",
        "liaison: 1\nrecipe: a\n\ntrigger:\n  from: api\n\nsteps:\n  - id: a\n    set: { x: 1, y: [1, 2, 3] }\n\n  - id: b\n    # why\n    return:\n      total: ${ 1 }\n",
    );
}

#[test]
fn comments_stay_with_what_they_stand_above_or_beside() {
    formats(
        "# head\n\nliaison: 1 # one\nsteps: # all\n# first\n- id: a # the a\n  set: # values\n   # x\n   x: 1\n   # after x\n  # after set\n# before b\n- # dash\n  id: b\n  do:\n   # above text\n   http.request\n# end\n",
        "# head\n\nliaison: 1  # one\n\nsteps:  # all\n  # first\n  - id: a  # the a\n    set:  # values\n      # x\n      x: 1\n      # after x\n    # after set\n\n  # before b\n  -  # dash\n    id: b\n    do:\n      # above text\n      http.request\n# end\n",
    );
}

#[test]
fn comments_below_each_other_stay_below_each_other() {
    formats(
        "a: 1     # first\nlonger: 2 # own\nb: 3         # second\n             # goes on\nc: [1,2,3]   # third\n",
        "a: 1  # first\nlonger: 2  # own\nb: 3          # second\n              # goes on\nc: [1, 2, 3]  # third\n",
    );
}

#[test]
fn comments_far_from_each_other_have_columns_of_their_own() {
    let lines = "x: 1\n".repeat(9);
    formats(
        &format!("a: 1   # near\n{lines}longer: 1  # far\nb: 1   # near\n"),
        &format!("a: 1  # near\n{lines}longer: 1  # far\nb: 1  # near\n"),
    );
    formats(&format!("a: 1      # one\n{lines}longer: 1 # two\n"), &format!("a: 1  # one\n{lines}longer: 1  # two\n"));
}

#[test]
fn texts_keep_their_quotes_and_lines() {
    formats(
        "a:    'it''s'\nb: \"x # y\"\nc:   |-\n      one\n        two\n\n      three   \nd: |2\n   lead\ne: >+\n folded\n\n\nf: plain\n      goes  on\n\n      here\ng: \"a \\\n   b\"\nh:\n  short\n",
        "a: 'it''s'\nb: \"x # y\"\nc: |-\n  one\n    two\n\n  three   \nd: |2\n   lead\ne: >+\n  folded\n\n\nf: plain\n  goes  on\n\n  here\ng: \"a \\\n  b\"\nh: short\n",
    );
}

#[test]
fn brackets_stay_brackets() {
    let long = "x".repeat(70);
    formats(
        &format!("a: {{b: {long}, c: {long}}}\nd: [  ]\ne: {{\n b: 1, # one\n # two\n c: [1,\n 2] }}\nf: [a,\n b]\n"),
        &format!(
            "a:\n  {{\n    b: {long},\n    c: {long}\n  }}\nd: []\ne:\n  {{\n    b: 1,  # one\n    # two\n    c: [1, 2]\n  }}\nf: [a, b]\n"
        ),
    );
}

/// A comment between a key and its value has no place inside brackets; it goes above both.
#[test]
fn comments_inside_entries_of_brackets_go_above_them() {
    formats("a: { b: # why\n 1 }\n", "a:\n  {\n    # why\n    b: 1\n  }\n");
}

#[test]
fn json_stays_json() {
    let text = "{\n\t\"liaison\":1,\n\"steps\": [{\"id\":\"a\"},\n{}]\n}";
    formats(text, "{\n  \"liaison\": 1,\n  \"steps\": [{ \"id\": \"a\" }, {}]\n}\n");
    let formatted = fmt(text).unwrap_or_default();
    assert!(serde_json::from_str::<serde_json::Value>(&formatted).is_ok());
}

#[test]
fn line_breaks_and_marks_stay() {
    formats("a:   1\r\n\r\n\r\n\r\nb: |\r\n    x\r\n", "a: 1\r\n\r\nb: |\r\n  x\r\n");
    formats("\u{feff}a:  1", "\u{feff}a: 1\n");
    formats("a: |\n x", "a: |\n  x\n");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let Err(FormatError::Unreadable { problem, line }) = fmt("a: 1\nb: [\n") else { panic!("a refusal") };
    assert_eq!((problem.code, line), ("L0004", 2));
    let Err(FormatError::Unreadable { problem, .. }) = fmt("# only a comment\n") else { panic!("a refusal") };
    assert_eq!(problem.code, "L0016");
    let Err(FormatError::Unreadable { problem, .. }) = fmt("a: 1\n---\nb: 2\n") else { panic!("a refusal") };
    assert_eq!(problem.code, "L0007");
    assert_eq!(fmt("a: 1\na:  2\nunknown:   x\n").as_deref(), Ok("a: 1\na: 2\nunknown: x\n"));
}

#[test]
fn the_recipes_of_the_repository_and_every_word_are_formatted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let files = std::fs::read_dir(folder).expect("the folder recipes").map(|entry| entry.expect("an entry").path());
    let mut texts: Vec<String> = files
        .filter(|path| path.to_string_lossy().ends_with(".recipe.yaml"))
        .map(|path| std::fs::read_to_string(path).expect("a recipe"))
        .collect();
    assert!(texts.len() >= 3);
    texts.push(FULL.to_owned());
    for text in texts {
        for text in [text.replace('\n', "\r\n"), text] {
            if let Err(error) = holds(&text) {
                panic!("{error}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_layout_is_formatted_without_changing_what_it_means(tape in prop::collection::vec(any::<u8>(), 0..500)) {
        holds(&recipe(&mut Tape::new(&tape)))?;
    }

    #[test]
    fn any_text_is_formatted_or_refused(at in 0..4_000_usize, cut in 0..40_usize, insert in "[ -~\n\t#:{}\\[\\]]{0,6}") {
        let mut text = FULL.to_owned();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &insert);
        if let Ok(once) = fmt(&text) {
            prop_assert_eq!(read(&once), read(&text), "\n{}\n=====\n{}", text, once);
            let again = fmt(&once);
            prop_assert_eq!(again.as_deref(), Ok(once.as_str()), "\n{}", text);
        }
    }
}
