//! What a connector can do, declared once.

use std::{pin::Pin, sync::Arc, time::Duration};

use serde_json::{Value as Json, json};

use crate::{Cx, StepError, shape::Shaped};

/// What repeating an action does. The one source for retry, uncertainty and "what will repeat".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Only reads.
    None,
    /// Repeating it leaves the same state.
    Idempotent,
    /// Repeating it may do the thing twice.
    Once,
}

/// How long a system knows a repeat by its idempotency key.
#[derive(Debug, Clone, Copy)]
pub enum KeyLife {
    /// Always so long.
    For(Duration),
    /// Always so long, and the system looks at the key before it judges the data: a repeat it refuses tells that the
    /// attempt before did not happen either.
    First(Duration),
    /// As the step says; `None` when it needs no key.
    By(fn(&Json) -> Option<Duration>),
}

/// The future of one attempt.
pub type Attempt = Pin<Box<dyn Future<Output = Result<Json, StepError>> + Send>>;

/// One page of an action that can give its result in pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items of this page, in order.
    pub items: Vec<Json>,
    /// What to ask with for the next page; `None` after the last. It means nothing to others, stays small,
    /// and may be kept: asked with it again, the action gives the same page, as far as the system does.
    pub next: Option<Json>,
}

impl Page {
    /// This page, asked for with a cursor, unless its items would come again and again: it leads back to itself.
    ///
    /// # Errors
    /// `PAGES_ENDLESS` then; what the passes before did would be done for ever.
    pub fn onward(self, cursor: Option<&Json>) -> Result<Self, StepError> {
        // A page without items may say that it is too early: nothing is done with it.
        if self.items.is_empty() || self.next.is_none() || self.next.as_ref() != cursor {
            return Ok(self);
        }
        let message = "the system's answer leads back to the same page, so the rest of the list cannot be had";
        Err(StepError::new(crate::ErrorClass::Server, "PAGES_ENDLESS", message)
            .with_next("It is tried again. If it stays, tell whoever runs the other system; what came before is kept."))
    }
}

/// The future of one page.
pub type PageAttempt = Pin<Box<dyn Future<Output = Result<Page, StepError>> + Send>>;

/// Gives one page: the first without a cursor, any other with the `next` of the page before it.
pub type Pages = Arc<dyn Fn(Cx, Json, Option<Json>) -> PageAttempt + Send + Sync>;

/// One thing a connector can do.
#[derive(Clone)]
pub struct Action {
    /// The name after the dot.
    pub id: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// One sentence on what it does.
    pub summary: &'static str,
    /// What repeating it does, which may depend on its input.
    pub effect: fn(&Json) -> Effect,
    /// How long the system knows a repeat by its idempotency key, for effects that are only idempotent thanks to one.
    /// Once an attempt with an unknown outcome is older, it is not repeated by itself.
    pub key_life: Option<KeyLife>,
    /// True when it can only be used through a connection.
    pub needs_connection: bool,
    /// JSON Schema of its input.
    pub input: Json,
    /// JSON Schema of its output.
    pub output: Json,
    /// An output as the system gives it, for documents and for trying a recipe before it is connected.
    pub sample: Option<Json>,
    /// Which object of the system its input and output are of, when the connection can tell that object's fields.
    pub shaped: Option<Shaped>,
    /// One attempt.
    pub run: Arc<dyn Fn(Cx, Json) -> Attempt + Send + Sync>,
    /// The same result page by page, for actions that can; `run` then gives all pages up to a limit.
    pub pages: Option<Pages>,
}

impl Action {
    /// An action that is used through a connection, takes nothing, gives anything and does its thing again when
    /// repeated. Say more with the methods below.
    pub fn new<F, R>(id: &'static str, title: &'static str, summary: &'static str, run: F) -> Self
    where
        F: Fn(Cx, Json) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Json, StepError>> + Send + 'static,
    {
        Self {
            id,
            title,
            summary,
            effect: |_| Effect::Once,
            key_life: None,
            needs_connection: true,
            input: json!({"type": "object", "properties": {}, "additionalProperties": false}),
            output: json!({}),
            sample: None,
            shaped: None,
            run: Arc::new(move |cx, input| Box::pin(run(cx, input))),
            pages: None,
        }
    }

    /// It only reads.
    #[must_use]
    pub fn reads(mut self) -> Self {
        self.effect = |_| Effect::None;
        self
    }

    /// Repeating it leaves the same state: the system is asked with a key of its own, or the same is written again.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.effect = |_| Effect::Idempotent;
        self
    }

