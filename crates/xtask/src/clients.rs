//! Programs of others the tests talk through: a browser, and vendors' own client packages.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, bail};

use crate::shell;

/// What the environment of the tests says, by variable.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// Lists of packages tests need, kept beside them.
const LISTS: &str = "crates/liaison/tests/clients";
/// Where they are installed; git ignores it.
const PLACE: &str = "target/clients";

/// A Chromium for the browser tests.
pub(crate) fn chromium() -> anyhow::Result<Environment> {
    const VARIABLE: &str = "LIAISON_TEST_CHROMIUM";
    if let Some(told) = std::env::var(VARIABLE).ok().filter(|told| !told.is_empty()) {
        return Ok(vec![(VARIABLE, told)]);
    }
    let find = || ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].into_iter().find_map(shell::find);
    match find().or_else(|| shell::installs("chromium").then(find).flatten()) {
        Some(found) => Ok(vec![(VARIABLE, found.display().to_string())]),
        None => bail!("the browser tests need Chromium: install it (Debian: chromium), or name one with {VARIABLE}"),
    }
}

/// What sets the clock of one process only, for the test of machines whose clocks are apart.
pub(crate) fn faketime() -> anyhow::Result<()> {
    let there = || shell::find("faketime").is_some();
    if !(there() || shell::installs("faketime") && there()) {
        bail!("a test of wrong clocks needs faketime: install it (Debian: faketime)");
    }
    Ok(())
}

/// Vendors' packages for Python, in virtual environments, when a test lists any. Some only live with libraries that the
/// others have outgrown, so they have an environment of their own.
pub(crate) fn python() -> anyhow::Result<Environment> {
    let lists = [
        ("requirements.txt", "python", "LIAISON_TEST_PYTHON"),
        ("requirements-older.txt", "python-older", "LIAISON_TEST_PYTHON_OLDER"),
    ];
    let mut environment = Vec::new();
    for (list, place, variable) in lists {
        let list = Path::new(LISTS).join(list);
        if list.exists() {
            environment.push((variable, interpreter(&list, &Path::new(PLACE).join(place))?));
        }
    }
    Ok(environment)
}

/// The interpreter of a virtual environment with what a list names.
fn interpreter(list: &Path, place: &Path) -> anyhow::Result<String> {
    let python = place.join("bin/python");
    once(place, &[list], || {
        println!("   installing Python packages for the tests");
        let make = || shell::run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(place));
        if make().is_err() && !(shell::installs("python3-venv") && make().is_ok()) {
            bail!("the tests need Python 3 with venv (Debian: python3-venv)");
        }
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(list);
        shell::run_quietly(&mut pip)
    })?;
    Ok(fs::canonicalize(place)?.join("bin/python").display().to_string())
}

/// Vendors' packages for Node, when a test lists any.
pub(crate) fn node() -> anyhow::Result<Environment> {
    let (list, lock) = (Path::new(LISTS).join("package.json"), Path::new(LISTS).join("package-lock.json"));
    if !list.exists() {
        return Ok(Vec::new());
    }
    let place = Path::new(PLACE).join("node");
    once(&place, &[&list, &lock], || {
        println!("   installing Node packages for the tests");
        fs::create_dir_all(&place)?;
        fs::copy(&list, place.join("package.json"))?;
        let install = if lock.exists() {
            fs::copy(&lock, place.join("package-lock.json"))?;
            "ci"
        } else {
            "install"
        };
        shell::run_quietly(Command::new("npm").args([install, "--no-audit", "--no-fund"]).current_dir(&place))
    })?;
    Ok(vec![("LIAISON_TEST_NODE_MODULES", fs::canonicalize(place)?.join("node_modules").display().to_string())])
}

/// Installs unless it was installed from the same lists before.
fn once(place: &Path, lists: &[&Path], install: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let wanted: String = lists.iter().map(|list| fs::read_to_string(list).unwrap_or_default()).collect();
    let stamp = place.join(".installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(stamp, wanted).context("cannot remember what was installed")
}
