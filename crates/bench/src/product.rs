//! Starts the release binary, gives it the two recipes, and reads what it did from its metrics.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const KEY: &str = "bench-admin-key";

/// W1: five fields mapped under one condition.
pub(crate) const W1: &str = include_str!("../w1.recipe.yaml");

/// W2: five calls, each journaled before the next.
fn w2(target: &str) -> String {
    let mut text = String::from("liaison: 1\nrecipe: w2\ntrigger: { from: webhook }\nsteps:\n");
    for step in 1..=5 {
        text.push_str(&format!(
            "  - id: call{step}\n    do: http.request\n    with:\n      method: PUT\n      url: http://{target}/step/{step}\n      \
             json: {{ step: {step}, order: \"${{ trigger.body.id }}\", amount: \"${{ trigger.body.amount }}\" }}\n"
        ));
    }
    text
}

/// A recipe over the pages of records of the called system: `rows` is the step that goes through them.
fn over_orders(slug: &str, target: &str, rows: &str) -> String {
    format!(
        r#"liaison: 1
recipe: {slug}
trigger: {{ from: api }}
steps:
  - id: orders
    do: http.request
    with:
      method: GET
      url: http://{target}/pages
      query: {{ pages: "${{ trigger.pages }}" }}
      paginate: {{ kind: cursor, items: items, next: next }}
    stream: true
{rows}
  - id: result
    return: ${{ steps.rows }}
"#
    )
}

/// W3: pages of records, five fields of each mapped one by one, and written to a file of JSON lines.
fn w3(target: &str) -> String {
    over_orders(
        "w3",
        target,
        r#"  - id: rows
    each: ${ steps.orders }
    as: row
    file: orders.jsonl
    steps:
      - id: one
        set:
          order: ${ row.id }
          total: ${ row.amount / 100 }
          currency: ${ upper(row.currency) }
          customer: "${ row.customer.name } <${ row.customer.email }>"
          open: ${ row.open }"#,
    )
}

/// W4: the same records a hundred at a time: filtered, mapped, sent on in one call, and what came of it collected.
fn w4(target: &str) -> String {
    let rows = format!(
        r#"  - id: rows
    each: ${{ steps.orders }}
    as: batch
    batch: {W4_BATCH}
    file: sent.jsonl
    collect: "${{ #{{ sent: steps.open.rows.len(), answer: steps.send.body.n }} }}"
    steps:
      - id: open
        set:
          rows: "${{ batch.filter(|row| row.open).map(|row| #{{ order: row.id, total: row.amount / 100 }}) }}"
      - id: send
        do: http.request
        with: {{ method: PUT, url: "http://{target}/orders", json: {{ rows: "${{ steps.open.rows }}" }} }}"#
    );
    over_orders("w4", target, &rows)
}

/// Records in one call of W4.
pub(crate) const W4_BATCH: u64 = 100;

/// A process under measurement.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
    /// The line it began with.
    pub(crate) said: String,
    pub(crate) ready: Duration,
}

impl Process {
    /// Starts a program and waits for the line that names its address.
    pub(crate) async fn start(mut command: Command) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("cannot start a process")?;
        let out = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(out).lines();
        let line = lines.next_line().await?.context("the process said nothing")?;
        let ready = began.elapsed();
        let address = line.rsplit(['/', ' ']).next().unwrap_or_default().to_owned();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address, said: line, ready })
    }

    /// CPU seconds used so far, in user and kernel.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        // proc(5): fields 14 and 15 after the name in parentheses, in clock ticks of 1/100 s.
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id().context("the process ended")?))?;
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks: f64 = fields.get(11).context("stat")?.parse::<f64>()? + fields.get(12).context("stat")?.parse::<f64>()?;
        Ok(ticks / 100.0)
    }

    /// Resident memory in MB.
    pub(crate) fn memory_mb(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().context("the process ended")?))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
    }

    /// The most resident memory it ever had, in MB.
    pub(crate) fn peak_mb(&self) -> anyhow::Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().context("the process ended")?))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}

/// The release binary beside this program.
fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("liaison");
    if !path.exists() {
        bail!("{} is missing; run `cargo xtask bench`, which builds it", path.display());
    }
    Ok(path)
}

/// Liaison on SQLite in `folder`, or on the PostgreSQL named.
pub(crate) async fn serve(folder: &Path, postgres: Option<&str>) -> anyhow::Result<Process> {
    serve_with(folder, postgres, &[]).await
}

/// The same with more flags.
pub(crate) async fn serve_with(folder: &Path, postgres: Option<&str>, flags: &[&str]) -> anyhow::Result<Process> {
    let mut command = command(&binary()?, "serve", folder, postgres);
    command.args(flags);
    Process::start(command).await
}

/// Another binary of Liaison's, maybe an older one, on SQLite in `folder`.
pub(crate) async fn serve_other(binary: &Path, folder: &Path) -> anyhow::Result<Process> {
    Process::start(command(binary, "serve", folder, None)).await
}

