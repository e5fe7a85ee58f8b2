//! Broken recipes, and where each is broken.

use crate::catalogue::catalogue;
use crate::{problems, sane};

/// Before every snippet of steps; lines are counted behind it.
const HEAD: &str = "liaison: 1\nrecipe: test\nconnections: { sf: salesforce }\nparams: { min: { type: number } }\ntrigger: { from: sf.event }\nsteps:\n";

fn check(text: &str, expected: &[&str]) {
    check_bytes(text.as_bytes(), expected);
}

fn check_bytes(text: &[u8], expected: &[&str]) {
    assert_eq!(problems(text), expected, "\n{}", String::from_utf8_lossy(text));
    let parsed = recipe::parse_and_check(text, &catalogue());
    sane(text, &parsed);
    // A ready edit mends what it is offered for.
    for d in &parsed.diagnostics {
        let (Some(edit), Ok(text)) = (&d.edit, std::str::from_utf8(text)) else { continue };
        let mended = format!("{}{}{}", &text[..edit.span.start], edit.text, &text[edit.span.end..]);
        let after = recipe::parse_and_check(mended.as_bytes(), &catalogue());
        let same = |all: &[recipe::Diagnostic]| all.iter().filter(|a| (a.code, &a.message) == (d.code, &d.message)).count();
        assert!(same(&after.diagnostics) < same(&parsed.diagnostics), "{} does not mend {}:\n{mended}", edit.title, d.message);
        assert!(!after.diagnostics.iter().any(|a| a.code == "L0004"), "{} breaks the YAML:\n{mended}", edit.title);
    }
}

