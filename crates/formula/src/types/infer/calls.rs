//! Calls: whether the values fit the parameters, and what comes out.

use std::ops::Range;

use super::Inference;
use crate::{
    functions,
    types::{
        shape::{INNER, Kinds, NUMBER, TEXT, Type},
        signature,
        tree::{Call, Kind, Node},
    },
};

/// A value in a call: what it is, and where it stands.
pub(super) struct Value<'n, 'a> {
    pub(super) found: Type,
    pub(super) range: Range<usize>,
    /// The value as it is written; none for what stands before the dot.
    pub(super) node: Option<&'n Node<'a>>,
}

impl<'a> Value<'_, 'a> {
    /// The text it is, if it is written as one.
    pub(super) fn literal(&self) -> Option<&'a str> {
        match self.node?.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The parameters and the body, if it is written as a closure.
    pub(super) fn closure(&self) -> Option<(&[&'a str], &Node<'a>)> {
        match &self.node?.kind {
            Kind::Closure(params, body) => Some((params, body)),
            _ => None,
        }
    }
}

impl<'a> Inference<'a> {
    /// What a function gives. `receiver` is what stands before the dot.
    pub(super) fn call(&mut self, call: &Call<'a>, receiver: Option<(Type, Range<usize>)>) -> Type {
        let is_method = receiver.is_some();
        if !is_method {
            self.note_written_argument(call);
        }
        let known = functions::find(call.name).filter(|_| is_method || !self.is_own_function(call.name));
        let Some(function) = known else {
            // A closure in a variable, a function of the script, or one nothing is known of.
            for arg in &call.args {
                self.value(arg);
            }
            return Type::any();
        };
        let mut values: Vec<Value<'_, 'a>> =
            receiver.into_iter().map(|(found, range)| Value { found, range, node: None }).collect();
        for node in &call.args {
            // The body of a closure waits until it is known what it is called with.
            let found = if matches!(node.kind, Kind::Closure(..)) { Type::of(INNER) } else { self.value(node) };
            values.push(Value { found, range: node.range.clone(), node: Some(node) });
        }
        let mut fits = true;
        for (place, value) in values.iter().enumerate() {
            let takes = signature::takes(function, place);
            if value.found.kinds & takes == 0 && value.found.kinds != 0 {
                self.misfit(call.name, place, &values, takes);
                fits = false;
            }
        }
        let found = self.shaped(call, &values);
        if fits { found.unwrap_or_else(|| signature::gives(function)) } else { Type::any() }
    }

    fn is_own_function(&self, name: &str) -> bool {
        self.functions.contains(&name) || self.locals.iter().any(|(local, _)| *local == name)
    }

    fn misfit(&mut self, name: &str, place: usize, values: &[Value<'_, 'a>], takes: Kinds) {
        let value = &values[place];
        let (wanted, found) = (signature::wanted(takes), value.found.describe());
        let message = if values.len() == 1 {
            format!("`{name}` takes {wanted}, here it gets {found}")
        } else {
            let number = ["first", "second", "third", "fourth"].get(place).copied().unwrap_or("last");
            format!("`{name}` takes {wanted} as its {number} value, here it gets {found}")
        };
        let null = value.found.kinds == crate::types::shape::NULL;
        let hint = match wanted.as_str() {
            "text" if null => "Say what a missing text counts as: (… ?? \"\")",
            "a list" if null => "Say what a missing list counts as: (… ?? [])",
            "a number" | "a whole number" if null => "Say what a missing number counts as: (… ?? 0)",
            "text" if value.found.kinds & !(NUMBER | crate::types::shape::BOOLEAN | 1) == 0 => {
                "Turn it into text first: to_text(…)"
            }
            "a number" | "a whole number" if value.found.kinds & !(TEXT | 1) == 0 => {
                "Turn the text into a number first: to_number(…)"
            }
            _ => {
                let example = functions::find(name).map(|function| format!("For example: {}", function.example));
                return self.problem(value.range.clone(), message, example.as_deref());
            }
        };
        self.problem(value.range.clone(), message, Some(hint));
    }
}
