//! From the leaves of a formula to what it gives.

mod calls;
mod doubts;
mod lists;
mod operators;
mod scripts;

use std::ops::Range;

use super::{
    TypeProblem,
    shape::{ALL, BOOLEAN, DURATION, FRACTION, INNER, Kinds, NULL, NUMBER, TEXT, TIMES, Type, WHOLE},
    tree::{self, Kind, Link, LinkKind, Node},
};
use crate::{Reference, expression::Formula, limits};
use doubts::Doubt;
use operators::Misfit;

/// What a formula gives, and its problems.
pub(super) fn formula(
    source: &str,
    formula: &Formula,
    references: &[Reference],
    types: &dyn Fn(&Reference) -> Type,
) -> (Type, Vec<TypeProblem>) {
    let (tokens, script) = (formula.tokens(), formula.is_script());
    let Some(tree) = tree::read(tokens, script) else { return (Type::any(), Vec::new()) };
    let mut inference = Inference::new(source, references, types);
    if script {
        inference.prepare(tokens, &tree);
    }
    let gives = inference.script(&tree);
    if inference.steps > limits::INFERENCE_STEPS_MAX {
        return (Type::any(), inference.problems);
    }
    // Closures are values only inside.
    (gives.only(!INNER), inference.problems)
}

/// The problem of a decision that never gives true or false.
pub(super) fn no_decision(source: &str, range: Range<usize>, gives: &Type) -> TypeProblem {
    let message = format!("{} gives {}, and a decision needs true or false", piece(source, &range, "this"), gives.describe());
    let hint = match gives.without_null().kinds {
        0 => "Say what a missing value counts as: (… ?? false), or ask for it: x != null",
        TEXT => "Compare the text: x == \"yes\", or ask whether there is one: present(x)",
        kinds if kinds & !NUMBER == 0 => "Compare the number: x > 0",
        _ => "Ask a question that has yes or no for an answer: present(x), count(list) > 0",
    };
    TypeProblem { range, message, hint: Some(hint.to_owned()), always: true }
}

/// A piece of source for a sentence, or another word for it where it is long.
pub(super) fn piece(source: &str, range: &Range<usize>, instead: &str) -> String {
    match source.get(range.clone()) {
        Some(piece) if !piece.is_empty() && piece.chars().count() <= 80 && !piece.contains('\n') => format!("`{piece}`"),
        _ => instead.to_owned(),
    }
}

