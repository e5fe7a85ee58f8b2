//! `liaison schema`: the JSON Schema of recipes, for editors and other people's tools.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use engine::catalogue;

use super::print;

/// Writes the JSON Schema of recipes, with what every action takes, for editors.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Write it into this file instead of showing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn schema(schema: &Schema) -> anyhow::Result<ExitCode> {
    let text = serde_json::to_string_pretty(&recipe::schema_with(&catalogue::of(&crate::declared::here())))? + "\n";
    match &schema.out {
        None => print(&text),
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
