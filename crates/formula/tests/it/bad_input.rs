//! Sources that are long, or hide what they are. Each ends with a sentence, after an amount of
//! work that does not depend on how bad it is: the limits say so, and no clock is asked.

use formula::{Expression, Inferred, Scope, SyntaxProblem, Type, limits};
use serde_json::json;

/// As many pieces as fit into a source.
fn full(start: &str, piece: impl Fn(usize) -> String, end: &str) -> String {
    let mut source = start.to_owned();
    for number in 0.. {
        let piece = piece(number);
        if source.len() + piece.len() + end.len() > limits::SOURCE_BYTES_MAX {
            break;
        }
        source += &piece;
    }
    source + end
}

#[track_caller]
fn refused(compiled: Result<Expression, SyntaxProblem>, part: &str) -> SyntaxProblem {
    let problem = compiled.expect_err(part);
    let all = format!("{} {}", problem.message, problem.hint.as_deref().unwrap_or_default());
    assert!(all.contains(part), "{all}");
    assert!(all.chars().count() < 300, "this is no sentence: {all}");
    problem
}

#[track_caller]
fn formula_refused(source: &str, part: &str) {
    refused(Expression::compile(source), part);
}

#[track_caller]
fn script_refused(source: &str, part: &str) {
    refused(Expression::compile_script(source), part);
}

#[test]
fn huge_literals() {
    let long = |piece: &str| piece.repeat(60_000);
    formula_refused(&long("1"), "more digits");
    formula_refused(&format!("1e{}", long("9")), "more digits");
    formula_refused(&format!("0x{}", long("F")), "more digits");
    formula_refused("1e999999999", "more digits");
    formula_refused(&full("[", |_| "1,".to_owned(), "1]"), "too large");
    formula_refused(&full("`", |_| "${1}".to_owned(), "`"), "too large");
    formula_refused(&full("#{", |n| format!("f{n}: 1,"), "z: 1}"), "1024 different fields");
    formula_refused(&full("[", |n| format!("#{{f{n}: 1}},"), "1]"), "1024 different fields");
    formula_refused(&full("[", |n| format!("f{n},"), "1]"), "256 different places");
    formula_refused(&full("max(", |_| "1,".to_owned(), "1)"), "values, here it gets 3");
    formula_refused(&format!("\"{}\"", "x".repeat(limits::SOURCE_BYTES_MAX)), "64 KB");
    formula_refused(&format!("$.a{}", ".a".repeat(limits::SOURCE_BYTES_MAX)), "64 KB");
    formula_refused(&full("|", |n| format!("p{n},"), "p|1"), "512 variables");
    script_refused(&full("", |n| format!("let v{n}=1;"), ""), "512 variables");
    script_refused(&full("", |_| "for x in a{}".to_owned(), ""), "512 variables");
    script_refused(&full("", |n| format!("fn f{n}(){{}}"), ""), "32 closures and functions");
    let digits = Expression::compile(&format!("0.{}", long("3"))).unwrap().eval(&Scope::new());
    assert_eq!(digits, Ok(json!(0.333_333_333_333_333_3)));
}

#[test]
fn endless_sentences_are_not_said() {
    // The piece of source that a problem quotes is short, however long the piece is.
    formula_refused(&format!("{}(1)", "f".repeat(60_000)), "there is no function");
    let endless = format!("\"{}\" * 2", "x".repeat(60_000));
    let expression = Expression::compile(&endless).unwrap();
    let error = expression.eval(&Scope::new()).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), ("type_mismatch", "a formula multiplies text and a number"));
    let [problem] = &expression.infer(&|_| Type::any()).problems[..] else { panic!("one problem") };
    assert_eq!(problem.message, "a formula multiplies text and a whole number");
}

/// Work that would take a multiple of the limit ends at it, and nothing wrong is said.
#[test]
fn types_are_inferred_within_bounds() {
    let infer = |source: &str| Expression::compile_script(source).unwrap().infer(&|_| Type::any());
    let gives_anything = |inferred: Inferred| assert!(inferred.gives.is_any() && inferred.problems.is_empty(), "{inferred:?}");
    // A variable that may hold any of a thousand records.
    gives_anything(infer(&full("let a = #{};", |n| format!("a = #{{ f{}: 1 }};", n % 1000), "a")));
    // More calls than steps.
    gives_anything(infer(&full("let a = 1;", |_| "len([1]);".to_owned(), "1 + a")));
    // A type of 2 to the power of 40 parts.
    let doubled = infer(&format!("let a = #{{ x: 1 }};{}a", "a = #{ l: a, r: a };".repeat(40)));
    assert_eq!(doubled.problems, []);
    let let_doubled: String = (1..40).map(|n| format!("let a{n} = #{{ l: a{}, r: a{} }};", n - 1, n - 1)).collect();
    let doubled = infer(&format!("let a0 = 1; {let_doubled} a39.l.r"));
    assert_eq!((doubled.gives.describe(), doubled.problems), ("a record".to_owned(), vec![]));
    // Each push looks at what it pushes, and that pushes.
    let nested = infer(&format!("let a = []; {}1{}", "push(a, ".repeat(30), ")".repeat(30)));
    assert_eq!(nested.problems, []);
}

