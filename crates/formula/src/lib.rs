//! Formulas and JSONPath over shared data.
//!
//! [`Expression`] is what stands between `${` and `}` of a recipe, or after `if`, `when` and
//! `until`. It is compiled once per recipe version and evaluated against a [`Scope`], any number
//! of times and from any thread. Text that starts with `$` is a JSONPath (RFC 9535, [`Path`]),
//! anything else a formula, which rhai runs behind a translation.
//!
//! This crate is the sandbox: an expression reads its scope and nothing else. It has no I/O, no
//! clock and no dice, and everything it may use up has a bound in [`limits`].

mod complain;
mod error;
mod expression;
mod functions;
mod jsonpath;
mod lex;
pub mod limits;
mod machine;
mod number;
mod ops;
mod path;
mod place;
mod reference;
mod scope;
mod shared;
mod singular;
mod suggest;
mod time;
mod translate;
mod types;
mod unseen;
mod value;

pub use serde_json::Value as Json;

pub use error::{EvalError, SyntaxProblem};
pub use expression::Expression;
pub use functions::{FunctionInfo, Param, ValueType, functions};
pub use path::Path;
pub use reference::{Reference, Segment};
pub use scope::Scope;
pub use shared::Shared;
pub use types::{Inferred, Kind, Type, TypeProblem};
