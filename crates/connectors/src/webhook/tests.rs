//! Tests of the webhook checks.
