//! Every metric there is, with the sentence a scrape carries. `docs/operations.md` tells which promise
//! each one watches; tests compare the two, and a scrape of a process to both.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up only. It is there from the start, so that a first increase is seen.
    Counter,
    /// The same, by labels: it is there once something happened.
    Labelled,
    /// How things stand.
    Gauge,
    /// How long, or how many at once.
    Histogram,
}

use Kind::{Counter, Gauge, Histogram, Labelled};

/// Name, kind and meaning, in the order of the alphabet.
pub(super) const METRICS: &[(&str, Kind, &str)] = &[
    ("liaison_attempt_seconds", Histogram, "How long attempts of steps took, by outcome"),
    ("liaison_attempts_failed_total", Labelled, "Attempts that failed, by class of the error"),
    ("liaison_attempts_repeated_total", Counter, "Attempts after a step's first, each under the same idempotency key"),
    ("liaison_attempts_total", Labelled, "Attempts of steps, by outcome"),
    ("liaison_blob_bytes", Gauge, "Bytes of all large values and files"),
    ("liaison_blob_stored_bytes", Gauge, "Bytes they take, compressed"),
    ("liaison_blobs", Gauge, "Large values and files that are kept apart from journals"),
    ("liaison_budget_day_left", Gauge, "Calls left of the day's limit that leaves least, by connection"),
    ("liaison_budget_waiting", Gauge, "Runs that wait for a connection's budget, as far as this process knows"),
    ("liaison_build_info", Gauge, "Always 1; the label is the version"),
    ("liaison_callbacks_refused_total", Labelled, "Calls to one-time addresses that were refused, by code"),
    ("liaison_circuit_state", Gauge, "0 closed, 1 open, 2 half-open, by connection and class of calls"),
    ("liaison_circuit_transitions_total", Labelled, "Moves of circuits"),
    ("liaison_claim_age_seconds", Gauge, "How long ago this process's worker asked for work and got an answer"),
    ("liaison_claim_failed_total", Counter, "Times the worker asked for work and the database did not answer"),
    ("liaison_claim_seconds", Histogram, "How long the database took to hand out due runs"),
    ("liaison_commit_failed_total", Counter, "Commits of runs that the database refused for good"),
    ("liaison_commit_retried_total", Counter, "Commits of runs that had to wait for the database"),
    ("liaison_connection_needs_sign_in", Gauge, "1 while a person must sign in anew, by connection"),
    ("liaison_connection_sign_in_ends_seconds", Gauge, "When the system ends the sign-in, in seconds since 1970, by connection"),
    ("liaison_database_bytes", Gauge, "Bytes of the database"),
    ("liaison_database_free_bytes", Gauge, "Bytes in the database that hold nothing"),
    ("liaison_database_log_bytes", Gauge, "Bytes of the write-ahead log beside the database"),
    ("liaison_dead_letters_open", Gauge, "Failed runs that wait for somebody, by recipe"),
    ("liaison_disk_free_bytes", Gauge, "Bytes that may still be written where the data folder is"),
    ("liaison_events_duplicate_total", Labelled, "Events that were known and started nothing, by recipe"),
    ("liaison_events_filtered_total", Labelled, "Events a trigger did not want, by recipe"),
    ("liaison_failures_untold_total", Labelled, "Failures whose on_failure recipe could not be started, by recipe"),
    ("liaison_files_kept_total", Counter, "Files that downloads and webhooks brought"),
    ("liaison_hooks_refused_total", Labelled, "Webhook requests that were refused, by code"),
    ("liaison_hooks_total", Labelled, "Webhook requests, by outcome"),
    ("liaison_http_seconds", Histogram, "How long answers took, by route and class of status"),
    ("liaison_inbound_assigned_total", Counter, "Kept requests that somebody gave to a recipe"),
    ("liaison_inbound_dropped_total", Labelled, "Requests that started no run and were too many to keep, by reason"),
    ("liaison_inbound_kept_total", Labelled, "Requests that started no run and were kept, by verdict"),
    ("liaison_inbound_removed_total", Counter, "Kept requests that went because the bounds were reached"),
    ("liaison_intake_refused_total", Counter, "Events answered 429 because too much was waiting"),
    ("liaison_lease_age_seconds", Gauge, "How long ago the database took a renewal of this process's lease"),
    ("liaison_lease_lost_total", Counter, "Runs this process dropped because another one owns them"),
    ("liaison_lease_renew_failed_total", Counter, "Renewals of the lease that the database did not take"),
    ("liaison_notices_raised_total", Labelled, "Notices that alarms raised, by kind"),
    ("liaison_notices_total", Labelled, "Deliveries of notices, by outcome"),
    ("liaison_oldest_queued_seconds", Gauge, "How long the run that is due longest has been due"),
    ("liaison_oldest_waiting_seconds", Gauge, "How long ago the oldest waiting run was accepted, by reason"),
    ("liaison_operation_runs_total", Labelled, "Runs that bulk operations dealt with, by kind and outcome"),
    ("liaison_payload_bytes_in_memory", Gauge, "Data of the runs under way in this process, as JSON"),
    ("liaison_payload_bytes_in_memory_max", Gauge, "How much of it makes heavy runs wait in the store"),
    ("liaison_payloads_spilled_total", Counter, "Values too large for their run's journal"),
    ("liaison_polls_total", Labelled, "Questions of triggers that ask, by recipe and outcome"),
    ("liaison_removed_total", Labelled, "What retention removed, by kind"),
    ("liaison_run_seconds", Histogram, "From an event's acceptance to its run's end, by status"),
    ("liaison_runs_accepted_total", Labelled, "Events that became runs, durably, by recipe"),
    ("liaison_runs_backlog", Gauge, "Runs that are due and wait for a process"),
    ("liaison_runs_claimed_total", Counter, "Runs this process took up from the database"),
    ("liaison_runs_ended_total", Labelled, "Runs that ended, by recipe and status"),
    ("liaison_runs_forgotten_total", Counter, "Runs whose data went at their end, as their recipe wants"),
    ("liaison_runs_freed_total", Counter, "Runs of dead processes that this one freed"),
    ("liaison_runs_in_memory", Gauge, "Runs under way in this process"),
    ("liaison_runs_in_memory_max", Gauge, "Room for runs in this process"),
    ("liaison_runs_stepped_aside_total", Counter, "Runs that went back to the store because data filled the memory"),
    ("liaison_runs_waiting", Gauge, "Parked runs, by reason, counted up to 10,000"),
    ("liaison_schedule_cancelled_total", Labelled, "Runs cancelled because their next fire time came, by recipe"),
    ("liaison_schedule_fired_total", Labelled, "Fire times that started a run, by recipe"),
    ("liaison_schedule_late_seconds", Histogram, "How late fire times started their runs"),
    ("liaison_schedule_left_out_total", Labelled, "Fire times that started no run, by recipe and reason"),
    ("liaison_steps_uncertain_total", Labelled, "Steps whose effect may have happened, by recipe"),
    ("liaison_store_errors_total", Labelled, "Errors of the database, by kind"),
    ("liaison_store_up", Gauge, "1 when the database answered the last scrape"),
    ("liaison_take_up_failed_total", Counter, "Runs that could not go on from their journal"),
    ("liaison_trace_spans_total", Labelled, "Spans that were made, and those a collector took or did not take"),
    ("liaison_worker_declared_dead_total", Counter, "Times this process was silent beyond its lease"),
    ("liaison_write_group_size", Histogram, "Transitions of runs in one transaction"),
    ("liaison_write_seconds", Histogram, "How long such a transaction took until it was durable"),
];

