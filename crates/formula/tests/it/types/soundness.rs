//! What is told before is true: for random formulas over random data of random types.

use std::sync::Arc;

use formula::{Expression, FunctionInfo, Reference, Scope, Type, ValueType, functions};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// Choices from one seed, so that a failure is one number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_003).unwrap_or(0) % sides
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }
}

const FIELDS: [&str; 4] = ["a", "b", "c", "d"];

/// A schema of anything.
fn schema(dice: &mut Dice, depth: usize) -> Json {
    match dice.roll(if depth == 0 { 8 } else { 14 }) {
        0 => json!({ "type": "null" }),
        1 => json!({ "type": "boolean" }),
        2 | 3 => json!({ "type": "integer" }),
        4 => json!({ "type": "number" }),
        5 => json!({ "type": ["string", "null"] }),
        6 => json!({ "type": "string" }),
        7 => json!({ "enum": ["a", 1, null] }),
        8 => json!({}),
        9 => json!({ "anyOf": [schema(dice, depth - 1), schema(dice, depth - 1)] }),
        10 | 11 => json!({ "type": "array", "items": schema(dice, depth - 1) }),
        _ => record_schema(dice, depth),
    }
}

fn record_schema(dice: &mut Dice, depth: usize) -> Json {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for name in &FIELDS[..1 + dice.roll(4)] {
        properties.insert((*name).to_owned(), schema(dice, depth - 1));
        if dice.roll(3) > 0 {
            required.push(*name);
        }
    }
    let others = match dice.roll(3) {
        0 => json!(true),
        1 => json!(false),
        _ => json!({ "type": "integer" }),
    };
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": others })
}

/// A value that a schema allows.
fn value(dice: &mut Dice, schema: &Json) -> Json {
    if let Some(choices) = schema["anyOf"].as_array() {
        let choice = dice.roll(choices.len());
        return value(dice, &choices[choice]);
    }
    if let Some(choices) = schema["enum"].as_array() {
        return choices[dice.roll(choices.len())].clone();
    }
    let kind = match &schema["type"] {
        Json::String(kind) => kind.clone(),
        Json::Array(kinds) => kinds[dice.roll(kinds.len())].as_str().unwrap().to_owned(),
        _ => dice.pick(&["null", "boolean", "integer", "number", "string", "array", "object"]).to_owned(),
    };
    match kind.as_str() {
        "null" => Json::Null,
        "boolean" => json!(dice.roll(2) == 0),
        "integer" => [json!(0), json!(1), json!(-2), json!(1000), json!(7.0)][dice.roll(5)].clone(),
        "number" => [json!(0), json!(2.5), json!(-0.1), json!(19.99), json!(3)][dice.roll(5)].clone(),
        "string" => json!(dice.pick(&["", "a", "b", "x y", "5", "2.5"])),
        "array" => {
            let items = if schema["items"].is_null() { json!({}) } else { schema["items"].clone() };
            (0..dice.roll(4)).map(|_| if items == json!({}) { json!(1) } else { value(dice, &items) }).collect()
        }
        _ => record(dice, schema),
    }
}

fn record(dice: &mut Dice, schema: &Json) -> Json {
    let mut fields = serde_json::Map::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let required = schema["required"].as_array().is_some_and(|names| names.contains(&json!(name)));
        if required || dice.roll(2) == 0 {
            fields.insert(name.clone(), value(dice, field));
        }
    }
    if schema["additionalProperties"] != json!(false) && dice.roll(3) == 0 {
        fields.insert("z".to_owned(), json!(4));
    }
    Json::Object(fields)
}

/// Formulas that are right more often than not.
struct Writer<'d> {
    dice: &'d mut Dice,
    locals: Vec<&'static str>,
    script: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Want {
    Any,
    Flag,
    Number,
    Text,
    List,
    Record,
}

