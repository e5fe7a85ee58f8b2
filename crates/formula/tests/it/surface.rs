//! The interface the engine builds on.

use std::sync::Arc;

use formula::{Expression, Json, Reference, Scope, Segment, functions};
use serde_json::json;

use crate::scope;

fn references(source: &str) -> Vec<String> {
    let expression = Expression::compile(source).unwrap_or_else(|problem| panic!("{source}: {problem:?}"));
    show(source, expression.references())
}

fn show(source: &str, references: &[Reference]) -> Vec<String> {
    let path = |reference: &Reference| {
        reference.path.iter().fold(reference.root.clone(), |text, segment| match segment {
            Segment::Key(key) => format!("{text}.{key}"),
            Segment::Index(index) => format!("{text}[{index}]"),
            Segment::Any => format!("{text}[*]"),
        })
    };
    references.iter().map(|reference| format!("{} <{}>", path(reference), &source[reference.range.clone()])).collect()
}

#[test]
fn references_of_formulas() {
    assert_eq!(references("trigger.a.b"), ["trigger.a.b <trigger.a.b>"]);
    assert_eq!(
        references("upper(trigger.a) + steps.x['y z'][0]"),
        ["trigger.a <trigger.a>", "steps.x.y z[0] <steps.x['y z'][0]>"]
    );
    assert_eq!(references("trigger.list.map(|i| i.a + params.b)"), ["trigger.list <trigger.list>", "params.b <params.b>"]);
    assert_eq!(references("trigger.list[index].name"), ["trigger.list[*].name <trigger.list[index].name>", "index <index>"]);
    assert_eq!(references("item.x ?? 3"), ["item.x <item.x>"]);
    assert_eq!(references("[1].map(|item| item.a) == item.b"), ["item.b <item.b>"]);
    assert_eq!(references("`${run.id}`"), ["run.id <run.id>"]);
    assert_eq!(references("#{ state: 1, x: state.y }"), ["state.y <state.y>"]);
    assert_eq!(references("now()"), Vec::<String>::new());
}

#[test]
fn references_of_scripts() {
    let source = "let x = trigger.a; for item in trigger.list { x += item.n; } x + item.m";
    let script = Expression::compile_script(source).unwrap();
    assert_eq!(show(source, script.references()), ["trigger.a <trigger.a>", "trigger.list <trigger.list>", "item.m <item.m>"]);
}

#[test]
fn references_of_paths() {
    assert_eq!(references(" $.trigger.a[0]"), ["trigger.a[0] <$.trigger.a[0]>"]);
    assert_eq!(references("$.steps.x.list[*].id ?? 1"), ["steps.x.list[*].id <$.steps.x.list[*].id>"]);
    assert_eq!(references("$..id"), [" <$..id>"]);
    assert_eq!(
        references("$.trigger.list[?@.a > $.params.b].c"),
        ["trigger.list[*].c <$.trigger.list[?@.a > $.params.b].c>", "params <$.trigger.list[?@.a > $.params.b].c>",]
    );
}

#[test]
fn decisions_take_no_other_value() {
    let decide = |source: &str| Expression::compile(source).unwrap().eval_bool(&scope());
    assert_eq!(decide("trigger.amount > 5"), Ok(true));
    assert_eq!(decide("trigger.off"), Ok(false));
    assert_eq!(decide("$.trigger.yes"), Ok(true));
    assert_eq!(decide("true"), Ok(true));
    for (source, part) in [
        ("trigger.nope", "gives null"),
        ("trigger.id", "gives text"),
        ("1", "gives a number"),
        ("[true]", "gives a list"),
        ("$.trigger.items[*]", "gives a list"),
    ] {
        let error = decide(source).unwrap_err();
        assert_eq!(error.code, "not_a_boolean");
        assert!(error.message.contains(part) && error.hint.is_some(), "{error:?}");
    }
}

#[test]
fn a_scope_grows_and_its_clones_do_not() {
    let mut scope = Scope::new();
    let eval = |scope: &Scope, source: &str| Expression::compile(source).unwrap().eval(scope);
    assert_eq!(eval(&scope, "steps.a.b"), Ok(Json::Null));
    scope.set("trigger", Arc::new(json!({ "id": 1 })));
    scope.set_in("steps", &"b".into(), Arc::new(json!({ "x": 1 })));
    let earlier = scope.clone();
    scope.set_in("steps", &"a".into(), Arc::new(json!({ "x": 2 })));
    scope.set_in("steps", &"b".into(), Arc::new(json!({ "x": 3 })));
    scope.set("row", Arc::new(json!("r")));
    assert_eq!(eval(&scope, "[steps.a.x, steps.b.x, row]"), Ok(json!([2, 3, "r"])));
    assert_eq!(eval(&earlier, "[steps.a.x, steps.b.x]"), Ok(json!([null, 1])));
    assert_eq!(eval(&scope, "keys(steps)"), Ok(json!(["a", "b"])));
    assert_eq!(eval(&scope, "steps"), Ok(json!({ "a": { "x": 2 }, "b": { "x": 3 } })));
    assert_eq!(eval(&scope, "$.steps.*.x"), Ok(json!([2, 3])));
    assert_eq!(eval(&scope, "$..x"), Ok(json!([2, 3])));
    assert_eq!(
        eval(&scope, "$"),
        Ok(json!({ "trigger": { "id": 1 }, "steps": { "a": { "x": 2 }, "b": { "x": 3 } }, "row": "r" }))
    );
    let error = eval(&scope, "triger.id").unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), ("unknown_name", Some("Did you mean `trigger`?")));
    assert_eq!(eval(&scope, "state.x ?? 1"), Ok(json!(1)));
}

