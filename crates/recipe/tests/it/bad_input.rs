//! Input nobody should send: what it is called and where, one line each.

use crate::catalogue::catalogue;
use crate::{problems, sane};

/// Holds a text against its problems; a recipe of one step stands around lines that are steps.
fn check(lines: &str, expected: &[&str]) {
    check_bytes(&around(lines), expected);
}

fn check_bytes(text: &[u8], expected: &[&str]) {
    assert_eq!(problems(text), expected, "\n{}", String::from_utf8_lossy(&text[..text.len().min(500)]));
    sane(text, &recipe::parse_and_check(text, &catalogue()));
}

/// The first line of the steps is line 1, as the head is written into the end of the text.
fn around(lines: &str) -> Vec<u8> {
    if !lines.starts_with("- ") {
        return lines.as_bytes().to_vec();
    }
    let indented: String = lines.split_inclusive('\n').map(|line| format!("  {line}")).collect();
    format!("steps:\n{indented}liaison: 1\nrecipe: a\ntrigger: {{ from: webhook }}\n").into_bytes()
}

const SOUND: &str = "liaison: 1\nrecipe: a\ntrigger: { from: webhook }\nsteps: [{ id: a, set: { x: 1 } }]\n";

#[test]
fn bytes_that_are_no_text() {
    check_bytes(&[SOUND.as_bytes(), b"# \xe9\n"].concat(), &["L0001 5:3"]);
    check_bytes(&[b"\xfe\xff".as_slice(), SOUND.as_bytes()].concat(), &["L0001 1:1"]);
    check_bytes(&[SOUND.as_bytes(), b"# \xed\xa0\x80"].concat(), &["L0001 5:3"]);
    check_bytes(&[SOUND.as_bytes(), b"# \xc0\x80"].concat(), &["L0001 5:3"]);
    check_bytes(&[SOUND.as_bytes(), b"# \xf0\x9f\x98"].concat(), &["L0001 5:3"]);
    for control in ["\0", "\u{1}", "\u{8}", "\u{b}", "\u{c}", "\u{1b}", "\u{7f}", "\u{80}", "\u{85}", "\u{9f}", "\u{ffff}"] {
        check(&format!("{SOUND}note: \"a{control}b\"\n"), &["L0003 5:9"]);
        check(&format!("{SOUND}# {control}\n"), &["L0003 5:3"]);
    }
    check("\0", &["L0003 1:1"]);
}

#[test]
fn marks_and_line_ends_are_no_matter() {
    for text in [
        format!("\u{feff}{SOUND}"),
        SOUND.replace('\n', "\r\n"),
        SOUND.replace('\n', "\r"),
        format!("\u{feff}{}", SOUND.replace('\n', "\r\n")),
        SOUND.trim_end().to_owned(),
        format!("\n\n{SOUND}\n\n"),
        format!("---\n{SOUND}...\n"),
    ] {
        check(&text, &[]);
    }
    // And places are counted the same, in characters of the line.
    let broken = SOUND.replace("set: { x", "set: { \u{1F600}: é, x").replace("a, set", "é, set");
    for text in [broken.clone(), broken.replace('\n', "\r\n"), format!("\u{feff}{broken}")] {
        check(&text, &["L0107 4:15"]);
    }
}

#[test]
fn texts_of_every_alphabet_are_texts() {
    check(
        "- id: a\n  title: \"חשבונית שולמה \u{200f}(Stripe)\"\n  note: الفاتورة مدفوعة\n  set: { größe: 1, 名前: 2, \u{1F600}: 3 }\n",
        &[],
    );
    check("- id: \u{1F600}\n  set: { x: 1 }\n", &["L0107 2:9"]);
    check("- id: שלום\n  set: { x: 1 }\n", &["L0107 2:9"]);
    check("- id: a\u{200b}\n  set: { x: 1 }\n", &["L0107 2:9"]);
    // A letter that looks like another one is not the other one.
    check("- id: a\n  sеt: { x: 1 }\n", &["L0102 3:5"]);
}

#[test]
fn texts_that_show_otherwise_than_they_run() {
    for turn in ["\u{202a}", "\u{202b}", "\u{202c}", "\u{202d}", "\u{202e}", "\u{2066}", "\u{2067}", "\u{2068}", "\u{2069}"] {
        check(&format!("- id: a\n  if: trigger.body.user != \"admin{turn} \"\n  set: {{ x: 1 }}\n"), &["L0019 3:36"]);
        check(&format!("- id: a # {turn}\n  set: {{ x: 1 }}\n"), &["L0019 2:13"]);
    }
    let text = around("- id: a\n  set: { x: \"a\u{202e}b\" }\n");
    let parsed = recipe::parse_and_check(&text, &catalogue());
    assert!(!parsed.is_sound());
    let edit = parsed.diagnostics[0].edit.clone().expect("a ready edit");
    let text = String::from_utf8(text).expect("text");
    let mended = format!("{}{}{}", &text[..edit.span.start], edit.text, &text[edit.span.end..]);
    assert!(recipe::parse_and_check(mended.as_bytes(), &catalogue()).is_sound(), "{mended}");
    // Written so that it can be seen, it is data, and what is told of it turns nothing either.
    check("- id: a\n  set: { x: \"a\\u202Eb\" }\n", &[]);
    let told = recipe::parse(around("- id: \"a\\u202Eb\"\n  set: { x: 1 }\n").as_slice()).diagnostics;
    assert!(told.iter().all(|d| !d.message.contains('\u{202e}')), "{told:?}");
}

