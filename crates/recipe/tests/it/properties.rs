//! Whatever comes in, an answer comes out.

use proptest::prelude::*;

use crate::catalogue::catalogue;
use crate::good::FULL;
use crate::sane;

fn any_answer(text: &[u8]) {
    let parsed = recipe::parse_and_check(text, &catalogue());
    sane(text, &parsed);
    let lines = recipe::LineIndex::new(text);
    for d in &parsed.diagnostics {
        let (line, column) = lines.position(d.span.start);
        assert!(line >= 1 && column >= 1);
    }
}

/// Bits of text that mean something to YAML or to us.
const BITS: &[&str] = &[
    "${",
    "}",
    "$${",
    "\"",
    "'",
    "`",
    "\\",
    "\n",
    "\r",
    "\t",
    " ",
    "  ",
    ":",
    ": ",
    "- ",
    "#",
    " #",
    "{",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "!t ",
    "|",
    ">-",
    "|2",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "<<: ",
    "? ",
    "@",
    "~",
    "é",
    "\u{1F600}",
    "\u{feff}",
    "\u{0}",
    "\u{2028}",
    "0",
    "-1",
    "1e999",
    "null",
    "steps",
    "id",
    "do",
    "each",
    "choose",
    "otherwise",
    "when",
    "if",
    "retry",
    "with",
    "item",
    "index",
    "trigger",
    "true",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        any_answer(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(bits in proptest::collection::vec(proptest::sample::select(BITS), 0..60)) {
        any_answer(bits.concat().as_bytes());
    }

    #[test]
    fn mutated_recipes_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..12_usize, proptest::sample::select(BITS)), 1..8)
    ) {
        let mut text = FULL.as_bytes().to_vec();
        for (at, cut, bit) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, bit.bytes());
        }
        any_answer(&text);
    }

    #[test]
    fn values_of_any_shape_never_panic(bits in proptest::collection::vec(proptest::sample::select(BITS), 0..12)) {
        let value = bits.concat();
        let text = format!("liaison: 1\nrecipe: a\ntrigger: {{ from: webhook }}\nsteps:\n- id: a\n  if: {value}\n  set:\n    v: {value}\n");
        any_answer(text.as_bytes());
    }

    #[test]
    fn durations_and_scans_never_panic(text in "\\PC{0,40}") {
        let _ = recipe::parse_duration(&text);
        if let Ok(pieces) = recipe::scan::pieces(&text) {
            let unescaped = !pieces.iter().any(|p| matches!(p, recipe::scan::Piece::Expr { .. }));
            prop_assert_eq!(recipe::scan::first(&text).is_none(), unescaped);
        }
    }
}

#[test]
fn every_prefix_of_a_recipe_gets_an_answer() {
    for end in 0..FULL.len() {
        any_answer(&FULL.as_bytes()[..end]);
    }
}
