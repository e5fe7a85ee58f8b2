//! Values against the JSON Schema of an action or trigger.
//!
//! Only what is certain before a run is reported: literals against types, choices and bounds, the
//! fields that are there or missing, and expressions that cannot give what is wanted.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::known;
use super::steps::help_for;
use crate::ast::{Expr, Places, Span, Value, ValueKind};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest, one_of, shown};
use crate::types::Kinds;

/// Schemas may refer to themselves; deeper than this nothing is checked.
const DEPTH_MAX: usize = 32;

/// A value with its places, folded into a literal or not.
#[derive(Clone, Copy)]
pub(crate) enum View<'v> {
    Value(&'v Value),
    Literal(&'v Json, Span, &'v Places),
}

/// What is known of a value.
enum Known<'v> {
    /// An expression decides.
    Expr(&'v Expr),
    /// Some text, as text with an expression in it always is.
    SomeText,
    Scalar(&'v Json),
    List(Vec<View<'v>>),
    Record(Vec<(&'v str, Span, View<'v>)>),
}

impl<'v> View<'v> {
    pub(super) fn span(self) -> Span {
        match self {
            Self::Value(value) => value.span,
            Self::Literal(_, span, _) => span,
        }
    }

    fn known(self) -> Known<'v> {
        match self {
            Self::Value(value) => match &value.kind {
                ValueKind::Literal(json) => View::Literal(json, value.span, &value.places).known(),
                ValueKind::Expr(expr) => Known::Expr(expr),
                ValueKind::Text(_) => Known::SomeText,
                ValueKind::List(items) => Known::List(items.iter().map(View::Value).collect()),
                ValueKind::Record(fields) => {
                    Known::Record(fields.iter().map(|(key, item)| (key.value.as_str(), key.span, View::Value(item))).collect())
                }
            },
            Self::Literal(Json::Array(items), span, places) => {
                let place = |index: usize| match places {
                    Places::List(places) => places.get(index).map_or((span, &Places::Leaf), |(span, inner)| (*span, inner)),
                    _ => (span, &Places::Leaf),
                };
                let view = |(index, item)| {
                    let (span, inner) = place(index);
                    View::Literal(item, span, inner)
                };
                Known::List(items.iter().enumerate().map(view).collect())
            }
            Self::Literal(Json::Object(fields), span, places) => {
                let place = |index: usize| match places {
                    Places::Record(places) => places.get(index).map_or((span, span, &Places::Leaf), |(k, v, i)| (*k, *v, i)),
                    _ => (span, span, &Places::Leaf),
                };
                let view = |(index, (key, item)): (usize, (&'v String, &'v Json))| {
                    let (key_span, span, inner) = place(index);
                    (key.as_str(), key_span, View::Literal(item, span, inner))
                };
                Known::Record(fields.iter().enumerate().map(view).collect())
            }
            Self::Literal(json, ..) => Known::Scalar(json),
        }
    }
}

/// What each expression gives, by its address in the tree.
pub(super) type Found<'a> = HashMap<*const Expr, known::Known<'a>>;

/// Checks the input of an action or trigger. What is missing at the top is shown at its name.
pub(super) fn check(name: &str, span: Span, value: View<'_>, schema: &Json, found: &Found<'_>, out: &mut Diagnostics) {
    let target = Target { name, span: value.span(), missing: span, required: true };
    walk(&target, value, schema, found, out);
}

/// Checks one value that has a name.
pub(super) fn check_field(name: &str, value: View<'_>, schema: &Json, found: &Found<'_>, out: &mut Diagnostics) {
    let span = value.span();
    walk(&Target { name, span, missing: span, required: false }, value, schema, found, out);
}

fn walk(target: &Target<'_>, value: View<'_>, schema: &Json, found: &Found<'_>, out: &mut Diagnostics) {
    let mut walker = Walker { root: schema, exprs: found, found: Vec::new() };
    walker.check(target, value, schema, 0);
    walker.found.into_iter().for_each(|diagnostic| out.push(diagnostic));
}

/// What a value is for, in sentences.
struct Target<'n> {
    /// The action or field.
    name: &'n str,
    span: Span,
    /// Where to show what is missing inside.
    missing: Span,
    required: bool,
}

struct Walker<'s, 'f> {
    root: &'s Json,
    exprs: &'f Found<'f>,
    found: Vec<Diagnostic>,
}

