//! What can be asked of a recipe text.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// One change of a recipe. In JSON: `{"change": "set_field", "at": …, "value": …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Adds a step.
    InsertStep {
        /// Where.
        at: Place,
        /// The step: YAML at any indentation, with or without its dash, or JSON.
        step: String,
    },
    /// Moves a step, with its comments, to another place, which may be in another list.
    MoveStep {
        /// The step.
        id: String,
        /// Where to.
        to: Place,
    },
    /// Adds a copy of a step behind it. The copy and every step inside get new ids (`name_2`), and
    /// what the copy says about itself follows.
    DuplicateStep {
        /// The step.
        id: String,
    },
    /// Removes a step with all that is in it and its comments.
    RemoveStep {
        /// The step.
        id: String,
    },
    /// Puts steps that follow one another into a new step.
    WrapStep {
        /// The steps, in order.
        ids: Vec<String>,
        /// The new step.
        wrapper: Wrapper,
    },
    /// Puts another text in the place of a step. YAML replaces the step with its comments, as
    /// [`step_text`](crate::step_text) shows it; JSON changes only values that differ.
    ReplaceStep {
        /// The step.
        id: String,
        /// The text: YAML, or JSON.
        step: String,
    },
    /// Gives a field a value. Records on the way that are missing are made; the place behind the
    /// last item of a list adds one.
    SetField {
        /// The field.
        at: FieldPath,
        /// The value.
        value: NewValue,
    },
    /// Changes the key of a field.
    RenameField {
        /// The field.
        at: FieldPath,
        /// Its new key.
        name: String,
    },
    /// Removes a field or a list item with its comments.
    RemoveField {
        /// The field.
        at: FieldPath,
    },
    /// Adds an item to a list, before the item that has the place now.
    InsertItem {
        /// The place: a list and a number.
        at: FieldPath,
        /// The item.
        value: NewValue,
    },
    /// Changes a step's id and everything that refers to it: formulas, paths, scripts, tests.
    RenameId {
        /// The id.
        from: String,
        /// The new id.
        to: String,
    },
    /// Changes the name of a connection and everything that uses it.
    RenameConnection {
        /// The name.
        from: String,
        /// The new name.
        to: String,
    },
    /// Changes the name of a parameter and everything that reads it.
    RenameParam {
        /// The name.
        from: String,
        /// The new name.
        to: String,
    },
}

/// A place for a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Before the step of this id.
    Before(String),
    /// Behind the step of this id.
    After(String),
    /// First in a list of steps.
    First(StepList),
    /// Last in a list of steps.
    Last(StepList),
}

/// A list of steps. One that a step could have but has not yet is made when a step comes in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepList {
    /// The steps of the recipe.
    Recipe,
    /// The `steps` of an `each` or `repeat`.
    Steps(String),
    /// The `steps` of a branch of a `choose`, counted from 0.
    When(String, usize),
    /// The `otherwise` of a `choose`.
    Otherwise(String),
    /// A named branch of a `parallel`.
    Branch(String, String),
    /// The steps of a `try`.
    Try(String),
    /// The `catch` of a `try`.
    Catch(String),
    /// The `finally` of a `try`.
    Finally(String),
}

/// A field of a step or of the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldPath {
    /// The step; `None` for the recipe itself, its trigger, its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Keys and places from there.
    pub path: Vec<PathPart>,
}

/// One part of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathPart {
    /// The item of a list, counted from 0.
    Index(usize),
    /// The field of a record.
    Key(String),
}

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewValue {
    /// Data. Written in the style that is there; what is equal is left alone.
    Json(Json),
    /// YAML, written as it is, comments included.
    Yaml(String),
}

/// A step that takes others in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum Wrapper {
    /// For every item of a list.
    Each {
        /// The id of the new step.
        id: String,
        /// The list, such as `${ steps.orders.body }`.
        items: String,
        /// The name of the item, if not `item`.
        #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
        binding: Option<String>,
    },
    /// If a condition holds.
    Choose {
        /// The id of the new step.
        id: String,
        /// The condition.
        when: String,
    },
    /// With others if one fails.
    Try {
        /// The id of the new step.
        id: String,
    },
    /// Beside other branches.
    Parallel {
        /// The id of the new step.
        id: String,
        /// The name of the branch.
        branch: String,
    },
    /// Again and again.
    Repeat {
        /// The id of the new step.
        id: String,
        /// The condition that ends it.
        until: String,
        /// The most turns.
        max: Option<u32>,
    },
}

impl FieldPath {
    /// A field of the recipe itself.
    pub fn recipe<P: Into<PathPart>>(path: impl IntoIterator<Item = P>) -> Self {
        Self { step: None, path: path.into_iter().map(Into::into).collect() }
    }

    /// A field of a step.
    pub fn step<P: Into<PathPart>>(id: impl Into<String>, path: impl IntoIterator<Item = P>) -> Self {
        Self { step: Some(id.into()), path: path.into_iter().map(Into::into).collect() }
    }
}

impl From<&str> for PathPart {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<String> for PathPart {
    fn from(key: String) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for PathPart {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for FieldPath {
    /// `account: with.lines[0].Amount`, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            write!(f, "{step}")?;
            if !self.path.is_empty() {
                write!(f, ": ")?;
            }
        }
        for (at, part) in self.path.iter().enumerate() {
            match part {
                PathPart::Index(index) => write!(f, "[{index}]")?,
                PathPart::Key(key) if at == 0 => write!(f, "{key}")?,
                PathPart::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

impl Wrapper {
    /// The id of the new step.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Each { id, .. }
            | Self::Choose { id, .. }
            | Self::Try { id }
            | Self::Parallel { id, .. }
            | Self::Repeat { id, .. } => id,
        }
    }
}
