//! Sources that want too much. Every case runs on the small stack of a worker thread.

use std::sync::Arc;

use formula::{Expression, Scope};
use serde_json::{Value as Json, json};

/// The stack of a tokio worker.
const STACK_BYTES: usize = 2 * 1024 * 1024;

fn on_a_worker<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap()
}

fn run(source: String, script: bool) -> Result<Json, &'static str> {
    on_a_worker(move || {
        let compiled = if script { Expression::compile_script(&source) } else { Expression::compile(&source) };
        let data = json!({ "list": (0..2000).collect::<Vec<_>>(), "text": "x".repeat(100_000) });
        compiled.map_err(|_| "syntax")?.eval(&Scope::from_json(Arc::new(data))).map_err(|error| error.code)
    })
}

#[test]
fn deep_sources_are_refused() {
    let wrap = |open: &str, close: &str| format!("{}1{}", open.repeat(3000), close.repeat(3000));
    for source in [
        wrap("(", ")"),
        wrap("[", "]"),
        wrap("#{a:", "}"),
        wrap("if true {", "}"),
        wrap("`${", "}`"),
        wrap("switch 1 { 1 => ", "}"),
        wrap("!", ""),
        wrap("- ", ""),
        wrap("|x| ", ""),
        wrap("upper(", ")"),
        wrap("if false { 1 } else ", ""),
        vec!["1"; 5000].join("+"),
        vec!["1"; 5000].join("**"),
        vec!["true"; 5000].join("&&"),
        vec!["null"; 5000].join("??"),
        format!("first([]){}", ".a".repeat(5000)),
        format!("first([]){}", "[0]".repeat(5000)),
        format!("\"a\"{}", ".upper()".repeat(5000)),
    ] {
        let start: String = source.chars().take(20).collect();
        assert_eq!(run(source, false), Err("syntax"), "{start}");
    }
    assert_eq!(run(format!("trigger{}", ".a".repeat(5000)), false), Ok(Json::Null));
    assert_eq!(run(wrap("{", "}"), true), Err("syntax"));
}

#[test]
fn nested_filters_are_refused_before_they_are_read() {
    let nested = |levels: usize| format!("{}@.a == 1{}", "$[?(".repeat(levels), ")]".repeat(levels));
    assert_eq!(run(nested(2_000), false), Err("syntax"));
    assert_eq!(run(format!("$[?{}@.a{}]", "!(".repeat(2_000), ")".repeat(2_000)), false), Err("syntax"));
    assert_eq!(run(nested(3), false), Ok(json!([])));
}

#[test]
fn what_a_script_throws_is_a_message() {
    let message = |source: &str| {
        let error = Expression::compile_script(source).unwrap().eval(&Scope::new()).unwrap_err();
        assert_eq!(error.code, "thrown");
        error.message
    };
    assert_eq!(message("throw \"no customer\""), "no customer");
    assert_eq!(message("throw trigger.missing"), "the script gave up without a word");
    assert_eq!(message("let x = \"ab\"; loop { if x.len() > 9000 { throw x } x += x; }").chars().count(), 501);
}

#[test]
fn calls_with_many_values_are_refused() {
    let many = |before: &str, count: usize, after: &str| format!("{before}{}{after}", vec!["1"; count].join(","));
    for source in [many("1[", 2, "]"), many("trigger.list[", 300, "]"), many("#{a: 1}?[", 2, "]"), "trigger[]".to_owned()] {
        assert_eq!(run(source.clone(), false), Err("syntax"), "{source}");
    }
    for source in
        [many("fn f(a) { a } f(", 11, ")"), many("let f = |a| a; f(", 200, ")"), many("let f = |a| a; f.call(", 200, ")")]
    {
        assert_eq!(run(source.clone(), true), Err("syntax"), "{source}");
    }
    assert_eq!(
        run("fn f(a, b, c, d, e, f, g, h, i, j) { a + j } f(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)".to_owned(), true),
        Ok(json!(11))
    );
}

#[test]
fn words_without_their_brackets_are_refused() {
    for source in [
        "a[0catch ]_b",
        "x[0 fn f ]_b",
        "[fn ] x",
        "catch",
        "catch (",
        "fn",
        "fn f",
        "fn f(",
        "try {} catch x {}",
        "for",
        "for (",
        "for (a",
    ] {
        assert_eq!(run(source.to_owned(), true), Err("syntax"), "{source}");
    }
}

