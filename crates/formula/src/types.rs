//! What an expression gives, and what in it cannot work, told before anything runs.
//!
//! The caller says what the places an expression reads may hold; the rules of the language do the
//! rest. Whatever is not understood counts as anything and is never a problem.

mod describe;
mod infer;
mod look;
mod schema;
mod shape;
mod signature;
mod tree;

use std::ops::Range;

pub use shape::{Kind, Type};

use crate::{Expression, Reference, expression::Plan};

/// What is known of an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// What it gives when it does not fail.
    pub gives: Type,
    /// What in it cannot work, in the order of the source.
    pub problems: Vec<TypeProblem>,
}

/// A piece of an expression that fails with the types it meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeProblem {
    /// Where in the source, in bytes.
    pub range: Range<usize>,
    /// What is wrong, as evaluation would say it.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// Whether every evaluation fails. False for what stands in a branch, a closure or a loop,
    /// and so fails only if evaluation gets there; and for `==` with what may be null, which
    /// fails only if it is not.
    pub always: bool,
}

impl Expression {
    /// What it gives if the places it reads hold what `types` says. `types` is asked with the
    /// elements of [`Expression::references`], and says [`Type::any`] for what it does not know.
    /// For a place with a part that is known only when it runs, it says what any such place holds.
    pub fn infer(&self, types: &dyn Fn(&Reference) -> Type) -> Inferred {
        let (gives, problems) = match self.plan() {
            Plan::Literal(value) => (Type::of_json(value), Vec::new()),
            Plan::Place { default, .. } => {
                let place = self.references().first().map_or_else(Type::any, types);
                (or_default(place, default.as_ref()), Vec::new())
            }
            Plan::Path { path, default } => {
                let found = self.path_type(path.is_singular(), types);
                let gives = match default {
                    Some(default) if !path.is_singular() => found.or(&Type::of_json(default)),
                    default => or_default(found, default.as_ref()),
                };
                (gives, Vec::new())
            }
            Plan::Formula(formula) => {
                let (gives, problems) = infer::formula(self.source(), formula, self.references(), types);
                (gives.outside(), problems)
            }
        };
        Inferred { gives, problems }
    }

    /// As [`Expression::infer`], for a decision: it also has a problem if it never gives true or
    /// false.
    pub fn infer_decision(&self, types: &dyn Fn(&Reference) -> Type) -> Inferred {
        let mut inferred = self.infer(types);
        if inferred.problems.is_empty() && !inferred.gives.may_be(Kind::Boolean) && inferred.gives != Type::never() {
            let source = self.source();
            let start = source.len() - source.trim_start().len();
            let range = start..start + source.trim().len();
            inferred.problems.push(infer::no_decision(source, range, &inferred.gives));
        }
        inferred
    }

    /// A path that may match many times gives a list of what it finds.
    fn path_type(&self, singular: bool, types: &dyn Fn(&Reference) -> Type) -> Type {
        let [reference, ..] = self.references() else { return Type::any() };
        // Of data without names nothing is known, and behind `..` the references know no more.
        match (singular, reference.root.is_empty() || self.source().contains("..")) {
            (true, true) => Type::any(),
            (true, false) => types(reference),
            (false, true) => Type::kind(Kind::List),
            (false, false) => Type::list(types(reference)),
        }
    }
}

fn or_default(found: Type, default: Option<&crate::Json>) -> Type {
    match default {
        Some(default) if found.may_be(Kind::Null) => found.without_null().or(&Type::of_json(default)),
        _ => found,
    }
}
