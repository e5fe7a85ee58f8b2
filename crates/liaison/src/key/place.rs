//! Where the master key comes from: a file, an environment variable, a command, or the database itself.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use connector::Secret;
use store::new_key;

use crate::config::Config;

/// The variable that may hold the master key.
pub(crate) const VARIABLE: &str = "LIAISON_MASTER_KEY";
/// How to name a key that is kept elsewhere.
pub(crate) const HOW_TO_NAME: &str = "name it with --master-key-file (LIAISON_MASTER_KEY_FILE, or master_key_file in the settings \
    file), LIAISON_MASTER_KEY or --master-key-command";
/// A command has this long to give the key unless the settings say otherwise.
const COMMAND_WITHIN: Duration = Duration::from_secs(10);
/// Whether a command has ended is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A key has 64 digits; what a command says beyond this is no key.
const SAID_BYTES_MAX: u64 = 1024;

/// Where the key is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Variable(String, Secret),
    /// A command says it.
    Command(String, Duration),
    /// In the database, under its password.
    Database,
}

impl Place {
    /// The key is where the settings say; else, on SQLite, in a file of the data folder; else, on PostgreSQL, in the
    /// database itself under the database's password, so that processes on several machines need nothing but the same
    /// database.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        let layer = &config.layer;
        let file = layer.master_key_file.as_ref().filter(|file| !file.as_os_str().is_empty());
        let command = layer.master_key_command.as_ref().filter(|line| !line.trim().is_empty());
        let named = [
            file.map(|file| ("--master-key-file", Self::File(file.clone()))),
            config.master_key.as_ref().map(|text| (VARIABLE, Self::Variable(VARIABLE.to_owned(), text.clone()))),
            command.map(|line| ("--master-key-command", Self::command(config, line))),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some((one, _)), Some((two, _))) => bail!(
                "the master key is named twice, by {one} and by {two}, and it is not clear which one counts. Nothing was \
                 changed. Keep one of them; the environment and the settings file count as well"
            ),
            (Some((_, place)), None) => Ok(place),
            (None, _) if config.database_url().is_some() => Ok(Self::Database),
            (None, _) => Ok(Self::File(config.data_dir.join("master.key"))),
        }
    }

    /// What this command says, with the settings' patience.
    pub(crate) fn command(config: &Config, line: &str) -> Self {
        Self::Command(line.to_owned(), config.layer.master_key_command_timeout.map_or(COMMAND_WITHIN, |span| span.0))
    }

    /// The key that is there; `None` when there is none yet. What is in the database is read elsewhere.
    pub(crate) fn read(&self) -> anyhow::Result<Option<[u8; 32]>> {
        match self {
            Self::File(file) => read_file(file),
            Self::Variable(_, text) => self.parse(text.expose()).map(Some),
            Self::Command(line, within) => self.parse(said(line, *within)?.expose()).map(Some),
            Self::Database => Ok(None),
        }
    }

    /// The key, and whether it was made just now: only files are.
    pub(crate) fn read_or_make(&self) -> anyhow::Result<Option<([u8; 32], bool)>> {
        match (self.read()?, self) {
            (Some(key), _) => Ok(Some((key, false))),
            (None, Self::File(file)) => make(file).map(Some),
            (None, _) => Ok(None),
        }
    }

    fn parse(&self, text: &str) -> anyhow::Result<[u8; 32]> {
        parse(text).with_context(|| {
            format!("{self} does not hold a master key: 64 hexadecimal digits are expected. Nothing was changed. Correct it")
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "the file {}", file.display()),
            Self::Variable(name, _) => write!(f, "the environment variable {name}"),
            Self::Command(..) => f.write_str("the master key command"),
            Self::Database => f.write_str("the database"),
        }
    }
}