#[test]
fn paths_that_find_without_end_stop() {
    let deep = (0..100).fold(json!(1), |inner, _| json!({ "a": inner }));
    let wide: Vec<_> = (0..3_000).map(|n| json!({ "a": format!("{}{n}", "a".repeat(40)), "p": "(a|b)*a(a|b){12}" })).collect();
    let scope = Scope::from_json(Arc::new(json!({ "deep": deep, "wide": wide, "long": "ab".repeat(300_000) })));
    for source in [
        format!("${}", "..*".repeat(8)),
        format!("$.deep{}", "['a','a']".repeat(40)),
        "$.wide[?count($.wide[*]) > 1]".to_owned(),
        "$.wide[?search(@.a, @.p)]".to_owned(),
        "$.wide[?search($.long, 'b{9}c')]".to_owned(),
        "$.wide[?length($.long) > 1]".to_owned(),
        format!("${}{}", "[?@..*".repeat(5), "]".repeat(5)),
    ] {
        let path = Expression::compile(&source).unwrap();
        assert_eq!(path.eval(&scope).map_err(|error| error.code), Err("limit"), "{source}");
        assert_eq!(path.eval_bool(&scope).map_err(|error| error.code), Err("limit"), "{source}");
    }
    let found = Expression::compile("$.wide[?match(@.a, 'a+1{2}')].a").unwrap().eval(&scope);
    assert_eq!(found.map(|found| found.as_array().map(Vec::len)), Ok(Some(1)));
}

#[test]
fn regular_expressions_that_explode_are_refused() {
    for pattern in ["((a{100}){100}){100}", "(\\\\p{L}{200}){50}", &"a".repeat(2_000)] {
        assert_eq!(run(format!("$.list[?search(@, '{pattern}')]"), false), Err("syntax"), "{pattern}");
    }
    // No regular expression at all matches nothing, as RFC 9535 has it.
    assert_eq!(run("$.list[?search(@, '(')]".to_owned(), false), Ok(json!([])));
}

#[test]
fn endless_scripts_stop() {
    for source in [
        "loop {}",
        "while true { let a = 1; }",
        "for i in 0..999999999 {}",
        "fn f(x) { f(x + 1) } f(1)",
        "fn f(x) { [1].map(|y| f(x + 1)) } f(1)",
        "list.map(|a| list.map(|b| list.map(|c| a + b + c)))",
        "let a = \"x\"; loop { a += a; }",
        "let a = [1]; loop { a += a; }",
        "let a = [1]; loop { a = [a, a]; }",
        "let a = []; loop { a.push(1); }",
        "let a = []; loop { a = [a]; }",
        "let a = [0]; loop { a[0] = a; }",
        "let a = #{}; loop { a = #{ a: a }; }",
        "let a = []; loop { let b = []; b.push(a); a = b; }",
        "let a = []; loop { a += [a]; }",
        "let f = |x| x; loop { let g = f; f = |x| g.call(x); }",
        "list.reduce([], |a, x| [a])",
        "list.reduce(#{}, |a, x| merge(#{}, #{ a: a }))",
        "loop { upper(text) }",
        "list.map(|x| upper(text))",
        "let t = \"\"; loop { t = pad(t, 1000000); t = replace(t, \" \", \"    \"); }",
        "pad(\"\", 999999999999)",
    ] {
        assert_eq!(run(source.to_owned(), true), Err("limit"), "{source}");
    }
}

#[test]
fn copies_of_large_data_are_counted() {
    let code = on_a_worker(|| {
        let scope =
            Scope::from_json(Arc::new(json!({ "big": vec![json!({ "a": 1 }); 2000], "list": (0..2000).collect::<Vec<_>>() })));
        ["list.map(|x| big)", "list.map(|x| json(big))", "list.map(|x| merge(#{ b: big }, #{}))", "list.filter(|x| big == big)"]
            .map(|source| Expression::compile(source).unwrap().eval(&scope).map_err(|error| error.code))
    });
    assert_eq!(code, [const { Err("limit") }; 4]);
}

#[test]
fn a_list_of_the_data_may_be_long() {
    let scope = Scope::from_json(Arc::new(json!({ "rows": (0..50_000).map(|n| json!({ "n": n })).collect::<Vec<_>>() })));
    let eval = |source: &str| Expression::compile(source).unwrap().eval(&scope).map_err(|error| error.code);
    assert_eq!(eval("rows.len()"), Ok(json!(50_000)));
    assert_eq!(eval("sum(rows, \"n\")"), Ok(json!(1_249_975_000)));
    assert_eq!(eval("rows[49999].n"), Ok(json!(49_999)));
    assert_eq!(eval("count(rows, |r| r.n > 49990)"), Ok(json!(9)));
    assert_eq!(eval("rows.pluck(\"n\")"), Err("limit"));
}
