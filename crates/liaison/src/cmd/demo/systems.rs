//! The simulated systems of the demo, and connections to them.

use std::collections::BTreeMap;

use anyhow::Context;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};

/// Where the control page listens when that port is free.
const PORT: u16 = 9200;

/// Running systems.
pub(super) struct Systems {
    sandbox: Sandbox,
}

/// A connection to one of them.
pub(super) struct Given {
    /// The name recipes use.
    pub(super) name: &'static str,
    /// Its connector, which is also the system's id.
    pub(super) connector: &'static str,
    /// Settings.
    pub(super) config: Value,
    /// Credentials, by name.
    pub(super) credentials: BTreeMap<String, String>,
}

impl Systems {
    /// Starts them at the usual ports, or at any free ones. The books are those the stories speak of; ids and tokens
    /// are new each time, so that nothing an earlier start knew stands in the way.
    pub(super) async fn start(seed: u64) -> anyhow::Result<Self> {
        let options = |port| Options { seed, books: Some(Options::default().seed), port, ..Options::default() };
        let sandbox = match Sandbox::start(options(PORT)).await {
            Ok(sandbox) => sandbox,
            Err(_) => Sandbox::start(options(0)).await.context("the simulated systems could not start")?,
        };
        Ok(Self { sandbox })
    }

    /// Where people look at their records and make things happen.
    pub(super) fn control_url(&self) -> &str {
        self.sandbox.control_url().as_str()
    }

    fn url(&self, system: &str) -> &str {
        self.sandbox.url(system).as_str().trim_end_matches('/')
    }

    fn told(&self, system: &str) -> Value {
        self.sandbox.vendor(system).map(|vendor| vendor.credentials()).unwrap_or_default()
    }

    /// The connections; Stripe's takes events signed with any of the secrets.
    pub(super) fn connections(&self, stripe_secrets: &[String]) -> Vec<Given> {
        let picked = |told: &Value, names: &[(&str, &str)]| -> BTreeMap<String, String> {
            let pair = |(to, from): &(&str, &str)| told[*from].as_str().map(|text| ((*to).to_owned(), text.to_owned()));
            names.iter().filter_map(pair).collect()
        };
        let (crm, erp, billing, itsm, hr) =
            (self.told("salesforce"), self.told("netsuite"), self.told("stripe"), self.told("servicenow"), self.told("workday"));
        let mut stripe = picked(&billing, &[("api_key", "secret_key")]);
        if !stripe_secrets.is_empty() {
            stripe.insert("webhook_secret".to_owned(), stripe_secrets.join(" "));
        }
        vec![
            Given {
                name: "crm",
                connector: "salesforce",
                config: json!({"login_url": crm["login_url"], "sign_in": "client_credentials", "client_id": crm["client_id"],
                    "organization_id": crm["organization_id"], "pubsub_url": crm["pubsub_url"]}),
                credentials: picked(&crm, &[("client_secret", "client_secret")]),
            },
            Given {
                name: "erp",
                connector: "netsuite",
                config: json!({"account": erp["account"], "base_url": self.url("netsuite"), "auth": "certificate",
                    "certificate_id": erp["certificate_id"], "signature": "ES256"}),
                credentials: picked(&erp, &[("client_id", "client_id"), ("private_key", "private_key")]),
            },
            Given {
                name: "billing",
                connector: "stripe",
                config: json!({"api_url": self.url("stripe"), "files_url": self.url("stripe")}),
                credentials: stripe,
            },
            Given {
                name: "itsm",
                connector: "servicenow",
                config: json!({"base_url": self.url("servicenow")}),
                credentials: picked(
                    &itsm,
                    &[("username", "user_name"), ("password", "password"), ("webhook_key", "webhook_key")],
                ),
            },
            Given {
                name: "hr",
                connector: "workday",
                config: json!({"rest_endpoint": hr["rest_endpoint"], "token_endpoint": hr["token_endpoint"]}),
                credentials: picked(
                    &hr,
                    &["client_id", "client_secret", "refresh_token", "username", "password"].map(|name| (name, name)),
                ),
            },
            Given {
                name: "mail",
                connector: "email",
                config: json!({"host": self.sandbox.mail().ip().to_string(), "port": self.sandbox.mail().port(), "tls": "none",
                    "from": "Liaison <liaison@northwind.example>"}),
                credentials: BTreeMap::new(),
            },
        ]
    }

    /// Lets the simulated Stripe send all its events to an address; gives the secret it signs them with.
    pub(super) async fn send_events_to(&self, address: &str) -> anyhow::Result<String> {
        #[expect(clippy::disallowed_methods, reason = "the demo calls its own process")]
        let client = reqwest::Client::builder().no_proxy().timeout(super::CALL).build()?;
        let form = [("url", address), ("enabled_events[]", "*")];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = client
            .post(format!("{}/v1/webhook_endpoints", self.url("stripe")))
            .bearer_auth(self.told("stripe")["secret_key"].as_str().unwrap_or_default())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await?;
        let body: Value = serde_json::from_str(&answer.text().await?)?;
        let secret = body["secret"].as_str().with_context(|| format!("the simulated Stripe refused an endpoint: {body}"))?;
        Ok(secret.to_owned())
    }

    /// Makes something happen in one of them.
    pub(super) fn happen(&self, system: &str, what: &str, with: &Value) -> anyhow::Result<()> {
        let vendor = self.sandbox.vendor(system).with_context(|| format!("there is no system {system}"))?;
        vendor
            .happen(what, with)
            .map(drop)
            .map_err(|problem| anyhow::anyhow!("{system} does not let {what} happen: {}", problem.0))
    }
}
