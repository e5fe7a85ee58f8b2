//! What is told of expressions before they run.

mod soundness;

use formula::{Expression, Inferred, Kind, Reference, Type};
use serde_json::json;

/// What the places of the table tests may hold.
fn trigger() -> Type {
    let schema = json!({
        "type": "object",
        "required": ["id", "amount", "price", "paid", "items", "record", "nothing"],
        "additionalProperties": false,
        "properties": {
            "id": { "type": "string" },
            "amount": { "type": "integer" },
            "price": { "type": "number" },
            "paid": { "type": "boolean" },
            "note": { "type": "string" },
            "nothing": { "type": "null" },
            "due": { "type": "string", "format": "date" },
            "open": {},
            "record": { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
            "items": { "type": "array", "items": {
                "type": "object", "required": ["sku", "n"], "additionalProperties": false,
                "properties": { "sku": { "type": "string" }, "n": { "type": "integer" }, "price": { "type": "number" } },
            } },
        },
    });
    Type::from_schema(&schema, &schema)
}

fn types(reference: &Reference) -> Type {
    match reference.root.as_str() {
        "trigger" => trigger().at(&reference.path),
        _ => Type::any(),
    }
}

fn infer(source: &str) -> Inferred {
    Expression::compile(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}")).infer(&types)
}

fn infer_script(source: &str) -> Inferred {
    Expression::compile_script(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}")).infer(&types)
}

#[track_caller]
fn gives(source: &str, expected: &str) {
    let inferred = infer(source);
    assert_eq!(inferred.problems, [], "{source}");
    assert_eq!(inferred.gives.describe(), expected, "{source}");
}

#[track_caller]
fn script_gives(source: &str, expected: &str) {
    let inferred = infer_script(source);
    assert_eq!(inferred.problems, [], "{source}");
    assert_eq!(inferred.gives.describe(), expected, "{source}");
}

/// One problem: where, whether always, and a part of what is said.
#[track_caller]
fn refuses(source: &str, piece: &str, always: bool, part: &str) {
    report(source, infer(source), piece, always, part);
}

#[track_caller]
fn script_refuses(source: &str, piece: &str, always: bool, part: &str) {
    report(source, infer_script(source), piece, always, part);
}

#[track_caller]
fn report(source: &str, inferred: Inferred, piece: &str, always: bool, part: &str) {
    let [problem] = &inferred.problems[..] else { panic!("{source}: {:?}", inferred.problems) };
    assert_eq!(source.get(problem.range.clone()), Some(piece), "{source}: {problem:?}");
    assert_eq!(problem.always, always, "{source}: {problem:?}");
    let all = format!("{} {}", problem.message, problem.hint.as_deref().unwrap_or_default());
    assert!(all.contains(part), "{source}: {all}");
}

#[test]
fn literals_and_places() {
    gives("5", "a whole number");
    gives("0x1F", "a whole number");
    gives("1.5", "a number");
    gives("'a'", "text");
    gives("null", "null");
    gives("true", "true or false");
    gives("[1, 'a']", "a list of whole numbers and texts");
    gives("[]", "an empty list");
    gives("#{ a: 1 }", "a record");
    gives("#{ a: 1 }.a", "a whole number");
    gives("#{ a: 1 }.b", "null");
    gives("`No ${trigger.amount}`", "text");
    gives("trigger.id", "text");
    gives("trigger.note", "text or null");
    gives("trigger.note ?? 'none'", "text");
    gives("trigger.note ?? 5", "a whole number or text");
    gives("trigger.nope", "null");
    gives("trigger.open", "anything");
    gives("trigger.due", "text or null");
    gives("trigger.items", "a list of records");
    gives("trigger.items[0]", "a record or null");
    gives("trigger.items[-1].sku", "text or null");
    gives("trigger.items[trigger.amount].n", "a whole number or null");
    gives("trigger.record['a']", "text");
    gives("trigger.record.other", "anything");
    gives("trigger.id.length", "null");
    gives("params.x", "anything");
    gives("(trigger.record).a", "text");
    gives("$.trigger.id", "text");
    gives("$.trigger.note ?? 5", "a whole number or text");
    gives("$.trigger.items[*].sku", "a list of texts and null");
    gives("$.trigger.items[?@.n > 1]", "a list of records and null");
    gives("$..sku", "a list");
    gives("$.trigger['items'][0, 1].n", "a list of whole numbers and null");
}

#[test]
fn operators() {
    gives("trigger.amount + 1", "a whole number");
    gives("trigger.amount * 2 - 1 % 2", "a whole number");
    gives("trigger.amount / 100", "a number");
    gives("2 ** 3", "a number");
    gives("-trigger.amount", "a whole number");
    gives("trigger.id + '-'", "text");
    gives("[1] + ['a']", "a list of whole numbers and texts");
    gives("trigger.open + 1", "a number");
    gives("trigger.note == null", "true or false");
    gives("trigger.note == 'x' && trigger.amount > 5 || !trigger.paid", "true or false");
    gives("trigger.amount == 1.5", "true or false");
    gives("'a' in trigger.items", "true or false");
    gives("'a' !in trigger.id", "true or false");
    gives("trigger.nothing == 5", "true or false");
    gives("2 + 3 * 4 == 14", "true or false");
    refuses("trigger.amount == '5'", "trigger.amount == '5'", true, "compares a whole number with text Turn the text");
    refuses("trigger.note == 5", "trigger.note == 5", false, "compares text or null with a whole number");
    refuses("trigger.note > 5", "trigger.note > 5", true, "compares text or null with a whole number");
    refuses("trigger.amount > null", "trigger.amount > null", true, "no order Say what");
    refuses("1 + trigger.amount + 'x'", "1 + trigger.amount + 'x'", true, "to_text(…) to join");
    refuses("1 + (trigger.id * 2)", "(trigger.id * 2)", true, "multiplies text and a whole number");
    refuses("'6' * '7'", "'6' * '7'", true, "Turn the texts into numbers");
    refuses("trigger.nothing + 1", "trigger.nothing + 1", true, "adds a whole number and null");
    refuses("[1] < [2]", "[1] < [2]", true, "have an order");
    refuses("trigger.record + #{}", "trigger.record + #{}", true, "merge(a, b)");
    refuses("!trigger.amount", "!trigger.amount", true, "takes true or false");
    refuses("-trigger.id", "-trigger.id", true, "`-` stands before text");
    refuses("trigger.amount && true", "trigger.amount", true, "here belongs true or false, not a whole number");
    refuses("trigger.paid && trigger.amount", "trigger.amount", false, "here belongs");
    refuses("5 in trigger.amount", "5 in trigger.amount", true, "cannot contain");
    refuses("trigger.items == 3", "trigger.items == 3", true, "count(list)");
    refuses("trigger.items[true]", "true", true, "between the brackets stands true or false");
    refuses("`${trigger.items}`", "trigger.items", true, "a list of records does not fit into text");
    refuses("`a ${trigger.nothing}`", "trigger.nothing", true, "Give a text");
}

#[test]
fn times() {
    gives("is_text(date('2026-01-31') + duration('1d'))", "true or false");
    gives("date('2026-01-31') - date('2026-01-01') < duration('31d')", "true or false");
    gives("now() - duration('1h') < now()", "true or false");
    gives("2 * duration('1h') / duration('1m')", "a number");
    gives("-duration('1h') / 2 == duration('30m')", "true or false");
    gives("`due ${date('2026-01-31')}`", "text");
    gives("[date('2026-01-31')]", "a list of texts");
    gives("trigger.due ?? date('2026-01-31')", "text");
    refuses("trigger.due < now()", "trigger.due < now()", true, "text or null with a date-time Turn the text into a date-time");
    refuses("now() > date('2026-01-31')", "now() > date('2026-01-31')", true, "Take the day of the date-time");
    refuses("date('2026-01-31') + 3", "date('2026-01-31') + 3", true, "duration(\"3d\")");
    refuses("now() + now()", "now() + now()", true, "adds a date-time and a date-time");
    refuses("-now()", "-now()", true, "stands before a date-time");
    refuses("duration('1h') * duration('1h')", "duration('1h') * duration('1h')", true, "multiplies");
}

/// Read in another order, each of these would be refused, elsewhere, or be of another type.
#[test]
fn operators_bind_as_when_they_run() {
    gives("trigger.paid && 1 == 1", "true or false");
    gives("'a' in ['a'] == true", "true or false");
    gives("1 < 2 in [true]", "true or false");
    gives("trigger.note ?? 5 < 6", "true or false");
    gives("trigger.open ?? 1 + 1", "anything but null");
    refuses("'a' + 'b' * 2", "'b' * 2", true, "multiplies");
    refuses("2 * 'a' ** 2", "'a' ** 2", true, "raises");
    refuses("2 ** 'a' ** 2", "'a' ** 2", true, "raises");
    refuses("'a' - 1 - 1", "'a' - 1", true, "subtracts");
    refuses("-'a' ** 2", "-'a'", true, "stands before");
}

#[test]
fn choices() {
    gives("if trigger.paid { 1 } else { 'a' }", "a whole number or text");
    gives("if trigger.paid { 1 }", "a whole number or null");
    gives("if trigger.paid { 1 } else if trigger.amount > 1 { 2 } else { 3 }", "a whole number");
    gives("switch trigger.id { 'a' | 'b' => 1, 'c' if trigger.paid => 2.5, _ => 'x' }", "a number or text");
    gives("switch trigger.id { 'a' => 1 }", "a whole number or null");
    refuses("if trigger.id { 1 } else { 2 }", "trigger.id", true, "here belongs true or false, not text");
    refuses("if trigger.paid { 1 + 'a' } else { 2 }", "1 + 'a'", false, "adds");
    refuses("switch trigger.id { 'a' if trigger.amount => 1, _ => 2 }", "trigger.amount", false, "here belongs");
    // What the author asks about may be otherwise than the schema says.
    gives("if is_text(trigger.amount) { upper(trigger.amount) } else { 'x' }", "text");
    gives("trigger.amount.is_text() && upper(trigger.amount) == 'X'", "true or false");
    gives("if trigger.nope != null { trigger.nope.deep + 1 } else { 0 }", "a number");
    gives("if present(trigger.nothing) { trigger.nothing * 2 } else { 0 }", "a number");
}

#[test]
fn calls() {
    gives("upper(trigger.id)", "text");
    gives("trigger.id.upper().len()", "a whole number");
    gives("trigger.items.len()", "a whole number");
    gives("round(trigger.price, 2)", "a number");
    gives("trigger.items.map(|i| i.n * 2)", "a list of whole numbers");
    gives("trigger.items.map(|i| #{ s: i.sku }).first().s", "text or null");
    gives("trigger.items.filter(|i| i.n > 1)", "a list of records");
    gives("trigger.items.pluck('price')", "a list of numbers and null");
    gives("trigger.items.where('n', '>', 1).sort_by('n').last().sku", "text or null");
    gives("trigger.items.group_by('sku').a", "a list of records or null");
    gives("trigger.items.find(|i| i.n == 1)?.sku", "text or null");
    gives("sum(trigger.items, 'n')", "a whole number");
    gives("sum(trigger.items.map(|i| i.n / 2))", "a number");
    gives("trigger.items.reduce(0, |all, i| all + i.n)", "a number");
    gives("min(1, 2.5)", "a number");
    gives("max(trigger.items.pluck('n'))", "a whole number or null");
    gives("keys(trigger.record)", "a list of texts");
    gives("pick(trigger.record, ['a']).a", "text");
    gives("omit(trigger.items.first() ?? #{ sku: 'x' }, 'sku').sku", "null");
    gives("merge(trigger.record, #{ a: 1 }).a", "a whole number");
    gives("merge(#{ a: 1, b: 2 }, trigger.items[0]).a", "a whole number");
    gives("get(trigger, 'items[0].sku', 'none')", "text");
    gives("default(trigger.note, 5)", "a whole number or text");
    gives("trigger.note?.upper()", "text or null");
    gives("flatten([[1], 'a'])", "a list of whole numbers and texts");
    gives("now()", "text");
    gives("[#{ at: now(), d: [today(\"UTC\")] }][0].d[0]", "text or null");
    gives("now() - datetime(\"2026-01-31T00:00:00Z\") > duration(\"1h\")", "true or false");
    refuses("upper(trigger.amount)", "trigger.amount", true, "`upper` takes text, here it gets a whole number Turn it into text");
    refuses("trigger.amount.upper()", "trigger.amount", true, "`upper` takes text");
    refuses("trigger.nothing.upper()", "trigger.nothing", true, "(… ?? \"\")");
    refuses("replace(trigger.id, 1, 'b')", "1", true, "as its second value");
    refuses("trigger.id.map(|x| x)", "trigger.id", true, "`map` takes a list as its first value");
    refuses("trigger.items.map(|i| i.n + i.sku)", "i.n + i.sku", false, "adds a whole number and text");
    refuses("trigger.items.filter(|i| i.n)", "i.n", false, "the closure of `filter` gives a whole number");
    refuses("sum(trigger.items, 'sku')", "'sku'", false, "`sum` adds numbers, and here an item is text");
    refuses("pad(trigger.id, '5')", "'5'", true, "a whole number as its second value, here it gets text");
    refuses("trigger.items.filter('n')", "'n'", true, "closure");
}

#[test]
fn scripts() {
    script_gives("let a = trigger.amount; a * 2", "a whole number");
    script_gives("let t = 0; for i in trigger.items { t += i.n; } t", "a number");
    script_gives("let out = []; for i in trigger.items { out.push(i.sku); } out", "a list of texts");
    script_gives("let a = 1; if trigger.paid { a = 'x'; } a", "a whole number or text");
    script_gives("let m = #{ a: 1 }; m.b = 2; m", "a list or a record");
    script_gives("if trigger.paid { return 'early'; } 5", "a whole number or text");
    script_gives("fn twice(x) { x * 2 } twice(2)", "anything");
    script_gives("let f = |x| x; f.call(1)", "anything");
    script_gives("let x = 1; { let x = 'a'; } x", "a whole number");
    script_gives("let n = 0; let f = |x| { n = x; }; f.call('a'); n", "anything");
    script_refuses("let a = trigger.id; a * 2", "a * 2", true, "multiplies");
    script_refuses("if trigger.paid { return 1; } 'a' * 2", "'a' * 2", false, "multiplies");
    script_refuses("for i in trigger.amount { }", "trigger.amount", true, "goes through a list");
    script_refuses("try { 'a' * 2 } catch { 1 }", "'a' * 2", false, "multiplies");
    script_refuses("let a = 1; a = 2; a + 'x'", "a + 'x'", true, "adds");
}

#[test]
fn decisions() {
    let decide = |source: &str| Expression::compile(source).unwrap().infer_decision(&types);
    assert_eq!(decide("trigger.amount > 1").problems, []);
    assert_eq!(decide("trigger.open").problems, []);
    report(
        " trigger.amount ",
        decide(" trigger.amount "),
        "trigger.amount",
        true,
        "a decision needs true or false Compare the number",
    );
    report("trigger.note", decide("trigger.note"), "trigger.note", true, "gives text or null");
    report("$.trigger.items[*]", decide("$.trigger.items[*]"), "$.trigger.items[*]", true, "gives a list");
}

#[test]
fn types_of_schemas() {
    let of = |schema: serde_json::Value| Type::from_schema(&schema, &schema);
    assert_eq!(of(json!({ "type": ["string", "null"] })).describe(), "text or null");
    assert_eq!(of(json!({ "enum": ["a", 1, null] })).describe(), "a whole number, text or null");
    assert_eq!(of(json!({ "const": true })).describe(), "true or false");
    assert_eq!(of(json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] })).describe(), "a whole number or text");
    assert_eq!(of(json!({ "type": "string", "nullable": true })).describe(), "text or null");
    assert!(of(json!(true)).is_any() && of(json!({})).is_any());
    let base = json!({
        "$defs": { "base": { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
                   "tree": { "type": "object", "properties": { "kids": { "type": "array", "items": { "$ref": "#/$defs/tree" } } } } },
        "allOf": [{ "$ref": "#/$defs/base" }, { "type": "object", "properties": { "b": { "type": "integer" } } }],
        "properties": { "tree": { "$ref": "#/$defs/tree" } },
    });
    let base = of(base);
    assert_eq!(base.field("a").describe(), "text");
    assert_eq!(base.field("b").describe(), "a whole number or null");
    // What leads back into itself is anything on its second turn.
    assert_eq!(base.field("tree").field("kids").describe(), "a list or null");
    let closed = of(json!({ "type": "object", "properties": { "a": {} }, "additionalProperties": false }));
    assert!(closed.is_closed() && closed.field_names().eq(["a"]));
    assert_eq!(closed.field("b"), Type::kind(Kind::Null));
    let tuple = of(json!({ "type": "array", "prefixItems": [{ "type": "string" }], "items": { "type": "integer" } }));
    assert_eq!(tuple.describe(), "a list of whole numbers and texts");
}

#[test]
fn types_that_meet() {
    let record = |field: Type| Type::record([("a", field)], Type::any());
    let (text, number) = (Type::kind(Kind::Text), Type::kind(Kind::Number));
    assert!(!text.intersects(&number) && text.intersects(&text.or_null()));
    assert!(Type::kind(Kind::Integer).intersects(&number));
    assert!(!record(text.clone()).intersects(&record(number.clone())));
    assert!(Type::list(text).intersects(&Type::list(number)), "the empty list is of both");
}
