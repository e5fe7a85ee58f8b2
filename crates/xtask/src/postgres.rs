//! The PostgreSQL server of tests and measurements.

use anyhow::bail;
use throwaway::{Programs, VERSION_MIN};

use crate::shell;

/// Where tests find the server.
pub(crate) const URL_VARIABLE: &str = "LIAISON_TEST_POSTGRES_URL";

/// A server, ours or somebody's.
pub(crate) struct Server {
    /// Where it is.
    pub(crate) url: String,
    // Stopped when it is dropped.
    _own: Option<throwaway::Server>,
}

/// The server the environment names, or one of our own. The programs of one are there in any case: some tests stop theirs.
pub(crate) fn ensure() -> anyhow::Result<Server> {
    if let Some(url) = std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()) {
        programs()?;
        println!("   PostgreSQL: the one {URL_VARIABLE} names");
        return Ok(Server { url, _own: None });
    }
    own()
}

/// One of our own, whatever the environment names.
pub(crate) fn own() -> anyhow::Result<Server> {
    let programs = programs()?;
    let version = programs.version;
    let own = throwaway::Server::start(programs)?;
    println!("   PostgreSQL {version}: a throwaway server");
    Ok(Server { url: own.url(), _own: Some(own) })
}

/// The programs of a server, installed where they were missing and may be.
fn programs() -> anyhow::Result<Programs> {
    match Programs::find().or_else(|| shell::installs("postgresql").then(Programs::find).flatten()) {
        Some(programs) => Ok(programs),
        None => bail!("this needs the programs of PostgreSQL {VERSION_MIN} or newer: install it (Debian: postgresql)"),
    }
}