#[test]
fn shared_results_are_not_copied() {
    let mut scope = Scope::new();
    let event = Arc::new(json!({ "body": { "list": [1, 2] } }));
    scope.set("trigger", Arc::clone(&event));
    let eval = |source: &str| Expression::compile(source).unwrap().eval_shared(&scope).unwrap();
    assert!(Arc::ptr_eq(&eval("trigger").into_arc(), &event));
    assert!(std::ptr::eq(&*eval("trigger.body.list"), &event["body"]["list"]));
    assert!(std::ptr::eq(&*eval("$.trigger.body"), &event["body"]));
    assert_eq!(*eval("trigger.nope"), Json::Null);
    assert_eq!(eval("trigger.body.list").into_json(), json!([1, 2]));
}

#[test]
fn data_that_is_no_record() {
    let scope = Scope::from_json(Arc::new(json!([{ "a": 1 }, { "a": 2 }])));
    let eval = |source: &str| Expression::compile(source).unwrap().eval(&scope).unwrap();
    assert_eq!(eval("$[1].a"), json!(2));
    assert_eq!(eval("$[*].a"), json!([1, 2]));
    assert_eq!(eval("$[9] ?? 1"), json!(1));
    assert_eq!(eval("a.b"), Json::Null);
}

#[test]
fn now_is_known_or_an_error() {
    let now = Expression::compile("now()").unwrap();
    assert_eq!(now.eval(&scope()), Ok(json!("2026-01-02T03:04:05Z")));
    assert_eq!(now.eval(&Scope::new()).unwrap_err().code, "unknown_name");
}

#[test]
fn fields_keep_the_order_of_the_source() {
    let eval = |source: &str| Expression::compile(source).unwrap().eval(&scope()).unwrap().to_string();
    assert_eq!(eval("#{ z: 1, a: #{ y: 1, b: 2 } }"), r#"{"z":1,"a":{"y":1,"b":2}}"#);
    assert_eq!(eval("[2].map(|x| #{ z: x, a: x })"), r#"[{"z":2,"a":2}]"#);
    assert_eq!(eval("merge(trigger.record, #{ m: 1 })"), r#"{"z":1,"a":2,"m":1}"#);
    assert_eq!(eval("pick(trigger.record, [\"a\", \"z\"])"), r#"{"a":2,"z":1}"#);
}

#[test]
fn every_function_does_what_its_line_says() {
    for function in functions() {
        let example = Expression::compile(function.example).unwrap_or_else(|problem| panic!("{}: {problem:?}", function.example));
        let expected: Json = serde_json::from_str(function.result).unwrap();
        assert_eq!(example.eval(&scope()), Ok(expected), "{}", function.example);
        assert!(function.example.contains(function.name), "{}", function.name);
        assert!(function.doc.ends_with('.') && function.signature.starts_with(function.name), "{}", function.name);
        assert_eq!(functions().iter().filter(|other| other.name == function.name).count(), 1, "{}", function.name);
    }
}

#[test]
fn every_signature_agrees_with_the_line_it_stands_in() {
    for function in functions() {
        assert_eq!(function.usage.split('(').next(), Some(function.name));
        let required = function.params.iter().filter(|param| !param.optional).count();
        assert_eq!(*function.arguments.start(), required, "{}", function.signature);
        let endless = function.params.last().is_some_and(|param| param.repeated);
        assert!(endless || *function.arguments.end() == function.params.len(), "{}", function.signature);
        assert!(!function.gives.is_empty() && function.params.iter().all(|param| !param.types.is_empty()));
        // One value more than it takes is refused before anything runs.
        let values = vec!["1"; function.arguments.end() + 1].join(", ");
        let problem = Expression::compile(&format!("{}({values})", function.name)).unwrap_err();
        assert!(problem.message.contains("takes"), "{problem:?}");
    }
}

#[test]
fn an_expression_says_what_it_is() {
    let path = Expression::compile("$.a[*]").unwrap();
    let place = Expression::compile("a.b").unwrap();
    assert!(path.is_path() && Expression::compile("$.a").unwrap().is_path() && !place.is_path());
    assert_eq!(place.source(), "a.b");
    fn travels<T: Clone + Send + Sync + 'static>(_: &T) {}
    travels(&path);
    travels(&scope());
}
