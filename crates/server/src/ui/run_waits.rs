//! What the steps of a run wait for, from its journal.

use std::collections::HashMap;

use store::{Entry, Timestamp};

use crate::{detail::RunDetail, pages::WaitFor};

/// What a step waits or waited for, other than its next try.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    pub(super) reason: WaitFor,
    pub(super) from_us: i64,
    pub(super) until_us: Option<i64>,
}

/// The last wait of each step, by path.
pub(super) fn waits(detail: &RunDetail) -> HashMap<&str, Wait> {
    let mut out = HashMap::new();
    for entry in &detail.entries {
        let Entry::Waits { p, at, what, until, .. } = entry else { continue };
        let reason = match what.as_ref() {
            "timer" | "limit" => WaitFor::Timer,
            "callback" => WaitFor::Callback,
            "approval" => WaitFor::Approval,
            "call" => WaitFor::Call,
            // A step that holds steps has a time limit; it waits for nothing.
            _ => continue,
        };
        out.insert(&**p, Wait { reason, from_us: at.micros(), until_us: until.map(Timestamp::micros) });
    }
    out
}
