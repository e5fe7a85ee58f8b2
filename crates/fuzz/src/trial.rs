//! Many inputs, one after the other, until one breaks a promise.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::SmallRng};

use crate::Target;
use crate::mutate::mutate;
use crate::watch::Watch;

/// Most tries to make a failing input shorter.
const SHRINKS_MAX: usize = 2_000;

/// Mutations of a target's seeds, always the same ones for the same number.
#[derive(Debug)]
pub struct Trial<'t> {
    target: &'t Target,
    seeds: Vec<Vec<u8>>,
    rng: SmallRng,
    slowest: (Duration, Vec<u8>),
    watch: Watch,
}

/// An input that breaks a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The target.
    pub target: &'static str,
    /// The shortest input found.
    pub input: Vec<u8>,
    /// What the panic said.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, input, message } = self;
        writeln!(f, "{target} breaks a promise: {message}")?;
        write!(f, "Put this input into crates/fuzz/corpus/{target}: {}", input.escape_ascii())
    }
}

impl<'t> Trial<'t> {
    /// Starts with the seeds of the target and the number that all chance comes from.
    #[must_use]
    pub fn new(target: &'t Target, chance: u64) -> Self {
        let slowest = (Duration::ZERO, Vec::new());
        Self {
            target,
            seeds: crate::seeds(target.name),
            rng: SmallRng::seed_from_u64(chance),
            slowest,
            watch: Watch::new(target.name),
        }
    }

    /// Every seed as it is.
    ///
    /// # Errors
    /// The first that breaks a promise.
    pub fn replay(&mut self) -> Result<(), Failure> {
        let seeds = std::mem::take(&mut self.seeds);
        let result = seeds.iter().try_for_each(|seed| self.one(seed));
        self.seeds = seeds;
        result
    }

    /// A number of mutations.
    ///
    /// # Errors
    /// The first that breaks a promise, made as short as it goes.
    pub fn go(&mut self, rounds: usize) -> Result<(), Failure> {
        (0..rounds).try_for_each(|_| {
            let input = mutate(&self.seeds, self.target.words, &mut self.rng);
            self.one(&input)
        })
    }

    /// The input that took longest so far, and how long.
    #[must_use]
    pub fn slowest(&self) -> (Duration, &[u8]) {
        (self.slowest.0, &self.slowest.1)
    }

    fn one(&mut self, input: &[u8]) -> Result<(), Failure> {
        let start = Instant::now();
        self.watch.begin(input);
        let broke = broken(self.target, input);
        self.watch.end();
        let Some(message) = broke else {
            let took = start.elapsed();
            if took > self.slowest.0 {
                self.slowest = (took, input.to_vec());
            }
            return Ok(());
        };
        // The message is known; what every shorter input says would only bury it.
        let hook = take_hook();
        set_hook(Box::new(|_| {}));
        let input = shorter(self.target, input.to_vec());
        set_hook(hook);
        Err(Failure { target: self.target.name, message: broken(self.target, &input).unwrap_or(message), input })
    }
}

/// What the panic says that an input causes.
fn broken(target: &Target, input: &[u8]) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| (target.check)(input))).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

/// Leaves out parts, large ones first, as long as the promise stays broken.
fn shorter(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let mut tries = 0;
    let mut size = input.len().div_ceil(2);
    while size > 0 {
        let (mut at, before) = (0, input.len());
        while at < input.len() && tries < SHRINKS_MAX {
            let mut less = input.clone();
            less.drain(at..(at + size).min(input.len()));
            tries += 1;
            if broken(target, &less).is_some() { input = less } else { at += size }
        }
        if tries >= SHRINKS_MAX {
            break;
        }
        size = if input.len() < before { size.min(input.len()) } else { size / 2 };
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_b_before_c(input: &[u8]) {
        let at = |byte| input.iter().position(|b| *b == byte);
        assert!(!matches!((at(b'b'), at(b'c')), (Some(b), Some(c)) if b < c), "b before c");
    }

    #[test]
    fn a_broken_promise_is_found_and_made_short() {
        let target = Target { name: "none", check: no_b_before_c, words: &["b", "c", "long word"], rounds: 0 };
        let failure = Trial::new(&target, 1).go(10_000).expect_err("b before c");
        assert_eq!((failure.input.as_slice(), failure.message.as_str()), (&b"bc"[..], "b before c"));
        let again = Trial::new(&target, 1).go(10_000).expect_err("the same");
        assert_eq!(again, failure);
    }
}
