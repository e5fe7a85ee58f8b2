//! How connections are, as the API tells it.

use engine::{Forecast, Health, HealthView};
use serde::Serialize;
use store::{ConnectionRow, Timestamp};
use utoipa::ToSchema;

use super::instant;
use crate::{error::ApiError, state::Shared};

/// How a connection is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthOut {
    /// `healthy`; `needs_sign_in`: a person must sign in anew or change its credentials, runs fail without a call until then;
    /// `paused`: its circuit is open; `limited`: its budget is used up or its system asked to wait; `never_used`.
    state: String,
    /// Why; null when there is nothing to say.
    state_reason: Option<String>,
    /// Since when, as far as it is known.
    since: Option<String>,
    /// The last call that was answered.
    last_used_at: Option<String>,
    /// When the other system ends the sign-in, however much it is used; null when it does not, or nobody knows. A week before,
    /// `state_reason` says so.
    sign_in_ends_at: Option<String>,
}

/// How a day's limit is used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ForecastOut {
    /// Calls a day at the rate of this day so far; null when no day is limited.
    uses_per_day: Option<f64>,
    /// When the day's limit is used up at that rate; null when it lasts.
    runs_out_at: Option<String>,
}

impl HealthOut {
    fn of(view: HealthView, damaged: bool) -> Self {
        // What cannot be opened cannot sign in.
        let health = if damaged { Health::NeedsSignIn } else { view.health };
        let reason = if damaged { "Its credentials cannot be opened.".to_owned() } else { view.reason };
        Self {
            state: health.as_str().to_owned(),
            state_reason: (!reason.is_empty()).then_some(reason),
            since: view.since.filter(|_| !damaged).map(instant),
            last_used_at: view.last_used_at.map(instant),
            sign_in_ends_at: view.sign_in_ends_at.map(instant),
        }
    }

    /// How these connections are, in their order.
    pub(crate) async fn of_all(app: &Shared, rows: &[ConnectionRow]) -> Result<Vec<Self>, ApiError> {
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let views = app.engine.health_of(&names).await?;
        let catalogue = app.engine.catalogue();
        let damaged = |row: &ConnectionRow| catalogue.sealed.contains_key(&row.name);
        Ok(rows.iter().zip(views).map(|(row, view)| Self::of(view, damaged(row))).collect())
    }
}

impl ForecastOut {
    pub(crate) fn of(forecast: &Forecast) -> Self {
        Self { uses_per_day: forecast.uses_per_day, runs_out_at: forecast.runs_out_at.map(instant) }
    }

    pub(crate) async fn of_one(app: &Shared, name: &str, now: Timestamp) -> Result<Self, ApiError> {
        Ok(Self::of(&app.engine.gates_of(name).await?.forecast(now)))
    }
}
