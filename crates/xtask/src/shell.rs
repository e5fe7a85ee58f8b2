//! Programs: finding them, running them, installing them where that is allowed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// The folder of the workspace.
pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Works in the folder of the workspace from here on.
pub(crate) fn go_home() -> anyhow::Result<()> {
    std::env::set_current_dir(home()).context("cannot enter the folder of the workspace")
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What lets the next build be quick is as large as the build itself, and on a machine that builds once there is no next.
    if std::env::var_os("CI").is_some() && std::env::var_os("CARGO_INCREMENTAL").is_none() {
        cargo.env("CARGO_INCREMENTAL", "0");
    }
    cargo
}

/// Runs a program to its end; what it has to say, it says itself.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("`{name} {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// Runs a program nobody wants to hear; its words appear only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let words = [output.stdout, output.stderr].concat();
        bail!("{name} ended with {}:\n{}", output.status, String::from_utf8_lossy(&words).trim_end());
    }
    Ok(())
}

/// What a program prints, if it is there and succeeds.
pub(crate) fn says(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a program is, if it is in the `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Installs a package of Debian's where we may; false where we may not.
pub(crate) fn installs(package: &str) -> bool {
    if !is_root() || find("apt-get").is_none() {
        return false;
    }
    println!("   installing the package {package}");
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "-y", "--no-install-recommends", package]).env("DEBIAN_FRONTEND", "noninteractive");
        run_quietly(&mut command)
    };
    // A fresh machine has no list of packages yet.
    install().or_else(|_| run_quietly(Command::new("apt-get").arg("update")).and_then(|()| install())).is_ok()
}

/// True when we may do anything here.
pub(crate) fn is_root() -> bool {
    says("id", &["-u"]).is_some_and(|id| id == "0")
}
