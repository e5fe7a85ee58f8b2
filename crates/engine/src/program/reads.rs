//! Which names the formulas of a step read.

use formula::Expression;

use super::{Kind, Rescue, Step, WaitKind};
use crate::template::{Piece, Template};

/// Whether any formula of the step, or of the steps in it, reads the name `root`.
pub(super) fn reads(step: &Step, root: &str) -> bool {
    // A path over the whole document (`$..x`) reads everything.
    any_expression(step, &mut |expression| {
        expression.references().iter().any(|reference| reference.root == root || reference.root.is_empty())
    })
}

/// Whether something holds for any formula of the step, or of the steps in it.
pub(super) fn any_expression(step: &Step, test: &mut dyn FnMut(&Expression) -> bool) -> bool {
    let own = match &step.kind {
        Kind::Do(step) | Kind::Stream(step) => any_in(&step.with, test),
        Kind::Set(value)
        | Kind::Save(value)
        | Kind::Respond(value)
        | Kind::Return(value)
        | Kind::Stop(value)
        | Kind::Fail(value) => any_in(value, test),
        Kind::Script(script) => test(script),
        Kind::Choose(branches) => branches.iter().any(|(when, _)| when.as_ref().is_some_and(&mut *test)),
        Kind::Each(each) => {
            any_in(&each.items, test)
                || each.collect.as_ref().is_some_and(|value| any_in(value, test))
                || each.file.as_ref().is_some_and(|file| any_in(&file.with, test))
        }
        Kind::Repeat(repeat) => repeat.until.as_ref().is_some_and(&mut *test),
        Kind::Wait(wait) => match &wait.what {
            WaitKind::For(value) | WaitKind::Until(value) => any_in(value, test),
            WaitKind::Approval { from, ask, .. } => any_in(from, test) || any_in(ask, test),
            WaitKind::Callback { .. } => false,
        },
        Kind::Parallel { .. } | Kind::Try { .. } => false,
    };
    let rescue = match &step.rescue {
        Some(Rescue::Value(value)) => any_in(value, test),
        _ => false,
    };
    own || rescue
        || step.undo.as_ref().is_some_and(|undo| any_in(&undo.with, test))
        || step.condition.as_ref().is_some_and(&mut *test)
        || step.kind.blocks().into_iter().any(|steps| steps.iter().any(|step| any_expression(step, test)))
}

fn any_in(template: &Template, test: &mut dyn FnMut(&Expression) -> bool) -> bool {
    match template {
        Template::Literal(_) => false,
        Template::Expr(expression) => test(expression),
        Template::Text(pieces) => pieces.iter().any(|piece| matches!(piece, Piece::Expr(expression) if test(expression))),
        Template::List(items) => items.iter().any(|item| any_in(item, test)),
        Template::Record(record) => record.values.iter().any(|value| any_in(value, test)),
    }
}
