//! Tries a target for a while, or prepares guided fuzzing.

#![expect(clippy::print_stdout, reason = "it talks to the person who started it")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use fuzz::{TARGETS, Target, Trial};

/// Rounds between two looks at the clock.
const ROUNDS: usize = 1_000;

const HELP: &str = "\
cargo run --release -p fuzz -- TARGET SECONDS [NUMBER]   mutations for a while; the number repeats a run
cargo run -p fuzz -- seeds TARGET FOLDER                 the seeds as files, and FOLDER.dict, for guided fuzzing";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["seeds", name, folder] => fuzz::target(name).map(|target| seeds(target, folder)),
        [name, seconds, ref chance @ ..] => match (fuzz::target(name), seconds.parse()) {
            (Some(target), Ok(seconds)) => {
                let chance = chance.first().and_then(|number| number.parse().ok()).unwrap_or_else(rand::random);
                println!("{name} for {seconds} s from number {chance}");
                Some(run(&mut Trial::new(target, chance), Duration::from_secs(seconds)).map_err(|failure| failure.to_string()))
            }
            _ => None,
        },
        _ => None,
    };
    match done {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(problem)) => println!("{problem}"),
        None => println!("{HELP}\ntargets: {}", TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")),
    }
    ExitCode::FAILURE
}

/// Writes the seeds as libFuzzer wants them, and the words as its dictionary.
fn seeds(target: &Target, folder: &str) -> Result<(), String> {
    let quoted = |word: &&str| format!("\"{}\"\n", word.bytes().map(|byte| format!("\\x{byte:02X}")).collect::<String>());
    let write = || {
        std::fs::create_dir_all(folder)?;
        for (number, seed) in fuzz::seeds(target.name).iter().enumerate() {
            std::fs::write(format!("{folder}/seed-{number:04}"), seed)?;
        }
        std::fs::write(format!("{folder}.dict"), target.words.iter().map(quoted).collect::<String>())
    };
    write().map_err(|error: std::io::Error| format!("cannot write to {folder}: {error}"))
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