/// What a command writes to its standard output. It is one line for the shell; what it complains of goes where our own
/// complaints go.
fn said(line: &str, within: Duration) -> anyhow::Result<Secret> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).process_group(0);
    let mut child = command.spawn().context("the master key command cannot be started")?;
    let out = child.stdout.take().context("the master key command has no standard output")?;
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        out.take(SAID_BYTES_MAX).read_to_string(&mut text).map(|_| Secret::new(text))
    });
    let began = Instant::now();
    let status = loop {
        match child.try_wait().context("the master key command cannot be waited for")? {
            Some(status) if reading.is_finished() => break status,
            _ if began.elapsed() < within => std::thread::sleep(LOOK_EVERY),
            _ => {
                // With all that it started.
                let group = rustix::process::Pid::from_child(&child);
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                drop(child.wait());
                bail!(
                    "the master key command did not end within {} s and was stopped. Nothing was changed. Run it by hand to \
                     see why, or give it longer with --master-key-command-timeout",
                    within.as_secs_f32()
                );
            }
        }
    };
    if !status.success() {
        bail!(
            "the master key command failed ({status}). Nothing was changed. Its own message stands above; run it by hand to see why"
        );
    }
    match reading.join() {
        Ok(said) => said.context("what the master key command says is no text"),
        Err(_) => bail!("what the master key command says cannot be read"),
    }
}

/// The key in a file; `None` when there is no file.
fn read_file(file: &Path) -> anyhow::Result<Option<[u8; 32]>> {
    match fs::read_to_string(file) {
        Ok(text) => {
            refuse_readable(file)?;
            parse(&text)
                .with_context(|| {
                    format!(
                        "{} does not hold a master key: 64 hexadecimal digits are expected. Nothing was changed. \
                         Put the key file back from its backup",
                        file.display()
                    )
                })
                .map(Some)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read the master key {}", file.display())),
    }
}

fn make(file: &Path) -> anyhow::Result<([u8; 32], bool)> {
    let key = new_key()?;
    make_file(file, &key).with_context(|| format!("cannot write the master key to {}", file.display()))?;
    // Another process may have made the file at the same moment: what is there counts.
    let there = read_file(file)?.context("the new master key cannot be read back")?;
    Ok((there, there == key))
}

/// A key as its digits.
pub(super) fn parse(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.trim()).ok()?.try_into().ok()
}

fn make_file(file: &Path, key: &[u8; 32]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = PathBuf::from(format!("{}.{}", file.display(), std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(&draft)?;
    handle.write_all(hex::encode(key).as_bytes())?;
    handle.sync_all()?;
    // A link fails when the file exists, so that two processes never disagree about the key.
    let linked = fs::hard_link(&draft, file);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Secrets will be sealed with it: its name must survive a power loss as well.
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
    }
}

fn refuse_readable(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("other people of this machine can read the master key {}. Run: chmod 600 {}", file.display(), file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn command(line: &str) -> Place {
        Place::Command(line.to_owned(), Duration::from_secs(10))
    }

    #[test]
    fn a_command_says_the_key() {
        let key = command(&format!("echo {KEY}")).read().unwrap();
        assert_eq!(key, parse(KEY));
    }

    #[test]
    fn a_command_that_fails_says_so_and_tells_no_secret() {
        for (line, reason) in [
            ("exit 3", "failed (exit status: 3)"),
            ("echo private", "64 hexadecimal digits"),
            ("true", "64 hexadecimal digits"),
            ("yes", "64 hexadecimal digits"),
        ] {
            // `yes` has nobody to talk to once we read enough.
            let told = format!("{:#}", command(line).read().unwrap_err());
            assert!(told.contains(reason) || (line == "yes" && told.contains("failed")), "{line}: {told}");
            assert!(!told.contains("private"), "{told}");
        }
    }

    #[test]
    fn a_command_that_does_not_end_is_stopped_with_what_it_started() {
        let place = Place::Command("sleep 100 & sleep 100".to_owned(), Duration::from_millis(200));
        let began = Instant::now();
        let told = format!("{:#}", place.read().unwrap_err());
        assert!(told.contains("did not end within 0.2 s") && began.elapsed() < Duration::from_secs(20), "{told}");
    }

    #[test]
    fn a_variable_holds_the_key() {
        let place = |text: &str| Place::Variable("NAME".to_owned(), Secret::new(text.to_owned()));
        assert_eq!(place(KEY).read().unwrap(), parse(KEY));
        let told = format!("{:#}", place("private").read().unwrap_err());
        assert!(told.contains("NAME") && !told.contains("private"), "{told}");
    }
}
