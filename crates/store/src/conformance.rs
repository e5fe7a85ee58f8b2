//! The suite every store passes: each promise of [`Store`](crate::Store) and [`Pages`](crate::Pages) as a case.
//!
//! A dialect gives each case a [`Bed`]: a store on an empty database, the same database as another
//! process sees it, and a way to do damage behind the store's back. `store::conformance!(make_bed)`
//! makes one named test of every case.

pub mod accept;
pub mod access;
pub mod alarms;
pub mod beside;
pub mod blobs;
pub mod care;
pub mod causes;
pub mod claim;
pub mod commit;
pub mod connections;
pub mod control;
pub mod damage;
pub mod data_keys;
pub mod faulty;
pub mod forget;
pub mod gates;
pub mod inbound;
pub mod lists;
pub mod notice;
pub mod operations;
pub mod pages;
pub(crate) mod parts;
pub mod polls;
pub mod races;
pub mod recipes;
pub mod shapes;
pub mod sign_in;
pub mod watch;
pub mod workers;
pub mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{BlobId, Store};

/// A store on an empty database, and what a case may do behind its back.
#[async_trait]
pub trait Bed: Send + Sync + 'static {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// The same database as another process sees it. A dialect that allows only one process gives
    /// the same store.
    async fn another(&self) -> Arc<dyn Store>;

    /// Processes tell each other that there may be work.
    fn gives_notice(&self) -> bool;

    /// Runs statements behind the store's back.
    async fn execute(&self, sql: &str);

    /// Changes one byte of a kept content behind the store's back.
    async fn damage_blob(&self, id: BlobId);

    /// Closes the other stores and removes the database.
    async fn end(&self);
}

