//! Workday: workers and their changes over web services, everything else over REST, queries and reports.
//!
//! Little of Workday is documented in public, and tenants differ. What could not be verified, and what was chosen then, stands
//! in [`NOTES`].

mod api;
mod changes;
mod documents;
mod hires;
mod integrations;
mod lists;
mod people;
mod photos;
mod raas;
mod raw;
mod schema;
mod settings;
mod shapes;
mod soap;
mod triggers;
mod writes;

use connector::{Budget, Connector, Limits};

/// Workday publishes no limits; about ten calls a second were observed for a tenant, and large pages should not be asked
/// for by many at once.
const BUDGET: Budget = Budget { per_second: Some(8.0), burst: Some(10), per_day: None, in_flight: Some(4) };

const NOTES: &[&str] = &[
    "Little of Workday is documented in public, and tenants differ. What follows could not be verified.",
    "A lost refresh token answers 400 `invalid_grant`; the connection needs a person then.",
    "`Run_Now` is never sent; `Auto_Complete` only where the step asks for it.",
    "References and criteria are never sent in one request; the version stands in the address and in the request.",
    "Options of a WQL data source are written as the user writes them; nothing is added.",
    "Names in the service `Staffing`, and journals over REST, are those of the simulated system; `call_operation` and `call_rest` reach whatever a tenant has under other names.",
    "Whether `total` is right is not known: lists go on until a page is not full.",
    "A change to come that is moved to another day may be told on both days; one that was taken back is told on neither.",
    "The words for how an integration's run stands are those of the simulated system; its completion is told by its time.",
    "Of personal information birth, gender, marital status and nationality can be changed, as public clients name them. The change has no effective date.",
    "Not offered: ethnicity, religion, disability and citizenship; of a hire's compensation packages, grades, allowances and bonuses; putting documents, as nothing says how Workday would know a repeat. `call_operation` reaches them.",
    "A rescinded hire vanishes from the answers, log and all: only a full comparison finds it.",
];

pub(crate) fn connector() -> Connector {
    let actions = people::actions()
        .into_iter()
        .chain(changes::actions())
        .chain(writes::actions())
        .chain(lists::actions())
        .chain(raas::actions())
        .chain(photos::actions())
        .chain([hires::action(), documents::action()])
        .chain(integrations::actions())
        .chain(raw::actions());
    Connector::new("workday", "Workday", "People, organizations, time off, expenses and finance in Workday.")
        .connections(settings::config(), settings::credentials(), settings::validate)
        .sign_in(settings::sign_in())
        .test("check_connection", serde_json::json!({}))
        .limits(Limits { budget: BUDGET, ..Limits::default() })
        .errors(api::ERRORS)
        .notes(NOTES)
        .shapes(shapes::shapes())
        .actions(actions)
        .triggers(triggers::all())
}
