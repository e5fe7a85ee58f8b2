//! A simulation sets no alarms.

use async_trait::async_trait;

use super::{MemoryStore, not_here};
use crate::*;

#[async_trait]
impl Alarms for MemoryStore {
    async fn alarms(&self) -> Result<Vec<AlarmRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn set_alarm(&self, _row: &AlarmRow) -> Result<bool, StoreError> {
        not_here("alarms")
    }

    async fn remove_alarm(&self, _name: &str) -> Result<bool, StoreError> {
        not_here("alarms")
    }

    async fn raise(&self, _notice: &NoticeRow, _quiet_since: Timestamp) -> Result<Raised, StoreError> {
        not_here("notices")
    }

    async fn take_notice(&self, _now: Timestamp, _lease_until: Timestamp) -> Result<Option<NoticeRow>, StoreError> {
        Ok(None)
    }

    async fn notice_delivered(&self, _id: NoticeId, _delivered: &Delivered) -> Result<bool, StoreError> {
        not_here("notices")
    }

    async fn notices(&self, _alarm: Option<&str>, _before: Option<NoticeId>, _limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn prune_notices(&self, _before: Timestamp, _limit: u32) -> Result<u64, StoreError> {
        Ok(0)
    }
}
