//! Values, expressions in them, and decisions.

use serde_json::{Map, Value as Json};

use crate::ast::{Expr, Part, Places, Spanned, Value, ValueKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, shown};
use crate::offsets::OffsetMap;
use crate::read::{EVALUATED, Reader};
use crate::scalar::looks_numeric;
use crate::scan::{self, Piece, Unclosed};
use crate::yaml::{Entry, Kind, Node};
use granit_parser::ScalarStyle;
use std::ops::Range;

/// Stands for what was reported: an expression without text, about which nothing more is said.
fn broken(node: &Node<'_>) -> Value {
    let expr = Expr { source: String::new(), span: node.span, runs: Vec::new() };
    Value { kind: ValueKind::Expr(expr), span: node.span, places: Places::Leaf }
}

impl<'t> Reader<'t> {
    /// Any value, with expressions.
    pub(crate) fn value(&mut self, node: &Node<'t>) -> Value {
        let leaf = |json| Value { kind: ValueKind::Literal(json), span: node.span, places: Places::Leaf };
        if self.out.is_full() {
            return broken(node);
        }
        match &node.kind {
            Kind::Null => leaf(Json::Null),
            Kind::Bool(value) => leaf(Json::Bool(*value)),
            Kind::Number(value) => leaf(Json::Number(value.clone())),
            Kind::Broken => broken(node),
            Kind::Text(text, style) => self.value_text(node, text, *style),
            Kind::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect();
                folded(Value { kind: ValueKind::List(items), span: node.span, places: Places::Leaf })
            }
            Kind::Record(entries) => {
                let fields = entries.iter().map(|entry| (self.value_key(entry), self.value(&entry.value))).collect();
                folded(Value { kind: ValueKind::Record(fields), span: node.span, places: Places::Leaf })
            }
        }
    }

    /// A text, with expressions.
    pub(crate) fn text_value(&mut self, entry: &Entry<'t>) -> Option<Value> {
        if matches!(entry.value.kind, Kind::Text(..)) {
            return Some(self.value(&entry.value));
        }
        // Reports it, also with the quotes a number needs.
        self.free_text(entry);
        None
    }

    /// A list, or an expression that gives one.
    pub(crate) fn list_value(&mut self, entry: &Entry<'t>) -> Option<Value> {
        let node = &entry.value;
        match &node.kind {
            Kind::List(_) | Kind::Broken => Some(self.value(node)),
            Kind::Text(text, _) => {
                let value = self.value(node);
                if matches!(value.kind, ValueKind::Expr(_)) {
                    return Some(value);
                }
                let message = format!("\"{}\" takes a list, but the text \"{}\" was read.", entry.key, shown(text));
                let diagnostic = Diagnostic::error(codes::WRONG_TYPE, node.span, message);
                let help = "Write a list, or one expression and nothing around it: ${ … }.";
                self.out.push(match scan::first(text) {
                    None if !text.trim().is_empty() => {
                        let better = format!("\"${{ {} }}\"", text.trim().replace('\\', "\\\\").replace('"', "\\\""));
                        diagnostic.help(help).edit(node.span, better, "Make it an expression")
                    }
                    _ => diagnostic.help(help),
                });
                None
            }
            _ => {
                self.expected(entry, "a list, or an expression that gives one", "");
                None
            }
        }
    }

    /// Any value without expressions, and the places in it.
    pub(crate) fn literal(&mut self, node: &Node<'t>) -> (Json, Places) {
        match &node.kind {
            Kind::Null | Kind::Broken => (Json::Null, Places::Leaf),
            Kind::Bool(value) => (Json::Bool(*value), Places::Leaf),
            Kind::Number(value) => (Json::Number(value.clone()), Places::Leaf),
            Kind::Text(text, style) => {
                if let Some(at) = scan::first(text) {
                    let span = OffsetMap::new(self.text, node.span, text, *style).place(at..at + 2);
                    let help = format!("Write the value itself. `${{ }}` works only in {EVALUATED}.");
                    self.error(codes::NOT_EVALUATED, span, "Nothing is evaluated here.", help);
                }
                self.warn_numeric(node, text, *style);
                (Json::String(text.to_string()), Places::Leaf)
            }
            Kind::List(items) => {
                let mut places = Vec::with_capacity(items.len());
                let list = items
                    .iter()
                    .map(|item| {
                        let (json, inner) = self.literal(item);
                        places.push((item.span, inner));
                        json
                    })
                    .collect();
                (Json::Array(list), Places::List(places))
            }
            Kind::Record(entries) => {
                let mut places = Vec::with_capacity(entries.len());
                let mut record = Map::new();
                for entry in entries {
                    let key = self.value_key(entry);
                    let (json, inner) = self.literal(&entry.value);
                    places.push((entry.key_span, entry.value.span, inner));
                    record.insert(key.value, json);
                }
                (Json::Object(record), Places::Record(places))
            }
        }
    }

    /// A bare formula, or true or false.
    pub(crate) fn decision(&mut self, entry: &Entry<'t>) -> Option<Expr> {
        let node = &entry.value;
        let (text, style) = match &node.kind {
            Kind::Bool(value) => {
                return Some(Expr { source: value.to_string(), span: node.span, runs: vec![(0, node.span.start)] });
            }
            Kind::Text(text, style) => (text, *style),
            _ => {
                self.expected(entry, "a formula", "Write a formula that gives true or false, such as `trigger.amount > 100`.");
                return None;
            }
        };
        let map = OffsetMap::new(self.text, node.span, text, style);
        if let Some(at) = text.find("${") {
            let message = format!("\"{}\" is a formula as it stands and takes no `${{`.", entry.key);
            let diagnostic = Diagnostic::error(codes::DELIMITERS, map.place(at..at + 2), message);
            self.out.push(match bare(text) {
                Some(better) => Self::rewrite(
                    diagnostic.help(format!("Write it as: {}", shown(&better))),
                    node.span,
                    &better,
                    "Remove the `${ }`",
                ),
                None => diagnostic.help("Write the formula without `${` and `}`."),
            });
            return None;
        }
        let source = text.trim();
        if source.is_empty() {
            self.error(
                codes::EMPTY_EXPRESSION,
                node.span,
                format!("\"{}\" is empty.", entry.key),
                "Write a formula, or remove it.",
            );
            return None;
        }
        let start = text.len() - text.trim_start().len();
        Some(expression(&map, source, &(start..start + source.len())))
    }

    /// A duration, or an expression that gives one.
    pub(crate) fn duration_value(&mut self, entry: &Entry<'t>) -> Option<Value> {
        if let Kind::Text(text, _) = &entry.value.kind
            && scan::first(text).is_some()
        {
            return Some(self.value(&entry.value));
        }
        self.duration(entry)?;
        Some(self.value(&entry.value))
    }

    /// A date-time, a bare formula that gives one, or an expression.
    pub(crate) fn instant(&mut self, entry: &Entry<'t>) -> Option<Value> {
        let node = &entry.value;
        let Kind::Text(text, style) = &node.kind else {
            self.expected(entry, "an instant", "Write 2026-03-01T08:00:00Z, or an expression that gives such an instant.");
            return None;
        };
        let date = text.trim().get(..5).is_some_and(|start| start.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
        if date || scan::first(text).is_some() {
            return Some(self.value(node));
        }
        let source = text.trim();
        if source.is_empty() {
            self.error(codes::EMPTY_EXPRESSION, node.span, "There is no instant.", "Write 2026-03-01T08:00:00Z, or a formula.");
            return None;
        }
        let start = text.len() - text.trim_start().len();
        let map = OffsetMap::new(self.text, node.span, text, *style);
        let expr = expression(&map, source, &(start..start + source.len()));
        Some(Value { kind: ValueKind::Expr(expr), span: node.span, places: Places::Leaf })
    }

    fn value_text(&mut self, node: &Node<'t>, text: &str, style: ScalarStyle) -> Value {
        let kind = match scan::pieces(text) {
            Err(unclosed) => {
                self.unclosed(node, text, style, &unclosed);
                return broken(node);
            }
            Ok(pieces) => self.parts(node, text, style, pieces),
        };
        Value { kind, span: node.span, places: Places::Leaf }
    }

    fn parts(&mut self, node: &Node<'t>, text: &str, style: ScalarStyle, pieces: Vec<Piece<'_>>) -> ValueKind {
        let mut parts: Vec<Part> = Vec::new();
        let mut map = None;
        for piece in pieces {
            match piece {
                Piece::Text(text) => match parts.last_mut() {
                    Some(Part::Literal(before)) => before.push_str(text),
                    _ => parts.push(Part::Literal(text.to_owned())),
                },
                Piece::Expr { source, range, outer } => {
                    let map = map.get_or_insert_with(|| OffsetMap::new(self.text, node.span, text, style));
                    if source.is_empty() {
                        let diagnostic =
                            Diagnostic::error(codes::EMPTY_EXPRESSION, map.place(outer), "There is nothing in this `${ }`.");
                        self.out.push(diagnostic.help("Write an expression, or `$${` for the plain text."));
                        return broken(node).kind;
                    }
                    parts.push(Part::Expr(expression(map, source, &range)));
                }
            }
        }
        // The line break that ends block text is not part of what its writer meant.
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if let (true, [Part::Expr(_), Part::Literal(rest)]) = (block, parts.as_slice())
            && rest.bytes().all(|b| b == b'\n')
        {
            parts.pop();
        }
        if !parts.iter().any(|part| matches!(part, Part::Expr(_))) {
            self.warn_numeric(node, text, style);
            return ValueKind::Literal(Json::String(parts.into_iter().map(literal_text).collect()));
        }
        if parts.len() == 1
            && let Some(Part::Expr(expr)) = parts.pop()
        {
            return ValueKind::Expr(expr);
        }
        ValueKind::Text(parts)
    }

    fn unclosed(&mut self, node: &Node<'t>, text: &str, style: ScalarStyle, unclosed: &Unclosed) {
        let map = OffsetMap::new(self.text, node.span, text, style);
        let diagnostic = Diagnostic::error(codes::UNCLOSED, map.place(unclosed.open..text.len()), "This `${` is never closed.");
        let rest = self.text.get(node.span.end..).unwrap_or_default();
        self.out.push(if style == ScalarStyle::Plain && rest.trim_start_matches(' ').starts_with('#') {
            diagnostic.help("YAML takes what follows ` #` for a comment. Put quotes around the whole value.")
        } else if let Some(quote) = unclosed.quote {
            let at = map.place(quote..quote + 1);
            let quote = self.text.get(at.start..at.end).unwrap_or_default();
            diagnostic.help(format!("The quote {quote} inside is still open. Close it, then write `}}`."))
        } else {
            diagnostic.help("Add the `}`, or write `$${` for the plain text.")
        });
    }

    /// The key of a record of values: data, so any text but an expression.
    fn value_key(&mut self, entry: &Entry<'t>) -> Spanned<String> {
        if scan::first(&entry.key).is_some() {
            let help = "Keys are fixed. Build the record in a `set` script if its keys must vary.";
            self.error(codes::NOT_EVALUATED, entry.key_span, "Nothing is evaluated in a key.", help);
        }
        Spanned { value: entry.key.to_string(), span: entry.key_span }
    }

    fn warn_numeric(&mut self, node: &Node<'t>, text: &str, style: ScalarStyle) {
        if style == ScalarStyle::Plain && looks_numeric(text) && !self.out.is_crowded() {
            let message = format!("{} stays text, because as a number it would change.", shown(text));
            let diagnostic = Diagnostic::warning(codes::LOOKS_NUMERIC, node.span, message);
            let help = "Put quotes around it to say that it is text, or write the plain number.";
            self.out.push(diagnostic.help(help).edit(node.span, format!("\"{text}\""), "Put quotes around it"));
        }
    }
}

