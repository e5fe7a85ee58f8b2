//! Recipes in every layout that YAML allows, and an independent reading of them.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use crate::edit_read::read;

/// Decisions, taken one after the other. When there are no more, the simplest is taken.
pub(crate) struct Tape<'b> {
    bytes: &'b [u8],
}

impl<'b> Tape<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first) % count.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }
}

/// Texts that are hard to write, with whether they can stand without quotes: 0 never, 1 in lines, 2 anywhere.
const TEXTS: &[(&str, u8)] = &[
    ("plain", 2),
    ("two words", 2),
    ("${ steps.s0.x }", 1),
    ("${ $.steps.s1['y'] ?? 'steps.s1' }", 0),
    ("a ${ steps['s2'].x + meta.s1.y } b", 1),
    ("${ #{a: \"}\"}.a }", 0),
    ("a: b", 0),
    ("x # y", 0),
    ("it's", 2),
    ("say \"so\"", 2),
    ("", 0),
    (" lead", 0),
    ("trail ", 0),
    ("one\ntwo\n", 0),
    ("one\n\n  two\nthree", 0),
    ("one\n\ntwo\n\n\n", 0),
    ("\nfirst", 0),
    ("é\u{1F600}\u{202e}x", 0),
    ("true", 0),
    ("12", 0),
    ("0123", 1),
    ("no", 1),
    ("- x", 0),
    ("[x", 0),
    ("{ x", 0),
    ("tab\there", 0),
    ("back\\slash", 2),
    ("$${ steps.s0 }", 1),
    ("https://a.example/?q=1&r=2", 2),
    ("steps.s0.x", 2),
    ("a,b", 1),
    ("%x", 0),
    ("@x", 0),
    ("nul\u{1}", 0),
];

const FORMULAS: &[&str] = &["steps.s0.x > 1", "steps[\"s1\"].ok && meta.s0.n == 's0'", "steps.s2.list[0].a != steps.s0.b"];

const SCRIPT: &str = "let x = steps.s1.n;\n\nif x > 1 {\n  x += steps.s0.m;\n}\nx";

/// How one generated recipe is laid out.
struct Layout {
    indent: usize,
    dashes: usize,
    newline: &'static str,
    comments: usize,
    flow: usize,
}

/// A generated recipe.
pub(crate) fn recipe(tape: &mut Tape<'_>) -> String {
    let mut ids = 0;
    let model = model(tape, &mut ids);
    let indent = [2, 4, 3][tape.below(3)];
    let layout = Layout {
        indent,
        dashes: [indent, 0, 1][tape.below(3)],
        newline: ["\n", "\r\n"][tape.below(2)],
        comments: [4, 1_000, 2][tape.below(3)],
        flow: [5, 2, 1_000][tape.below(3)],
    };
    match tape.below(8) {
        6 => return serde_json::to_string_pretty(&model).expect("JSON").replace('\n', layout.newline),
        7 => return serde_json::to_string(&model).expect("JSON"),
        _ => {}
    }
    let mut printer = Printer { tape, layout, out: String::new(), comments: 0, below_block: false, keeps: false };
    if printer.tape.one_in(6) {
        printer.out.push('\u{feff}');
    }
    printer.record(&model, 0, false);
    let mut text = printer.out;
    if tape.one_in(4) {
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
    }
    text
}

/// What a generated recipe says.
fn model(tape: &mut Tape<'_>, ids: &mut usize) -> Json {
    let steps = steps(tape, ids, 0, 3);
    let mut model = json!({"liaison": 1, "recipe": "r", "title": text(tape), "trigger": {"from": "webhook", "if": FORMULAS[0]}});
    if tape.one_in(2) {
        model["params"] = json!({"p": {"type": "number", "default": 1}, "q": {"type": "string"}});
        model["settings"] = json!({"label": "a ${ steps.s1.x }"});
    }
    model["steps"] = steps;
    if tape.one_in(2) {
        model["tests"] =
            json!([{"title": "t", "given": {"s0": {"x": 1}, "s1[0].s2": 2}, "expect": {"calls": {"s0": {}}, "not_run": ["s1"]}}]);
    }
    model
}

fn text(tape: &mut Tape<'_>) -> Json {
    json!(TEXTS[tape.below(TEXTS.len())].0)
}

fn steps(tape: &mut Tape<'_>, ids: &mut usize, depth: usize, most: usize) -> Json {
    let count = 1 + tape.below(most);
    (0..count).map(|_| step(tape, ids, depth)).collect()
}

