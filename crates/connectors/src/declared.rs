//! Connectors declared in files: `*.connector.yaml`, read at start, no recompiling.
//!
//! A file becomes the same [`connector::Connector`] value that a connector in Rust is, so that checks, documents,
//! retries and circuits know no difference. `docs/connectors.md` describes the format; decision 0023 says why it is as
//! it is. A file is read whole or not at all, and every problem of it is told at once, at its place.

mod action;
mod auth;
#[cfg(test)]
mod behaviour_tests;
mod errors;
mod file;
mod hook;
mod oauth;
mod pages;
mod poll;
mod problem;
mod prove;
mod record;
mod request;
mod schema;
mod template;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use connector::Connector;

use self::poll::micros;
pub use self::{
    file::{FILE_BYTES_MAX, File},
    problem::{Code, Problem},
    prove::Outcome,
};
pub(crate) use self::{
    problem::Problems,
    record::{duration, is_name},
};

/// Connector files end so.
pub const SUFFIX: &str = ".connector.yaml";
/// Files of one folder that are read.
const FILES_MAX: usize = 500;

/// The files that come with the program.
pub(crate) const SHIPPED: [(&str, &str); 3] = [
    ("github", include_str!("../../../connectors/github.connector.yaml")),
    ("hubspot", include_str!("../../../connectors/hubspot.connector.yaml")),
    ("slack", include_str!("../../../connectors/slack.connector.yaml")),
];

/// The connectors of those files. A test reads every one of them, so none can be missing.
pub(crate) fn shipped() -> &'static [Connector] {
    static SHIPPED_ONCE: LazyLock<Vec<Connector>> =
        LazyLock::new(|| SHIPPED.iter().filter_map(|(_, text)| File::read(text).ok()).map(File::connector).collect());
    &SHIPPED_ONCE
}

/// True for the text of a file that comes with the program.
#[must_use]
pub fn is_shipped(text: &str) -> bool {
    SHIPPED.iter().any(|(_, shipped)| *shipped == text)
}

/// A file that gave no connector, and why: each a line with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file or the folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// Reads every connector file of these folders, in the order of their names; a folder that is not there holds none.
/// `taken` are the ids that others have. What cannot be read is told and left out whole.
#[must_use]
pub fn load(folders: &[PathBuf], taken: &[Connector]) -> (Vec<Connector>, Vec<Broken>) {
    let (mut found, mut broken): (Vec<Connector>, Vec<Broken>) = (Vec::new(), Vec::new());
    for folder in folders {
        let files = match files(folder) {
            Ok(files) => files,
            Err(error) => {
                broken.push(Broken { path: folder.clone(), problems: vec![format!("the folder cannot be read: {error}")] });
                continue;
            }
        };
        for path in files {
            let problems = match read(&path) {
                Ok(file) if taken.iter().chain(&found).any(|known| known.id == file.id) => {
                    vec![format!(
                        "{}: {} the id \"{}\" is taken; choose another",
                        path.display(),
                        Code::Repeated.as_str(),
                        file.id
                    )]
                }
                Ok(file) => {
                    found.push(file.connector());
                    continue;
                }
                Err(problems) => problems,
            };
            broken.push(Broken { path, problems });
        }
    }
    (found, broken)
}

/// Reads one connector file.
///
/// # Errors
/// All its problems, each a line with its place.
pub fn read(path: &Path) -> Result<File, Vec<String>> {
    let name = path.display().to_string();
    let text = text(path).map_err(|why| vec![format!("{name}: {why}")])?;
    File::read(&text).map_err(|problems| problems.iter().map(|problem| problem.line(&name, &text)).collect())
}

/// The text of a file that is not too large.
fn text(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| format!("it cannot be read: {error}"))?.len();
    if size > FILE_BYTES_MAX as u64 {
        return Err(format!("{} it has {size} bytes; at most {FILE_BYTES_MAX} are read", Code::TooLarge.as_str()));
    }
    let bytes = fs::read(path).map_err(|error| format!("it cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("{} it is no UTF-8 text", Code::Syntax.as_str()))
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX)) {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(io::Error::other(format!("it holds more than {FILES_MAX} connector files")));
        }
    }
    files.sort();
    Ok(files)
}

/// Plays the tests that a file declares, and gives how each went. The file is read anew: playing needs its connector.
///
/// # Errors
/// When this machine gives no address to play them at.
pub async fn prove(mut file: File) -> io::Result<Vec<Outcome>> {
    let tests = std::mem::take(&mut file.tests);
    prove::all(&tests, &file.connector()).await
}
