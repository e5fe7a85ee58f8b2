//! What systems say of their limits, fed into the budgets of their connections.

use std::{sync::Weak, time::Duration};

use connector::hint::{Hint, Listener, Window};
use store::Told;

use super::{Errand, PAUSE_DEFAULT, PAUSE_MAX};
use crate::Engine;

/// Hears for an engine.
pub(crate) struct Limits(pub(crate) Weak<Engine>);

impl Listener for Limits {
    fn hear(&self, connection: &str, hint: Hint) {
        if let Some(engine) = self.0.upgrade() {
            engine.hear(connection, hint);
        }
    }
}

impl Engine {
    fn hear(&self, connection: &str, hint: Hint) {
        let now = self.now();
        let mut doors = self.gates.doors.lock();
        let budget = &mut doors.entry(connection.to_owned()).or_default().budget;
        match hint.window {
            Window::Day => {
                let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
                // What this process may still call without asking is not there for anybody else.
                let left = number(hint.left).saturating_sub(budget.outstanding()).max(0);
                let told = Told { limit: number(hint.limit), left, at: now, ends_at: hint.resets_in.map(|in_| now.after(in_)) };
                if budget.heard(&told) {
                    self.gates.send(Errand::Told { connection: connection.to_owned(), told });
                }
            }
            Window::Short if hint.left == 0 => {
                let until = now.after(hint.resets_in.unwrap_or(PAUSE_DEFAULT).clamp(Duration::ZERO, PAUSE_MAX));
                budget.pause(until);
                self.gates.send(Errand::Pause { connection: connection.to_owned(), until });
            }
            Window::Short => {}
        }
    }
}
