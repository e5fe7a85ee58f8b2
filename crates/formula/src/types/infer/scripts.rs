//! What scripts have beyond formulas: variables, loops, early ends.
//!
//! Variables that are written to are followed in turns. In the first every variable may hold
//! anything, and all that is ever put into them is gathered; in the next they hold one of those,
//! and so less is put into them. Each turn is right by itself, so a few are enough.

use super::{Collected, Inference};
use crate::{
    lex,
    types::{
        shape::{INNER, LIST, NULL, RECORD, Type, WHOLE},
        tree::{Arm, Call, Kind, Link, LinkKind, Node},
    },
};

/// How often a script is gone through to find what its variables may hold.
const TURNS: usize = 2;

/// Functions that change the list or record they are called on.
fn is_writer(name: &str) -> bool {
    matches!(name, "push" | "pop" | "insert" | "remove" | "clear")
}

/// Whether a script changes what variables hold.
fn writes(tokens: &[lex::Token]) -> bool {
    tokens.iter().any(|token| match &token.kind {
        lex::Kind::Sign(sign) => matches!(*sign, "=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**="),
        lex::Kind::Name(name) => is_writer(name),
        _ => false,
    })
}

impl<'a> Inference<'a> {
    /// Finds the functions a script declares, and what its variables may hold.
    pub(super) fn prepare(&mut self, tokens: &'a [lex::Token], tree: &Node<'a>) {
        self.functions = tokens
            .windows(2)
            .filter_map(|pair| match (&pair[0].kind, &pair[1].kind) {
                (lex::Kind::Name(word), lex::Kind::Name(name)) if word == "fn" => Some(name.as_str()),
                _ => None,
            })
            .collect();
        if !writes(tokens) {
            return;
        }
        for turn in 0..TURNS {
            self.blind = turn == 0;
            self.collected = Some(Collected::default());
            self.script(tree);
            let Collected { values, written } = self.collected.take().unwrap_or_default();
            self.written = values.into_iter().filter(|(name, _)| written.contains(name)).collect();
            self.left = false;
            self.returns = Type::never();
        }
        self.blind = false;
    }

    /// All of a formula or a script.
    pub(super) fn script(&mut self, tree: &Node<'a>) -> Type {
        let last = match &tree.kind {
            Kind::Block(statements) => self.statements(statements),
            _ => self.value(tree),
        };
        last.or(&self.returns)
    }

    fn statements(&mut self, statements: &[Node<'a>]) -> Type {
        let locals = self.locals.len();
        let mut last = Type::of(NULL);
        for statement in statements {
            let found = self.value(statement);
            // A declaration is no statement to rhai: the value before it counts.
            if !matches!(statement.kind, Kind::Function(..)) {
                last = found;
            }
        }
        self.locals.truncate(locals);
        last
    }

    pub(super) fn statement(&mut self, node: &Node<'a>) -> Type {
        match &node.kind {
            Kind::Block(statements) => return self.statements(statements),
            Kind::Switch(subject, arms) => return self.switch(subject, arms),
            Kind::Let(name, value) => {
                let value = value.as_deref().map_or(Type::of(NULL), |value| self.value(value));
                self.bind(name, value);
            }
            Kind::Assign(sign, target, value) => self.assign(sign, target, value, node),
            Kind::Loop(condition, body) => {
                if let Some(condition) = condition {
                    self.perhaps(|this| this.condition(condition));
                    self.behind(condition, |this| this.value(body));
                } else {
                    self.perhaps(|this| this.value(body));
                }
                return Type::any();
            }
            Kind::For(names, list, body) => return self.for_loop(names, list, body),
            Kind::Leave(word, value) => return self.leave(word, value.as_deref()),
            Kind::Try(body, name, caught) => {
                self.perhaps(|this| {
                    this.value(body);
                    let locals = this.locals.len();
                    if let Some(name) = name {
                        this.bind(name, Type::any());
                    }
                    this.value(caught);
                    this.locals.truncate(locals);
                });
                return Type::any();
            }
            Kind::Function(params, body) => {
                // It sees nothing but its parameters, whose names may be those of others.
                let outer = std::mem::take(&mut self.locals);
                let any: Vec<_> = params.iter().map(|_| Type::any()).collect();
                self.closure(params, &any, body);
                self.locals = outer;
            }
            _ => return Type::any(),
        }
        Type::of(NULL)
    }

    fn switch(&mut self, subject: &Node<'a>, arms: &[Arm<'a>]) -> Type {
        self.value(subject);
        let mut all = if arms.iter().any(|arm| arm.any) { Type::never() } else { Type::of(NULL) };
        let known = self.doubts.len();
        self.doubt_subject(subject);
        for arm in arms {
            self.perhaps(|this| {
                let found = match &arm.guard {
                    Some(guard) => {
                        this.condition(guard);
                        this.behind(guard, |this| this.value(&arm.body))
                    }
                    None => this.value(&arm.body),
                };
                all = this.join(&all, &found);
            });
        }
        self.doubts.truncate(known);
        all
    }

