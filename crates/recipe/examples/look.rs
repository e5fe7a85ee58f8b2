//! Prints what is wrong with recipes: `cargo run -p recipe --example look -- FILE…`, or reads standard input.

use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    let mut texts = Vec::new();
    for file in &files {
        texts.push(std::fs::read(file)?);
    }
    if files.is_empty() {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text)?;
        texts.push(text);
    }
    let mut out = std::io::stdout().lock();
    for text in texts {
        let started = std::time::Instant::now();
        let parsed = recipe::parse(&text);
        let took = started.elapsed();
        let lines = recipe::LineIndex::new(&text);
        for d in &parsed.diagnostics {
            let (line, column) = lines.position(d.span.start);
            let (end_line, end_column) = lines.position(d.span.end);
            writeln!(out, "{:?} {} {line}:{column}-{end_line}:{end_column} {}", d.severity, d.code, d.message)?;
            if let Some(help) = &d.help {
                writeln!(out, "    {help}")?;
            }
            if let Some(edit) = &d.edit {
                writeln!(out, "    [{}] -> {}", edit.title, edit.text)?;
            }
        }
        let steps = parsed.recipe.as_ref().map(|r| r.steps.len());
        writeln!(out, "{} problems, steps {steps:?}, {} bytes in {took:?}", parsed.diagnostics.len(), text.len())?;
    }
    Ok(())
}
