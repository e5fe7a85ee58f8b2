//! Which names the formulas of a step read.

use formula::Expression;

use super::{Kind, Rescue, Step, WaitKind};
use crate::template::{Piece, Template};

/// Whether any formula of the step, or of the steps in it, reads the name `root`.
pub(super) fn reads(step: &Step, root: &str) -> bool {
    let expression = |expression: &Expression| expression_reads(expression, root);
    let template = |template: &Template| template_reads(template, root);
    let block = |steps: &[Step]| steps.iter().any(|step| reads(step, root));
    let rescue = match &step.rescue {
        Some(Rescue::Value(value)) => template(value),
        _ => false,
    };
    let own = match &step.kind {
        Kind::Do(step) => template(&step.with),
        Kind::Set(value)
        | Kind::Save(value)
        | Kind::Respond(value)
        | Kind::Return(value)
        | Kind::Stop(value)
        | Kind::Fail(value) => template(value),
        Kind::Script(script) => expression(script),
        Kind::Choose(branches) => branches.iter().any(|(when, _)| when.as_ref().is_some_and(expression)),
        Kind::Each(each) => template(&each.items) || each.collect.as_ref().is_some_and(template),
        Kind::Repeat(repeat) => repeat.until.as_ref().is_some_and(expression),
        Kind::Wait(wait) => match &wait.what {
            WaitKind::For(value) | WaitKind::Until(value) => template(value),
            WaitKind::Approval { from, ask, .. } => template(from) || template(ask),
            WaitKind::Callback { .. } => false,
        },
        Kind::Parallel { .. } | Kind::Try { .. } => false,
    };
    let undo = step.undo.as_ref().is_some_and(|undo| template(&undo.with));
    let condition = step.condition.as_ref().is_some_and(expression);
    condition || rescue || undo || own || step.kind.blocks().into_iter().any(block)
}

fn expression_reads(expression: &Expression, root: &str) -> bool {
    // A path over the whole document (`$..x`) reads everything.
    expression.references().iter().any(|reference| reference.root == root || reference.root.is_empty())
}

fn template_reads(template: &Template, root: &str) -> bool {
    match template {
        Template::Literal(_) => false,
        Template::Expr(expression) => expression_reads(expression, root),
        Template::Text(pieces) => {
            pieces.iter().any(|piece| matches!(piece, Piece::Expr(expression) if expression_reads(expression, root)))
        }
        Template::List(items) => items.iter().any(|item| template_reads(item, root)),
        Template::Record(fields) => fields.iter().any(|(_, value)| template_reads(value, root)),
    }
}
