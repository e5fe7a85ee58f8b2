//! Imports an OpenAPI description and reads the file that comes of it, and tells what both cost.
//!
//!     zstd -dc spec3.yaml.zst > spec3.yaml && cargo run --release -p connectors --example import_speed spec3.yaml

use std::{io::Write as _, process::ExitCode, time::Instant};

use connectors::{
    declared::File,
    openapi::{Options, import},
};

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        let _ = writeln!(out, "name a description");
        return ExitCode::FAILURE;
    };
    let options = Options { part: arguments.next(), base_url: arguments.next(), ..Options::default() };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let _ = writeln!(out, "{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let begin = Instant::now();
    let made = match import(&text, &options) {
        Ok(made) => made,
        Err(why) => {
            let _ = writeln!(out, "{why}");
            return ExitCode::FAILURE;
        }
    };
    let imported = begin.elapsed();
    let problems = File::read(&made.text).err().unwrap_or_default();
    let _ = writeln!(
        out,
        "{}: {} bytes in, {} actions and {} bytes out in {imported:?}; read in {:?} with {} problems; {} notes",
        made.id,
        text.len(),
        made.actions,
        made.text.len(),
        begin.elapsed() - imported,
        problems.len(),
        made.report.len()
    );
    for problem in problems.iter().take(10) {
        let _ = writeln!(out, "{}", problem.line(&made.id, &made.text));
    }
    for (place, why) in made.report.iter().take(15) {
        let _ = writeln!(out, "  {place}: {why}");
    }
    // Peak memory, where the system tells it.
    for line in std::fs::read_to_string("/proc/self/status").unwrap_or_default().lines().filter(|line| line.starts_with("VmHWM"))
    {
        let _ = writeln!(out, "{line}");
    }
    ExitCode::SUCCESS
}