pub(super) struct Inference<'a> {
    pub(super) source: &'a str,
    references: &'a [Reference],
    types: &'a dyn Fn(&Reference) -> Type,
    places: Vec<Option<Type>>,
    pub(super) locals: Vec<(&'a str, Type)>,
    /// Functions the script declares.
    pub(super) functions: Vec<&'a str>,
    /// What variables that are written to may hold. Empty for a formula.
    pub(super) written: Vec<(&'a str, Type)>,
    /// Whether every variable may hold anything, as nothing is known of them yet.
    pub(super) blind: bool,
    /// What is being found out about them; problems wait until that is done.
    pub(super) collected: Option<Collected<'a>>,
    doubts: Vec<Doubt<'a>>,
    /// Whether evaluation is sure to get here, if nothing fails before and nothing has left.
    pub(super) sure: bool,
    /// Whether something before may have ended the script, the closure or the loop.
    pub(super) left: bool,
    /// What `return` gives.
    pub(super) returns: Type,
    pub(super) problems: Vec<TypeProblem>,
    steps: u32,
}

/// What a turn through a script finds.
#[derive(Default)]
pub(super) struct Collected<'a> {
    pub(super) values: Vec<(&'a str, Type)>,
    pub(super) written: Vec<&'a str>,
}

impl<'a> Inference<'a> {
    pub(super) fn new(source: &'a str, references: &'a [Reference], types: &'a dyn Fn(&Reference) -> Type) -> Self {
        Self {
            source,
            references,
            types,
            places: vec![None; references.len()],
            locals: Vec::new(),
            functions: Vec::new(),
            written: Vec::new(),
            blind: false,
            collected: None,
            doubts: Vec::new(),
            sure: true,
            left: false,
            returns: Type::never(),
            problems: Vec::new(),
            steps: 0,
        }
    }

    pub(super) fn problem(&mut self, range: Range<usize>, message: String, hint: Option<&str>) {
        if self.collected.is_none() {
            self.problems.push(TypeProblem { range, message, hint: hint.map(str::to_owned), always: self.sure && !self.left });
        }
    }

    /// Counts work; false when there was too much.
    pub(super) fn spend(&mut self, steps: u32) -> bool {
        self.steps = self.steps.saturating_add(steps);
        self.steps <= limits::INFERENCE_STEPS_MAX
    }

    pub(super) fn value(&mut self, node: &Node<'a>) -> Type {
        if !self.spend(1) {
            return Type::any();
        }
        match &node.kind {
            Kind::Null => Type::of(NULL),
            Kind::Boolean => Type::of(BOOLEAN),
            Kind::Number { whole } => Type::of(if *whole { WHOLE } else { NUMBER }),
            Kind::Text(_) => Type::of(TEXT),
            Kind::Name(name, at) => self.name(name, *at, &[]).0,
            Kind::List(items) => {
                let item = items.iter().fold(Type::never(), |all, item| {
                    let item = self.value(item);
                    self.join(&all, &item)
                });
                Type::list(item)
            }
            Kind::Record(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, field)| (*name, self.value(field))).collect();
                Type::record(fields, Type::of(NULL))
            }
            Kind::Template(parts) => self.template(parts),
            Kind::Unary(sign, value) => self.unary(sign, value, node),
            Kind::Binary(sign, left, right) => self.binary(sign, left, right, node),
            Kind::Chain(head, links) => self.chain(head, links),
            Kind::Call(call) => self.call(call, None),
            Kind::Closure(params, body) => {
                let any: Vec<_> = params.iter().map(|_| Type::any()).collect();
                self.closure(params, &any, body);
                Type::of(INNER)
            }
            Kind::If(condition, then, other) => self.choice(condition, then, other.as_deref()),
            _ => self.statement(node),
        }
    }

    /// This or that, counting what it costs.
    pub(super) fn join(&mut self, a: &Type, b: &Type) -> Type {
        if self.spend(a.weight() + b.weight()) { a.or(b) } else { Type::any() }
    }

    /// Something evaluation may pass over.
    pub(super) fn perhaps<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let sure = std::mem::replace(&mut self.sure, false);
        let out = work(self);
        self.sure = sure;
        out
    }

    /// What a closure gives for such values.
    pub(super) fn closure(&mut self, params: &[&'a str], values: &[Type], body: &Node<'a>) -> Type {
        let locals = self.locals.len();
        for (name, value) in params.iter().zip(values.iter().chain(std::iter::repeat(&Type::any()))) {
            self.bind(name, value.clone());
        }
        let (returns, left) = (std::mem::replace(&mut self.returns, Type::never()), self.left);
        let last = self.perhaps(|this| this.value(body));
        let returns = std::mem::replace(&mut self.returns, returns);
        self.left = left;
        self.locals.truncate(locals);
        self.join(&last, &returns)
    }

    /// Declares a variable.
    pub(super) fn bind(&mut self, name: &'a str, value: Type) {
        self.collect(name, &value);
        self.locals.push((name, value));
    }

    /// Notes what a variable may hold.
    pub(super) fn collect(&mut self, name: &'a str, value: &Type) {
        let Some(mut collected) = self.collected.take() else { return };
        match collected.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => *all = self.join(all, value),
            None => collected.values.push((name, value.clone())),
        }
        self.collected = Some(collected);
    }

    /// A condition: true or false.
    pub(super) fn condition(&mut self, node: &Node<'a>) {
        let found = self.value(node);
        if found.kinds & BOOLEAN == 0 && found.kinds != 0 {
            let message = format!("here belongs true or false, not {}", found.describe());
            let hint = "Ask a question that has yes or no for an answer: x == null, x != \"\", present(x)";
            self.problem(node.range.clone(), message, Some(hint));
        }
    }

    fn choice(&mut self, condition: &Node<'a>, then: &Node<'a>, other: Option<&Node<'a>>) -> Type {
        self.condition(condition);
        self.behind(condition, |this| {
            let then = this.value(then);
            let other = other.map_or(Type::of(NULL), |other| this.value(other));
            this.join(&then, &other)
        })
    }

    fn template(&mut self, parts: &[Node<'a>]) -> Type {
        for part in parts {
            let found = self.value(part);
            if found.kinds == 0 || found.kinds & (TEXT | NUMBER | BOOLEAN | TIMES) != 0 {
                continue;
            }
            if found.kinds == NULL {
                let hint = "Give a text for that case: (… ?? \"\")";
                self.problem(part.range.clone(), "null does not turn into text by itself".to_owned(), Some(hint));
            } else {
                let message = format!("{} does not fit into text", found.describe());
                self.problem(part.range.clone(), message, Some("Take one field of it, or write it as JSON: json(…)"));
            }
        }
        Type::of(TEXT)
    }

    fn unary(&mut self, sign: &str, value: &Node<'a>, node: &Node<'a>) -> Type {
        let found = self.value(value);
        let (takes, message, hint) = match sign {
            "-" => (NUMBER | DURATION, "`-` stands before {}; it takes a number", None),
            "!" => {
                let hint = "Ask a question that has yes or no for an answer: x == null, x != \"\", !present(x)";
                (BOOLEAN, "`!` stands before {}; it takes true or false", Some(hint))
            }
            _ => return Type::any(),
        };
        if found.kinds == 0 || found.kinds & takes != 0 {
            return found.only(takes);
        }
        self.problem(node.range.clone(), message.replace("{}", &found.describe()), hint);
        Type::any()
    }

    fn binary(&mut self, sign: &'static str, left: &Node<'a>, right: &Node<'a>, node: &Node<'a>) -> Type {
        match sign {
            "&&" | "||" => {
                self.condition(left);
                self.behind(left, |this| this.condition(right));
                return Type::of(BOOLEAN);
            }
            "??" => {
                let left = self.value(left);
                if !left.may_be(super::Kind::Null) {
                    self.perhaps(|this| this.value(right));
                    return left;
                }
                let right = if left.kinds == NULL { self.value(right) } else { self.perhaps(|this| this.value(right)) };
                return self.join(&left.without_null(), &right);
            }
            _ => {}
        }
        let (left, right) = (self.value(left), self.value(right));
        self.operation(sign, &left, &right, node)
    }

    /// An operation that stands at `node`.
    fn operation(&mut self, sign: &str, left: &Type, right: &Type, node: &Node<'a>) -> Type {
        match operators::binary(sign, left, right) {
            Ok(found) => found,
            Err(Misfit { message, hint, spares_null }) => {
                let message = message.replacen("this", &piece(self.source, &node.range, "a formula"), 1);
                let sure = self.sure && !spares_null;
                let sure = std::mem::replace(&mut self.sure, sure);
                self.problem(node.range.clone(), message, hint);
                self.sure = sure;
                if spares_null { Type::of(BOOLEAN) } else { Type::any() }
            }
        }
    }

    /// A name, and how many of the links behind it belong to the place it begins.
    fn name(&mut self, name: &'a str, at: usize, links: &[Link<'a>]) -> (Type, usize) {
        let references = self.references;
        if let Ok(place) = references.binary_search_by_key(&at, |reference| reference.range.start) {
            return (self.place(place), references[place].path.len().min(links.len()));
        }
        if self.blind || self.doubts_local(name) {
            return (Type::any(), 0);
        }
        let known = self.written.iter().find(|(written, _)| *written == name);
        let known = known.or_else(|| self.locals.iter().rev().find(|(local, _)| *local == name));
        (known.map_or_else(Type::any, |(_, value)| value.clone()), 0)
    }

    /// What a place holds.
    fn place(&mut self, at: usize) -> Type {
        let reference = &self.references[at];
        if self.doubts_place(reference) {
            return Type::any().in_data();
        }
        let types = self.types;
        self.places[at].get_or_insert_with(|| types(reference).in_data()).clone()
    }

    fn chain(&mut self, head: &Node<'a>, links: &[Link<'a>]) -> Type {
        let (mut found, skip) = match &head.kind {
            Kind::Name(name, at) => self.name(name, *at, links),
            _ => (self.value(head), 0),
        };
        self.note_write(head, links);
        let sure = self.sure;
        let mut or_null = false;
        let mut end = head.range.end;
        for link in links.iter().take(skip) {
            if let LinkKind::At(key) = &link.kind {
                self.key(key);
            }
            end = link.end;
        }
        for link in &links[skip..] {
            if link.spares_null && found.may_be(super::Kind::Null) {
                or_null = true;
                // What comes now is passed over for null.
                self.sure = false;
                found = found.without_null();
                if found.kinds == 0 {
                    break;
                }
            }
            found = match &link.kind {
                LinkKind::Field(name) => found.field(name),
                LinkKind::At(key) => self.at(&found, key),
                LinkKind::Call(call) => self.call(call, Some((found, head.range.start..end))),
            };
            end = link.end;
        }
        self.sure = sure;
        if or_null { found.or_null() } else { found }
    }

    /// `x[key]`.
    fn at(&mut self, value: &Type, key: &Node<'a>) -> Type {
        let kinds = self.key(key);
        match &key.kind {
            Kind::Text(name) => value.field(name),
            _ if kinds & (TEXT | NULL) == 0 => value.items().or_null(),
            _ => value.part(),
        }
    }

    /// What stands between brackets: a name, a whole number or null.
    fn key(&mut self, key: &Node<'a>) -> Kinds {
        let found = self.value(key);
        if found.kinds & (TEXT | WHOLE | NULL) == 0 && found.kinds != 0 {
            let message = format!("between the brackets stands {}", found.describe());
            let hint = (found.kinds & FRACTION == 0).then_some("Items have numbers, x[0]; fields have names, x[\"a name\"].");
            self.problem(key.range.clone(), message, hint);
            return ALL;
        }
        found.kinds
    }
}