#[test]
fn words_of_older_yaml_are_texts() {
    for word in
        ["no", "No", "on", "off", "yes", "y", "12:30:45", "1_000", "2026-01-31", "0b101", "~x", "null_", "Infinity", "NaN"]
    {
        check(&format!("- id: a\n  set: {{ x: {word} }}\n"), &[]);
        let (data, problems) = recipe::data(format!("x: {word}\n").as_bytes());
        assert_eq!((data, problems.len()), (Some(serde_json::json!({ "x": word })), 0));
    }
    for number in ["0123", "+5", "0x1F", "0o17", "-012", "00"] {
        check(&format!("- id: a\n  set: {{ x: {number} }}\n"), &["L0014 3:15w"]);
        let (data, _) = recipe::data(format!("x: {number}\n").as_bytes());
        assert_eq!(data, Some(serde_json::json!({ "x": number })));
    }
    for lost in ["1e400", "-1e400", ".inf", "-.INF", ".nan", "123456789012345678901", "0.12345678901234567891"] {
        check(&format!("- id: a\n  set: {{ x: {lost} }}\n"), &["L0013 3:15"]);
    }
}

#[test]
fn what_yaml_has_beyond_data() {
    check("- &x id: a\n  set: { x: 1 }\n", &["L0008 2:5"]);
    check("- id: a\n  set: { x: *gone }\n", &["L0008 3:15"]);
    check("- !step\n  id: a\n  set: { x: 1 }\n", &["L0009 2:5"]);
    check("- id: a\n  set: { x: !!python/object:os.system rm }\n", &["L0009 3:15"]);
    check("- id: a\n  <<: { title: x }\n  set: { x: 1 }\n", &["L0010 3:5"]);
    check("- id: a\n  set: { x: 1 }\n  id: b\n", &["L0011 4:5"]);
    check(&format!("{SOUND}recipe: b\n"), &["L0011 5:1"]);
    check("- id: a\n  set: { 1: x, y: 1 }\n", &["L0012 3:12"]);
    check(&format!("%YAML 1.1\n---\n{SOUND}"), &["L0015 1:1"]);
    check(&format!("%TAG ! tag:x,2026:\n---\n{SOUND}"), &["L0015 1:1"]);
    check(&format!("{SOUND}---\n{SOUND}"), &["L0007 5:1"]);
    check(&format!("{SOUND}...\n---\n{SOUND}"), &["L0007 6:1"]);
    check(&format!("{SOUND}\tnote: x\n"), &["L0005 5:1"]);
    check("- id: a\n\tset: { x: 1 }\n", &["L0005 3:3"]);
}

#[test]
fn depth_is_counted_in_every_style() {
    // The recipe, its steps, the step and `set` are four; 60 more are the most.
    let flow = |levels: usize| format!("- id: a\n  set: {{ x: {}1{} }}\n", "[".repeat(levels), "]".repeat(levels));
    let records = |levels: usize| format!("- id: a\n  set: {{ x: {}1{} }}\n", "{a: ".repeat(levels), "}".repeat(levels));
    let lines = |levels: usize| format!("- id: a\n  set:\n    x:\n      {}1\n", "- ".repeat(levels));
    for deep in [flow, records, lines] {
        check(&deep(60), &[]);
        let found = problems(&around(&deep(61)));
        assert!(matches!(&found[..], [only] if only.starts_with("L0006 ")), "{found:?}");
    }
}

#[test]
fn the_largest_recipe_is_read_and_one_byte_more_is_not() {
    let room = 1_000_000 - SOUND.len() - "# \n".len();
    let largest = format!("{SOUND}# {}\n", "x".repeat(room));
    check(&largest, &[]);
    check(&format!("{largest} "), &["L0002 6:1"]);
}

#[test]
fn a_flood_of_problems_is_cut_and_still_refused() {
    let flood = |line: &dyn Fn(usize) -> String| -> Vec<String> {
        let lines: String = (0..2_000).map(line).collect();
        problems(format!("{SOUND}{lines}").as_bytes())
    };
    for found in [
        flood(&|n| format!("k{n}: 1\n")),
        flood(&|n| format!("x-{n}: *a\n")),
        flood(&|_| "recipe: b\n".to_owned()),
        flood(&|_| "# \u{202e}\n".to_owned()),
    ] {
        assert_eq!(found.len(), 201, "{found:?}");
        assert!(found[200].starts_with("L0018 ") && !found[200].ends_with('w'), "{found:?}");
    }
    // Warnings alone, however many, keep nothing from running; an error behind them does.
    let warned = |end: &str| {
        format!(
            "{}- id: z\n  set: {{ x: [{}] }}\n{end}",
            SOUND.replace("steps: [{ id: a, set: { x: 1 } }]", "steps:"),
            "007, ".repeat(2_000)
        )
    };
    assert!(recipe::parse_and_check(warned("").as_bytes(), &catalogue()).is_sound());
    for end in ["- id: z\n  set: { x: 1 }\n", "- id: y\n  set: { x: \"${ steps.nope }\" }\n", "- id: y\n  set: { x: \"${ a\" }\n"]
    {
        assert!(!recipe::parse_and_check(warned(end).as_bytes(), &catalogue()).is_sound(), "{end}");
    }
}

#[test]
fn suggestions_fit_where_they_stand() {
    let text = "- id: \"m\\\\\"\n  set: { x: 1 }\n- id: n\n  set: { x: \"${ steps.m.x }\" }\n";
    let parsed = recipe::parse_and_check(&around(text), &catalogue());
    assert!(
        parsed.diagnostics.iter().all(|d| d.edit.as_ref().is_none_or(|edit| !edit.text.contains('\\'))),
        "{:?}",
        parsed.diagnostics
    );
}
