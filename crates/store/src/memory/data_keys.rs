//! Data keys of the store in memory, and what is sealed under them.

use async_trait::async_trait;

use super::{MemoryStore, Model};
use crate::*;

impl Model {
    /// Nothing is written under a key that is gone.
    pub(super) fn check_key(&self, sealed: &[u8]) -> Result<(), StoreError> {
        match DataKeyId::of(sealed) {
            Some(id) if !self.data_keys.contains_key(&id) => Err(StoreError::KeyGone),
            _ => Ok(()),
        }
    }

    /// Every record that may hold something sealed, and its place.
    fn sealed(&mut self) -> impl Iterator<Item = (SealedAt, &mut Vec<u8>)> {
        let secrets = self.secrets.iter_mut().map(|(name, sealed)| (SealedAt::Secret(name.clone()), sealed));
        let connections = &mut self.outside.connections;
        let connections = connections.values_mut().map(|row| (SealedAt::Connection(row.id), &mut row.sealed));
        let sign_ins = &mut self.outside.sign_ins;
        let tokens = sign_ins.tokens.iter_mut().map(|((connection, place), held)| {
            (SealedAt::Token { connection: connection.clone(), place: place.clone() }, &mut held.row.sealed)
        });
        let begun = sign_ins.begun.iter_mut().map(|(hash, begun)| (SealedAt::SignIn(*hash), &mut begun.sealed));
        secrets.chain(connections).chain(tokens).chain(begun)
    }
}

#[async_trait]
impl DataKeys for MemoryStore {
    async fn data_keys(&self) -> Result<Vec<DataKeyRow>, StoreError> {
        Ok(self.model.lock().data_keys.values().cloned().collect())
    }

    async fn add_data_key(&self, row: &DataKeyRow) -> Result<bool, StoreError> {
        let keys = &mut self.model.lock().data_keys;
        let last = keys.values_mut().next_back();
        if row.id.0 != last.as_ref().map_or(1, |last| last.id.0 + 1) {
            return Ok(false);
        }
        if let Some(last) = last {
            if last.master_key != row.master_key {
                return Ok(false);
            }
            last.retired_at = Some(row.created_at);
        }
        keys.insert(row.id, row.clone());
        Ok(true)
    }

    async fn remove_data_keys(&self) -> Result<Vec<DataKeyId>, StoreError> {
        let mut model = self.model.lock();
        let used: Vec<DataKeyId> = model.sealed().filter_map(|(_, sealed)| DataKeyId::of(sealed)).collect();
        let unused = |row: &DataKeyRow| row.retired_at.is_some() && !used.contains(&row.id);
        let gone: Vec<DataKeyId> = model.data_keys.values().filter(|row| unused(row)).map(|row| row.id).collect();
        model.data_keys.retain(|id, _| !gone.contains(id));
        Ok(gone)
    }

    async fn rewrap(&self, rewrap: &Rewrap) -> Result<bool, StoreError> {
        let mut model = self.model.lock();
        let legacy = model.sealed().any(|(_, sealed)| !sealed.is_empty() && DataKeyId::of(sealed).is_none());
        let known = |id| model.data_keys.get(&id).is_some_and(|row| row.master_key == rewrap.from);
        if legacy || rewrap.wrapped.len() != model.data_keys.len() || !rewrap.wrapped.iter().all(|(id, _)| known(*id)) {
            return Ok(false);
        }
        for (id, wrapped) in &rewrap.wrapped {
            if let Some(row) = model.data_keys.get_mut(id) {
                (row.wrapped, row.master_key) = (wrapped.clone(), rewrap.to.clone());
            }
        }
        model.settings.insert(KEY_CHECK_SETTING.to_owned(), rewrap.check.clone());
        model.settings.remove(SHARED_KEY_SETTING);
        Ok(true)
    }

    async fn secret(&self, name: &str, initial: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut model = self.model.lock();
        if let Some(known) = model.secrets.get(name) {
            return Ok(known.clone());
        }
        model.check_key(initial)?;
        model.secrets.insert(name.to_owned(), initial.to_owned());
        Ok(initial.to_owned())
    }

    async fn sealed(&self, after: Option<&SealedAt>, limit: u32) -> Result<Vec<Sealed>, StoreError> {
        let mut model = self.model.lock();
        let all = model.sealed().filter(|(at, sealed)| !sealed.is_empty() && after.is_none_or(|after| at > after));
        let mut found: Vec<Sealed> = all.map(|(at, sealed)| Sealed { at, sealed: sealed.clone() }).collect();
        found.sort_by(|a, b| a.at.cmp(&b.at));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn sealed_at(&self, at: &SealedAt) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.model.lock().sealed().find(|(known, _)| known == at).map(|(_, sealed)| sealed.clone()))
    }

    async fn reseal(&self, known: &Sealed, anew: &[u8]) -> Result<bool, StoreError> {
        let mut model = self.model.lock();
        model.check_key(anew)?;
        let found = model.sealed().find(|(at, sealed)| *at == known.at && **sealed == known.sealed);
        Ok(found.map(|(_, sealed)| *sealed = anew.to_owned()).is_some())
    }
}
