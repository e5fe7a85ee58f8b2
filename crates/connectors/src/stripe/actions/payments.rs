//! Payments, charges, refunds, disputes.

use connector::Action;

use super::{CHARGES, get, pays, post, with};
use crate::stripe::fields::{amount, choice, currency, flag, id, metadata, record, text};

pub(super) fn payments() -> Vec<Action> {
    let intent = || id("payment_intent", "Payment", "pi_…");
    let common = || {
        vec![
            text("customer", "Customer", "cus_…"),
            text("payment_method", "Payment method", "pm_…"),
            text("description", "Description", ""),
            text("receipt_email", "Receipt to", ""),
            text("statement_descriptor_suffix", "On the statement", ""),
            metadata(),
        ]
    };
    vec![
        pays(
            "create_payment_intent",
            "Create payment",
            "Asks for a payment; with confirm it is charged at once.",
            "/v1/payment_intents",
            "payment_intent",
            {
                let mut all = with(
                    common(),
                    [
                        currency().must(),
                        flag("confirm", "Charge at once", "Needs a payment method."),
                        flag("off_session", "Customer is not there", "With confirm: for a payment method kept earlier."),
                        choice(
                            "capture_method",
                            "Capture",
                            "manual holds the money until it is captured, up to 7 days.",
                            &["automatic", "automatic_async", "manual"],
                        ),
                        choice("setup_future_usage", "Keep for later", "", &["off_session", "on_session"]),
                        text("return_url", "Back to", "Where the customer comes back to after approving."),
                    ],
                );
                all.extend(amount(""));
                all
            },
        ),
        get(
            "get_payment_intent",
            "Get payment",
            "Reads a payment.",
            "/v1/payment_intents/{payment_intent}",
            "payment_intent",
            vec![intent()],
        ),
        post(
            "update_payment_intent",
            "Update payment",
            "Changes a payment that was not made yet; later only texts and metadata.",
            "/v1/payment_intents/{payment_intent}",
            "payment_intent",
            {
                let mut all = with(common(), [intent(), currency()]);
                all.extend(amount(""));
                all
            },
        ),
        pays(
            "confirm_payment_intent",
            "Confirm payment",
            "Charges a payment that waits for it.",
            "/v1/payment_intents/{payment_intent}/confirm",
            "payment_intent",
            vec![
                intent(),
                text("payment_method", "Payment method", "pm_…"),
                flag("off_session", "Customer is not there", ""),
                text("return_url", "Back to", ""),
            ],
        ),
        post(
            "capture_payment_intent",
            "Capture payment",
            "Takes money that is held; what is left of it is released.",
            "/v1/payment_intents/{payment_intent}/capture",
            "payment_intent",
            with(amount("All when left out.").to_vec(), [intent(), currency()]),
        ),
        post(
            "cancel_payment_intent",
            "Cancel payment",
            "Ends a payment that was not made, and releases held money.",
            "/v1/payment_intents/{payment_intent}/cancel",
            "payment_intent",
            vec![
                intent(),
                choice("cancellation_reason", "Reason", "", &["abandoned", "duplicate", "fraudulent", "requested_by_customer"]),
            ],
        ),
        pays(
            "create_charge",
            "Create charge",
            "Charges a card at once, the older way; a payment is what Stripe recommends.",
            CHARGES,
            "charge",
            {
                let mut all = vec![
                    currency().must(),
                    text(
                        "source",
                        "Source",
                        "A token or a kept card, such as tok_… or card_…; the customer's own when left out.",
                    ),
                    text("customer", "Customer", "cus_…"),
                    flag("capture", "Capture", "No holds the money until it is captured, up to 7 days."),
                    text("description", "Description", ""),
                    text("receipt_email", "Receipt to", ""),
                    text("statement_descriptor_suffix", "On the statement", ""),
                    metadata(),
                ];
                all.extend(amount(""));
                all
            },
        ),
        get(
            "get_charge",
            "Get charge",
            "Reads a charge.",
            "/v1/charges/{charge}",
            "charge",
            vec![id("charge", "Charge", "ch_…")],
        ),
        post(
            "update_charge",
            "Update charge",
            "Changes texts and metadata of a charge.",
            "/v1/charges/{charge}",
            "charge",
            vec![
                id("charge", "Charge", "ch_…"),
                text("description", "Description", ""),
                text("receipt_email", "Receipt to", ""),
                metadata(),
            ],
        ),
        post(
            "capture_charge",
            "Capture charge",
            "Takes money that a charge holds; what is left of it is released. One of a payment is captured there.",
            "/v1/charges/{charge}/capture",
            "charge",
            with(amount("All when left out.").to_vec(), [id("charge", "Charge", "ch_…"), currency()]),
        ),
        post(
            "create_refund",
            "Create refund",
            "Gives money back, all of it or a part.",
            "/v1/refunds",
            "refund",
            with(
                amount("All that is left when left out.").to_vec(),
                [
                    currency(),
                    text("payment_intent", "Payment", "pi_…; or the charge."),
                    text("charge", "Charge", "ch_…; or the payment."),
                    choice("reason", "Reason", "", &["duplicate", "fraudulent", "requested_by_customer"]),
                    flag("reverse_transfer", "Take back the transfer", ""),
                    flag("refund_application_fee", "Give back the platform's fee", ""),
                    metadata(),
                ],
            ),
        ),
        get(
            "get_refund",
            "Get refund",
            "Reads a refund.",
            "/v1/refunds/{refund}",
            "refund",
            vec![id("refund", "Refund", "re_…")],
        ),
        post(
            "update_refund",
            "Update refund",
            "Changes the metadata of a refund; nothing else of it can be changed.",
            "/v1/refunds/{refund}",
            "refund",
            vec![id("refund", "Refund", "re_…"), metadata()],
        ),
        post(
            "cancel_refund",
            "Cancel refund",
            "Ends a refund that waits for the customer.",
            "/v1/refunds/{refund}/cancel",
            "refund",
            vec![id("refund", "Refund", "re_…")],
        ),
        get(
            "get_dispute",
            "Get dispute",
            "Reads a dispute.",
            "/v1/disputes/{dispute}",
            "dispute",
            vec![id("dispute", "Dispute", "du_…")],
        ),
        post(
            "respond_to_dispute",
            "Respond to dispute",
            "Writes down evidence, and hands it in when submit is yes.",
            "/v1/disputes/{dispute}",
            "dispute",
            vec![
                id("dispute", "Dispute", "du_…"),
                record(
                    "evidence",
                    "Evidence",
                    "Texts, dates and ids of uploaded files, such as uncategorized_text, receipt, customer_communication, shipping_tracking_number.",
                ),
                flag("submit", "Hand in", "It can be handed in once."),
                metadata(),
            ],
        ),
        post(
            "close_dispute",
            "Close dispute",
            "Accepts that the dispute is lost. This cannot be undone.",
            "/v1/disputes/{dispute}/close",
            "dispute",
            vec![id("dispute", "Dispute", "du_…")],
        ),
    ]
}
