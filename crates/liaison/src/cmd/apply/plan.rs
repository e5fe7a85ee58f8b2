//! What `liaison apply` is about to do, in words.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Names told of recipes that are only on the server; the rest is counted.
const NAMES_MAX: usize = 20;

/// What happens to one recipe.
pub(super) struct Plan {
    pub(super) slug: String,
    pub(super) change: Change,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Create,
    Update,
    /// The server has the text as this version, and it is not the one that runs.
    SwitchOn(u64),
    Unchanged,
    SwitchOff,
    /// In no file, and left alone.
    OnlyOnServer,
}

impl Change {
    /// For programs.
    const fn code(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "change",
            Self::SwitchOn(_) => "switch_on",
            Self::Unchanged => "unchanged",
            Self::SwitchOff => "switch_off",
            Self::OnlyOnServer => "only_on_server",
        }
    }
}

/// The plan as people read it.
pub(super) fn told(plans: &[Plan]) -> String {
    let mut out = String::new();
    let (only_there, ours): (Vec<_>, Vec<_>) = plans.iter().partition(|plan| plan.change == Change::OnlyOnServer);
    for plan in ours {
        let _ = writeln!(out, "{:<10} {}", plan.change.code().replace('_', " "), plan.slug);
    }
    if !only_there.is_empty() {
        let mut names: Vec<_> = only_there.iter().take(NAMES_MAX).map(|plan| plan.slug.clone()).collect();
        if let more @ 1.. = only_there.len().saturating_sub(NAMES_MAX) {
            names.push(format!("{more} more"));
        }
        let _ = writeln!(out, "Only on the server, and left as it is: {}. With --prune it is switched off.", names.join(", "));
    }
    out
}

/// The plan for programs; `applied` tells whether it was carried out.
pub(super) fn as_json(plans: &[Plan], applied: bool) -> anyhow::Result<String> {
    let row = |plan: &Plan| {
        let applied = applied && plan.change != Change::OnlyOnServer;
        json!({ "recipe": plan.slug, "change": plan.change.code(), "applied": applied })
    };
    let rows: Vec<Value> = plans.iter().map(row).collect();
    Ok(serde_json::to_string_pretty(&rows)?)
}
