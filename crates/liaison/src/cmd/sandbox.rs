//! `liaison sandbox`: only the simulated systems.

use std::{fmt::Write as _, net::IpAddr, process::ExitCode};

use anyhow::Context;
use clap::Args;
use sandbox::Options;

use super::{block_on, print};

/// Starts simulated systems: Salesforce, NetSuite, Stripe, ServiceNow and Workday, with the books of one company.
#[derive(Debug, Args)]
pub(crate) struct Sandbox {
    /// The port of the control page; the systems follow it. 0 takes any free ones.
    #[arg(long, default_value_t = 9200)]
    port: u16,
    /// The address to listen on. Whoever reaches it can use everything there.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Decides all data and ids.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes addresses and sign-ins as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(wanted: Sandbox) -> anyhow::Result<ExitCode> {
    block_on(async move {
        let options = Options { seed: wanted.seed, host: wanted.host, port: wanted.port, ..Options::default() };
        let sandbox = sandbox::Sandbox::start(options).await.context("the sandbox could not start")?;
        print(&if wanted.json { told(&sandbox).to_string() } else { sentences(&sandbox) })?;
        tokio::signal::ctrl_c().await.context("cannot hear when to stop")?;
        sandbox.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn told(sandbox: &sandbox::Sandbox) -> serde_json::Value {
    let systems: serde_json::Map<String, serde_json::Value> = sandbox
        .vendors()
        .map(|(vendor, url)| {
            (
                vendor.id().to_owned(),
                serde_json::json!({ "url": url.as_str().trim_end_matches('/'), "credentials": vendor.credentials() }),
            )
        })
        .collect();
    serde_json::json!({ "control": sandbox.control_url().as_str().trim_end_matches('/'), "systems": systems,
        "mail": { "host": sandbox.mail().ip().to_string(), "port": sandbox.mail().port() } })
}

fn sentences(sandbox: &sandbox::Sandbox) -> String {
    let mut text = format!("Simulated systems, and what each is signed in to with: {}\n", sandbox.control_url());
    for (vendor, url) in sandbox.vendors() {
        let _ = writeln!(text, "  {:<12} {}", vendor.title(), url.as_str().trim_end_matches('/'));
    }
    let _ = writeln!(text, "  {:<12} {} (SMTP: takes every letter, sends none)", "Mail", sandbox.mail());
    text.push_str("Stop with Ctrl-C.");
    text
}