/// An expression with its places.
pub(crate) fn expression(map: &OffsetMap, source: &str, range: &Range<usize>) -> Expr {
    Expr { source: source.to_owned(), span: map.place(range.clone()), runs: map.runs(range) }
}

fn literal_text(part: Part) -> String {
    match part {
        Part::Literal(text) => text,
        Part::Expr(expr) => expr.source,
    }
}

/// A list or record without expressions becomes a literal that remembers its places.
fn folded(value: Value) -> Value {
    let literal = |v: &Value| matches!(v.kind, ValueKind::Literal(_));
    let json = |v: Value| match v.kind {
        ValueKind::Literal(json) => json,
        _ => Json::Null,
    };
    let span = value.span;
    match value.kind {
        ValueKind::List(mut items) if items.iter().all(literal) => {
            let places = items.iter_mut().map(|item| (item.span, std::mem::take(&mut item.places))).collect();
            let list = items.into_iter().map(json).collect();
            Value { kind: ValueKind::Literal(Json::Array(list)), span, places: Places::List(places) }
        }
        ValueKind::Record(mut fields) if fields.iter().all(|(_, item)| literal(item)) => {
            let place = |(key, item): &mut (Spanned<String>, Value)| (key.span, item.span, std::mem::take(&mut item.places));
            let places = fields.iter_mut().map(place).collect();
            let record = fields.into_iter().map(|(key, item)| (key.value, json(item))).collect();
            Value { kind: ValueKind::Literal(Json::Object(record)), span, places: Places::Record(places) }
        }
        kind => Value { kind, span, places: value.places },
    }
}

/// A decision written with `${ }` as the formula that was meant.
fn bare(text: &str) -> Option<String> {
    let pieces = scan::pieces(text.trim()).ok()?;
    let whole = pieces.len() == 1;
    let mut formula = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => formula.push_str(text),
            Piece::Expr { source, .. } if whole || !source.contains(' ') => formula.push_str(source),
            Piece::Expr { source, .. } => formula.push_str(&format!("({source})")),
        }
    }
    let formula = formula.trim().to_owned();
    (!formula.is_empty() && !formula.contains("${")).then_some(formula)
}

/// The places inside a part of the text, whatever stands there.
pub(crate) fn places(node: &Node<'_>) -> Places {
    match &node.kind {
        Kind::List(items) => Places::List(items.iter().map(|item| (item.span, places(item))).collect()),
        Kind::Record(entries) => {
            Places::Record(entries.iter().map(|entry| (entry.key_span, entry.value.span, places(&entry.value))).collect())
        }
        _ => Places::Leaf,
    }
}
