//! `liaison admin rotate-secret`: new keys, while servers work.
//!
//! A new data key seals what is written from then on; what is there is sealed anew, a few records at a time, each only if
//! nobody changed it meanwhile. The old key goes when nothing is sealed under it. Interrupted at any point everything can
//! be opened, and doing it again goes on. A new master key seals the data keys only, all of them in one transaction.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use clap::Args;
use connector::Secret;
use serde::Serialize;
use store::{AuditId, AuditRow, Clock, DataKeyId, Glance, MasterKey, Rewrap, SealedAt, Store, StoreError, SystemClock, Vault};

use super::verify::name_of;
use crate::{
    cmd::{FAILED, block_on, print},
    config::{Config, Layer, Span},
    key::{self, Place},
    wire,
};

/// What others write under the old key meanwhile is looked for so often.
const PASSES_MAX: u32 = 10;

#[derive(Debug, Args)]
pub(crate) struct RotateSecret {
    #[command(flatten)]
    layer: Layer,
    /// A new master key for the data keys: this file, which is made if it is not there.
    #[arg(long, value_name = "FILE", group = "new")]
    new_master_key_file: Option<PathBuf>,
    /// A new master key for the data keys: what this environment variable holds.
    #[arg(long, value_name = "NAME", group = "new")]
    new_master_key_env: Option<String>,
    /// A new master key for the data keys: what this command says.
    #[arg(long, value_name = "COMMAND", group = "new")]
    new_master_key_command: Option<String>,
    /// So many records are sealed anew between two looks at how it goes.
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Waits so long after each batch, to leave the database to others.
    #[arg(long, default_value = "0ms")]
    pause: Span,
    /// As JSON: one object at the end.
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// The id of the master key everything is sealed under now.
    master_key: String,
    /// It is a new one.
    master_key_changed: bool,
    /// The data key that seals from now on.
    data_key: i64,
    /// It was made just now; else an earlier change of keys was finished.
    data_key_made: bool,
    /// Records sealed anew, by what they are.
    resealed: BTreeMap<&'static str, u64>,
    /// Data keys that are gone.
    removed: Vec<i64>,
    /// Replaced data keys that something is still sealed under.
    kept: Vec<i64>,
    /// What cannot be opened and stays as it is.
    damaged: BTreeMap<String, String>,
}

pub(crate) fn rotate(rotate: RotateSecret) -> anyhow::Result<ExitCode> {
    let config = rotate.layer.clone().resolve()?;
    let new = new_place(&rotate, &config)?;
    block_on(async {
        let Some(glance) = key::glance(&config).await? else {
            bail!("there is no database in {}; name the data folder with --data-dir", config.data_dir.display());
        };
        let newest = wire::newest_schema(&config);
        if glance.schema != newest {
            bail!(
                "the database has schema {}, this build works with {newest}. Nothing was changed. Start this build once, or run \
                 `liaison admin migrate`, while no older build works on it",
                glance.schema
            );
        }
        let to = new.as_ref().map(read_new).transpose()?;
        if let (Some(to), Some(place)) = (&to, &new)
            && glance.sealed_with() == Some(to.id())
        {
            key::check_against(place, None, &glance)?;
            bail!("the data keys are sealed under master key {} of {place} already. Nothing was changed", to.id());
        }
        let vault = match present(&config, &glance)? {
            Some(key) => key,
            None => bail!("no secret is sealed yet; the first start of a server makes the keys"),
        };
        let store = wire::open_store_beside(&config).await?;
        let mut work = Work {
            vault: Vault::new(vault, Arc::clone(&store)),
            store: Arc::clone(&store),
            rotate: &rotate,
            summary: Summary::default(),
        };
        let outcome = match &to {
            Some(to) => work.change_master(to).await,
            None => work.change_data_key().await,
        };
        let told = match outcome {
            Ok(()) => work.tell(new.as_ref()),
            Err(error) => Err(error),
        };
        store.close().await;
        told
    })
}

fn new_place(rotate: &RotateSecret, config: &Config) -> anyhow::Result<Option<Place>> {
    Ok(match (&rotate.new_master_key_file, &rotate.new_master_key_env, &rotate.new_master_key_command) {
        (Some(file), ..) => Some(Place::File(file.clone())),
        (_, Some(name), _) => {
            let text = std::env::var(name).with_context(|| format!("the environment has no variable {name}"))?;
            Some(Place::Variable(name.clone(), Secret::new(text)))
        }
        (.., Some(line)) => Some(Place::command(config, line)),
        _ => None,
    })
}

fn read_new(place: &Place) -> anyhow::Result<MasterKey> {
    let (key, _) = place.read_or_make()?.context("there is no new master key")?;
    Ok(MasterKey::new(key))
}

fn present(config: &Config, glance: &Glance) -> anyhow::Result<Option<MasterKey>> {
    key::check_against(&Place::of(config)?, config.database_url(), glance)
        .map(|key| key.filter(|_| glance.sealed_with().is_some()))
}

struct Work<'a> {
    store: Arc<dyn Store>,
    vault: Vault,
    rotate: &'a RotateSecret,
    summary: Summary,
}

