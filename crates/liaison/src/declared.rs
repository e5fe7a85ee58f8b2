//! The connectors of this installation: those of the build, and those of its files.

use std::{io::Write as _, sync::Arc};

use clap::Parser;
use connector::Connector;
use connectors::declared::{Broken, load};

use crate::config::{Config, Layer};

/// Connectors by id, and the files that gave none.
pub(crate) fn all(config: &Config) -> (Vec<Connector>, Vec<Broken>) {
    let mut all = connectors::all();
    let (found, broken) = load(&config.connector_folders, &all);
    all.extend(found);
    all.sort_by_key(|connector| connector.id);
    (all, broken)
}

/// The same for a process that stays: what is wrong with a file is logged, and the process goes on without it.
pub(crate) fn for_engine(config: &Config) -> Arc<Vec<Connector>> {
    let (all, broken) = all(config);
    for file in broken {
        for problem in file.problems {
            tracing::error!(file = %file.path.display(), "connector.file: left out: {problem}");
        }
    }
    Arc::new(all)
}

/// The same for a command that has no settings of its own: environment and `liaison.toml` say where the files are.
pub(crate) fn here() -> Vec<Connector> {
    #[derive(Parser)]
    struct Surroundings {
        #[command(flatten)]
        layer: Layer,
    }
    // Settings that cannot be read are told by the commands that need them.
    let config = Surroundings::try_parse_from(["liaison"]).ok().and_then(|found| found.layer.resolve().ok());
    let Some(config) = config else { return connectors::all() };
    let (all, broken) = all(&config);
    let mut out = std::io::stderr().lock();
    for problem in broken.iter().flat_map(|file| &file.problems) {
        let _ = writeln!(out, "warning: a connector file was left out: {problem}");
    }
    all
}