impl Writer<'_> {
    fn expression(&mut self, want: Want, depth: usize) -> String {
        // Now and then something else than what is wanted.
        let want = if self.dice.roll(9) == 0 { Want::Any } else { want };
        if depth == 0 || self.dice.roll(6) == 0 {
            return self.leaf(want);
        }
        let d = depth - 1;
        match self.dice.roll(9) {
            0 => format!("({} ?? {})", self.expression(want, d), self.expression(want, d)),
            1 => {
                let (condition, then, other) = (self.condition(d), self.expression(want, d), self.expression(want, d));
                format!("(if {condition} {{ {then} }} else {{ {other} }})")
            }
            2 => {
                let (subject, one, other) = (self.expression(Want::Any, d), self.expression(want, d), self.expression(want, d));
                let last = if self.dice.roll(2) == 0 { format!(", _ => {other}") } else { String::new() };
                format!("(switch {subject} {{ 1 | \"a\" => {one}{last} }})")
            }
            3 => self.look_up(d),
            4 => self.any_call(d),
            _ => match want {
                Want::Flag => self.flag(d),
                Want::Number => self.number(d),
                Want::Text => self.text(d),
                Want::List => self.list(d),
                Want::Record => self.record(d),
                Want::Any => {
                    let want = [Want::Flag, Want::Number, Want::Text, Want::List, Want::Record][self.dice.roll(5)];
                    self.expression(want, d)
                }
            },
        }
    }

    fn leaf(&mut self, want: Want) -> String {
        if self.dice.roll(2) == 0 {
            return self.place();
        }
        let text = match want {
            Want::Any => self.dice.pick(&["null", "1", "\"a\"", "true", "[]", "#{}", "now()"]),
            Want::Flag => self.dice.pick(&["true", "false"]),
            Want::Number => self.dice.pick(&["0", "1", "2.5", "0x1F", "1_000", "-3"]),
            Want::Text => self.dice.pick(&["\"\"", "'a'", "\"5\"", "`b`"]),
            Want::List => self.dice.pick(&["[]", "[1, 2]", "[\"a\", null]", "[[1], 2]"]),
            Want::Record => self.dice.pick(&["#{}", "#{ a: 1, b: \"x\" }"]),
        };
        text.to_owned()
    }

    fn place(&mut self) -> String {
        let mut text = match self.locals.len() {
            0 => "trigger".to_owned(),
            count => match self.dice.roll(2) {
                0 => self.locals[self.dice.roll(count)].to_owned(),
                _ => "trigger".to_owned(),
            },
        };
        for _ in 0..self.dice.roll(4) {
            text += self.dice.pick(&[".a", ".b", ".c", "[0]", "[-1]", "[\"d\"]", "?.a", ".none"]);
        }
        text
    }

    fn condition(&mut self, depth: usize) -> String {
        match self.dice.roll(4) {
            0 => format!("{} != null", self.place()),
            1 => format!("{}({})", self.dice.pick(&["is_text", "is_number", "is_list", "present"]), self.place()),
            _ => self.expression(Want::Flag, depth),
        }
    }

    fn look_up(&mut self, depth: usize) -> String {
        let value = self.expression(Want::Any, depth);
        let key = match self.dice.roll(3) {
            0 => ".a".to_owned(),
            1 => format!("[{}]", self.expression(Want::Number, depth)),
            _ => format!("[{}]", self.expression(Want::Text, depth)),
        };
        format!("({value}){key}")
    }

    fn flag(&mut self, d: usize) -> String {
        match self.dice.roll(6) {
            0 => format!("!{}", self.expression(Want::Flag, d)),
            1 => {
                let sign = self.dice.pick(&["&&", "||"]);
                format!("({} {sign} {})", self.expression(Want::Flag, d), self.expression(Want::Flag, d))
            }
            2 => format!("({} in {})", self.expression(Want::Any, d), self.expression(Want::List, d)),
            kind => {
                let sign = self.dice.pick(&["==", "!=", "<", "<=", ">", ">="]);
                let want = if kind == 3 { Want::Text } else { Want::Number };
                format!("({} {sign} {})", self.expression(want, d), self.expression(want, d))
            }
        }
    }

    fn number(&mut self, d: usize) -> String {
        match self.dice.roll(6) {
            0 => format!("(-{})", self.expression(Want::Number, d)),
            1 => format!("len({})", self.expression(Want::List, d)),
            2 => format!("sum({})", self.expression(Want::List, d)),
            _ => {
                // Without brackets, so that the order of operators counts.
                let signs = ["+", "-", "*", "/", "%", "**", "??"];
                let mut text = self.expression(Want::Number, d);
                for _ in 0..1 + self.dice.roll(2) {
                    text = format!("{text} {} {}", self.dice.pick(&signs), self.expression(Want::Number, d));
                }
                format!("({text})")
            }
        }
    }

    fn text(&mut self, d: usize) -> String {
        match self.dice.roll(4) {
            0 => format!("({} + {})", self.expression(Want::Text, d), self.expression(Want::Text, d)),
            1 => format!("`x ${{{}}}`", self.expression(Want::Text, d)),
            2 => format!("upper({})", self.expression(Want::Text, d)),
            _ => format!("({})?.trim()", self.expression(Want::Text, d)),
        }
    }

    fn list(&mut self, d: usize) -> String {
        match self.dice.roll(7) {
            0 => format!("[{}, {}]", self.expression(Want::Any, d), self.expression(Want::Any, d)),
            1 => format!("({} + {})", self.expression(Want::List, d), self.expression(Want::List, d)),
            2 => format!("keys({})", self.expression(Want::Record, d)),
            3 => format!("({}).pluck(\"a\")", self.expression(Want::List, d)),
            4 => format!("({}).sort_by(\"a\")", self.expression(Want::List, d)),
            kind => {
                let list = self.expression(Want::List, d);
                let (name, want) = if kind == 5 { ("map", Want::Any) } else { ("filter", Want::Flag) };
                let body = self.with_local("x", |this| this.expression(want, d));
                format!("({list}).{name}(|x| {body})")
            }
        }
    }

    fn record(&mut self, d: usize) -> String {
        match self.dice.roll(4) {
            0 => format!("merge({}, {})", self.expression(Want::Record, d), self.expression(Want::Record, d)),
            1 => format!("pick({}, [\"a\", \"c\"])", self.expression(Want::Record, d)),
            2 => format!("omit({}, \"a\")", self.expression(Want::Record, d)),
            _ => format!("#{{ a: {}, c: {} }}", self.expression(Want::Any, d), self.expression(Want::Any, d)),
        }
    }

    /// Any function of the table, with values of any kind.
    fn any_call(&mut self, d: usize) -> String {
        let all = functions();
        let function = &all[self.dice.roll(all.len())];
        if function.group == "script" {
            return self.leaf(Want::Any);
        }
        let (from, to) = (*function.arguments.start(), *function.arguments.end());
        let count = from + self.dice.roll(to - from + 1);
        let args: Vec<String> = (0..count).map(|place| self.argument(function, place, d)).collect();
        if self.dice.roll(2) == 0 || args.is_empty() {
            return format!("{}({})", function.name, args.join(", "));
        }
        format!("({}).{}({})", args[0], function.name, args[1..].join(", "))
    }

    /// What the signature asks for, most of the time.
    fn argument(&mut self, function: &FunctionInfo, place: usize, d: usize) -> String {
        let Some(param) = function.params.get(place).or(function.params.last()) else { return self.leaf(Want::Any) };
        match param.name {
            "path" | "name" | "names" => return self.dice.pick(&["\"a\"", "\"b.a\"", "\"c[0]\"", "[\"a\"]"]).to_owned(),
            "op" => return self.dice.pick(&["\"==\"", "\"!=\"", "\"<\"", "\"in\"", "\"contains\""]).to_owned(),
            _ => {}
        }
        let want = match param.types[self.dice.roll(param.types.len())] {
            ValueType::Closure => return self.with_local("y", |this| format!("|y| {}", this.expression(Want::Flag, d))),
            ValueType::Boolean => Want::Flag,
            ValueType::Integer | ValueType::Number => Want::Number,
            ValueType::Text => Want::Text,
            ValueType::List => Want::List,
            ValueType::Record => Want::Record,
            _ => Want::Any,
        };
        self.expression(want, d)
    }

    fn with_local<T>(&mut self, name: &'static str, work: impl FnOnce(&mut Self) -> T) -> T {
        self.locals.push(name);
        let out = work(self);
        self.locals.pop();
        out
    }

    fn statements(&mut self, count: usize, depth: usize) -> String {
        let known = self.locals.len();
        let mut text = String::new();
        for _ in 0..count {
            text += &self.statement(depth);
            text.push('\n');
        }
        text += &self.expression(Want::Any, 1);
        self.locals.truncate(known);
        text
    }

    fn statement(&mut self, depth: usize) -> String {
        let d = depth.saturating_sub(1);
        let local = if self.locals.is_empty() { None } else { Some(self.locals[self.dice.roll(self.locals.len())]) };
        match (self.dice.roll(if depth == 0 { 6 } else { 11 }), local) {
            (0..=1, Some(name)) => format!("{name} = {};", self.expression(Want::Any, 1)),
            (2, Some(name)) => {
                let sign = self.dice.pick(&["+=", "-=", "*="]);
                format!("{name} {sign} {};", self.expression(Want::Number, 1))
            }
            (3, Some(name)) => format!("{name}.push({});", self.expression(Want::Any, 1)),
            (4, Some(name)) => format!("{name}.a = {};", self.expression(Want::Any, 1)),
            (5, Some(name)) => format!("{name}[0] = {};", self.expression(Want::Any, 1)),
            (6, _) => {
                let list = self.expression(Want::List, 1);
                let body = self.with_local("i", |this| this.statements(1, d));
                format!("for i in {list} {{ {body} }}")
            }
            (7, _) => format!("if {} {{ {} }}", self.condition(1), self.statements(1, d)),
            (8, _) => format!("if {} {{ return {}; }}", self.condition(1), self.expression(Want::Any, 1)),
            (9, _) => format!("try {{ {} }} catch (e) {{ {} }}", self.statements(1, d), self.statements(1, d)),
            (10, Some(name)) => format!("let f = |z| {{ {name} = z; z }}; f.call({});", self.expression(Want::Any, 1)),
            _ => {
                let text = self.expression(Want::Any, 2);
                let name = ["p", "q"][self.dice.roll(2)];
                self.locals.push(name);
                format!("let {name} = {text};")
            }
        }
    }
}

