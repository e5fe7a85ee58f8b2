//! The pages: plain view models, filled by the handlers, written by askama templates of
//! `web/templates`. Nothing here knows the store, the engine or the router.
//!
//! A page type is a struct with a [`shell::Shell`], ready data and a template; it answers a request by
//! itself (`askama_web::WebTemplate`). Every page type has samples in [`samples`] for each of its states,
//! and one test renders them all.

pub mod causes;
pub mod data_view;
pub mod dead_letters;
pub mod docs;
mod doubt;
pub mod format;
mod inspector;
pub mod mark;
pub mod message;
pub mod recipes;
pub mod run;
pub mod runs;
pub mod samples;
pub mod shell;
pub mod signin;
pub mod status;
pub mod step;
pub mod timeline;
mod waiting;

#[cfg(test)]
mod tests;

pub use self::{
    format::Zone,
    mark::Mark,
    message::{Action, MessagePage},
    recipes::{LastRun, RecipeRow, RecipeState, RecipesPage},
    run::{ErrorCard, LeftOut, LogEntry, NextAction, RunHead, RunLink, RunPage, RunPane, RunQuery},
    runs::{Count, RecipeChoice, RunFilter, RunRow, RunsPage},
    shell::{LoadFailure, NavCounts, Person, Shell, Theme},
    signin::{SigninPage, SigninState},
    status::{RunKind, RunStatus, StepStatus, WaitFor},
    step::{Bar, BarStatus, Park, Payload, Request, StepError, StepKind, StepRow},
    waiting::{Behind, Waiting},
};