    /// It is idempotent only as long as the system knows its idempotency key; [`Duration::MAX`] when the key is kept for
    /// good, such as in the external id of what is made.
    #[must_use]
    pub const fn key_life(mut self, life: Duration) -> Self {
        self.key_life = Some(KeyLife::For(life));
        self
    }

    /// As [`Action::key_life`], of a system that looks at the key before it judges the data.
    #[must_use]
    pub const fn key_first(mut self, life: Duration) -> Self {
        self.key_life = Some(KeyLife::First(life));
        self
    }

    /// How long a repeat with this input is known; `None` where it needs no key, or where no repeat is known.
    #[must_use]
    pub fn key_life_of(&self, input: &Json) -> Option<Duration> {
        match self.key_life {
            _ if (self.effect)(input) != Effect::Idempotent => None,
            Some(KeyLife::For(life) | KeyLife::First(life)) => Some(life),
            Some(KeyLife::By(life)) => life(input),
            None => None,
        }
    }

    /// What repeating it does depends on its input.
    #[must_use]
    pub fn effect(mut self, effect: fn(&Json) -> Effect) -> Self {
        self.effect = effect;
        self
    }

    /// What it takes: a JSON Schema that refuses names it does not know.
    #[must_use]
    pub fn input(mut self, schema: Json) -> Self {
        self.input = schema;
        self
    }

    /// What it gives: a JSON Schema.
    #[must_use]
    pub fn output(mut self, schema: Json) -> Self {
        self.output = schema;
        self
    }

    /// An output as the system gives it.
    #[must_use]
    pub fn sample(mut self, sample: Json) -> Self {
        self.sample = Some(sample);
        self
    }

    /// It is about an object whose fields the connection can tell.
    #[must_use]
    pub fn shaped(mut self, shaped: Shaped) -> Self {
        self.shaped = Some(shaped);
        self
    }

    /// It can give its result page by page.
    #[must_use]
    pub fn pages<F, R>(mut self, pages: F) -> Self
    where
        F: Fn(Cx, Json, Option<Json>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Page, StepError>> + Send + 'static,
    {
        self.pages = Some(Arc::new(move |cx, input, cursor| Box::pin(pages(cx, input, cursor))));
        self
    }
}

/// All pages of an action, one after the other, as long as there are not more than `items_max` items. Actions that
/// can give pages use it for their `run`.
///
/// # Errors
/// Those of the pages; and when there are more items, because a part would look like the whole.
pub async fn whole<F, R>(items_max: usize, mut page: F) -> Result<Vec<Json>, StepError>
where
    F: FnMut(Option<Json>) -> R,
    R: Future<Output = Result<Page, StepError>>,
{
    let mut items = Vec::new();
    let mut cursor: Option<Json> = None;
    loop {
        let found = page(cursor.clone()).await?.onward(cursor.as_ref())?;
        items.extend(found.items);
        if items.len() > items_max {
            return Err(StepError::new(
                crate::ErrorClass::Invalid,
                "TOO_MANY_ITEMS",
                format!("there are more than {items_max} items, too many to hold at once"),
            )
            .with_next("Go through them in an each step with stream: true, or ask for fewer."));
        }
        match found.next {
            Some(next) => cursor = Some(next),
            None => return Ok(items),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_page_that_leads_back_to_itself_is_not_read_again() {
        let mut asked = 0;
        let outcome = whole(1_000, |cursor| {
            asked += 1;
            let next = cursor.clone().map_or(json!(1), |_| json!(2));
            async move { Ok(Page { items: vec![json!("same")], next: Some(next) }) }
        });
        assert_eq!((outcome.await.unwrap_err().code.as_str(), asked), ("PAGES_ENDLESS", 3));
    }

    #[tokio::test]
    async fn a_page_that_is_not_ready_may_be_asked_for_again() {
        let mut asked = 0;
        let items = whole(10, |_| {
            asked += 1;
            let page = if asked < 4 { (vec![], Some(json!("report"))) } else { (vec![json!(1)], None) };
            async move { Ok(Page { items: page.0, next: page.1 }) }
        });
        assert_eq!(items.await.unwrap(), [json!(1)]);
    }
}
