//! What systems told of their objects, of the store in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStore;
use crate::*;

/// By connection and object.
pub(super) type Kept = BTreeMap<(ConnectionId, String), ShapeRow>;

#[async_trait]
impl Shapes for MemoryStore {
    async fn keep_shape(&self, row: &ShapeRow, rows_max: u32) -> Result<(), StoreError> {
        let kept = &mut self.model.lock().outside.shapes;
        kept.insert((row.connection, row.object.clone()), row.clone());
        while kept.len() > rows_max as usize {
            let oldest = kept.iter().min_by_key(|(place, row)| (row.asked_at, *place)).map(|(place, _)| place.clone());
            if let Some(place) = oldest {
                kept.remove(&place);
            }
        }
        Ok(())
    }

    async fn shape(&self, connection: ConnectionId, object: &str) -> Result<Option<ShapeRow>, StoreError> {
        Ok(self.model.lock().outside.shapes.get(&(connection, object.to_owned())).cloned())
    }
}
