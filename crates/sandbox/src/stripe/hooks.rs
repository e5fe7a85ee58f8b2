//! Webhook endpoints, and events on their way to them.

use std::{sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use super::{
    books::{Books, Row, flag, set, some, text},
    error::{Refused, Result},
    generic::merge,
    list::matches,
    settings::Settings,
};
use crate::{Hook, outbox::Outbox};

/// Endpoints of an account (the vendor's limit, from memory).
const ENDPOINTS_MAX: usize = 16;

impl Books {
    pub(super) fn webhook_endpoints(&mut self, name: &str, id: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "WebhookEndpoint.create" => self.create_endpoint(params),
            "WebhookEndpoint.update" => self.update_endpoint(id, params),
            _ => return None,
        })
    }

    fn create_endpoint(&mut self, params: &Row) -> Result {
        check_url(params)?;
        if self.all("WebhookEndpoint").count() >= ENDPOINTS_MAX {
            let message = format!("You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.");
            return Err(Refused::invalid(message));
        }
        if params.get("enabled_events").and_then(Json::as_array).is_none_or(Vec::is_empty) {
            return Err(Refused::needed("enabled_events"));
        }
        let mut row = self.made("WebhookEndpoint", params);
        set(&mut row, [("status", json!("enabled"))]);
        let secret = format!("whsec_{}", self.text(32));
        // Kept under names that no answer shows.
        row.shift_remove("secret");
        let id = text(&row, "id").to_owned();
        let hidden = [("id", json!(id)), ("secret", json!(secret)), ("connect", json!(flag(params, "connect")))];
        let mut made = self.insert("WebhookEndpoint", row)?;
        let mut side = Row::new();
        set(&mut side, hidden);
        self.insert("EndpointSecrets", side)?;
        if let Some(made) = made.as_object_mut() {
            made.insert("secret".into(), json!(secret));
        }
        Ok(made)
    }

    fn update_endpoint(&mut self, id: &str, params: &Row) -> Result {
        self.need("WebhookEndpoint", id, "id")?;
        check_url(params)?;
        let disabled = params.get("disabled").and_then(Json::as_bool);
        self.change("WebhookEndpoint", id, "webhook_endpoint.updated", |row| {
            merge("WebhookEndpoint", row, params);
            if let Some(disabled) = disabled {
                row.insert("status".into(), json!(if disabled { "disabled" } else { "enabled" }));
            }
        })
    }

    /// The endpoints that want an event: id, address, secret, version.
    pub(super) fn receivers(&self, event: &str, connected: bool) -> Vec<Receiver> {
        let wants = |row: &&Row| {
            let wanted = row.get("enabled_events").and_then(Json::as_array);
            text(row, "status") == "enabled"
                && wanted.is_some_and(|list| {
                    list.iter()
                        .filter_map(Json::as_str)
                        .any(|wanted| matches(event, wanted.strip_prefix("v1.").unwrap_or(wanted)))
                })
        };
        let all = self.all("WebhookEndpoint").chain(self.all("EventDestination"));
        let found = all.filter(wants).filter_map(|row| {
            let id = text(row, "id");
            let side = self.get("EndpointSecrets", id)?;
            let thin = text(row, "event_payload") == "thin";
            let url = some(row, "url").or_else(|| row.get("webhook_endpoint")?.get("url")?.as_str())?;
            (flag(side, "connect") == connected).then(|| Receiver {
                id: id.to_owned(),
                url: url.to_owned(),
                secret: text(side, "secret").to_owned(),
                version: some(row, "api_version").or_else(|| some(row, "snapshot_api_version")).map(str::to_owned),
                thin,
            })
        });
        found.collect()
    }
}

fn check_url(params: &Row) -> Result<()> {
    let Some(url) = params.get("url") else { return Ok(()) };
    let url = url.as_str().unwrap_or_default();
    let fine = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    if fine { Ok(()) } else { Err(Refused::invalid(format!("Not a valid URL: {url}")).code("url_invalid").param("url")) }
}

/// Where an event goes.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) version: Option<String>,
    pub(super) thin: bool,
}

/// `v1` of a message: the time, a dot and the body, under the whole secret.
pub(super) fn signature(secret: &str, time: i64, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Puts a message on its way.
pub(super) fn send(outbox: &Outbox, settings: &Settings, receiver: &Receiver, label: String, body: &Json) {
    let (secret, age, rolling) = (receiver.secret.clone(), settings.signature_age_s, settings.rolling_secret);
    let pauses: Vec<Duration> = settings.webhook_pauses_s.iter().copied().map(Duration::from_secs).collect();
    outbox.send(Hook {
        vendor: "stripe",
        label: format!("{label} {}", receiver.id),
        url: receiver.url.clone(),
        headers: Arc::new(move |now, body| headers(&secret, now - age, rolling, body)),
        body: serde_json::to_vec_pretty(body).unwrap_or_default().into(),
        pauses: pauses.into(),
        accepts: |status, _| (200..300).contains(&status),
    });
}

fn headers(secret: &str, time: i64, rolling: bool, body: &[u8]) -> HeaderMap {
    let old = if rolling { format!("v1={},", signature("whsec_rolled", time, body)) } else { String::new() };
    let value = format!("t={time},{old}v1={},v0={}", signature(secret, time, body), "0".repeat(64));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("Stripe/1.0 (+https://stripe.com/docs/webhooks)"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*; q=0.5, application/xml"));
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert("stripe-signature", value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn the_signature_is_the_one_of_the_vendors_client() {
        let body = br#"{"id":"evt_1QTestEvent000000000001","object":"event","type":"invoice.paid"}"#;
        let signed = signature("whsec_test_8f2b6c1d9e7a4f03", 1_795_219_200, body);
        assert_eq!(signed, "37924f609db600e513200f75a39c65ceffee711e2e92f1fff0362675af74a529");
    }
}