/// Gives every metric its sentence, and counters without labels their beginning.
pub(super) fn describe() {
    for (name, kind, meaning) in METRICS {
        match kind {
            Kind::Counter => {
                metrics::describe_counter!(*name, *meaning);
                metrics::counter!(*name).increment(0);
            }
            Kind::Labelled => metrics::describe_counter!(*name, *meaning),
            Kind::Gauge => metrics::describe_gauge!(*name, *meaning),
            Kind::Histogram => metrics::describe_histogram!(*name, *meaning),
        }
    }
    metrics::gauge!("liaison_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names of metrics in a text.
    fn names(text: &str) -> BTreeSet<&str> {
        let word = |char: char| char.is_ascii_alphanumeric() || char == '_';
        text.split(|char| !word(char)).filter(|name| name.starts_with("liaison_")).collect()
    }

    /// Whether a scrape has a series of this name. Of a histogram, each part has a name of its own.
    fn is_told(name: &str) -> bool {
        METRICS.iter().any(|(known, kind, _)| match kind {
            Kind::Histogram => name.strip_prefix(known).is_some_and(|part| ["_bucket", "_count", "_sum"].contains(&part)),
            _ => name == *known,
        })
    }

    #[test]
    fn the_page_the_dashboard_and_the_alerts_tell_of_metrics_there_are() {
        let page = include_str!("../../../../docs/operations.md");
        let known: BTreeSet<&str> = METRICS.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(names(page), known);
        for (file, text) in [
            ("alerts.yml", include_str!("../../../../deploy/prometheus/alerts.yml")),
            ("liaison.json", include_str!("../../../../deploy/grafana/liaison.json")),
        ] {
            assert!(names(text).len() > 10, "{file}");
            for name in names(text) {
                assert!(is_told(name), "{file} asks for {name}, which no process tells");
            }
        }
        assert!(METRICS.is_sorted_by_key(|(name, _, _)| *name), "the table is in the order of the alphabet");
    }

    /// What a heading of a page is called in a link to it.
    fn anchor(heading: &str) -> String {
        let kept = heading.to_lowercase().replace(|char: char| !char.is_alphanumeric() && !" -_".contains(char), "");
        kept.replace(' ', "-")
    }

    #[test]
    fn every_alert_says_how_bad_it_is_what_to_do_and_where_more_stands() {
        let page = include_str!("../../../../docs/operations.md");
        let headings: BTreeSet<String> = page.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
        let rules = include_str!("../../../../deploy/prometheus/alerts.yml");
        let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
        assert!(alerts.len() > 20, "{}", alerts.len());
        for alert in alerts {
            let name = alert.lines().next().unwrap_or_default();
            for part in ["expr: ", "for: ", "labels: { severity: ", "summary: ", "description: "] {
                assert_eq!(alert.matches(part).count(), 1, "{name} has no {part}");
            }
            let link = alert.lines().find_map(|line| line.trim().strip_prefix("page: \"docs/operations.md#")?.strip_suffix('"'));
            let link = link.unwrap_or_else(|| panic!("{name} names no page"));
            assert!(headings.contains(link), "{name} leads to {link:?}, which the page does not have");
        }
    }
}
