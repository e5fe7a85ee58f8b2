//! The actions that are one call: a table of paths and fields.

mod catalog;
mod customers;
mod invoices;
mod payments;
mod subscriptions;

use connector::{Action, Cx, ErrorClass, StepError};
use http::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    client::{Client, KEY_LIFE, declined, filled, invalid},
    fields::{self, Field, flag},
    money, objects,
};

/// Where charges are.
const CHARGES: &str = "/v1/charges";

/// What one call is made of.
#[derive(Clone)]
struct Spec {
    method: Method,
    path: &'static str,
    /// A refused card is an outcome, not a failure.
    pays: bool,
}

/// What a step says that is no field of Stripe's.
struct Common {
    cleared: Vec<String>,
    key: Option<String>,
    strict: bool,
}

/// Parts what every step may say from Stripe's own fields.
fn parted(input: &Json) -> Result<(Map<String, Json>, Common), StepError> {
    let mut fields = input.as_object().cloned().unwrap_or_default();
    let more = fields.shift_remove("more");
    for name in ["connected_account", "context", "api_version"] {
        fields.shift_remove(name);
    }
    let cleared = fields.shift_remove("clear");
    let cleared =
        cleared.iter().filter_map(Json::as_array).flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let key = fields.shift_remove("idempotency_key").and_then(|key| key.as_str().map(str::to_owned));
    let strict = fields.shift_remove("declined_is_error") == Some(json!(true));
    if let Some(Json::Object(more)) = more {
        fields.extend(more);
    }
    if let Some(written) = fields.shift_remove("amount_decimal").and_then(|written| written.as_str().map(str::to_owned)) {
        if fields.get("amount").is_some_and(|amount| !amount.is_null()) {
            return Err(invalid("AMOUNT_INVALID", "the amount is given twice; give it in one of the two spellings"));
        }
        let currency = fields.get("currency").and_then(Json::as_str);
        let currency =
            currency.ok_or_else(|| invalid("AMOUNT_INVALID", "an amount in the currency needs the currency beside it"))?;
        let units = money::units(&written, currency)?;
        fields.insert("amount".into(), json!(units));
    }
    Ok((fields, Common { cleared, key, strict }))
}

async fn made(spec: Spec, cx: Cx, input: Json) -> Result<Json, StepError> {
    let (mut fields, common) = parted(&input)?;
    // There the currency only helps to tell the smallest unit.
    if matches!(spec.path, "/v1/refunds" | "/v1/invoiceitems/{invoiceitem}") || spec.path.ends_with("/capture") {
        fields.shift_remove("currency");
    }
    if spec.path == "/v1/payment_intents/{payment_intent}/capture"
        && let Some(amount) = fields.shift_remove("amount")
    {
        fields.insert("amount_to_capture".into(), amount);
    }
    let path = filled(spec.path, &mut fields)?;
    let client = Client::new(&cx, &input)?.key(common.key.as_deref())?;
    let done = match spec.method {
        Method::GET => client.get(&path, &fields).await,
        Method::DELETE => match client.delete(&path, &fields).await {
            Err(error) if error.class == ErrorClass::NotFound => gone(&client, cx.in_doubt, &path, error).await,
            done => done,
        },
        _ => client.post(&path, &fields, &common.cleared).await,
    };
    if !spec.pays {
        return done;
    }
    match done {
        Ok(mut record) => {
            record["declined"] = json!(false);
            Ok(record)
        }
        Err(error) => match declined(&error) {
            Some(told) if !common.strict => refused(&client, &path, told).await,
            _ => Err(error),
        },
    }
}