impl<'s> Walker<'s, '_> {
    fn check(&mut self, target: &Target<'_>, value: View<'_>, schema: &'s Json, depth: usize) {
        let (Some(schema), true) = (schema.as_object(), depth < DEPTH_MAX) else { return };
        if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            if let Some(referred) = resolve(self.root, reference) {
                self.check(target, value, referred, depth + 1);
            }
            return;
        }
        for all in list(schema, "allOf") {
            self.check(target, value, all, depth + 1);
        }
        for word in ["anyOf", "oneOf"] {
            self.any(target, value, list(schema, word), depth + 1);
        }
        let known = value.known();
        if let Some(types) = types(schema)
            && !self.fits_type(target, &known, &types)
        {
            return;
        }
        match known {
            Known::Expr(_) | Known::SomeText => {}
            Known::Scalar(json) => self.scalar(target, json, schema),
            Known::List(items) => {
                self.count(target, items.len(), "Items", "item", schema);
                if let Some(schema) = schema.get("items") {
                    for item in items {
                        let inner = Target { span: item.span(), missing: item.span(), required: true, ..*target };
                        self.check(&inner, item, schema, depth + 1);
                    }
                }
            }
            Known::Record(fields) => {
                self.count(target, fields.len(), "Properties", "field", schema);
                self.record(target, &fields, schema, depth);
            }
        }
    }

    /// How many there are of something, against `min…` and `max…`.
    fn count(&mut self, target: &Target<'_>, there: usize, word: &str, one: &str, schema: &Map<String, Json>) {
        let bound = |side: &str| schema.get(&format!("{side}{word}")).and_then(Json::as_u64);
        let there = there as u64;
        let below = bound("min").filter(|min| there < *min).map(|min| ("at least", min));
        let above = bound("max").filter(|max| there > *max).map(|max| ("at most", max));
        if let Some((side, wanted)) = below.or(above) {
            let many = |count: u64| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
            let message = format!("\"{}\" has {side} {}, but {} was read.", target.name, many(wanted), many(there));
            let message = if there == 1 { message } else { message.replace(" was read", " were read") };
            self.found.push(Diagnostic::error(codes::FIELD_RANGE, target.span, message));
        }
    }

    /// One of several schemas must fit; if none does, the nearest one tells why.
    fn any(&mut self, target: &Target<'_>, value: View<'_>, schemas: &'s [Json], depth: usize) {
        let mut best: Option<Vec<Diagnostic>> = None;
        for schema in schemas {
            let mut walker = Walker { root: self.root, exprs: self.exprs, found: Vec::new() };
            walker.check(target, value, schema, depth);
            if best.as_ref().is_none_or(|best| walker.found.len() < best.len()) {
                best = Some(walker.found);
            }
        }
        self.found.extend(best.unwrap_or_default());
    }

    fn fits_type(&mut self, target: &Target<'_>, known: &Known<'_>, types: &[&str]) -> bool {
        let has = |name: &str| types.contains(&name);
        let (fits, read) = match known {
            Known::Expr(expr) => return self.fits_expression(target, expr, types),
            Known::SomeText => (has("string"), "text with an expression in it".to_owned()),
            Known::List(_) => (has("array"), "a list".to_owned()),
            Known::Record(_) => (has("object"), "a record".to_owned()),
            Known::Scalar(Json::Null) => {
                if target.required && !has("null") {
                    let message = format!("\"{}\" needs a value, but nothing was read.", target.name);
                    self.found.push(Diagnostic::error(codes::REQUIRED, target.missing, message).help("Write a value."));
                    return false;
                }
                // An optional field that is null is as good as not there.
                return has("null");
            }
            Known::Scalar(Json::Bool(value)) => (has("boolean"), value.to_string()),
            Known::Scalar(Json::Number(number)) => {
                let whole = number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|f| f.fract() == 0.0);
                (has("number") || (whole && has("integer")), format!("the number {number}"))
            }
            Known::Scalar(Json::String(text)) => (has("string"), format!("the text \"{}\"", shown(text))),
            Known::Scalar(_) => return true,
        };
        if !fits {
            let wanted = one_of(types.iter().map(|name| called(name)));
            let message = format!("\"{}\" takes {wanted}, but {read} was read.", target.name);
            let diagnostic = Diagnostic::error(codes::FIELD_TYPE, target.span, message);
            self.found.push(match known {
                Known::SomeText => diagnostic.help("Write only the expression, with nothing around `${ }`, to keep its type."),
                _ => diagnostic.help(format!("Write {wanted}, or an expression that gives it.")),
            });
        }
        fits
    }

    fn fits_expression(&mut self, target: &Target<'_>, expr: &Expr, types: &[&str]) -> bool {
        let Some(known) = self.exprs.get(&std::ptr::from_ref(expr)) else { return true };
        let given = known.kinds().without(Kinds::NULL);
        let wanted = types.iter().map(|name| Kinds::named(name)).fold(Kinds::NONE, Kinds::or);
        let fits = given.is_empty() || given.meets(wanted);
        if !fits {
            let message = format!("\"{}\" takes {wanted}, but this gives {given}.", target.name);
            self.found.push(Diagnostic::error(codes::EXPRESSION_TYPE, expr.span, message).help(help_for(given, wanted)));
        }
        fits
    }

    fn scalar(&mut self, target: &Target<'_>, json: &Json, schema: &Map<String, Json>) {
        let choices = schema.get("enum").and_then(Json::as_array).map(Vec::as_slice);
        let choices = choices.or_else(|| schema.get("const").map(std::slice::from_ref));
        if let Some(choices) = choices.filter(|choices| !choices.contains(json)) {
            let names: Vec<_> = choices.iter().map(plain).collect();
            let message =
                format!("\"{}\" is {}, but {} was read.", target.name, one_of(names.iter().map(String::as_str)), plain(json));
            let near = json.as_str().and_then(|text| nearest(text, names.iter().map(String::as_str)));
            self.found.push(Diagnostic::error(codes::FIELD_CHOICE, target.span, message).suggest(target.span, near));
            return;
        }
        if let Some(text) = json.as_str() {
            self.count(target, text.chars().count(), "Length", "character", schema);
        }
        let Some(number) = json.as_f64() else { return };
        let bound = |word: &str| schema.get(word).and_then(Json::as_f64);
        let below = bound("minimum").filter(|min| number < *min).map(|min| format!("at least {min}"));
        let above = bound("maximum").filter(|max| number > *max).map(|max| format!("at most {max}"));
        if let Some(wanted) = below.or(above) {
            let message = format!("\"{}\" is {wanted}, but {json} was read.", target.name);
            self.found.push(Diagnostic::error(codes::FIELD_RANGE, target.span, message));
        }
    }

    fn record(&mut self, target: &Target<'_>, fields: &[(&str, Span, View<'_>)], schema: &'s Map<String, Json>, depth: usize) {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let required: Vec<_> = list(schema, "required").iter().filter_map(Json::as_str).collect();
        let rest = schema.get("additionalProperties");
        let closed = rest == Some(&Json::Bool(false)) && !schema.contains_key("patternProperties");
        let mut meant = Vec::new();
        for (key, key_span, item) in fields {
            let inner = Target {
                name: key,
                span: item.span(),
                missing: visible(item.span(), *key_span),
                required: required.contains(key),
            };
            // Looked up in the schema itself, which lives longer than the empty stand-in.
            let property = schema.get("properties").and_then(|p| p.get(*key));
            if let Some(property) = property.or(rest.filter(|rest| rest.is_object())) {
                self.check(&inner, *item, property, depth + 1);
            } else if closed {
                let (diagnostic, near) = unknown_field(target.name, key, *key_span, properties.keys().map(String::as_str));
                meant.extend(near);
                self.found.push(diagnostic);
            }
        }
        for name in required {
            // A misspelt field was reported as such.
            if !fields.iter().any(|(key, ..)| *key == name) && !meant.contains(&name) {
                let message = format!("\"{}\" needs \"{name}\", which is missing.", target.name);
                let about = properties.get(name).and_then(|p| p.get("description")).and_then(Json::as_str);
                let help = format!("Add `{name}:`. {}", about.unwrap_or_default());
                self.found.push(Diagnostic::error(codes::REQUIRED, target.missing, message).help(help.trim_end()));
            }
        }
    }
}

