//! How many records are sealed under which key.

use std::collections::BTreeMap;

use store::{DataKeyId, SealedAt, Store, StoreError};

use super::Finding;

/// Records read at once.
const RECORDS_MAX: u32 = 500;

pub(super) async fn look(store: &dyn Store) -> Finding {
    match found(store).await {
        Ok(finding) => finding,
        Err(error) => Finding::bad("sealed records", format!("they cannot be read: {error}"), "See the database's own log."),
    }
}

async fn found(store: &dyn Store) -> Result<Finding, StoreError> {
    let keys = store.data_keys().await?;
    let mut counts: BTreeMap<Option<DataKeyId>, u64> = keys.iter().map(|row| (Some(row.id), 0)).collect();
    let mut after: Option<SealedAt> = None;
    loop {
        let part = store.sealed(after.as_ref(), RECORDS_MAX).await?;
        let Some(last) = part.last() else { break };
        after = Some(last.at.clone());
        part.iter().for_each(|record| *counts.entry(DataKeyId::of(&record.sealed)).or_default() += 1);
    }
    let current = keys.last().map(|row| row.id);
    let told: Vec<String> = counts
        .iter()
        .map(|(key, count)| match key {
            None => format!("{count} under the master key itself, by a build before there were data keys"),
            Some(id) if Some(*id) == current => format!("{count} under data key {id}, the current one"),
            Some(id) if keys.iter().any(|row| row.id == *id) => format!("{count} under data key {id}, which was replaced"),
            Some(id) => format!("{count} under data key {id}, which is not there"),
        })
        .collect();
    let told = if told.is_empty() { "there are none".to_owned() } else { told.join("; ") };
    let strays = counts.keys().flatten().any(|id| keys.iter().all(|row| row.id != *id));
    Ok(if strays {
        let todo = "Enter those secrets again, or restore a backup; `liaison admin verify` names them.";
        Finding::bad("sealed records", told, todo)
    } else if keys.iter().any(|row| row.retired_at.is_some()) {
        Finding::warning("sealed records", told, "A change of keys was not finished: run `liaison admin rotate-secret`.")
    } else if counts.contains_key(&None) {
        let todo =
            "They are sealed under a data key when they are changed next, or all of them by `liaison admin rotate-secret`.";
        Finding::warning("sealed records", told, todo)
    } else {
        Finding::good("sealed records", told)
    })
}
