//! Load, the ceiling program, and the ratios between them. Started by `cargo xtask bench`.
//!
//! The ceiling is what the machine can do at best with the same durable writes and the same HTTP
//! calls and no engine at all. Every figure of a product is read against it, measured in the same run.

#![expect(clippy::print_stdout, reason = "printing figures is what a benchmark is for")]

mod backlog;
mod ceiling;
mod ceiling_postgres;
mod database;
mod load;
mod made_up;
mod measure;
mod place;
mod product;
mod purge;
mod rounds;
mod schedules;
mod systems;
mod target;

use anyhow::bail;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match words.as_slice() {
            ["target"] => target::serve().await,
            ["ceiling", folder, target] => ceiling::serve(folder, target).await,
            ["ceiling-postgres", url, target] => ceiling_postgres::serve(url, target).await,
            ["load", address, path, clients, seconds] => {
                let result = load::run(address, path, clients.parse()?, seconds.parse()?).await?;
                println!("{}", serde_json::to_string(&result)?);
                Ok(())
            }
            ["purge", rest @ ..] => purge::run(rest).await,
            ["all", rest @ ..] => measure::all(rest).await,
            other => bail!("usage: bench all [seconds] [--only WHAT] [--postgres URL] [--runs RUNS] [--baseline PATH] | purge [RUNS] [--only sqlite|postgres] [--postgres URL] | target | ceiling FOLDER TARGET | load ADDRESS PATH CLIENTS SECONDS, not {other:?}"),
        }
    })
}
