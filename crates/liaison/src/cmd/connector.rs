//! `liaison connector`: checks and tests connector files, and makes them from OpenAPI descriptions.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use connectors::{
    declared::{self, Outcome, SUFFIX},
    openapi::{self, Imported, Options, SignsIn, TEXT_BYTES_MAX},
};
use serde_json::json;

use super::{FAILED, block_on, print};

/// Checks, tests and makes connector files.
#[derive(Debug, Subcommand)]
pub(crate) enum Connector {
    /// Tells everything that is wrong with connector files; exit code 1 when something is.
    Check(Files),
    /// Plays the tests that stand in connector files; exit code 1 when one fails.
    Test(Files),
    /// Makes a connector file from an OpenAPI 3 description; what it leaves out is told on standard error.
    Import(Import),
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// Connector files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The description, YAML or JSON, also compressed with zstd (.zst); `-` reads standard input.
    file: PathBuf,
    /// The connector's id; made of the title otherwise.
    #[arg(long)]
    id: Option<String>,
    /// Where the system is, if the description does not say: `https://${ config.host }/api` makes a setting of the host.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The part that is the description, of a file that holds several.
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
    /// Only operations whose path begins so; may be given more than once.
    #[arg(long, value_name = "PATH")]
    only: Vec<String>,
    /// How connections sign in, if the description does not say or says it wrong: `none`, `bearer`, `basic`, `api_key`
    /// (in the header X-API-Key) or `api_key:Header-Name`.
    #[arg(long, value_name = "KIND")]
    auth: Option<SignsIn>,
    /// Write it into this file instead of showing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Id, actions, file and report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn connector(connector: &Connector) -> anyhow::Result<ExitCode> {
    match connector {
        Connector::Check(files) => check(files),
        Connector::Test(files) => test(files),
        Connector::Import(import) => self::import(import),
    }
}

fn check(files: &Files) -> anyhow::Result<ExitCode> {
    let taken: Vec<&str> = connectors::all().iter().map(|connector| connector.id).collect();
    let mut ids: Vec<String> = Vec::new();
    let mut told = Vec::new();
    for path in paths(&files.paths)? {
        let mut problems = Vec::new();
        match declared::read(&path) {
            Ok(file) => {
                let of_ours = fs::read_to_string(&path).is_ok_and(|text| declared::is_shipped(&text));
                if ids.contains(&file.id) || (taken.contains(&file.id.as_str()) && !of_ours) {
                    problems.push(format!(
                        "{}: {} the id \"{}\" is taken; choose another",
                        path.display(),
                        declared::Code::Repeated.as_str(),
                        file.id
                    ));
                }
                ids.push(file.id);
            }
            Err(found) => problems = found,
        }
        told.push((path, problems));
    }
    let broken = told.iter().any(|(_, problems)| !problems.is_empty());
    if files.json {
        let all: Vec<_> = told.iter().map(|(path, problems)| json!({"file": path, "problems": problems})).collect();
        print(&serde_json::to_string_pretty(&all)?)?;
    } else {
        let lines: Vec<String> = told
            .iter()
            .flat_map(|(path, problems)| match problems.as_slice() {
                [] => vec![format!("{}: sound", path.display())],
                problems => problems.to_vec(),
            })
            .collect();
        print(&lines.join("\n"))?;
    }
    Ok(if broken { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn test(files: &Files) -> anyhow::Result<ExitCode> {
    let mut told: Vec<(PathBuf, Vec<Outcome>)> = Vec::new();
    for path in paths(&files.paths)? {
        let file = match declared::read(&path) {
            Ok(file) => file,
            Err(problems) => bail!("{} has problems and was not tested:\n{}", path.display(), problems.join("\n")),
        };
        let outcomes = block_on(async { declared::prove(file).await.context("this machine gives no address to play tests at") })?;
        told.push((path, outcomes));
    }
    let all = || told.iter().flat_map(|(_, outcomes)| outcomes);
    let failed = all().filter(|outcome| !outcome.problems.is_empty()).count();
    if files.json {
        let files = told.iter().map(|(path, outcomes)| {
            let tests: Vec<_> = outcomes.iter().map(|o| json!({"title": o.title, "problems": o.problems})).collect();
            json!({"file": path, "tests": tests})
        });
        print(&serde_json::to_string_pretty(&files.collect::<Vec<_>>())?)?;
    } else {
        let mut lines = Vec::new();
        for (path, outcomes) in &told {
            lines.push(format!("{}{}", path.display(), if outcomes.is_empty() { ": declares no tests" } else { "" }));
            for outcome in outcomes {
                lines.push(format!("  {} {}", if outcome.problems.is_empty() { "ok    " } else { "FAILED" }, outcome.title));
                lines.extend(outcome.problems.iter().map(|problem| format!("         {problem}")));
            }
        }
        lines.push(format!("{} tests, {failed} failed", all().count()));
        print(&lines.join("\n"))?;
    }
    Ok(if failed > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn import(import: &Import) -> anyhow::Result<ExitCode> {
    let text = text(&import.file)?;
    let options = Options {
        id: import.id.clone(),
        base_url: import.base_url.clone(),
        part: import.part.clone(),
        only: import.only.clone(),
        auth: import.auth.clone(),
    };
    let made = match openapi::import(&text, &options) {
        Ok(made) => made,
        Err(why) => bail!("{} was not imported: {why}", import.file.display()),
    };
    let unsound = match declared::File::read(&made.text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.line("the file", &made.text)).collect(),
    };
    if let Some(path) = &import.out {
        fs::write(path, &made.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if import.json {
        let report: Vec<_> = made.report.iter().map(|(place, why)| json!({"place": place, "why": why})).collect();
        let told = json!({"id": made.id, "actions": made.actions, "file": made.text, "report": report, "problems": unsound});
        print(&serde_json::to_string_pretty(&told)?)?;
    } else {
        if import.out.is_none() {
            print(&made.text)?;
        }
        report(&made, &unsound);
    }
    Ok(if unsound.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// What was left out, beside the file.
fn report(made: &Imported, unsound: &[String]) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{}: {} actions, {} notes", made.id, made.actions, made.report.len());
    for (place, why) in &made.report {
        let _ = writeln!(out, "  {place}: {why}");
    }
    for problem in unsound {
        let _ = writeln!(out, "to be mended by hand: {problem}");
    }
}

/// A description, unpacked where it is packed, within the limit of the importer.
fn text(path: &Path) -> anyhow::Result<String> {
    let limit = TEXT_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        if path.extension().is_some_and(|extension| extension == "zst") {
            zstd::Decoder::new(file).and_then(|unpacked| unpacked.take(limit).read_to_end(&mut bytes))
        } else {
            file.take(limit).read_to_end(&mut bytes)
        }
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{} is no UTF-8 text", path.display()))
}

/// The files named: files as they are, folders with the connector files that lie in them.
fn paths(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            if !path.exists() {
                bail!("there is no file {}", path.display());
            }
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        for entry in fs::read_dir(path).with_context(|| format!("cannot read the folder {}", path.display()))? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(SUFFIX) {
                files.push(path);
            }
        }
        if files.len() == before {
            bail!("there is no *{SUFFIX} in {}", path.display());
        }
        files[before..].sort();
    }
    Ok(files)
}