#[test]
fn schemas_are_read_within_bounds() {
    let mut deep = json!({ "type": "string" });
    for _ in 0..100 {
        deep = json!({ "type": "object", "required": ["a"], "properties": { "a": deep } });
    }
    let mut inner = Type::from_schema(&deep, &deep);
    for _ in 0..100 {
        inner = inner.field("a");
    }
    assert!(inner.is_any(), "{inner:?}");
    // Two ways into itself at each turn.
    let twice = json!({ "$defs": { "t": { "properties": { "l": { "$ref": "#/$defs/t" }, "r": { "$ref": "#/$defs/t" } } } }, "$ref": "#/$defs/t" });
    assert!(Type::from_schema(&twice, &twice).field("l").is_any());
    // Each level refers to the next one twice.
    let mut levels = serde_json::Map::new();
    for level in 0..60 {
        let next = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
        levels.insert(format!("l{level}"), json!({ "type": "object", "properties": { "a": next, "b": next } }));
    }
    let levels = json!({ "$defs": levels, "$ref": "#/$defs/l0" });
    assert_eq!(Type::from_schema(&levels, &levels).describe(), "a record");
    let wide = json!({ "anyOf": (0..10_000).map(|n| json!({ "properties": { format!("f{n}"): { "type": "string" } } })).collect::<Vec<_>>() });
    assert!(Type::from_schema(&wide, &wide).is_any());
}

#[test]
fn what_nobody_sees_is_named() {
    let at = |source: &str, range: std::ops::Range<usize>, part: &str| {
        assert_eq!(refused(Expression::compile(source), part).range, range, "{source:?}");
    };
    at("trigger.am\u{200b}ount", 10..13, "a blank without width (U+200B)");
    at("\u{feff}trigger.amount", 0..3, "(U+FEFF)");
    at("trigger.amount\u{200d}", 14..17, "a joiner of letters (U+200D)");
    at("1 +\u{200f} 1", 3..6, "a mark of direction (U+200F)");
    at("1 \u{0} 1", 2..3, "a control character (U+0000)");
    at("trigger.e\u{301}", 9..11, "an accent apart from its letter (U+0301)");
    at("so\u{ad}rt([])", 2..4, "a soft hyphen (U+00AD)");
}

/// It reads as a comparison with "user", and compares with something else.
#[test]
fn what_turns_the_direction_is_refused_everywhere() {
    for source in [
        "trigger.role == \"user\u{202e} \u{2066}// only for admins\u{2069} \u{2066}\"",
        "1 /* \u{202e} */ + 1",
        "`\u{2067}${trigger.id}`",
        "$.trigger['\u{202d}a']",
        "#{ \"\u{2068}a\": 1 }",
    ] {
        let problem = refused(Expression::compile(source), "turns the direction");
        assert_eq!(source[problem.range].chars().count(), 1, "{source:?}");
        script_refused(source, "turns the direction");
    }
}

#[test]
fn text_from_right_to_left_is_text() {
    let eval = |source: &str| Expression::compile(source).unwrap().eval(&Scope::new());
    assert_eq!(eval("\"שלום\" + ' ' + \"مرحبا\""), Ok(json!("שלום مرحبا")));
    assert_eq!(eval("\"\\u202e\""), Ok(json!("\u{202e}")));
    assert_eq!(eval("`👨\u{200d}👩\u{200d}👧 می\u{200c}خواهم`"), Ok(json!("👨\u{200d}👩\u{200d}👧 می\u{200c}خواهم")));
    assert_eq!(eval("#{ שם: 1 }.שם"), Ok(json!(1)));
    assert_eq!(eval("len(\"שלום\")"), Ok(json!(4)));
    assert_eq!(eval("1\u{a0}+\u{3000}1"), Ok(json!(2)));
}
