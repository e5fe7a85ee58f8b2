//! Every data key and everything sealed under one.

use std::sync::Arc;

use store::{MasterKey, SealedAt, Store, StoreError, Vault};

use super::{IDS_MAX, Report, plain, tolerate};

/// Opens all of it, a few at a time.
pub(super) async fn look(
    store: &Arc<dyn Store>,
    master: anyhow::Result<Option<MasterKey>>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let vault = match master {
        Ok(master) => master.map(|master| Vault::new(master, Arc::clone(store))),
        Err(error) => {
            report.add("setting", Some("master key".to_owned()), None, format!("{error:#}"));
            return Ok(());
        }
    };
    for row in tolerate(store.data_keys().await, report, "data_key", None)?.unwrap_or_default() {
        let opened = vault.as_ref().map(|vault| vault.proves(&row));
        if let Some(Err(error)) = opened {
            report.add("data_key", Some(row.id.to_string()), None, plain(&error));
        }
    }
    let mut after: Option<SealedAt> = None;
    loop {
        let part = tolerate(store.sealed(after.as_ref(), IDS_MAX).await, report, "secret", None)?.unwrap_or_default();
        let Some(last) = part.last() else { return Ok(()) };
        after = Some(last.at.clone());
        for record in part {
            report.secrets += 1;
            let opened = match &vault {
                Some(vault) => vault.open(&record.at, &record.sealed).await.map(drop),
                None => Err(StoreError::Corrupt("there is no master key to open its secrets with".to_owned())),
            };
            match opened {
                Ok(()) => {}
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(error) => report.add(record.at.what(), Some(name(&**store, &record.at).await?), None, plain(&error)),
            }
        }
    }
}

/// What people call it.
pub(crate) async fn name(store: &dyn Store, at: &SealedAt) -> Result<String, StoreError> {
    Ok(match at {
        SealedAt::Connection(id) => {
            let known = store.connections().await?.into_iter().find(|row| row.id == *id);
            known.map_or_else(|| id.to_string(), |row| row.name)
        }
        SealedAt::Token { connection, place } => format!("{connection}/{place}"),
        SealedAt::Secret(name) => name.clone(),
        SealedAt::SignIn(_) => at.place(),
    })
}
