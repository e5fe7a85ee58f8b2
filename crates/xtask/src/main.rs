//! House chores: `cargo xtask`.
//!
//! One file per command. Nothing here knows what Liaison does; it builds, checks and starts things.

#![expect(clippy::print_stdout, reason = "a chore talks to the person who started it")]

mod bench;
mod clients;
mod demo;
mod instructions;
mod mutants;
mod postgres;
mod shell;
mod test;
mod tidy;
mod web;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask test [STAGE…] [-- ARGUMENTS]   everything that must pass; with stages, only those
cargo xtask web                            the front end: npm ci when needed, then one bundle
cargo xtask tidy                           the house rules no compiler checks
cargo xtask demo                           builds everything and serves the demo
cargo xtask chaos [ROUNDS]                  kill -9: a thousand times in each set-up unless you say otherwise, and at every commit
cargo xtask mutants [WORD…]                 breaks the engine on purpose: does the simulation notice?
cargo xtask instructions [keep]             what an event costs in instructions, and how that changed
cargo xtask bench [SECONDS] [--only WHAT]   measures the product against the ceiling, on SQLite and a PostgreSQL of its own
cargo xtask bench --baseline PATH          measures this build against an older binary of Liaison's
cargo xtask purge [RUNS] [--only STORE]    a million ended runs go while new ones come: room, latency, room used again";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments.split_first().map_or(("", &[][..]), |(command, rest)| (command.as_str(), rest));
    let done = shell::go_home().and_then(|()| match command {
        "test" => test::run(rest),
        "web" => web::build(),
        "tidy" => tidy::run(),
        "demo" => demo::run(rest),
        "bench" => bench::run(rest),
        "purge" => bench::purge(rest),
        "instructions" => instructions::run(rest),
        "chaos" => test::chaos(rest),
        "mutants" => mutants::run(rest),
        _ => {
            println!("{HELP}");
            Err(anyhow::anyhow!("there is no chore {command:?}"))
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
