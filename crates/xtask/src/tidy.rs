//! `cargo xtask tidy`: the house rules no compiler checks, each problem with its place.

mod arrows;
mod lists;
mod words;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::shell;

/// Something that is not as the house has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    file: PathBuf,
    line: usize,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// A source file, as text.
struct Source {
    /// Its path, from the folder of the workspace.
    file: PathBuf,
    text: String,
}

impl Source {
    fn problem(&self, line: usize, what: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), line, what: what.into() }
    }

    /// Lines with their numbers, which begin at 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(line, text)| (line + 1, text))
    }
}

/// Checks the house and says what is wrong.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("── tidy");
    let problems = check(&shell::home())?;
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => bail!("one thing is not as the house has it"),
        several => bail!("{several} things are not as the house has them"),
    }
}

fn check(home: &Path) -> anyhow::Result<Vec<Problem>> {
    let sources = sources(home)?;
    let mut problems = arrows::check(home)?;
    problems.extend(words::check(&sources));
    problems.extend(lists::check(home, &sources)?);
    problems.sort();
    Ok(problems)
}

/// Every Rust file of every crate.
fn sources(home: &Path) -> anyhow::Result<Vec<Source>> {
    let mut folders = vec![home.join("crates")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                sources.push(Source { file: path.strip_prefix(home)?.to_owned(), text });
            }
        }
    }
    sources.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(sources)
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let problems = check(&shell::home()).unwrap();
        let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "cargo xtask tidy says:\n{}", list.join("\n"));
    }

    pub(super) fn source(file: &str, text: &str) -> Source {
        Source { file: PathBuf::from(file), text: text.to_owned() }
    }
}
