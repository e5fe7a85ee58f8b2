//! Subscriptions.

use connector::Action;
use http::Method;

use super::{action, get, post, with};
use crate::stripe::fields::{choice, flag, id, list, metadata, record, text, time, whole};

pub(super) fn subscriptions() -> Vec<Action> {
    let subscription = || id("subscription", "Subscription", "sub_…");
    let prorations = || {
        choice(
            "proration_behavior",
            "Proration",
            "What a change in the middle of a period does: create_prorations (Stripe's default) adds lines to the next invoice, always_invoice bills at once, none does nothing.",
            &["create_prorations", "always_invoice", "none"],
        )
    };
    let common = || {
        vec![
            list("items", "Items", "Each with price and quantity; to change an item, its id."),
            text("default_payment_method", "Payment method", "pm_…"),
            list("discounts", "Discounts", "Each with coupon or promotion_code."),
            flag("cancel_at_period_end", "Ends with the period", ""),
            time("cancel_at", "Ends on", ""),
            choice("collection_method", "Collection", "", &["charge_automatically", "send_invoice"]),
            whole("days_until_due", "Days until due", "For send_invoice."),
            choice(
                "payment_behavior",
                "When the payment fails",
                "",
                &["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"],
            ),
            text("description", "Text", ""),
            metadata(),
            prorations(),
        ]
    };
    vec![
        post(
            "create_subscription",
            "Create subscription",
            "Begins a subscription and bills its first period.",
            "/v1/subscriptions",
            "subscription",
            with(
                common(),
                [
                    id("customer", "Customer", "cus_…"),
                    whole("trial_period_days", "Days of trial", ""),
                    time("trial_end", "Trial ends", ""),
                    time("billing_cycle_anchor", "Periods begin", ""),
                ],
            ),
        ),
        post(
            "update_subscription",
            "Update subscription",
            "Changes items or terms of a subscription.",
            "/v1/subscriptions/{subscription}",
            "subscription",
            with(common(), [subscription(), record("pause_collection", "Pause collection", "behavior and resumes_at.")]),
        ),
        get(
            "get_subscription",
            "Get subscription",
            "Reads a subscription.",
            "/v1/subscriptions/{subscription}",
            "subscription",
            vec![subscription()],
        ),
        action(
            "cancel_subscription",
            "Cancel subscription",
            "Ends a subscription at once; to end it with its period, update it.",
            Method::DELETE,
            "/v1/subscriptions/{subscription}",
            "subscription",
            vec![subscription(), flag("invoice_now", "Bill what is pending", ""), flag("prorate", "Give back the rest", "")],
        ),
        post(
            "resume_subscription",
            "Resume subscription",
            "Goes on with a paused subscription.",
            "/v1/subscriptions/{subscription}/resume",
            "subscription",
            vec![subscription(), choice("billing_cycle_anchor", "Periods begin", "", &["now", "unchanged"])],
        ),
    ]
}
