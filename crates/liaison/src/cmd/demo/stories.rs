//! What happens in the simulated systems, so that each sample recipe runs once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context;
use engine::{Engine, Event, Intake};
use serde::Deserialize;
use serde_json::Value;
use store::{RunFilter, RunStatus, Timestamp, Via};

use super::systems::Systems;

/// The stories, beside the recipes.
const STORIES: &str = include_str!("../../../../../recipes/demo.json");
/// How long all of them may take; triggers that ask see what is new a minute late, as the systems' makers advise.
const ALL: Duration = Duration::from_secs(240);
/// How often triggers are let ask at once.
const HASTEN: Duration = Duration::from_secs(5);

/// How a recipe comes to run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Story {
    /// The recipe.
    pub(super) recipe: String,
    start: Start,
    expect: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Start {
    /// Something happens in a system.
    Happen(Happening),
    /// Somebody starts it, after something happened that it will find.
    Run { event: Value, after: Option<Happening> },
    /// Another story starts it, or its trigger finds what is there.
    Follow {},
}

/// Something that happens in a system.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Happening {
    vendor: String,
    event: String,
    body: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    Succeeded,
    /// For a person.
    Waiting,
    Failed,
}

/// The stories of the folder.
pub(super) fn all() -> anyhow::Result<Vec<Story>> {
    serde_json::from_str(STORIES).context("recipes/demo.json cannot be read")
}

/// Begins every story and waits until their recipes ran; says how many did, and names the others.
pub(super) async fn play(engine: &Arc<Engine>, systems: &Systems) -> anyhow::Result<String> {
    let stories = all()?;
    let began = engine.now();
    for story in &stories {
        begin(engine, systems, story).await.with_context(|| format!("recipe {}", story.recipe))?;
    }
    let mut open: BTreeSet<&str> = stories.iter().map(|story| story.recipe.as_str()).collect();
    let mut changes = engine.live.watch();
    let until = tokio::time::Instant::now() + ALL;
    let mut hasten = tokio::time::interval(HASTEN);
    while !open.is_empty() && tokio::time::Instant::now() < until {
        tokio::select! {
            _ = hasten.tick() => ask(engine, &open).await,
            _ = changes.recv() => {}
        }
        for story in &stories {
            if open.contains(story.recipe.as_str()) && ended(engine, story, began).await? {
                open.remove(story.recipe.as_str());
            }
        }
    }
    let ran = stories.len() - open.len();
    let told = format!("Demo: {ran} of {} recipes over the simulated systems ran.", stories.len());
    if open.is_empty() {
        return Ok(told);
    }
    Ok(format!("{told} Not as they should: {}.", open.into_iter().collect::<Vec<_>>().join(", ")))
}

async fn begin(engine: &Arc<Engine>, systems: &Systems, story: &Story) -> anyhow::Result<()> {
    match &story.start {
        Start::Happen(happening) => let_happen(systems, happening),
        Start::Follow {} => Ok(()),
        Start::Run { event, after } => {
            after.iter().try_for_each(|happening| let_happen(systems, happening))?;
            let recipe = engine.catalogue().recipes.get(&story.recipe).map(Arc::clone).context("it is not switched on")?;
            let data = Arc::new(event.clone());
            let event = Event { data, via: Via::Api, key: None, key_wins: false, fingerprint: None, replay_of: None };
            match engine.accept(&recipe, event).await? {
                Intake::Accepted { .. } | Intake::Duplicate { .. } => Ok(()),
                Intake::Filtered => anyhow::bail!("its trigger does not want the event"),
            }
        }
    }
}

fn let_happen(systems: &Systems, Happening { vendor, event, body }: &Happening) -> anyhow::Result<()> {
    systems.happen(vendor, event, body)
}

/// Lets triggers ask now: a newcomer does not wait for their pause.
async fn ask(engine: &Engine, slugs: &BTreeSet<&str>) {
    for slug in slugs {
        if let Some(recipe) = engine.catalogue().recipes.get(*slug) {
            // Triggers that do not ask are not to be hastened.
            let _ = engine.hasten_poll(recipe).await;
        }
    }
}

/// Whether a run since the demo began ended as it should.
async fn ended(engine: &Engine, story: &Story, began: Timestamp) -> anyhow::Result<bool> {
    let Some(recipe) = engine.catalogue().recipes.get(&story.recipe).map(|recipe| recipe.row.id) else { return Ok(false) };
    let wanted = match story.expect {
        Expected::Succeeded => RunStatus::Succeeded,
        Expected::Waiting => RunStatus::Waiting,
        Expected::Failed => RunStatus::Failed,
    };
    let filter = RunFilter { recipe: Some(recipe), statuses: vec![wanted], since: Some(began), limit: 1, ..RunFilter::default() };
    Ok(!engine.store().runs(&filter).await?.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_story_is_of_a_recipe_of_the_folder_and_of_one_only() {
        let stories = super::all().expect("the stories can be read");
        let names: BTreeSet<&str> = stories.iter().map(|story| story.recipe.as_str()).collect();
        assert_eq!(names.len(), stories.len());
        assert!(names.len() >= 10, "{names:?}");
        for name in names {
            assert!(super::super::RECIPES.iter().any(|text| text.contains(&format!("\nrecipe: {name}\n"))), "{name}");
        }
    }
}
