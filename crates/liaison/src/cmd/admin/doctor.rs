//! `liaison admin doctor`: looks at everything around liaison that it depends on, and says what to do.

mod disk;
mod place;
mod secrets;

use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use store::{Clock, Glance, Store, SystemClock};

use crate::{
    cmd::{FAILED, block_on, print},
    config::{Config, Layer},
    key::{self, Place},
    wire,
};

/// Clocks further apart than this confuse people who read logs of two machines; runs go by the database's.
const SKEW_MS_MAX: u64 = 2000;
/// Beside connections of clients, a process has files, calls to other systems and database connections open.
const FILES_BESIDE: u64 = 1024;

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    layer: Layer,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    /// It works; something about it should be changed.
    Warning,
    /// Liaison cannot work like this.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    /// What was found, and why it matters where it is not good.
    found: String,
    /// What to do; `None` when nothing need be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, state: State::Good, found: found.into(), todo: None }
    }

    fn warning(what: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { what, state: State::Warning, found: found.into(), todo: Some(todo.into()) }
    }

    fn bad(what: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { what, state: State::Bad, found: found.into(), todo: Some(todo.into()) }
    }
}

pub(crate) fn doctor(doctor: Doctor) -> anyhow::Result<ExitCode> {
    let config = doctor.layer.resolve()?;
    let mut findings = place::look(&config);
    block_on(async {
        findings.extend(database(&config).await);
        Ok(())
    })?;
    findings.push(files());
    tell(&findings, doctor.json)
}

/// The database, its schema, its key, its clock and its size.
async fn database(config: &Config) -> Vec<Finding> {
    let glance = match key::glance(config).await {
        Ok(glance) => glance,
        Err(error) => {
            let todo = "Start the database or correct --database-url or --data-dir; nothing works without it.";
            return vec![Finding::bad("database", format!("{error:#}"), todo)];
        }
    };
    let Some(glance) = glance else {
        return vec![
            Finding::good("database", "there is none yet; the first start makes it"),
            key_of(config, &Glance::default()),
        ];
    };
    let newest = wire::newest_schema(config);
    let mut findings = vec![schema(glance.schema, newest), key_of(config, &glance)];
    if glance.schema != newest {
        return findings;
    }
    match wire::open_store_beside(config).await {
        Ok(store) => {
            findings.push(secrets::look(&*store).await);
            findings.push(clock(&*store).await);
            if config.database_url().is_none() {
                findings.extend(place::sizes(config, &*store).await);
            }
            store.close().await;
        }
        Err(error) => findings.push(Finding::bad("database", format!("{error:#}"), "See what the message says.")),
    }
    findings
}

fn schema(there: i64, newest: i64) -> Finding {
    match there.cmp(&newest) {
        std::cmp::Ordering::Equal => Finding::good("database", format!("it answers, and its schema {there} is this build's")),
        std::cmp::Ordering::Less => Finding::warning(
            "database",
            format!("it answers; its schema is {there}, this build's is {newest}"),
            "Make a backup. The next start, or `liaison admin migrate`, brings it up to date.",
        ),
        std::cmp::Ordering::Greater => Finding::bad(
            "database",
            format!("its schema is {there}, but this build knows only {newest}: a newer liaison worked on it"),
            "Use that newer build; an older one could damage what it does not know.",
        ),
    }
}

fn key_of(config: &Config, glance: &Glance) -> Finding {
    let todo = "Liaison does not start without the right key, so that no secret is lost. Bring back the key file, or correct the \
        settings that name the key.";
    let place = match Place::of(config) {
        Ok(place) => place,
        Err(error) => return Finding::bad("master key", format!("{error:#}"), todo),
    };
    match key::check_against(&place, config.database_url(), glance) {
        Ok(Some(key)) if glance.sealed_with().is_some() => {
            Finding::good("master key", format!("{place} holds key {}, the one the secrets are sealed with", key.id()))
        }
        Ok(Some(key)) => Finding::good("master key", format!("{place} holds key {}; no secret is sealed yet", key.id())),
        Ok(None) => Finding::good("master key", format!("there is none yet; the first start makes one in {place}")),
        Err(error) => Finding::bad("master key", format!("{error:#}"), todo),
    }
}

async fn clock(store: &dyn Store) -> Finding {
    let before = SystemClock.now();
    match store.shared_clock().await {
        Ok(Some(theirs)) => {
            let after = SystemClock.now();
            // The answer was made somewhere between asking and hearing.
            let apart = before.since(theirs).max(theirs.since(after));
            let ms = u64::try_from(apart.as_millis()).unwrap_or(u64::MAX);
            if ms <= SKEW_MS_MAX {
                Finding::good("clock", format!("this machine and the database are at most {ms} ms apart"))
            } else {
                Finding::warning(
                    "clock",
                    format!(
                        "this machine's clock and the database's are {ms} ms apart. Runs go by the database's; logs and \
                         signatures of webhooks go by this one"
                    ),
                    "Switch on time synchronisation (chrony, systemd-timesyncd) on both machines.",
                )
            }
        }
        Ok(None) => Finding::good("clock", "there is one process and one clock"),
        Err(error) => {
            Finding::bad("clock", format!("the database does not tell its time: {error}"), "See the database's own log.")
        }
    }
}

/// Every client connection and every call is an open file.
fn files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = 10_000 + FILES_BESIDE;
    match limit.current {
        Some(current) if current < wanted => Finding::warning(
            "open files",
            format!("this process may have {current} files open; 10000 client connections and calls need {wanted}"),
            format!("Raise the limit (`ulimit -n {wanted}`, LimitNOFILE= in systemd), or lower --connections-max."),
        ),
        Some(current) => Finding::good("open files", format!("this process may have {current} open")),
        None => Finding::good("open files", "there is no limit"),
    }
}

fn tell(findings: &[Finding], as_json: bool) -> anyhow::Result<ExitCode> {
    let bad = findings.iter().filter(|finding| finding.state == State::Bad).count();
    if as_json {
        print(&json!({ "healthy": bad == 0, "findings": findings }).to_string())?;
    } else {
        let mut text = String::new();
        for finding in findings {
            let mark = match finding.state {
                State::Good => "ok     ",
                State::Warning => "WARNING",
                State::Bad => "BAD    ",
            };
            let _ = writeln!(text, "{mark}  {}: {}", finding.what, finding.found);
            if let Some(todo) = &finding.todo {
                let _ = writeln!(text, "         -> {todo}");
            }
        }
        print(&text)?;
    }
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