    fn for_loop(&mut self, names: &[&'a str], list: &Node<'a>, body: &Node<'a>) -> Type {
        let found = self.value(list);
        // A record of the data goes through without a turn.
        if found.kinds & (LIST | RECORD | INNER) == 0 && found.kinds != 0 {
            let message = "`for` goes through a list, and this is none".to_owned();
            let hint = "Say what a missing list counts as: for x in (… ?? [])";
            self.problem(list.range.clone(), message, Some(hint));
        }
        let locals = self.locals.len();
        let item = if found.kinds == LIST { found.items() } else { Type::any() };
        for (name, value) in names.iter().zip([item, Type::of(WHOLE)]) {
            self.bind(name, value);
        }
        self.perhaps(|this| this.value(body));
        self.locals.truncate(locals);
        Type::any()
    }

    fn leave(&mut self, word: &str, value: Option<&Node<'a>>) -> Type {
        let value = value.map_or(Type::of(NULL), |value| self.value(value));
        if word == "return" {
            self.returns = self.join(&self.returns.clone(), &value);
        }
        self.left = true;
        Type::never()
    }

    fn assign(&mut self, sign: &'static str, target: &Node<'a>, value: &Node<'a>, node: &Node<'a>) {
        let value = self.value(value);
        let put = match sign.strip_suffix('=').filter(|sign| !sign.is_empty()) {
            None => value,
            Some(sign) => {
                let old = if let Kind::Name(name, at) = &target.kind { self.name(name, *at, &[]).0 } else { Type::any() };
                self.operation(sign, &old, &value, node)
            }
        };
        match &target.kind {
            Kind::Name(name, _) => {
                self.collect(name, &put);
                self.note(name);
            }
            Kind::Chain(head, _) => {
                if let Kind::Name(name, _) = &head.kind {
                    self.note_contents(name);
                }
            }
            _ => {}
        }
    }

    /// A call may change the variable its chain begins with.
    pub(super) fn note_write(&mut self, head: &Node<'a>, links: &[Link<'a>]) {
        if self.collected.is_none() {
            return;
        }
        let Kind::Name(name, _) = &head.kind else { return };
        for (place, link) in links.iter().enumerate() {
            if let LinkKind::Call(call) = &link.kind
                && is_writer(call.name)
            {
                if place == 0 { self.note_call(name, call.name, &call.args) } else { self.note_contents(name) }
            }
        }
    }

    /// The same for `push(list, item)`.
    pub(super) fn note_written_argument(&mut self, call: &Call<'a>) {
        if self.collected.is_none() || !is_writer(call.name) {
            return;
        }
        match call.args.split_first() {
            Some((Node { kind: Kind::Name(name, _), .. }, rest)) => self.note_call(name, call.name, rest),
            Some((Node { kind: Kind::Chain(head, _), .. }, _)) => {
                if let Kind::Name(name, _) = &head.kind {
                    self.note_contents(name);
                }
            }
            _ => {}
        }
    }

    fn note_call(&mut self, name: &'a str, function: &str, args: &[Node<'a>]) {
        match (function, args) {
            ("push" | "insert", [.., item]) => {
                let item = self.perhaps(|this| this.value(item));
                self.collect(name, &Type::list(item));
                self.note(name);
            }
            ("pop" | "clear", _) => {}
            _ => self.note_contents(name),
        }
    }

    /// Something is written into what a variable holds: a list stays a list, of anything.
    fn note_contents(&mut self, name: &'a str) {
        self.collect(name, &Type::of(LIST));
        self.collect(name, &Type::of(RECORD));
        self.note(name);
    }

    fn note(&mut self, name: &'a str) {
        if let Some(collected) = &mut self.collected {
            collected.written.push(name);
        }
    }
}
