//! `liaison admin`: what an installation's keeper does.

mod backup;
mod doctor;
mod rotate;
mod verify;

use std::{process::ExitCode, time::Duration};

use anyhow::bail;
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::json;
use server::access;

use super::{block_on, print, serve::signin_link};
use crate::{config::Layer, wire};

#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Brings the database's schema up to date.
    Migrate(Migrate),
    /// Writes everything durable to one file, while a server works.
    Backup(backup::Backup),
    /// Puts a backup into an empty data folder.
    Restore(backup::Restore),
    /// Reads everything that is kept and names what is damaged; exit code 1 when something is.
    Verify(verify::Verify),
    /// Looks at disk, database, key and limits, and says what to do; exit code 1 when something is bad.
    Doctor(doctor::Doctor),
    /// Seals all secrets anew under a new data key, or the data keys under a new master key, while servers work.
    RotateSecret(rotate::RotateSecret),
    /// Writes SQLite's database anew without gaps, while no server runs.
    Compact(Migrate),
    /// Makes an API key and shows it, once.
    CreateKey(CreateKey),
    /// Prints a link that signs one browser in, once.
    SigninLink(Migrate),
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    layer: Layer,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CreateKey {
    #[command(flatten)]
    layer: Layer,
    /// What people call the key.
    #[arg(long, default_value = "key")]
    name: String,
    /// What it may do.
    #[arg(long, value_delimiter = ',', default_values = ["admin"],
        value_parser = PossibleValuesParser::new(access::Scope::ALL.map(access::Scope::as_str)))]
    scopes: Vec<String>,
    /// How long it works: `90d`. For ever unless said otherwise.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires: Option<Duration>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn admin(admin: Admin) -> anyhow::Result<ExitCode> {
    match admin {
        Admin::Backup(backup) => backup::backup(backup),
        Admin::Restore(restore) => backup::restore(restore),
        Admin::Verify(verify) => verify::verify(verify),
        Admin::Doctor(doctor) => doctor::doctor(doctor),
        Admin::RotateSecret(rotate) => rotate::rotate(rotate),
        Admin::Compact(compact) => {
            let config = compact.layer.resolve()?;
            if config.database_url().is_some() {
                bail!("PostgreSQL makes room by itself (autovacuum); to give it back to the disk use its own `vacuum full`");
            }
            block_on(async {
                let done = store_sqlite::SqliteStore::compact(&config.data_dir).await?;
                print(&match compact.json {
                    true => json!({ "bytes_before": done.before, "bytes": done.after }).to_string(),
                    false => format!("The database had {} bytes and has {} now.", done.before, done.after),
                })
            })
        }
        Admin::Migrate(migrate) => {
            let config = migrate.layer.resolve()?;
            block_on(async {
                // Opening brings the schema up to date.
                wire::open_store_without_key(&config).await?.close().await;
                print(if migrate.json { r#"{"up_to_date":true}"# } else { "The database is up to date." })
            })
        }
        Admin::CreateKey(create) => {
            let config = create.layer.resolve()?;
            block_on(async {
                let store = wire::open_store_beside(&config).await?;
                let key = access::new_secret("lsn_")?;
                let id = wire::keep_key(&*store, &create.name, &key, create.scopes.clone(), create.expires).await?;
                store.close().await;
                print(&if create.json {
                    json!({ "id": id, "name": create.name, "scopes": create.scopes, "key": key }).to_string()
                } else {
                    format!("{key}\nKeep it now: it is not shown again.")
                })
            })
        }
        Admin::SigninLink(link) => {
            let config = link.layer.resolve()?;
            block_on(async {
                let store = wire::open_store_beside(&config).await?;
                let url = signin_link(&*store, &config.server().public_url).await?;
                store.close().await;
                print(&if link.json { json!({ "url": url }).to_string() } else { url })
            })
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    recipe::parse_duration(text).ok_or_else(|| format!("{text:?} is no duration. Write it like 90d or 12h."))
}
