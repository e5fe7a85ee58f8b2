//! One vendor's connector against its simulated system.

use std::{collections::HashMap, sync::Arc, time::Duration};

use connector::{
    AddressPolicy, Connection, Connector, Cx, Page, Polled, Position, Secret, StepError,
    http::{Http, HttpOptions},
};
use sandbox::Sandbox;
use serde_json::Value as Json;

/// A connection to a simulated system, ready for calls.
pub struct Vendor {
    pub sandbox: Sandbox,
    pub connector: Connector,
    pub connection: Arc<Connection>,
    pub http: Http,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl Vendor {
    /// Starts the sandbox and connects; settings and credentials are made from its address and what it says of itself.
    pub async fn start(id: &str, connection: impl FnOnce(&Sandbox) -> (Json, Json)) -> Self {
        let sandbox = Sandbox::start(sandbox::Options::default()).await.unwrap();
        let connector = connectors::all().into_iter().find(|connector| connector.id == id).unwrap();
        let (config, credentials) = connection(&sandbox);
        let credentials: HashMap<String, Secret> = credentials
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, text)| (name.clone(), Secret::new(text.as_str().unwrap().to_owned())))
            .collect();
        (connector.validate)(&config, &credentials).unwrap();
        let connection = Arc::new(Connection { name: id.to_owned(), connector: id.to_owned(), config, credentials });
        let policy = AddressPolicy::with_private();
        let http = Http::new(HttpOptions { policy, ..HttpOptions::default() }).unwrap();
        Self { sandbox, connector, connection, http, timeout: Duration::from_secs(20) }
    }

    /// What an attempt is given.
    pub fn cx(&self, key: &str) -> Cx {
        Cx {
            http: self.http.clone(),
            connection: Some(Arc::clone(&self.connection)),
            idempotency_key: key.into(),
            timeout: self.timeout,
            began: tokio::time::Instant::now(),
            began_us: self.sandbox.world().clock().now().as_microsecond(),
            attempt: 1,
            in_doubt: false,
            run_id: "run_1".into(),
            path: "step".into(),
            traceparent: None,
            turns: None,
        }
    }

    /// One attempt of an action; the input must fit its schema, and the output too.
    pub async fn call(&self, action: &str, input: Json) -> Result<Json, StepError> {
        self.call_with(self.cx("run_1/step"), action, input).await
    }

    /// The same in a context of its own.
    pub async fn call_with(&self, cx: Cx, action: &str, input: Json) -> Result<Json, StepError> {
        let action = self.connector.action(action).unwrap_or_else(|| panic!("there is no action {action}"));
        fits(&action.input, &input, &format!("the input of {}", action.id));
        let output = (action.run)(cx, input).await?;
        fits(&action.output, &output, &format!("the output of {}", action.id));
        Ok(output)
    }

    /// All pages of an action.
    pub async fn pages(&self, action: &str, input: Json) -> Result<Vec<Page>, StepError> {
        let pages = self.connector.action(action).unwrap().pages.clone().unwrap();
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = pages(self.cx("run_1/step"), input.clone(), cursor).await?;
            cursor = page.next.clone();
            found.push(page);
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Asks a polling trigger once.
    pub async fn poll(&self, trigger: &str, with: Json, from: Position) -> Result<Polled, StepError> {
        let trigger = self.connector.trigger(trigger).unwrap_or_else(|| panic!("there is no trigger {trigger}"));
        fits(&trigger.config, &with, &format!("the settings of {}", trigger.id));
        let polled = (trigger.poll.as_ref().unwrap().ask)(self.cx("poll"), with, from).await?;
        for event in &polled.events {
            fits(&trigger.output, &event.data, &format!("an event of {}", trigger.id));
        }
        Ok(polled)
    }
}

/// Fails the test when a value does not fit its schema.
pub fn fits(schema: &Json, value: &Json, what: &str) {
    let validator = jsonschema::validator_for(schema).unwrap_or_else(|error| panic!("{what} has a broken schema: {error}"));
    if let Some(error) = validator.iter_errors(value).next() {
        panic!("{what} does not fit its schema at {}: {error}\n{value:#}", error.instance_path());
    }
}
