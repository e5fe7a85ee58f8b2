"""Signs a body as Stripe's and Standard Webhooks' own Python libraries do. Reads and writes JSON."""

import datetime
import json
import sys

wish = json.load(sys.stdin)
kind, secret, body, at = wish["kind"], wish["secret"], wish["body"], wish["at"]
if kind == "stripe":
    import stripe

    signature = stripe.WebhookSignature._compute_signature(f"{at}.{body}", secret)
    headers = {"stripe-signature": f"t={at},v1={signature}"}
    # The library must agree with itself before we are asked.
    stripe.WebhookSignature.verify_header(body, headers["stripe-signature"], secret, None)
else:
    from standardwebhooks.webhooks import Webhook

    when = datetime.datetime.fromtimestamp(at, tz=datetime.timezone.utc)
    headers = {
        "webhook-id": wish["id"],
        "webhook-timestamp": str(at),
        "webhook-signature": Webhook(secret).sign(wish["id"], when, body),
    }
print(json.dumps(headers))