impl<'v> View<'v> {
    /// `true` stands there.
    pub(super) fn is_true(self) -> bool {
        matches!(self.known(), Known::Scalar(Json::Bool(true)))
    }

    /// The items of a list, or the value itself.
    pub(super) fn one_or_many(self) -> Vec<Self> {
        match self.known() {
            Known::List(items) => items,
            _ => vec![self],
        }
    }

    /// A text that stands there as it is.
    pub(super) fn text(self) -> Option<&'v str> {
        match self.known() {
            Known::Scalar(Json::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The fields of a record, literal or not, with the places of their names.
    pub(super) fn fields(self) -> Vec<(&'v str, Span, View<'v>)> {
        match self.known() {
            Known::Record(fields) => fields,
            _ => Vec::new(),
        }
    }
}

/// A field that is none of those there are, and the one that was probably meant.
pub(super) fn unknown_field<'n>(
    owner: &str,
    key: &str,
    span: Span,
    names: impl Iterator<Item = &'n str> + Clone,
) -> (Diagnostic, Option<&'n str>) {
    let near = nearest(key, names.clone());
    let message = format!("\"{}\" has no field \"{}\".", owner, shown(key));
    let diagnostic = Diagnostic::error(codes::UNKNOWN_FIELD, span, message);
    let told = match near {
        Some(_) => diagnostic.suggest(span, near),
        None if names.clone().next().is_none() => diagnostic.help("It takes no fields."),
        None => diagnostic.help(format!("It has {}.", one_of(names))),
    };
    (told, near)
}

/// The place of a value, or of its key if the value has no width.
fn visible(span: Span, key: Span) -> Span {
    if span.start == span.end { key } else { span }
}

/// The part of a schema that a local reference names.
pub(crate) fn resolve<'s>(root: &'s Json, reference: &str) -> Option<&'s Json> {
    root.pointer(reference.strip_prefix('#')?)
}

fn list<'s>(schema: &'s Map<String, Json>, word: &str) -> &'s [Json] {
    schema.get(word).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn types(schema: &Map<String, Json>) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Json::String(name) => Some(vec![name]),
        Json::Array(names) => Some(names.iter().filter_map(Json::as_str).collect()),
        _ => None,
    }
}

fn called(name: &str) -> &str {
    match name {
        "string" => "text",
        "number" => "a number",
        "integer" => "a whole number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a record",
        "null" => "nothing",
        other => other,
    }
}

fn plain(json: &Json) -> String {
    match json {
        Json::String(text) => shown(text),
        other => other.to_string(),
    }
}
