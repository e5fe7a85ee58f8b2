//! Sources that are refused, and what is said about them.

use formula::{Expression, SyntaxProblem};

use crate::{fails, wrong};

/// The piece of source pointed at, and a part of the message or hint.
#[track_caller]
fn refused(source: &str, piece: &str, part: &str) {
    report(source, Expression::compile(source).expect_err(source), piece, part);
}

#[track_caller]
fn refused_script(source: &str, piece: &str, part: &str) {
    report(source, Expression::compile_script(source).expect_err(source), piece, part);
}

#[track_caller]
fn report(source: &str, problem: SyntaxProblem, piece: &str, part: &str) {
    assert_eq!(source.get(problem.range.clone()), Some(piece), "{source}: {problem:?}");
    let all = format!("{} {}", problem.message, problem.hint.as_deref().unwrap_or_default());
    assert!(all.contains(part), "{source}: {all}");
}

#[test]
fn formulas() {
    refused("", "", "no formula");
    refused("1 +", "", "not complete");
    refused("(1", "(", "never closed");
    refused("1)", ")", "closes nothing");
    refused("[1)", ")", "does not close");
    refused("\"abc", "\"abc", "never ends");
    refused("trigger.a and true", "and", "&&");
    refused("trigger.a or true", "or", "||");
    refused("trigger.a === 1", "===", "==");
    refused("trigger.a = 1", "trigger.a", "read only");
    refused("1 = 1", "=", "==");
    refused("a ? b : c", "?", "if condition");
    refused("$.trigger.a > 5", ">", "formula");
    refused("trigger.a + $.b", "$", "JSONPath stands alone");
    refused("let x = 1", "let", "set");
    refused("for x in y { }", "for", "set");
    refused("import \"x\" as y", "import", "formula");
    refused("trigger.", ".", "belongs a name");
    refused("trigger.1", ".1", "x[0]");
    refused("1 2", "2", "operator");
    refused("trigger.a trigger.b", "trigger", "missing before");
    refused("\"\\q\"", "\\q", "backslash");
    refused("“a”", "“", "straight quotes");
    refused("[1].map(|x)", "|", "second");
    refused("#{ a: 1, a: 2 }", "a", "twice");
    refused("1e999", "1e999", "digits");
    refused("a::b", "::", "nothing");
    refused("[1].map(|x| { a: x })", "{", "#{ name: value }");
    refused("(".repeat(60).as_str(), "(", "never closed");
    refused(&format!("{}1{}", "(".repeat(70), ")".repeat(70)), "(", "deeper");
    refused(&"1".repeat(70_000), &"1".repeat(70_000), "64 KB");
}

#[test]
fn functions() {
    refused("uper(\"a\")", "uper", "`upper`");
    refused("trigger.id.uper()", "uper", "`upper`");
    refused("frobnicate(1)", "frobnicate", "no function");
    refused("upper()", "upper()", "takes one value, here it gets 0");
    refused("\"a\".upper(1)", "upper(1)", "here it gets 2");
    refused("round(1, 2, 'up', 3)", "round(1, 2, 'up', 3)", "1 to 3 values");
    refused("eval(\"1\")", "eval", "never run text");
    refused("print(1)", "print", "no output");
    refused("debug(1)", "debug", "no output");
    refused("sleep(1)", "sleep", "wait");
    refused("Fn(\"sleep\")", "Fn", "never run text");
    refused("type_of(1)", "type_of", "no function");
    refused("trigger.curry(1)", "curry", "no function");
    refused("toUpperCase(\"a\")", "toUpperCase", "upper");
}

#[test]
fn scripts() {
    refused_script("import \"x\" as y;", "import", "script");
    refused_script("trigger.a = 1", "trigger.a", "read only");
    refused_script("trigger.items[0] += 1", "trigger.items[0]", "read only");
    refused_script("fn f() { trigger.id } f()", "trigger", "only its parameters");
    refused_script("let r0__ = 1", "r0__", "cannot be the name");
    refused_script("let if = 1", "if", "word of the language");
    refused_script("const a = 1; a = 2", "a", "constant");
    refused_script("this.a", "this", "script");
    refused_script("break", "break", "loop");
}

#[test]
fn jsonpaths() {
    refused("$.trigger.a-b", "-", "['idempotency-key']");
    refused("$.a ?? trigger.b", "trigger.b", "plain value");
    refused("$.a * 100", "*", "formula");
    refused("$.items[?", "?", "does not fit");
    refused("$.items[0].", ".", "does not fit");
    refused("$$", "$", "does not fit");
}

#[test]
fn running() {
    fails("nope + 1", "null_value", "`nope + 1` adds a number and null");
    fails("sum(trigger.items, \"price\")", "null_value", "item 3 is null");
    fails("sort([1, \"a\"])", "type_mismatch", "`sort` compares");
    fails("max([1, null])", "null_value", "`max` compares");
    fails("trigger.items.filter(|i| i.n)", "not_a_boolean", "true or false");
    fails("to_number(\"12,5\")", "bad_argument", "\"12,5\" is no number");
    fails("parse_json(\"{\")", "bad_argument", "not JSON");
    fails("from_base64(\"?\")", "bad_argument", "Base64");
    fails("trigger.items[1.5]", "bad_argument", "whole");
    fails("trigger.items[true]", "bad_argument", "Items have numbers");
    fails("join([1, null], \",\")", "null_value", "null");
    fails("|x| x", "type_mismatch", "closure");
    fails("trigger.items.push(1)", "read_only", "read only");
    wrong("pluck(trigger.items, \"\")", "bad_argument", "no path");
    fails("trigger.items.map(|i| i.n + i.sku)", "type_mismatch", "`i.n + i.sku` adds a number and text");
}
