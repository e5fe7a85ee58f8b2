//! The `liaison` command: reads arguments and settings, wires the rooms together, runs one command.

mod cmd;
mod config;
mod declared;
mod http;
mod key;
#[cfg(debug_assertions)]
mod mortal;
mod remote;
mod telemetry;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// A run is many small values that come and go on all threads; glibc's allocator took a fifth of the CPU.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Recipes that move work between systems, and lose nothing.
#[derive(Debug, Parser)]
#[command(name = "liaison", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything in one process: API, webhooks, pages, schedules, work.
    Serve(cmd::serve::Serve),
    /// One more process on a shared PostgreSQL.
    Worker(cmd::serve::Worker),
    /// Tells what is wrong with recipes; exit code 1 when something is.
    Check(cmd::check::Check),
    /// Puts recipes into their one layout; comments and meaning stay.
    Fmt(cmd::fmt::Fmt),
    /// Fills in every default of a recipe, or tells what a code such as L0123 means.
    Explain(cmd::explain::Explain),
    /// Tells in words what changed between recipes.
    Diff(cmd::diff::Diff),
    /// Runs the tests that stand in recipes.
    Test(cmd::test::Test),
    /// Runs a recipe once, here, and shows it step by step.
    Run(cmd::run::Run),
    /// Sends recipes to a server and switches them on.
    Apply(cmd::apply::Apply),
    /// Fetches the recipes of a server as files.
    Export(cmd::export::Export),
    /// The next fire times of a cron expression, in UTC.
    Cron(cmd::cron::Cron),
    /// What `${ expr }` gives over some data, one JSON line each.
    Eval(cmd::eval::Eval),
    /// Writes the JSON Schema of recipes, with what every action takes, for editors.
    Schema(cmd::schema::Schema),
    /// Serves editors: problems, completion, help, renames and more.
    Lsp(cmd::lsp::Lsp),
    /// Checks, tests and makes connector files.
    #[command(subcommand)]
    Connector(cmd::connector::Connector),
    /// Looks at the runs of a server.
    #[command(subcommand)]
    Runs(cmd::runs::Runs),
    /// Looks at a server's failed runs and deals with them, one or thousands.
    #[command(subcommand)]
    DeadLetters(cmd::dead_letters::DeadLetters),
    /// Follows, pauses and stops what was begun on many dead letters.
    #[command(subcommand)]
    Operations(cmd::operations::Operations),
    /// Shows, sets and tests what a server tells people.
    #[command(subcommand)]
    Alarms(cmd::alarms::Alarms),
    /// Starts simulated systems to try recipes and clients against.
    Sandbox(cmd::sandbox::Sandbox),
    /// Administration of an installation.
    #[command(subcommand)]
    Admin(cmd::admin::Admin),
    /// Prints every setting with its default, as a `liaison.toml` to start from.
    Config,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve(serve) => cmd::serve::serve(serve),
        Command::Worker(worker) => cmd::serve::worker(worker),
        Command::Check(check) => cmd::check::check(&check),
        Command::Fmt(fmt) => cmd::fmt::fmt(&fmt),
        Command::Explain(explain) => cmd::explain::explain(explain),
        Command::Diff(diff) => cmd::diff::diff(&diff),
        Command::Test(test) => cmd::test::test(test),
        Command::Run(run) => cmd::run::run(run),
        Command::Apply(apply) => cmd::apply::apply(&apply),
        Command::Export(export) => cmd::export::export(&export),
        Command::Cron(cron) => cmd::cron::cron(&cron),
        Command::Eval(eval) => cmd::eval::eval(&eval),
        Command::Lsp(lsp) => cmd::lsp::lsp(lsp),
        Command::Schema(schema) => cmd::schema::schema(&schema),
        Command::Connector(connector) => cmd::connector::connector(&connector),
        Command::Runs(runs) => cmd::runs::runs(&runs),
        Command::DeadLetters(letters) => cmd::dead_letters::dead_letters(&letters),
        Command::Operations(operations) => cmd::operations::operations(&operations),
        Command::Alarms(alarms) => cmd::alarms::alarms(&alarms),
        Command::Sandbox(sandbox) => cmd::sandbox::run(sandbox),
        Command::Admin(admin) => cmd::admin::admin(admin),
        Command::Config => cmd::print(&config::commented()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => cmd::fail(&error),
    }
}