impl Work<'_> {
    async fn change_data_key(&mut self) -> anyhow::Result<()> {
        let keys = self.store.data_keys().await?;
        // A replaced key that is still there: somebody was interrupted, and the work is to be finished first.
        if keys.iter().all(|row| row.retired_at.is_none()) {
            self.summary.data_key_made = self.vault.add_key().await?;
        }
        for _ in 0..PASSES_MAX {
            let keys = self.store.data_keys().await?;
            let current = keys.last().map(|row| row.id).context("there is no data key")?;
            self.summary.data_key = current.0;
            self.reseal(|known| known != Some(current)).await?;
            self.summary.removed.extend(self.store.remove_data_keys().await?.iter().map(|id| id.0));
            let left = self.store.data_keys().await?;
            self.summary.kept = left.iter().filter(|row| row.retired_at.is_some()).map(|row| row.id.0).collect();
            if self.summary.kept.is_empty() {
                break;
            }
        }
        self.summary.master_key = self.vault.master().id();
        let note = format!("Secrets are sealed under data key {}.", self.summary.data_key);
        self.finish("data_key.changed", note).await
    }

    async fn change_master(&mut self, to: &MasterKey) -> anyhow::Result<()> {
        for _ in 0..PASSES_MAX {
            // What was sealed before there were data keys is sealed under the master key itself.
            self.reseal(|known| known.is_none()).await?;
            if !self.summary.damaged.is_empty() {
                return Ok(());
            }
            if self.store.data_keys().await?.is_empty() {
                self.vault.add_key().await?;
            }
            let rows = self.store.data_keys().await?;
            let wrapped = rows.iter().map(|row| Ok((row.id, self.vault.rewrap(row, to)?))).collect::<Result<_, StoreError>>()?;
            let wish = Rewrap { from: self.vault.master().id(), to: to.id(), wrapped, check: key::check_value(to)? };
            if self.store.rewrap(&wish).await? {
                (self.summary.master_key, self.summary.master_key_changed) = (to.id(), true);
                self.summary.data_key = rows.last().map_or(0, |row| row.id.0);
                let note = format!("Data keys are sealed under master key {}, not {} any more.", wish.to, wish.from);
                return self.finish("master_key.changed", note).await;
            }
        }
        bail!("the keys are changed by somebody else at the same time. The master key is still the old one; do it again later")
    }

    /// Seals anew whatever is sealed under a key that is not wanted any more.
    async fn reseal(&mut self, unwanted: impl Fn(Option<DataKeyId>) -> bool) -> anyhow::Result<()> {
        let mut after: Option<SealedAt> = None;
        loop {
            let part = self.store.sealed(after.as_ref(), self.rotate.batch).await?;
            let Some(last) = part.last() else { return Ok(()) };
            after = Some(last.at.clone());
            let mut done = 0;
            for record in part.iter().filter(|record| unwanted(DataKeyId::of(&record.sealed))) {
                let secrets = match self.vault.open(&record.at, &record.sealed).await {
                    Ok(secrets) => secrets,
                    Err(error @ StoreError::Unavailable(_)) => return Err(error.into()),
                    Err(error) => {
                        let name = format!("{} {}", record.at.what(), name_of(&*self.store, &record.at).await?);
                        self.summary.damaged.insert(name, error.to_string());
                        continue;
                    }
                };
                let anew = self.vault.seal(&record.at, &secrets).await?;
                match self.store.reseal(record, &anew).await {
                    Ok(true) => {
                        *self.summary.resealed.entry(record.at.what()).or_default() += 1;
                        done += 1;
                    }
                    // Somebody changed it or the key meanwhile; the next pass looks at it again.
                    Ok(false) | Err(StoreError::KeyGone) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if done > 0 {
                if !self.rotate.json {
                    print(&format!("Records sealed anew so far: {}.", self.summary.resealed.values().sum::<u64>()))?;
                }
                tokio::time::sleep(self.rotate.pause.0).await;
            }
        }
    }

    /// Notes who did what, and lets nothing of what was there before stay in the database's log.
    async fn finish(&self, what: &str, note: String) -> anyhow::Result<()> {
        let now = SystemClock.now();
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let (who, about) = ("terminal".to_owned(), "keys".to_owned());
        let entry = AuditRow { id: AuditId::new(now, random), at: now, who, what: what.to_owned(), about, note };
        self.store.add_audit(&entry).await?;
        if !self.store.wipe().await.unwrap_or(false) {
            tracing::debug!("keys.rotate: somebody reads just now; the log is folded in by the server");
        }
        Ok(())
    }

    fn tell(&self, new: Option<&Place>) -> anyhow::Result<ExitCode> {
        let summary = &self.summary;
        let good = summary.damaged.is_empty() && summary.kept.is_empty();
        if self.rotate.json {
            print(&serde_json::to_string(summary)?)?;
        } else {
            print(&self.words(new))?;
        }
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    fn words(&self, new: Option<&Place>) -> String {
        let summary = &self.summary;
        let mut lines = Vec::new();
        match new {
            Some(place) if summary.master_key_changed => lines.push(format!(
                "The data keys are sealed under master key {} of {place}. The old master key opens nothing any more. Servers that \
                 run go on; start every process with the new one from now on, and keep a copy of it apart from the database.",
                summary.master_key
            )),
            Some(_) => lines.push("The master key was not changed.".to_owned()),
            None => {
                let made = if summary.data_key_made { "Made" } else { "Went on with" };
                let counts: Vec<String> = summary.resealed.iter().map(|(what, count)| format!("{what} {count}")).collect();
                let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
                lines.push(format!("{made} data key {}. Records sealed anew: {counts}.", summary.data_key));
            }
        }
        let list = |ids: &[i64]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if !summary.removed.is_empty() {
            lines.push(format!("Removed data key {}: nothing is sealed under it any more.", list(&summary.removed)));
        }
        for (name, problem) in &summary.damaged {
            lines.push(format!("{name} was left as it is: {problem}"));
        }
        if !summary.damaged.is_empty() {
            lines.push("Enter these secrets again or remove them, then run this again.".to_owned());
        } else if !summary.kept.is_empty() {
            let kept = list(&summary.kept);
            lines.push(format!("Data key {kept} is still needed: others wrote under it just now. Run this again."));
        }
        lines.join("\n")
    }
}
