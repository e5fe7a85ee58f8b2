//! Tokens of connections, whether they can sign in, and begun sign-ins of the store in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStore;
use crate::*;

/// What is kept of sign-ins.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) tokens: BTreeMap<(String, String), Held>,
    states: BTreeMap<String, ConnectionState>,
    pub(super) begun: BTreeMap<[u8; 32], BegunSignIn>,
}

/// A token, and whose turn it is until when.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) row: TokenRow,
    turn: Option<(String, Timestamp)>,
}

impl Kept {
    pub(super) fn forget(&mut self, name: &str, id: ConnectionId) {
        self.tokens.retain(|(connection, _), _| connection != name);
        self.states.remove(name);
        self.begun.retain(|_, begun| begun.connection != id);
    }

    fn state(&mut self, connection: &str) -> &mut ConnectionState {
        self.states.entry(connection.to_owned()).or_insert_with(|| ConnectionState {
            connection: connection.to_owned(),
            needs_sign_in: None,
            since: None,
            retry_at: None,
            last_used_at: None,
        })
    }
}

fn place(connection: &str, place: &str) -> (String, String) {
    (connection.to_owned(), place.to_owned())
}

#[async_trait]
impl SignIns for MemoryStore {
    async fn token(&self, connection: &str, name: &str) -> Result<Option<TokenRow>, StoreError> {
        let model = self.model.lock();
        Ok(model.outside.sign_ins.tokens.get(&place(connection, name)).map(|held| held.row.clone()))
    }

    async fn take_turn(&self, ask: &TurnAsk<'_>) -> Result<Turn, StoreError> {
        let tokens = &mut self.model.lock().outside.sign_ins.tokens;
        let held = tokens.entry(place(ask.connection, ask.place)).or_insert_with(|| Held {
            row: TokenRow {
                connection: ask.connection.to_owned(),
                place: ask.place.to_owned(),
                sealed: Vec::new(),
                renew_at: None,
                revision: 0,
            },
            turn: None,
        });
        if held.row.revision > ask.seen {
            return Ok(Turn::Moved(held.row.clone()));
        }
        if let Some((holder, until)) = &held.turn
            && holder != ask.holder
            && *until > ask.now
        {
            return Ok(Turn::Taken(*until));
        }
        held.turn = Some((ask.holder.to_owned(), ask.until));
        Ok(Turn::Mine)
    }

    async fn end_turn(&self, connection: &str, name: &str, holder: &str) -> Result<(), StoreError> {
        if let Some(held) = self.model.lock().outside.sign_ins.tokens.get_mut(&place(connection, name)) {
            held.turn.take_if(|(known, _)| known == holder);
        }
        Ok(())
    }

    async fn keep_token(&self, row: &TokenRow, holder: &str) -> Result<bool, StoreError> {
        let mut model = self.model.lock();
        model.check_key(&row.sealed)?;
        let tokens = &mut model.outside.sign_ins.tokens;
        let next = TokenRow { revision: row.revision + 1, ..row.clone() };
        match tokens.get_mut(&place(&row.connection, &row.place)) {
            Some(held) if held.row.revision != row.revision => return Ok(false),
            Some(held) => {
                held.row = next;
                held.turn.take_if(|(known, _)| known == holder);
            }
            None => drop(tokens.insert(place(&row.connection, &row.place), Held { row: next, turn: None })),
        }
        Ok(true)
    }

    async fn connection_states(&self) -> Result<Vec<ConnectionState>, StoreError> {
        Ok(self.model.lock().outside.sign_ins.states.values().cloned().collect())
    }

    async fn need_sign_in(&self, refused: &SignInRefused<'_>, audit: &AuditRow) -> Result<bool, StoreError> {
        let outside = &mut self.model.lock().outside;
        let state = outside.sign_ins.state(refused.connection);
        if state.needs_sign_in.is_some() || state.since.is_some_and(|since| since > refused.began) {
            return Ok(false);
        }
        state.needs_sign_in = Some(refused.reason.to_owned());
        (state.since, state.retry_at) = (Some(refused.now), Some(refused.retry_at));
        outside.audit.entry(audit.id).or_insert_with(|| audit.clone());
        Ok(true)
    }

    async fn try_sign_in(&self, connection: &str, now: Timestamp, next: Timestamp) -> Result<bool, StoreError> {
        let states = &mut self.model.lock().outside.sign_ins.states;
        let state = states.get_mut(connection).filter(|state| state.needs_sign_in.is_some());
        let state = state.filter(|state| state.retry_at.is_none_or(|at| at <= now));
        Ok(state.map(|state| state.retry_at = Some(next)).is_some())
    }

    async fn signed_in(&self, connection: &str, now: Timestamp, audit: &AuditRow) -> Result<bool, StoreError> {
        let outside = &mut self.model.lock().outside;
        let state = outside.sign_ins.states.get_mut(connection).filter(|state| state.needs_sign_in.is_some());
        let Some(state) = state else { return Ok(false) };
        (state.needs_sign_in, state.since, state.retry_at) = (None, Some(now), None);
        outside.audit.entry(audit.id).or_insert_with(|| audit.clone());
        Ok(true)
    }

    async fn note_use(&self, connection: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut model = self.model.lock();
        let state = model.outside.sign_ins.state(connection);
        state.last_used_at = state.last_used_at.max(Some(at));
        Ok(())
    }

    async fn begin_sign_in(&self, begun: &BegunSignIn) -> Result<(), StoreError> {
        let mut model = self.model.lock();
        model.check_key(&begun.sealed)?;
        model.outside.sign_ins.begun.insert(begun.hash, begun.clone());
        Ok(())
    }

    async fn spend_sign_in(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<BegunSignIn>, StoreError> {
        let spent = self.model.lock().outside.sign_ins.begun.remove(hash);
        Ok(spent.filter(|begun| begun.expires_at > now))
    }
}
