//! Circuits and budgets as runs meet them: engines in this process, on a real store, in virtual time.

mod budgets;
mod circuits;
mod world;
