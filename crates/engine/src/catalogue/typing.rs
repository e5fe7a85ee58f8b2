//! What expressions give, between the checker's words and those of formulas.

use std::sync::Arc;

use formula::{Expression, Kind, Reference};
use recipe::{Inferred, Kinds, Type, TypeProblem, Typing};

/// How deep a type is told to the checker; deeper parts may be anything.
const DEPTH_MAX: usize = 6;

/// An expression that tells the checker what it gives.
#[derive(Debug)]
pub(super) struct Typed(pub(super) Expression);

impl Typing for Typed {
    fn infer(&self, types: &dyn Fn(usize) -> Type) -> Inferred {
        let references = self.0.references();
        let known = |asked: &Reference| {
            let same = |reference: &Reference| reference.range == asked.range && reference.path == asked.path;
            references.iter().position(same).map_or_else(formula::Type::any, |at| to_formula(&types(at)))
        };
        let inferred = self.0.infer(&known);
        let problems = inferred.problems.into_iter().map(|problem| TypeProblem {
            message: problem.message,
            range: problem.range,
            hint: problem.hint,
            always: problem.always,
        });
        Inferred { gives: to_recipe(&inferred.gives, 0), problems: problems.collect() }
    }
}

const KINDS: [(Kinds, Kind); 7] = [
    (Kinds::NULL, Kind::Null),
    (Kinds::BOOLEAN, Kind::Boolean),
    (Kinds::INTEGER, Kind::Integer),
    (Kinds::FRACTION, Kind::Number),
    (Kinds::TEXT, Kind::Text),
    (Kinds::LIST, Kind::List),
    (Kinds::RECORD, Kind::Record),
];

fn to_formula(known: &Type) -> formula::Type {
    if known.kinds == Kinds::ANY && known.items.is_none() && known.fields.is_none() {
        return formula::Type::any();
    }
    let parts =
        KINDS.iter().filter(|(kinds, _)| known.kinds.meets(*kinds)).map(|(_, kind)| match (kind, &known.items, &known.fields) {
            (Kind::List, Some(item), _) => formula::Type::list(to_formula(item)),
            (Kind::Record, _, Some(fields)) => {
                let rest = if known.closed { formula::Type::kind(Kind::Null) } else { formula::Type::any() };
                formula::Type::record(fields.iter().map(|(name, field)| (name.as_str(), to_formula(field))), rest)
            }
            (kind, ..) => formula::Type::kind(*kind),
        });
    parts.reduce(|all, part| all.or(&part)).unwrap_or_else(formula::Type::any)
}

/// What leaves a formula: days, instants and lengths of time are text by then.
fn to_recipe(known: &formula::Type, depth: usize) -> Type {
    if known.is_any() || depth > DEPTH_MAX {
        return Type::ANY;
    }
    let mut kinds = Kinds::NONE;
    for (kind, name) in KINDS {
        if known.may_be(name) {
            kinds = kinds.or(kind);
        }
    }
    if [Kind::Date, Kind::DateTime, Kind::Duration].into_iter().any(|kind| known.may_be(kind)) {
        kinds = kinds.or(Kinds::TEXT);
    }
    let mut made = Type::of(kinds);
    if known.may_be(Kind::List) {
        made.items = Some(Arc::new(to_recipe(&known.items(), depth + 1)));
    }
    if known.may_be(Kind::Record) {
        let fields: Vec<_> =
            known.field_names().map(|name| (name.to_owned(), to_recipe(&known.field(name), depth + 1))).collect();
        made.closed = known.is_closed();
        made.fields = (!fields.is_empty()).then(|| fields.into());
    }
    made
}