fn step(tape: &mut Tape<'_>, ids: &mut usize, depth: usize) -> Json {
    let mut step = Map::new();
    if tape.one_in(8) {
        step.insert("title".into(), text(tape));
    }
    step.insert("id".into(), json!(format!("s{ids}")));
    *ids += 1;
    if tape.one_in(4) {
        step.insert("if".into(), json!(FORMULAS[tape.below(FORMULAS.len())]));
    }
    let deeper = if depth < 2 { 8 } else { 3 };
    let mut inner = |tape: &mut Tape<'_>| steps(tape, ids, depth + 1, 2);
    match tape.below(deeper) {
        0 => {
            step.insert("do".into(), json!("http.request"));
            step.insert("with".into(), value(tape, 0));
        }
        1 => {
            step.insert("set".into(), json!(SCRIPT));
        }
        2 => {
            step.insert("return".into(), value(tape, 0));
        }
        3 => {
            step.insert("each".into(), json!("${ $.steps.s0.list[*] }"));
            step.insert("steps".into(), inner(tape));
            step.insert("collect".into(), text(tape));
        }
        4 => {
            let (first, second) = (inner(tape), inner(tape));
            step.insert("choose".into(), json!([{"when": FORMULAS[1], "steps": first}, {"otherwise": second}]));
        }
        5 => {
            let (left, right) = (inner(tape), inner(tape));
            step.insert("parallel".into(), json!({"left": left, "right": right}));
        }
        6 => {
            let (body, last) = (inner(tape), inner(tape));
            step.insert("try".into(), body);
            step.insert("finally".into(), last);
        }
        _ => {
            step.insert("repeat".into(), json!({"until": FORMULAS[2], "max": 3}));
            step.insert("steps".into(), inner(tape));
        }
    }
    Json::Object(step)
}

pub(crate) fn value(tape: &mut Tape<'_>, depth: usize) -> Json {
    match tape.below(if depth < 2 { 9 } else { 6 }) {
        0..=2 => text(tape),
        3 => json!(tape.below(1000)),
        4 => [json!(null), json!(true), json!(-1.5), json!([]), json!({})][tape.below(5)].clone(),
        5 => json!("${ steps.s0.x }"),
        6 => (0..tape.below(4)).map(|_| value(tape, depth + 1)).collect(),
        _ => {
            const KEYS: &[&str] = &["a", "b c", "c-d", "12", "true", "é", "q\"", "x: y"];
            let count = tape.below(4);
            Json::Object((0..count).map(|at| (KEYS[(at * 3 + tape.below(3)) % 8].to_owned(), value(tape, depth + 1))).collect())
        }
    }
}

struct Printer<'t, 'b> {
    tape: &'t mut Tape<'b>,
    layout: Layout,
    out: String,
    comments: usize,
    below_block: bool,
    keeps: bool,
}

impl Printer<'_, '_> {
    fn pad(&mut self, column: usize) {
        self.out.push_str(&" ".repeat(column));
    }

    fn line_end(&mut self) {
        self.below_block = false;
        self.keeps = false;
        if self.tape.one_in(self.layout.comments) {
            self.comments += 1;
            let _ = write!(self.out, "  #~{}.", self.comments);
        }
        self.out.push_str(self.layout.newline);
    }

    /// Blank lines and comments between two parts.
    fn between(&mut self, column: usize) {
        while self.tape.one_in(self.layout.comments.max(3)) {
            if self.tape.one_in(2) {
                // A blank line below text that keeps its last ones would be part of it.
                if !self.keeps {
                    self.out.push_str(self.layout.newline);
                }
            } else {
                self.comments += 1;
                // Below block text a comment that stands deeper would be part of it.
                let deeper = if self.below_block { 0 } else { 2 };
                let column = column + [0, 0, 0, deeper][self.tape.below(4)];
                self.pad(column);
                let _ = write!(self.out, "#~{}.", self.comments);
                self.out.push_str(self.layout.newline);
            }
        }
    }

    fn record(&mut self, record: &Json, column: usize, mut inline: bool) {
        for (key, value) in record.as_object().into_iter().flatten() {
            if !inline {
                self.between(column);
                self.pad(column);
            }
            inline = false;
            let key = self.key(key, false);
            self.out.push_str(&key);
            self.out.push(':');
            self.value(value, column, false);
        }
    }

    fn list(&mut self, items: &[Json], column: usize, mut inline: bool) {
        for item in items {
            if !inline {
                self.between(column);
                self.pad(column);
            }
            inline = false;
            self.out.push('-');
            self.value(item, column, true);
        }
    }

    /// What stands behind a colon or dash, to the end of its last line.
    fn value(&mut self, value: &Json, column: usize, dash: bool) {
        let flow = self.tape.one_in(self.layout.flow);
        match value {
            Json::Object(fields) if !fields.is_empty() && !flow => {
                let indent = self.layout.indent;
                if dash && !self.tape.one_in(4) {
                    let gap = 1 + self.tape.below(2);
                    self.pad(gap);
                    return self.record(value, column + 1 + gap, true);
                }
                self.line_end();
                self.record(value, column + indent, false);
            }
            Json::Array(items) if !items.is_empty() && !flow => {
                if dash && self.tape.one_in(2) {
                    self.out.push(' ');
                    return self.list(items, column + 2, true);
                }
                self.line_end();
                let column = if dash { column + self.layout.indent } else { column + self.layout.dashes };
                self.list(items, column, false);
            }
            Json::String(text) => self.text(text, column),
            _ => {
                self.out.push(' ');
                let text = self.flow(value, column + 2);
                self.out.push_str(&text);
                self.line_end();
            }
        }
    }

