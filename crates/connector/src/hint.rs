//! What a system says of its own limits in the answers it gives.

use std::time::Duration;

/// Over which time a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// A day, or 24 hours back from now.
    Day,
    /// Less than a day.
    Short,
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Over which time it counts.
    pub window: Window,
    /// Calls in it.
    pub limit: u64,
    /// Calls left of it.
    pub left: u64,
    /// When it is whole again, if the system says so.
    pub resets_in: Option<Duration>,
}

/// Hears what systems say of their limits; told by the connection's name.
pub trait Listener: Send + Sync {
    /// Takes a hint. It must not wait.
    fn hear(&self, connection: &str, hint: Hint);
}
