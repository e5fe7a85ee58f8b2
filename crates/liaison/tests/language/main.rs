//! The language as its authors meet it: the checker with the connectors that are shipped, every
//! diagnostic with its examples, and broken recipes with what is said of them.

mod catalogue;
mod commands;
mod connectors;
mod diagnostics;
mod golden;
mod promised;
mod together;

use std::path::{Path, PathBuf};

use recipe::{Diagnostic, LineIndex, Severity};

/// The folder of the workspace.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/liaison lies in the workspace").to_owned()
}

/// Problems as people read them in a terminal, without the drawing.
fn told(text: &[u8], problems: &[Diagnostic]) -> String {
    let lines = LineIndex::new(text);
    let mut out = String::new();
    for problem in problems {
        let (line, column) = lines.position(problem.span.start);
        let level = if problem.severity == Severity::Error { "error" } else { "warning" };
        out.push_str(&format!("{level}[{}] line {line}, column {column}: {}\n", problem.code, problem.message));
        if let Some(help) = &problem.help {
            out.push_str(&format!("  help: {help}\n"));
        }
        if let Some(edit) = &problem.edit {
            out.push_str(&format!("  edit: {}\n", edit.title));
        }
    }
    out
}

/// Compares a file that is made with what it should be; writes it when `LIAISON_WRITE_DOCS` is set.
fn same_as_file(path: &Path, made: &str) {
    if std::env::var_os("LIAISON_WRITE_DOCS").is_some() {
        std::fs::write(path, made).expect("the file can be written");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(there == made, "{} is out of date; run the tests with LIAISON_WRITE_DOCS=1 to write it again", path.display());
}
