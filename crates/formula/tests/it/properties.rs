//! What holds for any source and any data.

use std::sync::Arc;

use formula::{Expression, Scope, Segment};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn json_value() -> impl Strategy<Value = Json> {
    let number =
        prop_oneof![any::<i64>().prop_map(Json::from), any::<u64>().prop_map(Json::from), (-1e9..1e9).prop_map(Json::from)];
    let leaf = prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), number, "[a-c ]{0,3}".prop_map(Json::from)];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec(("[a-c]|private|a b", inner), 0..4)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

fn path() -> impl Strategy<Value = Vec<Segment>> {
    let segment = prop_oneof![
        4 => "[a-c]|private|a b".prop_map(Segment::Key),
        1 => (-3_i64..4).prop_map(Segment::Index),
    ];
    prop::collection::vec(segment, 0..5)
}

fn formula_text(root: &str, path: &[Segment]) -> String {
    path.iter().fold(root.to_owned(), |text, segment| match segment {
        Segment::Key(key) if key.contains(' ') => format!("{text}[\"{key}\"]"),
        Segment::Key(key) => format!("{text}.{key}"),
        Segment::Index(index) => format!("{text}[{index}]"),
        Segment::Any => text,
    })
}

fn path_text(path: &[Segment]) -> String {
    path.iter().fold("$.trigger".to_owned(), |text, segment| match segment {
        Segment::Key(key) => format!("{text}['{key}']"),
        Segment::Index(index) => format!("{text}[{index}]"),
        Segment::Any => text,
    })
}

/// Pieces that make sources which get past the first reader.
fn source() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("trigger"),
        Just(".a"),
        Just("[0]"),
        Just("?."),
        Just("?["),
        Just("("),
        Just(")"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just("#{"),
        Just("a:"),
        Just(","),
        Just("+"),
        Just("-"),
        Just("=="),
        Just("="),
        Just("+="),
        Just("<"),
        Just("??"),
        Just("&&"),
        Just("||"),
        Just("|"),
        Just("|x|"),
        Just("x"),
        Just("!"),
        Just("in"),
        Just("if"),
        Just("else"),
        Just("switch"),
        Just("=>"),
        Just("_"),
        Just("1"),
        Just("2.5"),
        Just("\"t\""),
        Just("'"),
        Just("`"),
        Just("${"),
        Just("null"),
        Just("true"),
        Just("let x ="),
        Just("for x in"),
        Just("while"),
        Just("loop"),
        Just("break"),
        Just(";"),
        Just("fn f(x)"),
        Just("f("),
        Just("return"),
        Just("throw"),
        Just("try"),
        Just("catch (x)"),
        Just("upper("),
        Just(".map("),
        Just(".push("),
        Just(".len()"),
        Just("sum("),
        Just("now()"),
        Just("$"),
        Just("*"),
        Just(".."),
        Just("@"),
        Just("//"),
        Just("/*"),
        Just("ä"),
        Just("\\"),
        Just(" "),
        Just("\n"),
        Just("const"),
        Just("do"),
        Just("until"),
        Just("continue"),
        Just("this"),
        Just("::"),
        Just(".call("),
        Just("merge("),
        Just("**"),
        Just("%"),
        Just("0.."),
        Just("as"),
        Just("global"),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.join(" "))
}

fn try_everything(source: &str) {
    let scope = Scope::from_json(Arc::new(json!({ "trigger": { "a": [1, "t", null] }, "x": 2 })));
    for expression in [Expression::compile(source), Expression::compile_script(source)] {
        match expression {
            Ok(expression) => {
                let value = expression.eval(&scope);
                if let Err(error) = &value {
                    assert!(
                        error.range.as_ref().is_none_or(|range| source.get(range.clone()).is_some()),
                        "{source:?}: {error:?}"
                    );
                }
                let _ = expression.eval_bool(&scope);
                assert!(expression.references().iter().all(|reference| source.get(reference.range.clone()).is_some()));
            }
            Err(problem) => assert!(source.get(problem.range.clone()).is_some(), "{source:?}: {problem:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing anybody writes makes the crate panic, and what is pointed at is there.
    #[test]
    fn any_text_is_answered(source in "\\PC{0,60}") {
        try_everything(&source);
    }

    #[test]
    fn any_pieces_are_answered(source in source()) {
        try_everything(&source);
    }

    /// A place means the same read directly, by rhai, and as a JSONPath.
    #[test]
    fn three_ways_to_a_place_agree(data in json_value(), path in path()) {
        let mut scope = Scope::new();
        scope.set("trigger", Arc::new(data));
        let eval = |source: &str| Expression::compile(source).unwrap().eval(&scope).unwrap();
        let direct = eval(&formula_text("trigger", &path));
        let script = format!("let x = trigger; {}", formula_text("x", &path));
        let by_rhai = Expression::compile_script(&script).unwrap().eval(&scope).unwrap();
        // Rhai gives a whole number one form, 1 and 1.0 alike.
        prop_assert!(same(&direct, &by_rhai), "{direct} and {by_rhai}");
        prop_assert_eq!(direct, eval(&path_text(&path)));
    }

    /// A place that is nothing else has a reader of its own, which reads as the other does.
    #[test]
    fn two_readers_of_places_agree(root in "[a-z_][a-z_0-9]{0,5}|if|null|true|now|let", path in path(), extra in "[ ]?|\\?|\\[|\\.|\\(\\)|é|0|\\[1_0\\]|\\[-\\]") {
        let source = format!("{}{extra}", formula_text(&root, &path));
        // A comment in front sends it the long way.
        let (short, long) = (Expression::compile(&source), Expression::compile(&format!("/**/{source}")));
        let moved = |range: &std::ops::Range<usize>| range.start - 4..range.end - 4;
        match (short, long) {
            (Ok(short), Ok(long)) => {
                let long: Vec<_> = long.references().iter().map(|r| (&r.root, &r.path, moved(&r.range))).collect();
                let short: Vec<_> = short.references().iter().map(|r| (&r.root, &r.path, r.range.clone())).collect();
                prop_assert_eq!(short, long);
            }
            (Err(short), Err(long)) => prop_assert_eq!(short.message, long.message),
            (short, long) => prop_assert!(false, "{short:?} and {long:?}"),
        }
    }

    /// What goes through rhai unchanged comes out unchanged.
    #[test]
    fn values_survive(data in json_value()) {
        let mut scope = Scope::new();
        scope.set("trigger", Arc::new(data.clone()));
        let out = Expression::compile("[trigger][0]").unwrap().eval(&scope).unwrap();
        prop_assert!(same(&data, &out), "{data} and {out}");
    }
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}
