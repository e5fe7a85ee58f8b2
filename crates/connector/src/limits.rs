//! How much a system takes, as its maker documents it.

/// Calls a system takes. `None` means that no limit is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    /// Calls a second.
    pub per_second: Option<f64>,
    /// Calls at once after a pause; as many as `per_second` when not given.
    pub burst: Option<u32>,
    /// Calls a day; the day begins at 00:00 UTC.
    pub per_day: Option<u32>,
    /// Calls at the same time.
    pub in_flight: Option<u32>,
}

/// Calls of one class a system takes, beside what it takes of all. `None` means that no limit is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassBudget {
    /// Calls a second.
    pub per_second: Option<f64>,
    /// Calls at once after a pause; as many as `per_second` when not given.
    pub burst: Option<u32>,
    /// Calls at the same time.
    pub in_flight: Option<u32>,
}

/// What a system takes of each class, where it tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassBudgets {
    /// Calls that only read.
    pub reads: ClassBudget,
    /// All others.
    pub writes: ClassBudget,
}

/// The limits of a connector, and which of its actions belong together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// What one connection may call.
    pub budget: Budget,
    /// What it may call of each class; a call must fit into both.
    pub by_class: ClassBudgets,
    /// Actions that share circuit and budget of reads although their effect says otherwise.
    pub reads: &'static [&'static str],
    /// Actions that share circuit and budget of writes although they have no effect.
    pub writes: &'static [&'static str],
}
