//! `cargo xtask web`: the front end. Third-party code comes from the package manager, by its lock file.

use std::{path::Path, process::Command};

use anyhow::{Context, bail};

use crate::shell;

const NODE_MIN: u32 = 20;
/// Remembers which lock file the installed packages are from.
const STAMP: &str = "web/node_modules/.installed-from";

/// Installs packages when the lock file changed, then makes `web/dist`.
pub(crate) fn build() -> anyhow::Result<()> {
    println!("── front end");
    let version = shell::says("node", &["--version"]);
    let major = version.as_deref().and_then(|version| version.trim_start_matches('v').split('.').next()?.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MIN) || shell::find("npm").is_none() {
        let found = version.map_or("none was found".to_owned(), |version| format!("found is {version}"));
        bail!("the front end needs Node {NODE_MIN} or newer and npm, {found}: see https://nodejs.org");
    }
    let lock = std::fs::read_to_string("web/package-lock.json").context("cannot read web/package-lock.json")?;
    if !Path::new(STAMP).exists() || std::fs::read_to_string(STAMP)? != lock {
        shell::run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir("web"))?;
        std::fs::write(STAMP, lock).context("cannot remember what was installed")?;
    }
    shell::run(Command::new("node").arg("build.mjs").current_dir("web"))
}
