use formula::{Expression, Scope};
#[test]
fn play() {
    let data = serde_json::json!({"trigger": {"a": {"b": 5, "private": "x", "+1": 3}, "items": [{"p": 1.5, "n": "x"}, {"p": 2, "n": "y"}], "s":"5", "f": 19.99}});
    let scope = Scope::from_json(data.into());
    for source in std::fs::read_to_string("/tmp/exprs").unwrap().lines() {
        let (script, text) = match source.strip_prefix("!!") { Some(s) => (true, s), None => (false, source) };
        let e = if script { Expression::compile_script(text) } else { Expression::compile(text) };
        match e { Err(p) => println!("{source:50} SYNTAX {p:?}"), Ok(e) => println!("{source:50} {:?}", e.eval(&scope).map(|j| j.to_string())) }
    }
}
