//! The questions about steps of a run that may have happened.

use std::collections::HashSet;

use super::{
    run::{RunHead, step_href},
    step::StepRow,
};

/// The question about a step that may have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) path: String,
    pub(super) called: String,
    pub(super) title: String,
    pub(super) app: String,
    pub(super) href: String,
}

/// The questions, in the order of the steps; last those about steps that have no row, as there are so many.
pub(super) fn doubts(run: &RunHead, steps: &[StepRow]) -> Vec<Doubt> {
    let asked: HashSet<&str> = run.doubts.iter().map(String::as_str).collect();
    let rows: Vec<&StepRow> = steps.iter().filter(|step| asked.contains(step.path.as_str())).collect();
    let listed: HashSet<&str> = rows.iter().map(|step| step.path.as_str()).collect();
    let href = |path: &str| step_href(&run.id, path, "request");
    let of_row = |step: &StepRow| Doubt {
        path: step.path.clone(),
        called: step.called(),
        title: step.title.clone(),
        app: step.system.clone().unwrap_or_else(|| step.mark.name().to_owned()),
        href: href(&step.path),
    };
    let of_path = |path: &String| Doubt {
        path: path.clone(),
        called: format!("step {path}"),
        title: path.clone(),
        app: "the other system".to_owned(),
        href: href(path),
    };
    let others = run.doubts.iter().filter(|path| !listed.contains(path.as_str())).map(of_path);
    rows.into_iter().map(of_row).chain(others).collect()
}
