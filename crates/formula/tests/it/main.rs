//! The language of formulas, as people see it.

mod semantics;