/// Counts, so that the test can say it tested something.
#[derive(Default)]
struct Tally {
    succeeded: usize,
    problems: usize,
    passed_over: usize,
}

fn check(seed: u64, script: bool, tally: &mut Tally) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    (0..8).for_each(|_| {
        dice.roll(2);
    });
    let schema = record_schema(&mut dice, 3);
    let data = value(&mut dice, &schema);
    let trigger = Type::from_schema(&schema, &schema);
    assert!(trigger.fits(&data), "{schema} {data}");
    let types = |reference: &Reference| match reference.root.as_str() {
        "trigger" => trigger.at(&reference.path),
        _ => Type::any(),
    };
    let mut writer = Writer { dice: &mut dice, locals: Vec::new(), script };
    let source = if writer.script { writer.statements(4, 2) } else { writer.expression(Want::Any, 4) };
    let compile = if script { Expression::compile_script } else { Expression::compile };
    // Too deep, too many closures, or a condition that is a literal.
    let Ok(expression) = compile(&source) else { return };
    let mut scope = Scope::new().with_now("2026-01-02T03:04:05Z");
    scope.set("trigger", Arc::new(data.clone()));
    let inferred = expression.infer(&types);
    tally.problems += inferred.problems.len();
    let Ok(found) = expression.eval(&scope) else { return };
    tally.succeeded += 1;
    let told = format!("{source}\nover {data}\nof {schema}\ngives {found}\ntold {inferred:?}");
    assert!(inferred.gives.fits(&found), "{told}");
    for problem in &inferred.problems {
        assert!(!problem.always, "{told}");
        // Nothing reached this piece, or it would have failed. So it may as well be a failure. The
        // items of a list are another matter: an empty one does no harm; nor does null to `==`. And
        // `x?.f(y)` looks at `y` even where null spares the call.
        let piece = &source[problem.range.clone()];
        let same = piece.contains("==") || piece.contains("!=");
        if problem.message.contains("adds numbers, and here an item") || same || source.contains(")?.") {
            continue;
        }
        let mut worse = source.clone();
        worse.replace_range(problem.range.clone(), "(1 / 0)");
        // Rhai refuses a number where it can see that it wants true or false.
        if let Ok(worse) = compile(&worse) {
            tally.passed_over += 1;
            assert_eq!(worse.eval(&scope).as_ref(), Ok(&found), "{problem:?} was reached\n{told}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_of_formulas_is_true(seed in any::<u64>()) {
        let mut tally = Tally::default();
        for turn in 0..200 {
            check(seed.wrapping_add(turn), false, &mut tally);
        }
        prop_assert!(tally.succeeded > 5 && tally.problems > 10, "{} {}", tally.succeeded, tally.problems);
    }

    #[test]
    fn what_is_told_of_scripts_is_true(seed in any::<u64>()) {
        let mut tally = Tally::default();
        for turn in 0..200 {
            check(seed.wrapping_add(turn), true, &mut tally);
        }
        prop_assert!(tally.succeeded > 5 && tally.problems > 10, "{} {}", tally.succeeded, tally.problems);
    }
}

#[test]
fn problems_that_are_passed_over_are_met() {
    let mut tally = Tally::default();
    (0..6_000).for_each(|seed| check(seed, seed % 2 == 0, &mut tally));
    assert!(tally.passed_over > 100, "{}", tally.passed_over);
}
