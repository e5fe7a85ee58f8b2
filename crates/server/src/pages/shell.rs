//! What every page carries around its content: theme, zone, navigation, the person, the place.

use super::format::{Moment, Zone};

/// Light, dark, or what the system says. A cookie read by the server, so there is no flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// Follow the system.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name shown at the foot of the sidebar.
    pub name: String,
}

/// The numbers beside the sidebar's links; zero shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NavCounts {
    /// Dead letters to review.
    pub dead_letters: u64,
    /// Approvals that wait for this person.
    pub approvals: u64,
    /// Connections that are paused or need a sign-in.
    pub connections: u64,
}

/// The part of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `/`
    Home,
    /// `/runs`
    Runs,
    /// `/recipes`
    Recipes,
    /// Any other; compared with the link's address.
    Other(&'static str),
    /// No link is marked.
    None,
}

/// The surroundings of a page.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The chosen theme.
    pub theme: Theme,
    /// The zone in which times are shown, from the `tz` cookie.
    pub zone: Zone,
    /// The server's clock when the page was made.
    pub now_us: i64,
    /// The environment's name, such as `Production`.
    pub environment: String,
    /// Who is signed in; `None` only on the sign-in page.
    pub user: Option<Person>,
    /// Numbers beside links.
    pub counts: NavCounts,
    /// Path and query of this request: "Try again" and the theme form lead back here.
    pub here: String,
    /// The request's id, for "Copy details".
    pub request_id: String,
}

/// A list or page that could not be loaded: the three parts of every failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFailure {
    /// "The runs could not be loaded".
    pub what: String,
    /// "The database did not answer within 5 seconds. Your recipes keep running."
    pub why: String,
}

/// One link of the sidebar.
#[derive(Debug, Clone, Copy)]
pub struct NavLink {
    /// Where it leads.
    pub href: &'static str,
    /// The word.
    pub word: &'static str,
    /// The icon.
    pub icon: &'static str,
}

/// One titled group of the sidebar.
#[derive(Debug, Clone, Copy)]
pub struct NavGroup {
    /// Operate, Build or Administer.
    pub title: &'static str,
    /// Its links.
    pub links: &'static [NavLink],
}

const fn link(href: &'static str, word: &'static str, icon: &'static str) -> NavLink {
    NavLink { href, word, icon }
}

/// The sidebar, top to bottom.
pub const NAVIGATION: [NavGroup; 3] = [
    NavGroup {
        title: "Operate",
        links: &[
            link("/", "Home", "home"),
            link("/runs", "Runs", "runs"),
            link("/dead-letters", "Dead letters", "dead"),
            link("/approvals", "Approvals", "approve"),
            link("/schedules", "Schedules", "cal"),
        ],
    },
    NavGroup {
        title: "Build",
        links: &[
            link("/recipes", "Recipes", "recipe"),
            link("/connections", "Connections", "plug"),
            link("/connectors", "Connectors", "grid"),
            link("/tables", "Lookup tables", "table"),
        ],
    },
    NavGroup {
        title: "Administer",
        links: &[
            link("/api-clients", "API clients", "key"),
            link("/users", "Users and roles", "users"),
            link("/audit", "Audit log", "audit"),
            link("/settings", "Settings", "gear"),
            link("/docs/api", "API docs", "book"),
        ],
    },
];

impl Theme {
    /// The theme of the `theme` cookie's value; anything unknown follows the system.
    pub fn from_cookie(value: Option<&str>) -> Self {
        match value {
            Some("light") => Self::Light,
            Some("dark") => Self::Dark,
            _ => Self::System,
        }
    }

    /// The value of `data-theme`, if the theme is fixed.
    pub fn attribute(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Light => Some("light"),
            Self::Dark => Some("dark"),
        }
    }

    /// The theme the switch leads to when the script is off.
    pub fn other(self) -> &'static str {
        if self == Self::Dark { "light" } else { "dark" }
    }
}

impl Person {
    /// Up to two initials for the avatar.
    pub fn initials(&self) -> String {
        self.name.split_whitespace().filter_map(|part| part.chars().next()).take(2).flat_map(char::to_uppercase).collect()
    }
}

impl Section {
    /// Whether the link to `href` is the current one.
    pub fn is(self, href: &str) -> bool {
        match self {
            Self::Home => href == "/",
            Self::Runs => href == "/runs",
            Self::Recipes => href == "/recipes",
            Self::Other(path) => href == path,
            Self::None => false,
        }
    }
}

impl NavCounts {
    /// The number beside the link to `href` with its tone and what it counts, if there is one.
    pub fn beside(&self, href: &str) -> Option<(u64, &'static str, &'static str)> {
        let (n, tone, what) = match href {
            "/dead-letters" => (self.dead_letters, "bad", "to review"),
            "/approvals" => (self.approvals, "hold", "waiting for you"),
            "/connections" => (self.connections, "bad", "need attention"),
            _ => return None,
        };
        (n > 0).then_some((n, tone, what))
    }
}

impl Shell {
    /// A shell with nothing chosen: system theme, UTC, no person. For tests and the sign-in page.
    pub fn bare(now_us: i64, here: &str) -> Self {
        Self {
            theme: Theme::System,
            zone: Zone::utc(),
            now_us,
            environment: "Production".to_owned(),
            user: None,
            counts: NavCounts::default(),
            here: here.to_owned(),
            request_id: String::new(),
        }
    }

    /// An instant, ready for `<time>`.
    pub fn at(&self, us: &i64) -> Moment {
        self.zone.moment(*us, self.now_us)
    }

    /// The short name of the zone now, for table headers.
    pub fn zone_name(&self) -> String {
        self.zone.short(self.now_us)
    }

    /// The address of a file of the bundle.
    pub fn asset(&self, name: &str) -> String {
        crate::assets::asset(name)
    }

    /// Whether the bundle is there, so that the script can be linked.
    pub fn enhanced(&self) -> bool {
        crate::assets::is_bundled()
    }

    /// The sidebar.
    pub fn navigation(&self) -> &'static [NavGroup] {
        &NAVIGATION
    }
}
