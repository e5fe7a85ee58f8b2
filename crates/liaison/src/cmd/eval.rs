//! `liaison eval`: what a formula or a path gives.

use std::{
    io::{BufRead as _, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use engine::catalogue::sentences;
use formula::{Expression, Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{FAILED, print};

/// What `${ expr }` gives over some data.
#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// A formula, or a JSONPath when it begins with `$`.
    #[arg(required_unless_present = "stdin")]
    expr: Option<String>,
    /// The data it sees, as JSON: a record of names.
    #[arg(long, default_value = "{}")]
    data: String,
    /// Answer JSON lines `{expr, data}` with `{"value": …}` or `{"error": …}`.
    #[arg(long)]
    stdin: bool,
}

#[derive(Deserialize)]
struct Question {
    expr: String,
    #[serde(default)]
    data: Value,
}

pub(crate) fn eval(eval: &Eval) -> anyhow::Result<ExitCode> {
    if let Some(expr) = &eval.expr {
        let data = serde_json::from_str(&eval.data).context("--data is not JSON")?;
        return match value(expr, data) {
            Ok(value) => print(&serde_json::to_string_pretty(&value)?),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "error: {error}");
                Ok(ExitCode::from(FAILED))
            }
        };
    }
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.context("cannot read standard input")?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str::<Question>(&line) {
            Ok(question) => match value(&question.expr, question.data) {
                Ok(value) => json!({ "value": value }),
                Err(error) => json!({ "error": error }),
            },
            Err(error) => json!({ "error": format!("the line is no question: {error}") }),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn value(expr: &str, data: Value) -> Result<Value, String> {
    let expression = Expression::compile(expr).map_err(|problem| sentences(&problem.message, problem.hint.as_deref()))?;
    expression.eval(&Scope::from_json(Arc::new(data))).map_err(|error| sentences(&error.message, error.hint.as_deref()))
}
