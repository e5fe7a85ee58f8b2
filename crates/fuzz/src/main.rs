//! Tries a target for a while: `cargo run --release -p fuzz -- TARGET SECONDS [NUMBER]`.

#![expect(clippy::print_stdout, reason = "it talks to the person who started it")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use fuzz::{TARGETS, Trial};

/// Rounds between two looks at the clock.
const ROUNDS: usize = 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let target = arguments.first().and_then(|name| fuzz::target(name));
    let seconds = arguments.get(1).and_then(|seconds| seconds.parse().ok());
    let (Some(target), Some(seconds)) = (target, seconds) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        println!("cargo run --release -p fuzz -- TARGET SECONDS [NUMBER]\ntargets: {}", names.join(", "));
        return ExitCode::FAILURE;
    };
    let chance = arguments.get(2).and_then(|number| number.parse().ok()).unwrap_or_else(rand::random);
    println!("{} for {seconds} s from number {chance}", target.name);
    match run(&mut Trial::new(target, chance), Duration::from_secs(seconds)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(trial: &mut Trial<'_>, time: Duration) -> Result<(), fuzz::Failure> {
    let start = Instant::now();
    trial.replay()?;
    let mut rounds = 0;
    while start.elapsed() < time {
        trial.go(ROUNDS)?;
        rounds += ROUNDS;
    }
    let (slowest, input) = trial.slowest();
    println!("{rounds} inputs, all as promised; the slowest took {slowest:?}: {}", input.escape_ascii());
    Ok(())
}
