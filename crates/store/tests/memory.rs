//! The store in memory keeps what the real ones keep, as far as simulations need it.
#![cfg(feature = "conformance")]

use std::sync::Arc;

use async_trait::async_trait;
use store::{BlobId, Store, conformance::Bed, memory::MemoryStore};

struct Memory(Arc<MemoryStore>);

#[async_trait]
impl Bed for Memory {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0) as Arc<dyn Store>
    }

    async fn another(&self) -> Arc<dyn Store> {
        self.store()
    }

    fn gives_notice(&self) -> bool {
        false
    }

    async fn execute(&self, _sql: &str) {}

    async fn damage_blob(&self, id: BlobId) {
        self.0.damage_blob(id);
    }

    async fn end(&self) {}
}

async fn bed() -> Arc<dyn Bed> {
    Arc::new(Memory(Arc::default()))
}

store::conformance_tests! { crate::bed;
    accept: a_new_run_is_there, every_state_a_run_can_begin_in, a_known_key_is_a_duplicate, another_content_under_the_same_key,
        a_key_whose_time_is_over, the_same_key_twice_in_a_group, the_same_run_twice, outcomes_come_in_order, an_empty_group,
        odd_texts, a_large_group;
    commit: a_chunk_is_added, a_run_is_parked, a_run_is_let_go_as_it_is, a_run_ends, a_stale_owner_is_refused, a_stale_epoch_is_refused,
        an_unknown_run_is_refused, one_stale_run_fails_alone, the_same_commit_twice, an_end_written_again_after_a_resume,
        a_lost_run_written_again, a_number_already_taken;
    claim: oldest_due_first, a_claim_has_everything, not_before_it_is_due, the_epoch_rises, what_is_due_next,
        the_backlog_is_counted, busy_recipes_are_passed_over, nobody_claims_twice, a_claim_has_every_chunk_while_runs_move;
    workers: a_lease_is_renewed, a_dead_worker_owns_nothing, a_stray_run_is_let_go, a_living_worker_keeps_its_runs, an_orderly_stop,
        ids_are_never_used_twice;
    races: two_processes_one_key, a_stale_worker_and_a_reaper, an_owner_and_a_person, claims_and_a_reaper;
    control: only_failed_runs_are_resumed, an_old_picture_resumes_nothing, cancelled_in_every_state,
        an_ended_run_is_not_cancelled, a_run_that_goes_on_is_cancelled, a_dead_letter_is_settled_once,
        a_dead_letter_is_replayed_once, a_replay_and_a_resume;
    operations: an_operation_is_kept, named_runs_are_taken, too_many_are_refused, a_called_run_goes_with_its_caller, one_process_at_a_time,
        each_run_counts_once, paused_and_stopped, stopped_with_runs_begun;
    polls: a_page_is_one_commit, nothing_new, a_long_page, one_asks_at_a_time, whoever_died_is_replaced_at_once, a_moved_trigger,
        a_trigger_that_begins_anew, failures, only_what_is_switched_on;
    beside: an_answer_wakes_its_run, an_early_answer_waits, nobody_answers_the_dead, a_called_run_answers_its_caller, a_failed_caller_is_answered_all_the_same, a_resumed_run_takes_back_what_it_told,
        a_cancelled_run_answers_too, called_runs_are_found, state_is_kept, a_question_is_decided_once, a_run_starts_another,
        a_lane_goes_in_order, a_place_in_a_lane, a_lane_has_room, lanes_under_load;
    forget: data_goes_after_the_end, data_goes_in_parts, what_is_needed_stays;
    blobs: kept_and_read, what_repeats_takes_little_room, the_same_content_is_kept_once, a_damaged_blob_says_so,
        unreferenced_blobs_go_after_a_time, unfinished_uploads_go, references_come_with_the_commit;
    connections: made_and_read, a_taken_name, changed_and_stale, removed, the_catalogue_changes;
    data_keys: keys_follow_each_other, what_is_sealed_is_found, sealed_anew, a_key_that_is_gone, writers_and_a_change_of_keys,
        another_master_key;
    gates: a_circuit_is_shared, one_of_many_changes_a_circuit, a_rate_is_shared, what_is_lent_counts_against_the_burst, a_day_is_shared,
        calls_in_flight_are_shared, nobody_leases_what_is_not_there, a_pause_is_shared, a_pause_is_set_by_hand, those_who_wait_are_hastened,
        who_did_what, a_removed_connection_is_forgotten;
}