/// Runs one case and cleans up after it, also when it fails.
///
/// # Panics
/// When the case does.
pub async fn run<F>(bed: Arc<dyn Bed>, case: impl FnOnce(Arc<dyn Bed>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let outcome = tokio::spawn(case(Arc::clone(&bed))).await;
    bed.store().close().await;
    bed.end().await;
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

/// One named test of every case. The argument is an `async fn() -> Arc<dyn Bed>`.
#[macro_export]
macro_rules! conformance {
    ($make:path) => {
        $crate::conformance_tests! { $make;
            accept: a_new_run_is_there, every_state_a_run_can_begin_in, a_known_key_is_a_duplicate,
                another_content_under_the_same_key, a_key_whose_time_is_over, the_same_key_twice_in_a_group,
                the_same_run_twice, outcomes_come_in_order, an_empty_group, odd_texts, a_large_group;
            commit: a_chunk_is_added, a_run_is_parked, a_run_is_let_go_as_it_is, a_run_ends, a_stale_owner_is_refused, a_stale_epoch_is_refused,
                an_unknown_run_is_refused, one_stale_run_fails_alone, the_same_commit_twice, an_end_written_again_after_a_resume,
                a_lost_run_written_again, a_number_already_taken;
            claim: oldest_due_first, a_claim_has_everything, not_before_it_is_due, the_epoch_rises, what_is_due_next,
                the_backlog_is_counted, recipes_take_turns, busy_recipes_are_passed_over, nobody_claims_twice, a_claim_has_every_chunk_while_runs_move;
            workers: a_lease_is_renewed, a_dead_worker_owns_nothing, a_stray_run_is_let_go, a_living_worker_keeps_its_runs, an_orderly_stop,
                ids_are_never_used_twice, a_run_of_nobody_is_freed;
            races: two_processes_one_key, a_stale_worker_and_a_reaper, an_owner_and_a_person, groups_in_each_others_way,
                claims_and_a_reaper, accepts_and_pruning;
            control: only_failed_runs_are_resumed, an_old_picture_resumes_nothing, cancelled_in_every_state,
                an_ended_run_is_not_cancelled, a_run_that_goes_on_is_cancelled, a_dead_letter_is_settled_once,
                a_dead_letter_is_replayed_once, a_replay_and_a_resume;
            causes: failures_are_sorted, causes_are_counted, causes_by_hour, a_cause_is_of_one_failure, resumed_under_another_version;
            operations: an_operation_is_kept, named_runs_are_taken, too_many_are_refused, a_called_run_goes_with_its_caller, one_process_at_a_time,
                each_run_counts_once, paused_and_stopped, stopped_with_runs_begun;
            recipes: the_first_version, the_next_version, the_same_text_again, a_stale_author, two_authors_at_once,
                reading_versions, switched_on_and_off, what_cannot_be_switched_on, switched_on_unless_others_moved, active_recipes_with_their_texts,
                the_catalogue_changes, a_schedule_never_goes_back, recipes_by_slug;
            connections: made_and_read, a_taken_name, changed_and_stale, removed, the_catalogue_changes;
            access: a_key_is_kept, a_sign_in_is_spent_once, a_sign_in_runs_out, a_session_ends, the_first_setting_wins,
                what_ran_out_is_removed;
            pages: it_answers, runs_newest_first, filters, paging, chunks_from, counts, stats;
            beside: an_answer_wakes_its_run, an_early_answer_waits, nobody_answers_the_dead, a_called_run_answers_its_caller, a_failed_caller_is_answered_all_the_same, a_resumed_run_takes_back_what_it_told,
                a_cancelled_run_answers_too, called_runs_are_found, state_is_kept, a_question_is_decided_once, a_run_starts_another,
                a_lane_goes_in_order, a_place_in_a_lane, a_lane_has_room, lanes_under_load;
            blobs: kept_and_read, what_repeats_takes_little_room, the_same_content_is_kept_once, a_damaged_blob_says_so,
                unreferenced_blobs_go_after_a_time, unfinished_uploads_go, references_come_with_the_commit,
                a_blob_goes_with_its_last_run, blobs_that_make_no_sense, who_speaks_of_what;
            care: ended_runs_go_when_their_time_is_over, relatives_of_living_runs_stay, everything_of_a_run_goes,
                a_purge_goes_in_parts, a_resumed_run_stays, a_key_outlives_its_run, operations_and_audit_go,
                everything_can_be_read, room_is_told;
            forget: data_goes_after_the_end, data_goes_in_parts, what_is_needed_stays, a_recipe_begins_anew;
            damage: runs_that_make_no_sense, recipes_that_make_no_sense, connections_that_make_no_sense,
                a_catalogue_that_makes_no_sense, a_damaged_journal, a_journal_with_a_gap;
            lists: runs, recipes_and_connections, what_runs_say, questions, alarms_and_notices, inbound, operations, gates,
                budgets, lanes;
            gates: a_circuit_is_shared, one_of_many_changes_a_circuit, a_rate_is_shared, what_is_lent_counts_against_the_burst, a_day_is_shared,
                calls_in_flight_are_shared, what_a_system_says_is_shared, nobody_leases_what_is_not_there, a_pause_is_shared, a_pause_is_set_by_hand, those_who_wait_are_hastened,
                who_did_what, a_removed_connection_is_forgotten;
            polls: a_page_is_one_commit, nothing_new, told_for_years, a_long_page, one_asks_at_a_time, whoever_died_is_replaced_at_once, a_moved_trigger, a_trigger_that_begins_anew, failures, only_what_is_switched_on;
            inbound: kept_and_read, kept_twice, a_list_is_filtered, one_address_cannot_crowd_out_another, nothing_outgrows_the_whole,
                given_to_a_recipe, removed_by_hand_and_by_age, a_recipe_is_found_by_its_address;
            sign_in: a_token_is_kept, one_of_many_renews, a_turn_ends, a_sign_in_is_needed_once, a_use_is_noted,
                a_begun_sign_in_is_spent_once, it_goes_with_its_connection;
            data_keys: keys_follow_each_other, what_is_sealed_is_found, sealed_anew, a_key_that_is_gone,
                writers_and_a_change_of_keys, another_master_key;
            shapes: kept_and_read, the_oldest_go, they_go_with_their_connection;
            notice: somebody_else_queues_a_run, somebody_else_frees_a_run, the_catalogue_changes, several_count_as_one;
            alarms: alarms_are_set_and_removed, one_cause_gives_one_notice, notices_are_delivered;
            watch: how_things_stand, how_far_the_tables_are;
            writer: many_at_once, a_bad_one_fails_alone, an_answer_is_lost, the_store_comes_back, the_store_stays_away,
                two_lanes;
        }
    };
}

/// See [`conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($make:path; $($room:ident: $($case:ident),+ $(,)?;)+) => {
        $(
            mod $room {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                    async fn $case() {
                        $crate::conformance::run($make().await, $crate::conformance::$room::$case).await;
                    }
                )+
            }
        )+
    };
}
