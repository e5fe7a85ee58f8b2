//! A throwaway PostgreSQL server for tests and measurements, made with the programs of this machine.
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
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

/// The oldest version that will do.
pub const VERSION_MIN: u32 = 14;
const START_MAX: Duration = Duration::from_secs(60);
const FOLDER: &str = "liaison-postgres-";

/// The programs of a PostgreSQL server.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    /// Their version.
    pub version: u32,
}

impl Programs {
    /// The newest ones on this machine.
    #[must_use]
    pub fn find() -> Option<Self> {
        let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let debian = debian.map(|version| version.path().join("bin"));
        // The rest of the programs stand beside the file a link in the PATH points to.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::split_paths(&path).map(|folder| folder.join("postgres")).find(|file| file.is_file());
        let path = path.and_then(|link| link.canonicalize().ok()).and_then(|file| Some(file.parent()?.to_owned()));
        debian
            .chain(path)
            .filter(|folder| ["postgres", "initdb", "pg_ctl"].iter().all(|program| folder.join(program).is_file()))
            .filter_map(|folder| {
                let says = says(Command::new(folder.join("postgres")).arg("--version"))?;
                let version: u32 = says.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok())?;
                (version >= VERSION_MIN).then_some(Self { folder, version })
            })
            .max_by_key(|programs| programs.version)
    }

    /// One of them, as whoever may run it.
    fn command(&self, name: &str, folder: &Path, user: Option<(u32, u32)>) -> Command {
        let mut command = Command::new(self.folder.join(name));
        // Its user may not enter ours.
        command.current_dir(folder).env("LC_ALL", "C");
        if let Some((user, group)) = user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Everybody is thrown out, and what is committed is put in order.
    Fast,
    /// As if it crashed: it finds what is committed in its log when it starts again.
    Immediate,
}

/// A server of ours, stopped and removed when it is dropped.
#[derive(Debug)]
pub struct Server {
    programs: Programs,
    folder: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    password: String,
    process: Child,
}

impl Server {
    /// A fresh one.
    ///
    /// # Errors
    /// The programs do not do what they should.
    pub fn start(programs: Programs) -> anyhow::Result<Self> {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        remove_leftovers(&programs);
        let user = ordinary_user()?;
        let folder = temporary().join(format!("{FOLDER}{}-{}", std::process::id(), SERVERS.fetch_add(1, Ordering::Relaxed)));
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
        let mut initdb = programs.command("initdb", &folder, user);
        initdb.args(["--username=liaison", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]);
        initdb.arg(format!("--pwfile={}", password_file.display())).arg("-D").arg(folder.join("data"));
        quietly(&mut initdb)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let process = spawn(&programs, &folder, user, port)?;
        let mut server = Self { programs, folder, user, port, password, process };
        server.wait()?;
        Ok(server)
    }

    /// Where it is, as one who may do anything.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://liaison:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    /// Stops it, and waits until it is.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let mode = match how {
            Stop::Fast => "--mode=fast",
            Stop::Immediate => "--mode=immediate",
        };
        let mut stop = self.programs.command("pg_ctl", &self.folder, self.user);
        quietly(stop.arg("-D").arg(self.folder.join("data")).args(["stop", "--wait", mode]))?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts it again where it was, after [`Server::stop`].
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = spawn(&self.programs, &self.folder, self.user, self.port)?;
        self.wait()
    }

    /// Waits until it takes connections: the same line that `pg_ctl start --wait` looks for.
    fn wait(&mut self) -> anyhow::Result<()> {
        let ready = || {
            fs::read_to_string(self.folder.join("data/postmaster.pid"))
                .is_ok_and(|status| status.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
        };
        let started = Instant::now();
        while !ready() {
            if self.process.try_wait()?.is_some() || started.elapsed() > START_MAX {
                bail!("PostgreSQL did not start:\n{}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stop(Stop::Immediate).is_err() {
            drop(self.process.kill());
            drop(self.process.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn spawn(programs: &Programs, folder: &Path, user: Option<(u32, u32)>, port: u16) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut postgres = programs.command("postgres", folder, user);
    postgres.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    postgres.arg("-c").arg(format!("unix_socket_directories={}", folder.display()));
    postgres.args(["-c", "max_connections=400", "-c", "fsync=on", "-c", "synchronous_commit=on"]);
    postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().context("cannot start postgres")
}

/// An ordinary user to be instead of root.
fn ordinary_user() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
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

/// What somebody left behind who was killed: the server is stopped, its folder removed.
fn remove_leftovers(programs: &Programs) {
    let Ok(folders) = fs::read_dir(temporary()) else { return };
    for folder in folders.flatten().map(|folder| folder.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner = name.strip_prefix(FOLDER).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_none_or(lives) {
            continue;
        }
        let first_line = fs::read_to_string(folder.join("data/postmaster.pid")).ok();
        let server = first_line.and_then(|status| status.lines().next()?.parse::<u32>().ok());
        if server.is_some_and(lives)
            && let Ok(user) = ordinary_user()
        {
            let mut stop = programs.command("pg_ctl", &folder, user);
            drop(quietly(stop.arg("-D").arg(folder.join("data")).args(["stop", "--wait", "--mode=immediate"])));
        }
        drop(fs::remove_dir_all(&folder));
    }
}

/// Whether a process of that number lives.
fn lives(process: u32) -> bool {
    use rustix::{io::Errno, process};
    let number = i32::try_from(process).ok().and_then(process::Pid::from_raw);
    // Whoever is not ours to signal is there all the same.
    number.is_some_and(|number| !matches!(process::test_kill_process(number), Err(Errno::SRCH)))
}

/// What a program prints, if it is there and succeeds.
fn says(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program nobody wants to hear; its words appear only when it fails.
fn quietly(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let words = [output.stdout, output.stderr].concat();
        bail!("{name} ended with {}:\n{}", output.status, String::from_utf8_lossy(&words).trim_end());
    }
    Ok(())
}
