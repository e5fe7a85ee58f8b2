//! A throwaway PostgreSQL server for tests and measurements.
//!
//! It listens on loopback only, asks for a random password, runs as an ordinary user even when we are
//! root (PostgreSQL refuses root), and is gone with its folder afterwards. `fsync` and
//! `synchronous_commit` stay on: the tests are about durability, and what is measured must be durable.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::shell;

/// Where tests find the server.
pub(crate) const URL_VARIABLE: &str = "LIAISON_TEST_POSTGRES_URL";
const VERSION_MIN: u32 = 14;
const START_MAX: Duration = Duration::from_secs(60);
const FOLDER: &str = "liaison-postgres-";

/// A server, ours or somebody's.
pub(crate) struct Server {
    /// Where it is.
    pub(crate) url: String,
    // Stopped when it is dropped.
    _own: Option<Own>,
}

struct Own {
    process: Child,
    binaries: PathBuf,
    folder: PathBuf,
    user: Option<(u32, u32)>,
}

/// The server the environment names, or one of our own.
pub(crate) fn ensure() -> anyhow::Result<Server> {
    if let Some(url) = std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()) {
        println!("   PostgreSQL: the one {URL_VARIABLE} names");
        return Ok(Server { url, _own: None });
    }
    own()
}

/// One of our own, whatever the environment names.
pub(crate) fn own() -> anyhow::Result<Server> {
    remove_leftovers();
    let found = binaries().or_else(|| shell::installs("postgresql").then(binaries).flatten());
    let Some((binaries, version)) = found else {
        bail!(
            "this needs PostgreSQL {VERSION_MIN} or newer: install it (Debian: postgresql), or name a server (for tests with {URL_VARIABLE}, \
             for measurements with --postgres URL)"
        );
    };
    let (url, own) = start(binaries)?;
    println!("   PostgreSQL {version}: a throwaway server");
    Ok(Server { url, _own: Some(own) })
}

/// The folder with the newest server programs on this machine, and their version.
fn binaries() -> Option<(PathBuf, u32)> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    // The rest of the programs stand beside the file a link in the PATH points to.
    let path = shell::find("postgres").and_then(|link| link.canonicalize().ok()).and_then(|file| Some(file.parent()?.to_owned()));
    debian
        .chain(path)
        .filter(|folder| ["postgres", "initdb", "pg_ctl"].iter().all(|program| folder.join(program).is_file()))
        .filter_map(|folder| {
            let says = shell::says(&folder.join("postgres").to_string_lossy(), &["--version"])?;
            let version: u32 = says.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok())?;
            (version >= VERSION_MIN).then_some((folder, version))
        })
        .max_by_key(|(_, version)| *version)
}

/// An ordinary user to be instead of root.
fn ordinary_user() -> anyhow::Result<Option<(u32, u32)>> {
    if !shell::is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    match ids("postgres").or_else(|| ids("nobody")) {
        Some(user) => Ok(Some(user)),
        None => bail!("PostgreSQL does not run as root, and there is no user postgres or nobody to be instead"),
    }
}

/// Where temporary things are; short, because the path of a socket may not be long.
fn temporary() -> PathBuf {
    let short = Path::new("/tmp");
    if short.is_dir() { short.to_owned() } else { std::env::temp_dir() }
}

fn start(binaries: PathBuf) -> anyhow::Result<(String, Own)> {
    let user = ordinary_user()?;
    let folder = temporary().join(format!("{FOLDER}{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let password = hex::encode(random);
    let password_file = folder.join("password");
    fs::write(&password_file, &password)?;
    if let Some((user, group)) = user {
        chown(&folder, Some(user), Some(group))?;
        chown(&password_file, Some(user), Some(group))?;
    }
    let data = folder.join("data");
    let mut initdb = program(&binaries, "initdb", &folder, user);
    initdb.args(["--username=liaison", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]);
    initdb.arg(format!("--pwfile={}", password_file.display())).arg("-D").arg(&data);
    shell::run_quietly(&mut initdb)?;

    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let log = folder.join("log");
    let mut postgres = program(&binaries, "postgres", &folder, user);
    postgres.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    postgres.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
    postgres.args(["-c", "max_connections=400", "-c", "fsync=on", "-c", "synchronous_commit=on"]);
    let process = postgres
        .stdin(Stdio::null())
        .stdout(File::create(&log)?)
        .stderr(File::options().append(true).open(&log)?)
        .spawn()
        .context("cannot start postgres")?;
    let mut own = Own { process, binaries, folder, user };
    let started = Instant::now();
    // The same line `pg_ctl start --wait` looks for.
    let ready = || {
        fs::read_to_string(data.join("postmaster.pid"))
            .is_ok_and(|status| status.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
    };
    while !ready() {
        if own.process.try_wait()?.is_some() || started.elapsed() > START_MAX {
            bail!("PostgreSQL did not start:\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((format!("postgres://liaison:{password}@127.0.0.1:{port}/postgres"), own))
}

fn program(binaries: &Path, name: &str, folder: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(binaries.join(name));
    // Its user may not enter ours.
    command.current_dir(folder).env("LC_ALL", "C");
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut stop = program(&self.binaries, "pg_ctl", &self.folder, self.user);
        stop.arg("-D").arg(self.folder.join("data")).args(["stop", "--wait", "--mode=immediate"]);
        if shell::run_quietly(&mut stop).is_err() {
            drop(self.process.kill());
        }
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// What an xtask left behind that was killed: its server is stopped, its folder removed.
fn remove_leftovers() {
    let Ok(folders) = fs::read_dir(temporary()) else { return };
    for folder in folders.flatten().map(|folder| folder.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix(FOLDER).and_then(|owner| owner.parse::<u32>().ok()) else { continue };
        let lives = shell::says("ps", &["-p", &owner.to_string()]).is_some();
        let first_line = fs::read_to_string(folder.join("data/postmaster.pid")).ok();
        let server = first_line.and_then(|status| status.lines().next()?.parse::<u32>().ok());
        if !lives && server.is_none_or(|server| shell::says("ps", &["-p", &server.to_string()]).is_none()) {
            drop(fs::remove_dir_all(&folder));
        } else if !lives && let (Some((binaries, _)), Ok(user)) = (binaries(), ordinary_user()) {
            let mut stop = program(&binaries, "pg_ctl", &folder, user);
            stop.arg("-D").arg(folder.join("data")).args(["stop", "--wait", "--mode=immediate"]);
            drop(shell::run_quietly(&mut stop));
            drop(fs::remove_dir_all(&folder));
        }
    }
}