    fn text(&mut self, text: &str, column: usize) {
        let plain = TEXTS.iter().any(|(t, p)| *t == text && *p > 0) || FORMULAS.contains(&text) || simple(text);
        let lines = text.trim_end_matches('\n');
        let blocks = !lines.is_empty() && !lines.starts_with([' ', '\n']) && !lines.ends_with(' ') && !text.contains(['\u{1}']);
        let folds = blocks && !lines.contains("\n ") && !lines.contains("\n\n");
        match self.tape.below(6) {
            3 if blocks => self.block(text, column, '|'),
            4 if folds => self.block(text, column, '>'),
            5 if plain && text.contains(' ') && !text.contains("${") && self.tape.one_in(2) => {
                // Plain text over two lines.
                let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
                let newline = self.layout.newline;
                let _ = write!(self.out, " {first}{newline}{}{rest}", " ".repeat(column + 1));
                self.line_end();
            }
            style => {
                let text = quoted(text, style, plain);
                self.out.push(' ');
                self.out.push_str(&text);
                self.line_end();
            }
        }
    }

    fn block(&mut self, text: &str, column: usize, mark: char) {
        let lines = text.trim_end_matches('\n');
        let chomp = ["-", "", "+"][(text.len() - lines.len()).min(2)];
        let _ = write!(self.out, " {mark}{chomp}");
        self.line_end();
        let indent = column + 1 + self.tape.below(4);
        let newline = self.layout.newline;
        for (at, line) in lines.split('\n').enumerate() {
            if mark == '>' && at > 0 {
                self.out.push_str(newline);
            }
            if !line.is_empty() {
                self.pad(indent);
            }
            let _ = write!(self.out, "{line}{newline}");
        }
        self.out.push_str(&newline.repeat((text.len() - lines.len()).saturating_sub(1)));
        self.below_block = true;
        self.keeps = chomp == "+";
    }

    fn key(&mut self, key: &str, flow: bool) -> String {
        let plain = simple(key) && !["true", "12"].contains(&key);
        let style = if flow { 0 } else { self.tape.below(8) };
        match style {
            6 => quoted(key, 1, plain),
            7 => quoted(key, 2, plain),
            _ => quoted(key, 0, plain),
        }
    }

    fn flow(&mut self, value: &Json, column: usize) -> String {
        let newline = self.layout.newline;
        let (open, close) = if value.is_array() { ("[", "]") } else { ("{", "}") };
        let lines = self.tape.one_in(4);
        let parts: Vec<String> = match value {
            Json::Array(items) => items.iter().map(|item| self.flow(item, column + 2)).collect(),
            Json::Object(fields) => {
                let part = |(key, value): (&String, &Json)| format!("{}: {}", self.key(key, true), self.flow(value, column + 2));
                fields.iter().map(part).collect()
            }
            Json::String(text) => {
                let plain = TEXTS.iter().any(|(t, p)| t == text && *p > 1) || simple(text);
                let style = self.tape.below(3);
                return quoted(text, style, plain);
            }
            other => return other.to_string(),
        };
        if parts.is_empty() {
            return format!("{open}{close}");
        }
        let trailing = if self.tape.one_in(6) { "," } else { "" };
        if !lines {
            let pad = ["", " "][self.tape.below(2)];
            return format!("{open}{pad}{}{trailing}{pad}{close}", parts.join(", "));
        }
        let mut text = open.to_owned();
        let last = parts.len() - 1;
        for (at, part) in parts.iter().enumerate() {
            let comma = if at < last { "," } else { trailing };
            let _ = write!(text, "{newline}{}{part}{comma}", " ".repeat(column));
            if self.tape.one_in(self.layout.comments) {
                self.comments += 1;
                let _ = write!(text, "  #~{}.", self.comments);
            }
        }
        let _ = write!(text, "{newline}{}{close}", " ".repeat(column));
        text
    }
}

fn simple(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == 'é')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '.' | '-' | 'é'))
        && !text.ends_with(' ')
        && !["true", "no"].contains(&text)
}

fn quoted(text: &str, style: usize, plain: bool) -> String {
    let single = !text.contains(['\n', '\t', '\u{1}', '\u{202e}']);
    match style {
        0 | 3 | 4 | 5 if plain => text.to_owned(),
        1 if single => format!("'{}'", text.replace('\'', "''")),
        _ => json!(text).to_string().replace('é', "\\u00e9").replace('\u{1F600}', "\\U0001F600"),
    }
}

/// The marks of the comments of a generated recipe, in order of their numbers.
pub(crate) fn comments(text: &str) -> Vec<usize> {
    let marks = text.split("#~").skip(1).filter_map(|rest| rest.split('.').next()?.parse().ok());
    let mut marks: Vec<usize> = marks.collect();
    marks.sort_unstable();
    marks
}

#[test]
fn generated_recipes_can_be_read() {
    let mut seed = 1_u64;
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..400)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) as u8
            })
            .collect();
        let text = recipe(&mut Tape::new(&bytes));
        let mut tape = Tape::new(&bytes);
        let mut ids = 0;
        assert_eq!(read(&text), Some(model(&mut tape, &mut ids)), "{text}");
        let (a, b) = (comments(&text), comments(&text));
        assert_eq!(a.len(), b.len());
    }
}
