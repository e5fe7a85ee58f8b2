//! `liaison cron`: when a schedule fires.

use std::{
    io::{BufRead as _, Write as _},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use engine::{catalogue::sentences, cron::Schedule};
use serde::Deserialize;
use serde_json::json;

use super::print;

/// The next fire times, in UTC.
#[derive(Debug, Args)]
pub(crate) struct Cron {
    /// Five fields: minute, hour, day of month, month, day of week.
    #[arg(required_unless_present = "stdin")]
    expr: Option<String>,
    /// IANA zone the fields are in.
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// Begin after this instant; now unless given.
    #[arg(long, value_name = "INSTANT")]
    from: Option<jiff::Timestamp>,
    /// How many.
    #[arg(long, default_value_t = 5)]
    count: usize,
    /// Answer JSON lines `{expr, tz, start}` with `{"next": […]}` or `{"error": …}`.
    #[arg(long)]
    stdin: bool,
}

#[derive(Deserialize)]
struct Question {
    expr: String,
    #[serde(default = "utc")]
    tz: String,
    start: jiff::Timestamp,
    #[serde(default)]
    count: Option<usize>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Fire times one question gets at most.
const COUNT_MAX: usize = 100_000;

pub(crate) fn cron(cron: &Cron) -> anyhow::Result<ExitCode> {
    if cron.stdin {
        let mut out = std::io::stdout().lock();
        for line in std::io::stdin().lock().lines() {
            let line = line.context("cannot read standard input")?;
            if line.trim().is_empty() {
                continue;
            }
            let answer = match serde_json::from_str::<Question>(&line) {
                Ok(question) => match times(&question.expr, &question.tz, question.start, question.count.unwrap_or(cron.count)) {
                    Ok(next) => json!({ "next": next }),
                    Err(error) => json!({ "error": error.to_string() }),
                },
                Err(error) => json!({ "error": format!("the line is no question: {error}") }),
            };
            writeln!(out, "{answer}")?;
            out.flush()?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    #[expect(clippy::disallowed_methods, reason = "a person at the terminal means the machine's clock")]
    let from = cron.from.unwrap_or_else(|| jiff::Timestamp::try_from(std::time::SystemTime::now()).unwrap_or_default());
    let next = times(cron.expr.as_deref().unwrap_or_default(), &cron.zone, from, cron.count)?;
    if next.is_empty() {
        anyhow::bail!("this schedule never fires");
    }
    print(&next.join("\n"))
}

fn times(expr: &str, zone: &str, from: jiff::Timestamp, count: usize) -> anyhow::Result<Vec<String>> {
    let schedule =
        Schedule::parse(expr, zone).map_err(|problem| anyhow::anyhow!(sentences(&problem.message, problem.hint.as_deref())))?;
    let mut next = Vec::new();
    let mut after = from.as_microsecond();
    while next.len() < count.min(COUNT_MAX) {
        let Some(at) = schedule.next_after(after) else { break };
        next.push(jiff::Timestamp::from_microsecond(at)?.to_string());
        after = at;
    }
    Ok(next)
}
