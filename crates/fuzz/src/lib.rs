//! What must hold of any input, tried on many.
//!
//! A [`Target`] is a function over bytes that panics when a promise is broken: not only when the code
//! under it panics, also when a problem has no place in the text, a ready edit does not fit, or two
//! readings of the same text differ. The same targets run in three ways, as
//! `docs/decisions/0007-fuzzing.md` tells:
//!
//! - `cargo test -p fuzz` replays the corpus and tries a fixed number of mutations from a fixed seed;
//! - `cargo run --release -p fuzz -- TARGET SECONDS` goes on for longer, from a seed of its own;
//! - `crates/fuzz/guided` is the same for cargo-fuzz, which sees the coverage and needs nightly Rust.

mod mutate;
mod seeds;
mod targets;
mod trial;
mod watch;

pub use seeds::seeds;
pub use targets::{TARGETS, catalogue};
pub use trial::{Failure, Trial};

/// Something that takes input from people.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called, here and in the corpus.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub check: fn(&[u8]),
    /// Words that mean something to it, for mutations to use.
    pub words: &'static [&'static str],
    /// How many mutations the tests try: what takes about two seconds in a debug build.
    pub rounds: usize,
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