/// The simulated systems; they begin with a line of JSON.
pub(crate) async fn sandbox() -> anyhow::Result<Process> {
    let mut command = Command::new(binary()?);
    command.args(["sandbox", "--port", "0", "--json"]);
    Process::start(command).await
}

/// One counter of a process; 0 while it counted nothing.
pub(crate) async fn metric(address: &str, name: &str) -> anyhow::Result<f64> {
    let text = call(address, "GET", "/metrics", "text/plain", String::new()).await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0))
}

/// One more process on the same PostgreSQL.
pub(crate) async fn worker(folder: &Path, postgres: &str) -> anyhow::Result<Process> {
    Process::start(command(&binary()?, "worker", folder, Some(postgres))).await
}

/// With the flags that all releases know: binaries are compared with older ones.
fn command(binary: &Path, word: &str, folder: &Path, postgres: Option<&str>) -> Command {
    let mut command = Command::new(binary);
    command.args([word, "--listen", "127.0.0.1:0", "--allow-private-addresses", "--log", "warn", "--data-dir"]).arg(folder);
    if let Some(url) = postgres {
        command.args(["--database-url", url]);
    }
    command.env("LIAISON_ADMIN_API_KEY", KEY);
    command
}

/// Saves and activates one of the recipes `w1` to `w4`.
pub(crate) async fn set_up(address: &str, target: &str, recipe: &str) -> anyhow::Result<()> {
    let text = match recipe {
        "w1" => W1.to_owned(),
        "w2" => w2(target),
        "w3" => w3(target),
        "w4" => w4(target),
        other => bail!("there is no recipe {other}"),
    };
    save(address, recipe, text).await
}

/// Saves a recipe and switches it on.
pub(crate) async fn save(address: &str, slug: &str, text: String) -> anyhow::Result<()> {
    call(address, "PUT", &format!("/api/v1/recipes/{slug}"), "application/yaml", text).await?;
    call(address, "POST", &format!("/api/v1/recipes/{slug}/activate"), "application/json", "{}".to_owned()).await.map(drop)
}

/// Makes a connection.
pub(crate) async fn connect(address: &str, connection: &str) -> anyhow::Result<()> {
    call(address, "POST", "/api/v1/connections", "application/json", connection.to_owned()).await.map(drop)
}

/// Waits until a process says that it takes part in the work.
pub(crate) async fn ready(address: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        match call(address, "GET", "/readyz", "text/plain", String::new()).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > Duration::from_secs(60) => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn call(address: &str, method: &str, path: &str, kind: &str, body: String) -> anyhow::Result<String> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", kind)
        .body(Full::new(Bytes::from(body)))?;
    let answer = client.request(request).await?;
    let status = answer.status();
    let text = String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned();
    if !status.is_success() {
        bail!("{method} {path} answered {status}: {text}");
    }
    Ok(text)
}

/// What such a run gave: how many passes, and the bytes of its file.
pub(crate) async fn stream_result(address: &str, id: &str) -> anyhow::Result<(u64, u64)> {
    let run = call(address, "GET", &format!("/api/v1/runs/{id}"), "application/json", String::new()).await?;
    let run: serde_json::Value = serde_json::from_str(&run)?;
    let output = &run["output"];
    Ok((output["total"].as_u64().context("no total")?, output["file"]["size"].as_u64().context("no file")?))
}

/// One run of a recipe that goes through a stream, to its end; gives its id.
pub(crate) async fn run_stream(address: &str, recipe: &str, event: &serde_json::Value) -> anyhow::Result<String> {
    let begun = call(address, "POST", &format!("/api/v1/recipes/{recipe}/runs"), "application/json", event.to_string()).await?;
    let begun: serde_json::Value = serde_json::from_str(&begun)?;
    let id = begun["id"].as_str().context("no id")?;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // The list tells the status without the steps, which are many.
        let list =
            call(address, "GET", &format!("/api/v1/runs?recipe={recipe}&limit=1"), "application/json", String::new()).await?;
        let list: serde_json::Value = serde_json::from_str(&list)?;
        let run = &list["data"][0];
        if run["id"] != id {
            bail!("another run came between: {run}");
        }
        match run["status"].as_str() {
            Some("succeeded") => return Ok(id.to_owned()),
            Some("failed" | "cancelled") => bail!("the run did not succeed: {run}"),
            _ => {}
        }
    }
}

/// Runs ended so far, summed over the processes named.
pub(crate) async fn ended(addresses: &[&str], recipe: &str) -> anyhow::Result<u64> {
    let mut sum = 0.0;
    for address in addresses {
        let text = call(address, "GET", "/metrics", "text/plain", String::new()).await?;
        sum += text
            .lines()
            .filter(|line| line.starts_with("liaison_runs_ended_total{") && line.contains(&format!("recipe=\"{recipe}\"")))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>();
    }
    Ok(sum as u64)
}

/// Succeeded runs in the database, whoever ran them.
pub(crate) async fn succeeded(address: &str, recipe: &str) -> anyhow::Result<u64> {
    let text = call(address, "GET", &format!("/api/v1/recipes/{recipe}/stats"), "application/json", String::new()).await?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    value["succeeded"].as_u64().context("no count")
}