/// A try whose answer was lost has ended it already: that is what was wanted. Some records tell that they are deleted,
/// of others nothing is left.
async fn gone(client: &Client<'_>, in_doubt: bool, path: &str, error: StepError) -> Result<Json, StepError> {
    match client.get(path, &Map::new()).await {
        Ok(record) if record["deleted"] == true || record["status"] == "canceled" => Ok(record),
        Err(none) if none.class == ErrorClass::NotFound && in_doubt => {
            let mut parts = path.rsplit('/');
            let id = parts.next().map(|id| percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned());
            let kind = parts.next().map(|kind| kind.trim_end_matches('s'));
            Ok(json!({ "id": id, "object": kind, "deleted": true }))
        }
        _ => Err(error),
    }
}

/// The record as it is after a card was refused, with why.
async fn refused(client: &Client<'_>, path: &str, told: Json) -> Result<Json, StepError> {
    let part = |name: &str| told.get(name).and_then(Json::as_str);
    let place = match (path.strip_suffix("/pay"), part("payment_intent"), part("charge")) {
        (Some(invoice), ..) => Some(invoice.to_owned()),
        (None, Some(intent), _) => Some(format!("/v1/payment_intents/{intent}")),
        (None, None, Some(charge)) if path == CHARGES => Some(format!("{CHARGES}/{charge}")),
        (None, None, _) => path.strip_suffix("/confirm").map(str::to_owned),
    };
    let mut record = match place {
        Some(place) => client.get(&place, &Map::new()).await?,
        None if path == CHARGES => json!({"id": null, "object": "charge", "status": "failed"}),
        None => json!({"id": null, "object": "payment_intent", "status": "requires_payment_method"}),
    };
    record["declined"] = json!(true);
    record["decline"] = told;
    Ok(record)
}

fn action(
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    method: Method,
    path: &'static str,
    object: &str,
    given: Vec<Field>,
) -> Action {
    let writes = method != Method::GET;
    let spec = Spec { method: method.clone(), path, pays: false };
    let action = Action::new(id, title, summary, move |cx, input| made(spec.clone(), cx, input))
        .input(fields::schema(&given, writes))
        .output(objects::schema(object))
        .sample(objects::sample(object));
    match method {
        Method::GET => action.reads(),
        // It leaves the same state.
        Method::DELETE => action.idempotent(),
        _ => action.idempotent().key_first(KEY_LIFE),
    }
}

fn get(
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    path: &'static str,
    object: &str,
    given: Vec<Field>,
) -> Action {
    action(id, title, summary, Method::GET, path, object, given)
}

fn post(
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    path: &'static str,
    object: &str,
    given: Vec<Field>,
) -> Action {
    action(id, title, summary, Method::POST, path, object, given)
}

/// A payment: a refused card is told as data.
fn pays(
    id: &'static str,
    title: &'static str,
    summary: &'static str,
    path: &'static str,
    object: &str,
    mut given: Vec<Field>,
) -> Action {
    given.push(flag(
        "declined_is_error",
        "A refused card fails the step",
        "Otherwise the step goes on with declined: true and the reason, so that the recipe can branch.",
    ));
    let spec = Spec { method: Method::POST, path, pays: true };
    let mut output = objects::schema(object);
    output["properties"]["declined"] = json!({"type": "boolean", "title": "Card refused"});
    output["properties"]["decline"] = json!({"type": "object", "title": "Why the card was refused", "properties": {
        "code": {"type": ["string", "null"]}, "decline_code": {"type": ["string", "null"]}, "message": {"type": ["string", "null"]},
    }});
    let mut sample = objects::sample(object);
    sample["declined"] = json!(false);
    Action::new(id, title, summary, move |cx, input| made(spec.clone(), cx, input))
        .idempotent()
        .key_first(KEY_LIFE)
        .input(fields::schema(&given, true))
        .output(output)
        .sample(sample)
}

fn with<const N: usize>(mut fields: Vec<Field>, more: [Field; N]) -> Vec<Field> {
    fields.extend(more);
    fields
}

/// All of them.
pub(super) fn all() -> Vec<Action> {
    [
        customers::customers(),
        payments::payments(),
        invoices::invoices(),
        subscriptions::subscriptions(),
        catalog::catalog(),
        customers::ledger(),
    ]
    .concat()
}
