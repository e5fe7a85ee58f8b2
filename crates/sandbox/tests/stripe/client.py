"""The vendor's Python client against the sandbox. Its one argument is JSON: url, control, credentials."""

import concurrent.futures
import http.server
import json
import queue
import sys
import tempfile
import threading
import time
import urllib.request

import stripe

told = json.loads(sys.argv[1])
url, control, credentials = told["url"].rstrip("/"), told["control"].rstrip("/"), told["credentials"]


def client(key="secret_key", **more):
    return stripe.StripeClient(
        credentials[key], base_addresses={"api": url, "files": url}, **more
    )


s = client(max_network_retries=3)
v1 = s.v1


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(control + path, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def configure(**settings):
    ask("PATCH", "/vendors/stripe/settings", settings)


def happen(name, **what):
    return ask("POST", f"/vendors/stripe/happen/{name}", what)


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was expected")


def crud():
    made = v1.customers.create({"name": "Ann & Co", "email": "a@b.co", "address": {"line1": "1 St"},
                                "preferred_locales": ["en", "fr"], "metadata": {"k1": "v1", "drop": "x"}})
    assert made.last_response.request_id.startswith("req_"), made
    assert made.name == "Ann & Co" and made.address.line1 == "1 St" and made.address.city is None
    assert made.preferred_locales == ["en", "fr"] and made.livemode is False
    changed = v1.customers.update(made.id, {"description": "d", "metadata": {"k2": "v2", "drop": ""}})
    assert changed.metadata.to_dict() == {"k1": "v1", "k2": "v2"}, changed.metadata
    cleared = v1.customers.update(made.id, {"description": "", "metadata": ""})
    assert cleared.description is None and cleared.metadata.to_dict() == {}
    assert v1.customers.delete(made.id).deleted is True
    gone = v1.customers.retrieve(made.id)
    assert gone.deleted is True and gone.id == made.id
    assert refused(stripe.InvalidRequestError, lambda: v1.customers.update(made.id, {"name": "x"})).code == "resource_missing"


def paging():
    made = [v1.customers.create({"email": f"p{n}@page.example", "metadata": {"page": "py"}}).id for n in range(25)]
    seen = [c.id for c in v1.customers.list({"limit": 10}).auto_paging_iter()]
    assert seen[:25] == made[::-1] and len(seen) == len(set(seen))
    back = [c.id for c in v1.customers.list({"limit": 10, "ending_before": made[0]}).auto_paging_iter()]
    assert back == made[1:], back
    found = [c.id for c in v1.customers.search({"query": "metadata['page']:'py' AND email~'page'", "limit": 10}).auto_paging_iter()]
    assert sorted(found) == sorted(made)
    counted = v1.customers.search({"query": "metadata['page']:'py'", "limit": 1, "expand": ["total_count"]})
    assert counted.total_count == 25
    refused(stripe.InvalidRequestError, lambda: v1.customers.list({"starting_after": made[0], "ending_before": made[1]}))
    assert refused(stripe.InvalidRequestError, lambda: v1.customers.list({"starting_after": "cus_no"})).param == "starting_after"


def money():
    customer = v1.customers.create({"email": "pay@b.co", "payment_method": "pm_card_visa"})
    method = v1.customers.payment_methods.list(customer.id).data[0]
    intent = v1.payment_intents.create({"amount": 2000, "currency": "USD", "customer": customer.id, "payment_method": method.id,
                                        "confirm": True, "expand": ["latest_charge.balance_transaction"]})
    assert intent.status == "succeeded" and intent.amount_received == 2000
    assert intent.latest_charge.balance_transaction.net == 2000 - 88, intent.latest_charge.balance_transaction
    again = v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.balance_transaction", "customer"]})
    assert again.customer.email == "pay@b.co" and again.latest_charge.payment_method_details.card.last4 == "4242"
    refused(stripe.InvalidRequestError, lambda: v1.payment_intents.retrieve(intent.id, {"expand": ["nothing"]}))

    first = v1.refunds.create({"payment_intent": intent.id, "amount": 500, "reason": "requested_by_customer"})
    assert first.status == "succeeded" and v1.charges.retrieve(first.charge).amount_refunded == 500
    assert v1.charges.retrieve(first.charge).refunded is False
    v1.refunds.create({"charge": first.charge})
    assert v1.charges.retrieve(first.charge, {"expand": ["refunds"]}).refunds.data[0].amount == 1500
    assert refused(stripe.InvalidRequestError, lambda: v1.refunds.create({"charge": first.charge})).code == "charge_already_refunded"

    held = v1.payment_intents.create({"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"})
    assert held.status == "requires_capture" and held.amount_capturable == 1000
    assert v1.payment_intents.capture(held.id, {"amount_to_capture": 700}).amount_received == 700
    assert refused(stripe.InvalidRequestError, lambda: v1.payment_intents.cancel(held.id)).code == "payment_intent_unexpected_state"

    error = refused(stripe.CardError, lambda: v1.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_chargeDeclinedInsufficientFunds", "confirm": True}))
    assert error.code == "card_declined" and error.error.decline_code == "insufficient_funds", error.json_body
    assert error.error.payment_intent.status == "requires_payment_method" and error.http_status == 402
    asks = v1.payment_intents.create({"amount": 1000, "currency": "usd", "payment_method": "pm_card_authenticationRequired", "confirm": True,
                                      "return_url": "https://a.example/back"})
    assert asks.status == "requires_action" and asks.next_action.type == "redirect_to_url"
    assert happen("authenticate", payment_intent=asks.id)["status"] == "succeeded"

    disputed = v1.payment_intents.create({"amount": 900, "currency": "usd", "payment_method": "pm_card_createDispute", "confirm": True})
    dispute = v1.disputes.list({"payment_intent": disputed.id}).data[0]
    assert dispute.status == "needs_response" and dispute.evidence_details.due_by > dispute.created
    assert refused(stripe.InvalidRequestError, lambda: v1.refunds.create({"payment_intent": disputed.id})).code == "charge_disputed"
    with tempfile.NamedTemporaryFile(suffix=".pdf") as kept:
        kept.write(b"%PDF-1")
        kept.seek(0)
        file = v1.files.create({"purpose": "dispute_evidence", "file": kept})
    assert file.size == 6
    done = v1.disputes.update(dispute.id, {"evidence": {"receipt": file.id, "uncategorized_text": "x"}, "submit": True})
    assert done.status == "under_review" and done.evidence.receipt == file.id
    assert happen("close_dispute", dispute=dispute.id, won=True)["status"] == "won"

    for bad, code in (({"amount": 10, "currency": "usd"}, "amount_too_small"), ({"amount": 1005, "currency": "kwd"}, "invalid_charge_amount"),
                      ({"currency": "usd"}, "parameter_missing"), ({"amount": "x", "currency": "usd"}, "parameter_invalid_integer"),
                      ({"amount": 100, "currency": "usd", "foo": 1}, "parameter_unknown"),
                      ({"amount": 100, "currency": "usd", "payment_method_types": ["card"]}, "parameter_unknown")):
        assert refused(stripe.InvalidRequestError, lambda: v1.payment_intents.create(bad)).code == code, bad
    balance = v1.balance.retrieve()
    assert any(part.currency == "usd" and part.amount != 0 for part in balance.available)
    payout = v1.payouts.create({"amount": 100, "currency": "usd"})
    assert payout.status == "pending" and v1.balance_transactions.list({"payout": payout.id}).data[0].type == "payout"


def billing():
    product = v1.products.create({"name": "Gauge", "default_price_data": {"currency": "usd", "unit_amount": 1500, "recurring": {"interval": "month"}}})
    price = product.default_price
    start = int(time.time())
    clock = v1.test_helpers.test_clocks.create({"frozen_time": start})
    good = v1.customers.create({"test_clock": clock.id, "payment_method": "pm_card_visa"})
    method = v1.customers.payment_methods.list(good.id).data[0].id
    v1.customers.update(good.id, {"invoice_settings": {"default_payment_method": method}})
    sub = v1.subscriptions.create({"customer": good.id, "items": [{"price": price, "quantity": 2}], "expand": ["latest_invoice.payments"]})
    assert sub.status == "active" and sub.latest_invoice.status == "paid" and sub.latest_invoice.total == 3000, sub
    assert sub.latest_invoice.payments.data[0].payment.payment_intent.startswith("pi_")
    assert sub["items"].data[0].current_period_end > start and "current_period_end" not in sub
    assert sub.latest_invoice.parent.subscription_details.subscription == sub.id
    bad = v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": good.id})
    v1.subscriptions.update(sub.id, {"default_payment_method": bad.id})
    v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": start + 32 * 86400})
    late = v1.subscriptions.retrieve(sub.id, {"expand": ["latest_invoice"]})
    assert late.status == "past_due" and late.latest_invoice.attempt_count == 1 and late.latest_invoice.next_payment_attempt, late
    v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": start + 60 * 86400})
    over = v1.subscriptions.retrieve(sub.id, {"expand": ["latest_invoice"]})
    assert over.status == "canceled" and over.latest_invoice.next_payment_attempt is None, over
    types = [event.type for event in v1.events.list({"limit": 100}).auto_paging_iter()]
    for name in ("invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_failed", "customer.subscription.deleted"):
        assert name in types, name

    buyer = v1.customers.create({"email": "bill@b.co"})
    draft = v1.invoices.create({"customer": buyer.id, "collection_method": "send_invoice", "days_until_due": 30})
    v1.invoice_items.create({"customer": buyer.id, "invoice": draft.id, "amount": 4000, "currency": "usd", "description": "Work"})
    open_ = v1.invoices.finalize_invoice(draft.id)
    assert open_.status == "open" and open_.amount_due == 4000 and open_.number and open_.lines.data[0].description == "Work"
    refused(stripe.InvalidRequestError, lambda: v1.invoices.finalize_invoice(draft.id))
    refused(stripe.InvalidRequestError, lambda: v1.invoices.delete(draft.id))
    assert v1.invoices.send_invoice(draft.id).status == "open"
    v1.credit_notes.create({"invoice": draft.id, "amount": 1000})
    assert v1.invoices.retrieve(draft.id).amount_due == 3000
    assert v1.invoices.pay(draft.id, {"payment_method": "pm_card_visa"}).status == "paid"
    preview = v1.invoices.create_preview({"customer": good.id, "invoice_items": [{"amount": 5, "currency": "usd"}]})
    assert preview.total == 5
    coupon = v1.coupons.create({"percent_off": 25, "duration": "once"})
    cut = v1.invoices.create({"customer": buyer.id, "discounts": [{"coupon": coupon.id}], "pending_invoice_items_behavior": "exclude"})
    v1.invoice_items.create({"customer": buyer.id, "invoice": cut.id, "amount": 1000, "currency": "usd"})
    assert v1.invoices.retrieve(cut.id).total == 750
    session = v1.checkout.sessions.create({"mode": "payment", "success_url": "https://a.example", "line_items": [
        {"quantity": 2, "price_data": {"currency": "usd", "unit_amount": 600, "product_data": {"name": "Thing"}}}]})
    assert session.url and session.amount_total == 1200
    assert happen("complete_checkout", session=session.id)["payment_status"] == "paid"
    assert v1.payment_links.create({"line_items": [{"price": price, "quantity": 1}]}).url.startswith("https://buy.stripe.com/")
    paid = happen("pay_invoice", invoice=next(i.number for i in v1.invoices.list({"status": "open"}).auto_paging_iter() if i.number.startswith("INV-")))
    assert paid["status"] == "paid"


def errors():
    assert refused(stripe.AuthenticationError, lambda: stripe.StripeClient("sk_test_wrong", base_addresses={"api": url}).v1.balance.retrieve()).http_status == 401
    assert refused(stripe.AuthenticationError, lambda: client("expired_key").v1.balance.retrieve()).error.code == "api_key_expired"
    limited = client("restricted_key")
    assert limited.v1.customers.list({"limit": 1}).data
    error = refused(stripe.PermissionError, lambda: limited.v1.refunds.create({"charge": "ch_1"}))
    assert "'rak_refund_write'" in str(error), error
    other = refused(stripe.InvalidRequestError, lambda: client("live_secret_key").v1.customers.retrieve(v1.customers.list({"limit": 1}).data[0].id))
    assert "a similar object exists in test mode" in str(other), other
    connected = client(stripe_account=credentials["connected_account"])
    assert connected.v1.customers.list().data == []
    refused(stripe.PermissionError, lambda: client(stripe_account="acct_nobody").v1.customers.list())
    theirs = connected.v1.customers.create({"email": "theirs@b.co"})
    in_context = client(stripe_context=credentials["connected_account"])
    assert [c.id for c in in_context.v1.customers.list().data] == [theirs.id]
    missing = refused(stripe.InvalidRequestError, lambda: v1.customers.retrieve("cus_x"))
    assert missing.http_status == 404 and str(missing).endswith("No such customer: 'cus_x'") and missing.param == "id", str(missing)
    ask("POST", "/faults", {"vendor": "stripe", "kind": "rate_limited", "times": 1})
    assert refused(stripe.RateLimitError, lambda: v1.balance.retrieve()).error.code == "rate_limit"
    ask("POST", "/faults", {"vendor": "stripe", "kind": "server_error", "times": 2})
    v1.balance.retrieve()


def idempotency():
    once = {"idempotency_key": "py-once"}
    first = v1.customers.create({"email": "once@b.co"}, once)
    again = v1.customers.create({"email": "once@b.co"}, once)
    assert first.id == again.id and again.last_response.headers["Idempotent-Replayed"] == "true"
    refused(stripe.IdempotencyError, lambda: v1.customers.create({"email": "twice@b.co"}, once))
    bad = {"idempotency_key": "py-bad"}
    refused(stripe.InvalidRequestError, lambda: v1.customers.create({"foo": "x"}, bad))
    v1.customers.create({"email": "fixed@b.co"}, bad)
    configure(work_ms=400)
    plain = client(max_network_retries=0)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = [pool.submit(lambda: plain.v1.customers.create({"email": "both@b.co"}, {"idempotency_key": "py-both"})) for _ in range(2)]
    failed = [one.exception() for one in both if one.exception()]
    configure(work_ms=0)
    assert len(failed) == 1 and failed[0].http_status == 409 and failed[0].error.code == "idempotency_key_in_use", failed
    ask("POST", "/faults", {"vendor": "stripe", "kind": "reset_after", "method": "POST", "path": "/v1/customers", "times": 1})
    made = v1.customers.create({"email": "reset@b.co"})
    assert [c.id for c in v1.customers.list({"email": "reset@b.co"}).data] == [made.id]


def webhooks():
    inbox = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            inbox.put((body, self.headers["stripe-signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}/hook"
    endpoint = v1.webhook_endpoints.create({"url": here, "enabled_events": ["customer.created"], "api_version": "2026-10-28.endive"})
    assert endpoint.secret.startswith("whsec_") and "secret" not in v1.webhook_endpoints.retrieve(endpoint.id)
    configure(rolling_secret=True)
    made = v1.customers.create({"email": "hook@b.co"})
    body, signature = inbox.get(timeout=10)
    event = stripe.Webhook.construct_event(body, signature, endpoint.secret)
    assert event.type == "customer.created" and event.data.object.id == made.id and event.request.id.startswith("req_")
    refused(stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event(body, signature, "whsec_other"))
    configure(signature_age_s=301)
    v1.customers.create({"email": "late@b.co"})
    body, signature = inbox.get(timeout=10)
    refused(stripe.SignatureVerificationError, lambda: stripe.Webhook.construct_event(body, signature, endpoint.secret))
    configure(rolling_secret=False, signature_age_s=0)
    v1.webhook_endpoints.delete(endpoint.id)
    seen = v1.events.list({"type": "customer.created", "limit": 2}).data
    newer = [e.id for e in v1.events.list({"ending_before": seen[1].id, "types": ["customer.created"]}).auto_paging_iter()]
    assert newer == [seen[0].id]

    destination = s.v2.core.event_destinations.create({
        "name": "thin", "type": "webhook_endpoint", "event_payload": "thin", "enabled_events": ["v1.customer.created"],
        "webhook_endpoint": {"url": here}, "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"]})
    secret = destination.webhook_endpoint.signing_secret
    made = v1.customers.create({"email": "thin@b.co"})
    body, signature = inbox.get(timeout=10)
    note = s.parse_event_notification(body, signature, secret)
    assert note.type == "v1.customer.created" and note.related_object.id == made.id, body
    assert s.v2.core.events.retrieve(note.id).related_object.url == f"/v1/customers/{made.id}"
    listed = s.v2.core.events.list({"object_id": made.id, "limit": 5}).data
    assert [event.id for event in listed] == [note.id], listed
    made_at = s.v2.core.events.retrieve(note.id).created
    found = [event.id for event in s.v2.core.events.list({"created": {"gte": made_at}, "limit": 1}).auto_paging_iter()]
    assert note.id in found and len(found) == len(set(found)), found
    assert not list(s.v2.core.events.list({"created": {"lt": "2001-01-01T00:00:00Z"}}).auto_paging_iter())
    s.v2.core.event_destinations.delete(destination.id)


for part in (crud, paging, money, billing, errors, idempotency, webhooks):
    part()
print("ok")
