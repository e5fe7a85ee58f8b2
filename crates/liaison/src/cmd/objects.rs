//! What the systems behind a server's connections told of their objects, held against files as the server will hold it.

use std::{
    collections::{BTreeSet, HashMap},
    io::Write as _,
};

use recipe::{Catalogue, Parsed, Severity, ShapeOf};
use reqwest::{Method, StatusCode};

use crate::remote::{Answer, Remote};

/// What was told so long ago is asked for anew because of a problem, as the server does.
const JUST_S: u64 = 30;

/// What was asked so far, for all files together.
pub(super) struct Objects<'a> {
    remote: &'a Remote,
    /// The connector that each connection leads to.
    connectors: HashMap<String, String>,
    /// `None`: nothing is told of it.
    told: HashMap<ShapeOf, Option<engine::Told>>,
    /// Why some were not told, each said once.
    said: BTreeSet<String>,
}

impl<'a> Objects<'a> {
    /// Those of a server. A key that may not read connections gets none, and says so.
    pub(super) async fn of(remote: &'a Remote) -> anyhow::Result<Self> {
        let mut objects = Self { remote, connectors: HashMap::new(), told: HashMap::new(), said: BTreeSet::new() };
        let allowed = remote.send(Method::GET, "/api/v1/connections?limit=1", None).await?;
        if allowed.status == StatusCode::FORBIDDEN {
            objects.say(&format!("fields are not held against the server's connections: {}", words(&allowed)));
            return Ok(objects);
        }
        allowed.good()?;
        for row in remote.everything("/api/v1/connections").await? {
            if let (Some(name), Some(connector)) = (row["name"].as_str(), row["connector"].as_str()) {
                objects.connectors.insert(name.to_owned(), connector.to_owned());
            }
        }
        Ok(objects)
    }

    /// Reads and checks a recipe, also against what is told of the objects it names.
    pub(super) async fn check(&mut self, text: &[u8], catalogue: &Catalogue) -> anyhow::Result<Parsed> {
        let plain = recipe::parse_and_check(text, catalogue);
        let Some(read) = &plain.recipe else { return Ok(plain) };
        let mut wanted = recipe::shapes_wanted(read, catalogue);
        wanted.retain(|of| {
            let says = read.connections.iter().find(|bound| bound.name.value == of.connection);
            says.is_some_and(|says| self.connectors.get(&of.connection) == Some(&says.connector.value))
        });
        for of in &wanted {
            if !self.told.contains_key(of) {
                let told = self.ask(of, false).await?;
                self.told.insert(of.clone(), told);
            }
        }
        let checked = engine::check_against(text, catalogue, &self.known(&wanted));
        if errors(&checked) <= errors(&plain) {
            return Ok(checked);
        }
        // A field that is missing may have been added since.
        for of in &wanted {
            if self.told.get(of).is_some_and(|told| told.as_ref().is_some_and(|told| !told.sure))
                && let Some(anew) = self.ask(of, true).await?
            {
                self.told.insert(of.clone(), Some(anew));
            }
        }
        Ok(engine::check_against(text, catalogue, &self.known(&wanted)))
    }

    fn known(&self, wanted: &BTreeSet<ShapeOf>) -> HashMap<ShapeOf, engine::Told> {
        wanted.iter().filter_map(|of| Some((of.clone(), self.told.get(of)?.clone()?))).collect()
    }

    /// What the server knows of an object; what it cannot tell is no error of the recipe.
    async fn ask(&mut self, of: &ShapeOf, refresh: bool) -> anyhow::Result<Option<engine::Told>> {
        let object: String = form_urlencoded::byte_serialize(of.object.as_bytes()).collect();
        let place = format!("/api/v1/connections/{}/objects/{object}?refresh={refresh}", of.connection);
        let answer = self.remote.send(Method::GET, &place, None).await?;
        if answer.status == StatusCode::BAD_GATEWAY {
            self.say(&format!("the fields of {} are not known: {}", of.object, words(&answer)));
        }
        if !answer.status.is_success() {
            return Ok(None);
        }
        let mut body = answer.json();
        let sure = body["age_s"].as_u64().is_some_and(|age| age < JUST_S);
        Ok(Some(engine::Told { schema: body["schema"].take(), sure }))
    }

    fn say(&mut self, words: &str) {
        if self.said.insert(words.to_owned()) {
            let _ = writeln!(std::io::stderr(), "note: {words}");
        }
    }
}

fn words(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().map_or_else(|| format!("the server answered {}", answer.status), str::to_owned)
}

fn errors(parsed: &Parsed) -> usize {
    parsed.diagnostics.iter().filter(|problem| problem.severity == Severity::Error).count()
}