/// Steps behind a sound head. Problems in the head would show as a line below one.
fn steps(snippet: &str, expected: &[&str]) {
    let head = HEAD.matches('\n').count();
    let expected: Vec<_> = expected
        .iter()
        .map(|place| {
            let (code, position) = place.split_once(' ').expect("a code and a place");
            let (line, column) = position.split_once(':').expect("a line and a column");
            format!("{code} {}:{column}", head + line.parse::<usize>().expect("a line"))
        })
        .collect();
    check(&format!("{HEAD}{snippet}"), &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A recipe with other lines before its steps.
fn head(lines: &str, expected: &[&str]) {
    check(&format!("{lines}\nsteps: [{{ id: a, set: {{ x: 1 }} }}]\n"), expected);
}

const TOP: &str = "liaison: 1\nrecipe: test\n";

fn trigger(rest: &str, expected: &[&str]) {
    head(&format!("{TOP}trigger:\n{rest}"), expected);
}

#[test]
fn bytes() {
    check("", &["L0016 1:1"]);
    check("  # nothing\n", &["L0016 2:1"]);
    check_bytes(b"liaison: 1\nrecipe: \xff\n", &["L0001 2:9"]);
    check_bytes(b"a: \xc3", &["L0001 1:4"]);
    check_bytes("liaison: 1".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>().as_slice(), &["L0003 1:2"]);
    check_bytes(b"\xff\xfel\x00", &["L0001 1:1"]);
    check("a: \"x\0y\"", &["L0003 1:6"]);
    check("a: \u{7}", &["L0003 1:4"]);
    check(&"a".repeat(1_000_001), &["L0002 1:1000001"]);
    check(&format!("liaison: 1\nx-a: \"{}\"\n", "a".repeat(999_000)), &["L0101 1:1", "L0101 1:1", "L0101 1:1"]);
}

#[test]
fn yaml() {
    check("a: [1, 2", &["L0004 1:4"]);
    check("a: {b: 1]", &["L0004 1:4"]);
    check("a: 'x", &["L0004 1:4"]);
    check("a: b: c", &["L0004 1:5"]);
    check("a:\n  b: 1\n c: 2\n", &["L0004 3:2"]);
    check("a: @x", &["L0004 1:4"]);
    check("a: \"\\q\"", &["L0004 1:4"]);
    check("a: - b", &["L0004 1:4"]);
    check("\ta: 1", &["L0005 1:1", "L0101 1:2", "L0101 1:2", "L0101 1:2", "L0101 1:2", "L0102 1:2"]);
    check("a:\n\t- b", &["L0005 2:1"]);
    check("a:\n  b: 1\n\tc: 2\n", &["L0005 3:1"]);
    check(&"[".repeat(100_000), &["L0006 1:65"]);
    check(&"{a: ".repeat(100_000), &["L0006 1:257"]);
    check(&"- ".repeat(100_000), &["L0006 1:129"]);
    check(&format!("a: {}", "[ {b: ".repeat(40)), &["L0006 1:196"]);
    check("liaison: 1\n---\nrecipe: a\n", &["L0101 1:1", "L0101 1:1", "L0101 1:1", "L0007 2:1"]);
    check("%YAML 1.2\n---\na: 1\n", &["L0015 1:1"]);
    check("- a\n", &["L0017 1:1"]);
    check("just text", &["L0017 1:1"]);
    check("42", &["L0017 1:1"]);
    check("null", &["L0017 1:1"]);
}

#[test]
fn yaml_beyond_recipes() {
    steps("- id: a\n  set: &x { y: 1 }\n", &["L0008 2:8"]);
    steps("- id: a\n  set: { y: *x, z: &x 1, q: *x }\n", &["L0008 2:13", "L0008 2:20", "L0008 2:29"]);
    steps("- id: a\n  set: { y: !!str 1, z: !own { b: 1 } }\n", &["L0009 2:13", "L0009 2:25"]);
    steps("- id: a\n  set: { <<: { b: 1 }, c: 1 }\n", &["L0010 2:10"]);
    steps("- id: a\n  set: { b: 1, b: 2, \"b\": 3 }\n", &["L0011 2:16", "L0011 2:22"]);
    steps(
        "- id: a\n  set: { 1: a, true: b, ~: c, [d]: e, ? {f: 1} : g, h: 1 }\n",
        &["L0012 2:10", "L0012 2:16", "L0012 2:25", "L0012 2:31", "L0012 2:41"],
    );
    steps(
        "- id: a\n  set:\n    a: 18446744073709551616\n    b: 1234567890.123456789\n    c: .inf\n    d: 18446744073709551615\n",
        &["L0013 3:8", "L0013 4:8", "L0013 5:8"],
    );
    steps(
        "- id: a\n  set:\n    a: 00123\n    b: +49\n    c: 0x1F\n    d: no\n    e: 1_000\n    f: \"007\"\n    g: 007 x\n",
        &["L0014 3:8w", "L0014 4:8w", "L0014 5:8w"],
    );
}

#[test]
fn bombs_are_cut_short() {
    let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for pair in b"abcdefgh".windows(2) {
        let (from, to) = (char::from(pair[0]), char::from(pair[1]));
        bomb.push_str(&format!("{to}: &{to} [*{from},*{from},*{from},*{from},*{from},*{from},*{from},*{from},*{from}]\n"));
    }
    let found = problems(bomb.as_bytes());
    assert!(found.iter().any(|p| p.starts_with("L0008")) && found.len() < 201, "{found:?}");
    let many = format!("a: [{}]", "*a,".repeat(300_000));
    let found = problems(many.as_bytes());
    assert_eq!(found.len(), 201);
    assert!(found.last().is_some_and(|p| p.starts_with("L0018")), "{found:?}");
    // An error among what is not shown keeps the recipe from running.
    let warned = format!("{HEAD}- id: a\n  set:\n    x: [{}]\n- id: b\n", "007,".repeat(300));
    let parsed = recipe::parse(warned.as_bytes());
    assert!(!parsed.is_sound());
    let many_keys: String = (0..60_000).map(|n| format!("k{n}: 1\n")).collect();
    assert_eq!(problems(many_keys.as_bytes()).len(), 201);
}

#[test]
fn top_level() {
    head("recipe: test\ntrigger: { from: webhook }", &["L0101 1:1"]);
    head("liaison: 2\nrecipe: test\ntrigger: { from: webhook }", &["L0105 1:10"]);
    head("liaison: \"1\"\nrecipe: test\ntrigger: { from: webhook }", &["L0105 1:10"]);
    head("liaison: 1\nrecipe: Test Recipe\ntrigger: { from: webhook }", &["L0106 2:9"]);
    head("liaison: 1\nrecipe: 12\ntrigger: { from: webhook }", &["L0104 2:9"]);
    head("liaison: 1\nrecipe:\ntrigger: { from: webhook }", &["L0104 2:1"]);
    head(&format!("{TOP}title: ${{ x }}\ntags: one\ntrigger: {{ from: webhook }}"), &["L0203 3:8", "L0104 4:7"]);
    head(
        &format!("{TOP}state: {{ x: 1 }}\ndefaults: []\ntests: {{}}\ntrigger: {{ from: webhook }}"),
        &["L0104 3:13", "L0104 4:11", "L0104 5:8"],
    );
    check("liaison: 1\nrecipe: test\ntrigger: { from: webhook }\nstpes: []\n", &["L0102 4:1"]);
    check("liaison: 1\nrecipe: test\ntrigger: { from: webhook }\n", &["L0101 1:1"]);
    check("liaison: 1\nrecipe: test\ntrigger: { from: webhook }\nsteps: []\n", &["L0117 4:1"]);
    check("liaison: 1\nrecipe: test\ntrigger: { from: webhook }\nsteps: { a: 1 }\n", &["L0104 4:8"]);
    check("liaison: 1\nrecipe: test\ntrigger: { from: webhook }\nsteps: [a]\nworkflow: 1\n", &["L0104 4:9", "L0102 5:1"]);
}

#[test]
fn connections_and_params() {
    let with = |lines: &str, expected: &[&str]| head(&format!("{TOP}trigger: {{ from: webhook }}\n{lines}"), expected);
    with("connections: [sf]", &["L0104 4:14"]);
    with("connections: { Sf: salesforce }", &["L0120 4:16"]);
    with("connections: { sf: salesforc }", &["L0301 4:20"]);
    with("connections: { sf: { of: salesforce } }", &["L0104 4:20"]);
    with("connections: { http: http }", &["L0306 4:16"]);
    with("connections: { sf: salesforce }", &["L0307 4:16w"]);
    with("params: { a: 1 }", &["L0104 4:14"]);
    with("params: { a: { default: 1 } }", &["L0101 4:16"]);
    with("params: { a: { type: text } }", &["L0116 4:22"]);
    with("params: { a: { type: integer, default: 1.5 }, b: { type: string, default: ~ } }", &["L0121 4:40", "L0121 4:75"]);
    with("params: { a-b: { type: string, default: \"${ x }\" } }", &["L0120 4:11", "L0203 4:42"]);
}

#[test]
fn triggers() {
    trigger("  with: {}", &["L0101 4:3"]);
    trigger("  from: webhok", &["L0113 4:9"]);
    trigger("  from: email", &["L0113 4:9"]);
    trigger("  from: calls", &["L0113 4:9"]);
    trigger("  from: sf.event", &["L0302 4:9"]);
    trigger("  from: salesforce.event", &["L0302 4:9"]);
    trigger("  from: schedule", &["L0101 4:3"]);
    trigger("  from: schedule\n  with: { zone: UTC }", &["L0101 5:11"]);
    trigger("  from: schedule\n  with: { cron: \"0 6 * *\" }", &["L0308 5:17"]);
    trigger("  from: schedule\n  with: { cron: \"0 6 * * *\", zone: Mars/Nowhere }", &["L0309 5:36"]);
    trigger("  from: schedule\n  with: { cron: 5, every: 1h }", &["L0104 5:17", "L0102 5:20"]);
    trigger("  from: api\n  with: { input: yes, x: 1 }", &["L0104 5:18", "L0102 5:23"]);
    trigger(
        "  from: api\n  with:\n    input:\n      type: record\n      properties: { a: { type: text }, b: [1], c: { items: { type: 5 } } }\n      required: a\n",
        &["L0125 7:13", "L0125 8:32", "L0125 8:43", "L0125 8:68", "L0125 9:17"],
    );
    trigger("  from: webhook\n  with: { path: \"a/B\" }", &["L0123 5:17"]);
    trigger("  from: webhook\n  with: { path: \"${ x }\" }", &["L0203 5:18"]);
    trigger("  from: webhook\n  with: [1]", &["L0104 5:9"]);
    trigger("  from: webhook\n  if: ${ trigger.body.x } == 1", &["L0204 5:7"]);
    trigger("  from: webhook\n  if: steps.a.x == run.id && foo", &["L0503 5:7", "L0501 5:20", "L0501 5:30"]);
    trigger("  from: webhook\n  if: trigger.bdy == 1", &["L0506 5:15"]);
    trigger("  from: webhook\n  dedupe: { by: x }", &["L0124 5:17"]);
    trigger("  from: webhook\n  dedupe: { for: 7 days }", &["L0101 5:13", "L0114 5:18"]);
    trigger("  from: webhook\n  dedupe: \"${ trigger.body }\"", &["L0104 5:11"]);
    head(&format!("{TOP}trigger: webhook"), &["L0104 3:10"]);
    let connected = |rest: &str, expected: &[&str]| {
        head(&format!("{TOP}connections: {{ sf: salesforce }}\ntrigger:\n{rest}"), expected);
    };
    connected("  from: sf.events", &["L0304 5:9"]);
    connected("  from: sf.event\n  with: { typs: [a] }", &["L0402 6:11"]);
    connected("  from: sf.event\n  with: { types: [a, 1] }", &["L0403 6:22"]);
    connected("  from: sf.event\n  if: trigger.idd == 1", &["L0506 6:15"]);
}

#[test]
fn settings_and_retry() {
    let with = |lines: &str, expected: &[&str]| head(&format!("{TOP}trigger: {{ from: webhook }}\nsettings:\n{lines}"), expected);
    with("  timeout: 10", &["L0104 5:12"]);
    with("  timeout: 10 m", &["L0114 5:12"]);
    with("  timeout: 0s", &["L0115 5:12"]);
    with("  timeout: 9999d", &["L0115 5:12"]);
    with("  retry: 0", &["L0115 5:10"]);
    with("  retry: 101", &["L0115 5:10"]);
    with("  retry: 1.5", &["L0115 5:10"]);
    with("  retry: often", &["L0104 5:10"]);
    with("  retry: { wait: 1s }", &["L0101 5:12"]);
    with(
        "  retry: { times: 3, wait: 0ms, factor: 0.5, jitter: half, on: [timeout, slow, rate_limit] }",
        &["L0115 5:28", "L0115 5:41", "L0116 5:54", "L0116 5:74", "L0116 5:80"],
    );
    with("  retry: { times: 3, on: [] }", &["L0117 5:26"]);
    with("  concurrency: 1\n  keep: {}\n  on_failure: test", &["L0104 5:16", "L0310 7:15"]);
    with("  label: 5", &["L0104 5:10"]);
    with("  label: \"${ run.id } ${ steps.a.x }\"", &["L0501 5:14", "L0503 5:26"]);
    with("  labl: x", &["L0102 5:3"]);
}

#[test]
fn step_shapes() {
    steps("- do: http.request\n", &["L0101 1:3"]);
    steps("- id: findAccount\n  set: { x: 1 }\n- id: 1a\n  set: { x: 1 }\n", &["L0107 1:7", "L0107 3:7"]);
    steps("- id: item\n  set: { x: 1 }\n- id: fn\n  set: { x: 1 }\n", &["L0108 1:7", "L0108 3:7"]);
    steps("- id: a\n  set: { x: 1 }\n- id: b\n  each: [1]\n  steps:\n  - id: a\n    set: { x: 1 }\n", &["L0109 6:9"]);
    steps("- id: a\n  title: Nothing\n", &["L0110 1:7"]);
    steps("- id: a\n  set: { x: 1 }\n  fail: no\n", &["L0111 3:3"]);
    steps("- id: a\n  sett: { x: 1 }\n", &["L0102 2:3"]);
    steps("- id: a\n  set: { x: 1 }\n  with: { x: 1 }\n  as: x\n", &["L0122 3:3", "L0122 4:3"]);
    steps("- id: a\n  x-mine: 1\n  set: {}\n", &["L0117 3:8"]);
    steps("- id: a\n  set: [1]\n- id: b\n  set: \"\"\n- id: c\n  set: ${ x }\n", &["L0104 2:8", "L0202 4:8", "L0204 6:8"]);
    steps("- id: a\n  wait: { for: 1h }\n- id: b\n  repeat:\n  - id: c\n  until: x\n", &["L0104 5:5", "L0102 6:3"]);
    steps(
        "- id: a\n  do: http.request\n  on_error: continue\n  undo: {}\n  disabled: 1\n  fallback: 1\n",
        &["L0611 1:7w", "L0101 4:9", "L0104 5:13"],
    );
    steps(
        "- id: a\n  each: [1]\n  parallel: 0\n  batch: two\n  partial: go\n  steps:\n  - id: b\n    set: { x: 1 }\n",
        &["L0115 3:13", "L0104 4:10", "L0116 5:12"],
    );
    steps("- id: a\n  parallel: { x: [] }\n", &["L0117 2:15"]);
    steps("- id: a\n  each: [1]\n", &["L0101 2:3"]);
    steps("- id: a\n  each: [1]\n  stepz:\n  - id: b\n", &["L0102 3:3"]);
    steps("- id: a\n  each: trigger.data\n  as: Item\n  steps: []\n", &["L0104 2:9", "L0120 3:7", "L0117 4:3"]);
    steps("- id: a\n  each: 5\n  as: steps\n  steps:\n  - id: b\n    set: { x: 1 }\n", &["L0104 2:9", "L0108 3:7"]);
    steps(
        "- id: a\n  do: query\n- id: b\n  do: sf.Query\n- id: c\n  do: \"${ x }.y\"\n",
        &["L0112 2:7", "L0112 4:7", "L0203 6:8"],
    );
    steps("- id: a\n  do: http.request\n  with: [1]\n  timeout: soon\n", &["L0104 3:9", "L0114 4:12"]);
    steps("- id: a\n  fail:\n- id: b\n  fail: 5\n- id: c\n  fail: { x: 1 }\n", &["L0104 2:3", "L0104 4:9", "L0104 6:9"]);
    steps("- id: ~\n  set: { x: 1 }\n- [a]\n- x\n", &["L0104 1:7", "L0104 3:3", "L0104 4:3"]);
    steps("- id: a\n  note: 5\n  title: [x]\n  set: { x: 1 }\n", &["L0104 2:9", "L0104 3:10"]);
}

#[test]
fn branches() {
    steps("- id: a\n  choose: {}\n", &["L0104 2:11"]);
    steps("- id: a\n  choose: []\n", &["L0117 2:3"]);
    steps(
        "- id: a\n  choose:\n  - when: true\n  - steps:\n    - id: b\n      set: { x: 1 }\n",
        &["L0119 3:5", "L0119 4:5", "L0601 5:11w"],
    );
    steps(
        "- id: a\n  choose:\n  - otherwise:\n    - id: b\n      set: { x: 1 }\n  - when: true\n    steps: []\n",
        &["L0118 3:5", "L0117 7:5"],
    );
    steps("- id: a\n  choose:\n  - when: true\n    otherwise: []\n", &["L0119 4:5"]);
    steps("- id: a\n  choose:\n  - wen: true\n    steps:\n    - id: b\n      set: { x: 1 }\n", &["L0102 3:5"]);
    steps("- id: a\n  choose:\n  - when: \"${ trigger.id }\"\n    steps:\n    - id: b\n      set: { x: 1 }\n", &["L0204 3:12"]);
    steps(
        "- id: a\n  choose:\n  - when: 5\n    steps:\n    - id: b\n      if: \" \"\n      set: { x: 1 }\n",
        &["L0104 3:11", "L0202 6:11"],
    );
}

#[test]
fn expressions() {
    steps("- id: a\n  set: { x: \"${ trigger.id\" }\n", &["L0201 2:14"]);
    steps("- id: a\n  set:\n    x: ${ \"a # b\" }\n    y: ${ 'x }\n", &["L0201 3:8", "L0201 4:8"]);
    steps("- id: a\n  set: { x: \"a ${ } b\" }\n", &["L0202 2:16"]);
    steps("- id: a\n  set:\n    \"${ x }\": 1\n    y: { \"a${b}\": \"${ trigger.id }\" }\n", &["L0203 3:5", "L0203 4:10"]);
    steps("- id: a\n  set: { x: \"é ''${ 1 !! 2 }\" }\n", &["L0205 2:23"]);
    steps("- id: a\n  set: { x: 'it''s ${ 1 !! 2 }' }\n", &["L0205 2:25"]);
    steps("- id: a\n  set: { x: \"\\u00e9\\t${ 1 !! 2 }\" }\n", &["L0205 2:27"]);
    steps("- id: a\n  set: |\n    let x = 1;\n      let let = 2;\n    x + steps.b\n", &["L0206 4:11"]);
    steps("- id: a\n  set: |\n    let x = 1;\n    x + steps.b\n", &["L0502 4:15"]);
    steps("- id: a\n  if: trigger.id !! 1\n  set: { x: 1 }\n", &["L0205 2:18"]);
    steps("- id: a\n  set:\n    x: ${ { 'a': 1 } }\n", &["L0004 3:16"]);
    steps("- id: a\n  set: { x: ${ trigger.id } }\n", &["L0004 2:14"]);
}

#[test]
fn names() {
    steps("- id: a\n  do: sff.query\n  with: { soql: x }\n", &["L0302 2:7"]);
    steps("- id: a\n  do: salesforce.query\n  with: { soql: x }\n", &["L0302 2:7"]);
    steps("- id: a\n  do: slack.send\n", &["L0302 2:7"]);
    steps("- id: a\n  do: sf.qery\n  with: { sql: x }\n", &["L0303 2:10"]);
    steps("- id: a\n  do: http.bulk\n", &["L0305 2:7"]);
}

#[test]
fn inputs() {
    steps("- id: a\n  do: sf.query\n", &["L0401 2:7"]);
    steps("- id: a\n  do: sf.query\n  with: { soql: }\n", &["L0401 3:11"]);
    steps("- id: a\n  do: sf.query\n  with: { sqol: x, limits: 1, zzz: 1 }\n", &["L0402 3:11", "L0402 3:20", "L0402 3:31"]);
    steps(
        "- id: a\n  do: sf.query\n  with:\n    soql: 5\n    limit: \"x\"\n    mode: fst\n    all: ~\n",
        &["L0403 4:11", "L0403 5:12", "L0404 6:11"],
    );
    steps(
        "- id: a\n  do: sf.query\n  with: { soql: x, limit: 0, fields: [a, 1, \"${ trigger.id }\"], params: { a: true } }\n",
        &["L0405 3:27", "L0403 3:42", "L0403 3:78"],
    );
    steps(
        "- id: a\n  do: sf.query\n  with: { soql: \"x ${ trigger.id }\", limit: \"n ${ trigger.id }\", all: \"${ trigger.id }\" }\n",
        &["L0604 3:23", "L0403 3:45", "L0208 3:75"],
    );
    steps(
        "- id: a\n  do: sf.query\n  with:\n    soql: x\n    page: { size: 1, next: { size: a, next: {} } }\n",
        &["L0403 5:36", "L0401 5:45"],
    );
    steps(
        "- id: a\n  do: sf.query\n  with: { soql: x, accept: [200, \"2xx\", 5, true], page: \"${ trigger.data }\" }\n",
        &["L0405 3:41", "L0403 3:44"],
    );
    steps("- id: a\n  do: sf.query\n  with: { soql: { x: \"${ trigger.id }\" } }\n", &["L0403 3:17"]);
}

#[test]
fn references() {
    let two = "- id: first\n  set: { n: 1, deep: { k: [ { z: 1 } ] }, e: \"${ trigger.id }\" }\n- id: second\n";
    let second = |rest: &str, expected: &[&str]| steps(&format!("{two}{rest}"), expected);
    second("  set: { x: \"${ steps.frist.n }\" }\n", &["L0502 4:23"]);
    second("  set: { x: \"${ steps.zzz.n }\" }\n", &["L0502 4:23"]);
    second(
        "  set: { x: \"${ steps.second.n + steps.third.x }\" }\n- id: third\n  set: { x: 1 }\n",
        &["L0503 4:23", "L0503 4:40"],
    );
    second(
        "  set: { x: \"${ steps.first.m } ${ steps.first.deep.k[0].y } ${ $.steps.first['q'] } ${ steps.first.e.any }\" }\n",
        &["L0506 4:29", "L0506 4:58", "L0506 4:80", "L0506 4:103"],
    );
    second(
        "  set: { x: \"${ params.max + params.min + triger.id + first.n + min }\" }\n",
        &["L0507 4:24", "L0501 4:43", "L0501 4:55", "L0501 4:65"],
    );
    second(
        "  set: { x: \"${ state.x } ${ error.message } ${ item.x } ${ index }\" }\n",
        &["L0509 4:23", "L0510 4:30", "L0508 4:49", "L0508 4:61"],
    );
    second("  set: { x: \"${ trigger.dat } ${ trigger.data.anything }\" }\n", &["L0506 4:25"]);
    second("  if: $..id == 1\n  set: { x: \"${ meta.first.status } ${ meta.nobody }\" }\n", &["L0207 4:7", "L0502 5:45"]);
    second(
        "  do: sf.query\n  with: { soql: x }\n- id: c\n  set: { a: \"${ steps.second.totl_size + steps.second.records[0].ID + steps.second.raw.x.y }\" }\n",
        &["L0506 7:30", "L0506 7:66"],
    );
}

#[test]
fn references_across_branches_and_loops() {
    let choose = "- id: a\n  choose:\n  - when: trigger.id == 1\n    steps:\n    - id: b\n      set: { x: 1 }\n  - otherwise:\n    - id: c\n      set: { x: \"${ steps.b.x }\", y: \"${ steps.a.branch }\" }\n";
    let found = ["L0503 9:27", "L0503 9:48"];
    steps(choose, &found);
    let after = "- id: d\n  set: { x: \"${ steps.b.x }\", y: \"${ steps.c.x ?? 1 }\", z: \"${ steps.a.brnch }\", m: \"${ meta.c.status }\" }\n";
    steps(&format!("{choose}{after}"), &["L0503 9:27", "L0503 9:48", "L0505 11:23w", "L0506 11:72"]);
    steps(
        "- id: l\n  each: \"${ steps.l.results }\"\n  as: row\n  collect: ${ steps.n.x + item.x + row.x + index }\n  steps:\n  - id: m\n    set: { x: \"${ row.a + steps.n.x + steps.l.total }\" }\n  - id: n\n    set: { x: \"${ steps.m.x }\" }\n- id: o\n  set: { x: \"${ steps.m.x + steps.l.result + row.x }\" }\n",
        &["L0503 2:19", "L0508 4:27", "L0503 7:33", "L0503 7:45", "L0504 11:23", "L0506 11:37", "L0508 11:46"],
    );
    steps(
        "- id: l\n  each: [[1]]\n  steps:\n  - id: m\n    each: \"${ item }\"\n    steps:\n    - id: n\n      set: { x: \"${ item }\" }\n",
        &["L0602 4:9w"],
    );
}

#[test]
fn one_cause_one_problem() {
    // Steps that could not be read are not unknown as well.
    steps("- id: a\n  fial: x\n- id: b\n  set: { x: \"${ steps.a.outcome }\" }\n", &["L0102 2:3"]);
    steps("- idd: a\n  set: { x: 1 }\n- id: b\n  set: { x: \"${ steps.a.x }\" }\n", &["L0102 1:3"]);
    steps("- id: a-b\n  set: { x: 1 }\n- id: b\n  set: { x: \"${ $.steps['a-b'].x }\" }\n", &["L0107 1:7"]);
    // Nor is what an unreadable trigger or connection would have given.
    check(
        "liaison: 1\nrecipe: a\ntrigger: { from: nowhere }\nsteps: [{ id: a, set: { x: \"${ trigger.zzz }\" } }]\n",
        &["L0113 3:18"],
    );
    check(
        "liaison: 1\nrecipe: a\nconection: { sf: salesforce }\ntrigger: { from: sf.event }\nsteps: [{ id: a, set: { x: 1 } }]\n",
        &["L0102 3:1"],
    );
    check(
        "liaison: 1\nrecipe: a\nconnections: { sf: salesforc }\ntrigger: { from: sf.event }\nsteps: [{ id: a, do: sf.query, with: { a: 1 } }]\n",
        &["L0301 3:20"],
    );
    // What was cut away as broken is not missing as well.
    steps("- id: a\n  do: sf.query\n  with: { soql: \"${ trigger\", limit: *x }\n", &["L0201 3:18", "L0008 3:38"]);
}

#[test]
fn never_reached() {
    steps("- id: a\n  return: 1\n- id: b\n  set: { x: 1 }\n- id: c\n  set: { x: 1 }\n", &["L0601 3:7w"]);
    steps("- id: a\n  if: trigger.id == 1\n  fail: x\n- id: b\n  set: { x: 1 }\n", &[]);
    steps(
        "- id: a\n  choose:\n  - when: trigger.id == 1\n    steps: [{ id: b, fail: x }]\n  - otherwise: [{ id: c, return: }]\n- id: d\n  set: { x: 1 }\n",
        &["L0601 6:7w"],
    );
}

#[test]
fn messages_are_for_people() {
    let message = |snippet: &str| {
        let text = format!("{HEAD}{snippet}");
        let parsed = recipe::parse_and_check(text.as_bytes(), &catalogue());
        let d = parsed.diagnostics.first().cloned().expect("a problem");
        format!("{} | {}", d.message, d.help.unwrap_or_default())
    };
    let say = |snippet: &str, expected: &str| assert_eq!(message(snippet), expected);
    say("- id: a\n  set: { x: 1 }\n  tytle: x\n", "\"tytle\" is not a key of a step. | Did you mean \"title\"?");
    say(
        "- id: a\n  if: ${ trigger.id } == 'y'\n  set: { x: 1 }\n",
        "\"if\" is a formula as it stands and takes no `${`. | Write it as: trigger.id == 'y'",
    );
    say("- id: a\n  do: sf.qery\n", "Salesforce has no action \"qery\". | Did you mean \"query\"?");
    say("- id: a\n  do: sf.query\n", "\"sf.query\" needs \"soql\", which is missing. | Add `soql:`. The query.");
    say(
        "- id: a\n  set: { x: \"${ steps.b.x }\" }\n- id: b\n  set: { x: 1 }\n",
        "\"b\" comes later and cannot have run here. | Move it before this step, or read another step.",
    );
    say(
        "- id: a\n  set: { x: ${ trigger.id } }\n",
        "A comma or a closing bracket is missing here. | YAML reads `{ } : #` inside `${ }` itself here. Put quotes around the whole value.",
    );
}

/// Changes to the good recipe that both the parser and the schema refuse: a place, and what stands there.
pub(crate) const SHAPES: &[(&str, &str)] = &[
    ("/liaison", "2"),
    ("/recipe", "\"Not A Slug\""),
    ("/title", "5"),
    ("/tags", "\"x\""),
    ("/state", "[]"),
    ("/state/seen", "5"),
    ("/defaults", "[]"),
    ("/defaults/label", "\"x\""),
    ("/stpes", "[]"),
    ("/connections/Sf", "\"salesforce\""),
    ("/connections/sf", "1"),
    ("/params/min/type", "\"text\""),
    ("/params/min/more", "1"),
    ("/params/new", "{}"),
    ("/trigger/from", "\"somewhere\""),
    ("/trigger/from", "\"webhook\""),
    ("/trigger/with", "{}"),
    ("/trigger/with", "[]"),
    ("/trigger/if", "\"${ x }\""),
    ("/trigger/if", "5"),
    ("/trigger/dedupe/by2", "1"),
    ("/trigger/dedupe/for", "\"1 day\""),
    ("/settings/retry", "0"),
    ("/settings/retry", "\"always\""),
    ("/settings/retry/times", "101"),
    ("/settings/retry/factor", "0.5"),
    ("/settings/retry/on", "[\"slow\"]"),
    ("/settings/retry/on", "[]"),
    ("/settings/jitter", "\"full\""),
    ("/settings/keep", "[]"),
    ("/settings/keep/payloads", "\"some\""),
    ("/settings/keep/running", "\"1d\""),
    ("/settings/concurrency", "1"),
    ("/settings/concurrency/limit", "0"),
    ("/settings/concurrency/on_overlap", "\"wait\""),
    ("/settings/on_failure", "\"Not A Slug\""),
    ("/params/min/minimum", "\"0\""),
    ("/params/min/required", "\"yes\""),
    ("/params/size/enum", "\"s\""),
    ("/params/day/format", "\"day\""),
    ("/params/tags/items", "5"),
    ("/params/box/properties", "[]"),
    ("/settings/timeout", "5"),
    ("/settings/label", "5"),
    ("/steps", "[]"),
    ("/steps", "{}"),
    ("/steps/0/id", "\"Upper\""),
    ("/steps/0/id", "\"trigger\""),
    ("/steps/0/fail", "\"both\""),
    ("/steps/0/do", "\"query\""),
    ("/steps/0/with", "[]"),
    ("/steps/0/undo", "{}"),
    ("/steps/1/set", "{}"),
    ("/steps/1/set", "[]"),
    ("/steps/1/with", "{}"),
    ("/steps/1/unknown", "1"),
    ("/steps/3/choose", "[]"),
    ("/steps/3/choose/0/when", "1"),
    ("/steps/3/choose/0/otherwise", "[]"),
    ("/steps/3/choose/0/other", "[]"),
    ("/steps/4/each", "5"),
    ("/steps/4/as", "\"trigger\""),
    ("/steps/4/steps", "[]"),
    ("/steps/4/steps/0/set", "5"),
    ("/steps/0/on_error", "\"go\""),
    ("/steps/0/disabled", "\"yes\""),
    ("/steps/0/undo/do", "\"query\""),
    ("/steps/0/undo/id", "\"x\""),
    ("/steps/0/catch", "[]"),
    ("/steps/0/wait_for", "\"all\""),
    ("/steps/0/batch", "2"),
    ("/steps/0/parallel", "2"),
    ("/steps/4/batch", "0"),
    ("/steps/4/parallel", "{}"),
    ("/steps/4/partial", "\"go\""),
    ("/steps/6/repeat", "{}"),
    ("/steps/6/repeat/max", "0"),
    ("/steps/6/repeat/until", "\"${ x }\""),
    ("/steps/6/repeat/wait", "\"soon\""),
    ("/steps/7/parallel", "{}"),
    ("/steps/7/parallel", "[]"),
    ("/steps/7/parallel", "2"),
    ("/steps/7/parallel/left", "[]"),
    ("/steps/7/parallel/Left", "[]"),
    ("/steps/7/wait_for", "\"most\""),
    ("/steps/7/wait_for", "0"),
    ("/steps/8/try", "[]"),
    ("/steps/8/catch", "{}"),
    ("/steps/9/save", "[]"),
    ("/steps/10/wait", "{}"),
    ("/steps/10/wait", "\"1s\""),
    ("/steps/10/wait/until", "\"2026-01-01T00:00:00Z\""),
    ("/steps/10/wait/for", "\"soon\""),
    ("/steps/12/wait/callback", "5"),
    ("/steps/12/wait/callback/input", "5"),
    ("/steps/13/wait/approval", "{}"),
    ("/steps/13/wait/approval/from", "{}"),
    ("/steps/13/wait/approval/from/people", "\"x\""),
    ("/steps/13/wait/approval/ask", "5"),
    ("/steps/13/wait/approval/form/centre", "{}"),
    ("/steps/14/call", "\"Not A Slug\""),
    ("/steps/15/with", "5"),
    ("/steps/16/respond", "202"),
    ("/steps/16/respond/headers", "[]"),
    ("/steps/16/respond/code", "5"),
    ("/steps/17/stop", "5"),
    ("/tests/0/title", "5"),
    ("/tests/0/given", "[]"),
    ("/tests/0/fails", "[]"),
    ("/tests/0/fails/a", "{}"),
    ("/tests/0/fails/a/class", "\"slow\""),
    ("/tests/0/expect", "{}"),
    ("/tests/0/expect/status", "\"done\""),
    ("/tests/0/expect/match", "\"some\""),
    ("/tests/0/expect/calls", "[]"),
    ("/tests/0/wanted", "{}"),
];
