//! The org with all that is around it: settings, sessions, cursors, loads, messages.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use parking_lot::{Mutex, RwLock};
use serde_json::{Value as Json, json};

use super::{
    approvals::Approvals,
    bulk::Loads,
    bus::Bus,
    cursors::Cursors,
    errors::{Outcome, Trouble},
    org::Org,
    outbound, pubsub, seed,
    settings::Settings,
    soql::Look,
    streaming::{self, Listeners},
    write::{Duplicates, Writer},
};
use crate::{
    Company, Problem, Random, World,
    tokens::{Codes, Policy, Tokens},
};

/// Refresh tokens a user may hold for an app.
const REFRESH_PER_USER: usize = 5;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// What an app signs in with.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub client_id: String,
    pub client_secret: String,
    pub password: String,
    pub security_token: String,
    /// The user that apps act as.
    pub user: Arc<str>,
    pub username: String,
}

/// The system.
pub(super) struct System {
    pub me: Weak<System>,
    pub world: Arc<World>,
    pub org: Mutex<Org>,
    pub settings: RwLock<Settings>,
    pub identity: RwLock<Identity>,
    pub tokens: Tokens,
    pub codes: Codes,
    pub cursors: Mutex<Cursors>,
    pub loads: Mutex<Loads>,
    pub approvals: Mutex<Approvals>,
    pub bus: Mutex<Bus>,
    pub listeners: Mutex<Listeners>,
    pub random: Mutex<Random>,
    pub schema_changed_ms: AtomicI64,
    used: AtomicU64,
    used_since_ms: AtomicI64,
}

impl System {
    pub(super) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            world: world.clone(),
            org: Mutex::new(Org::new(world.seed())),
            settings: RwLock::default(),
            identity: RwLock::default(),
            tokens: Tokens::new(policy(&Settings::default())),
            codes: Codes::default(),
            cursors: Mutex::default(),
            loads: Mutex::default(),
            approvals: Mutex::default(),
            bus: Mutex::default(),
            listeners: Mutex::default(),
            schema_changed_ms: AtomicI64::new(0),
            random: Mutex::new(world.random("salesforce")),
            used: AtomicU64::new(0),
            used_since_ms: AtomicI64::new(0),
        })
    }

    pub(super) fn reset(&self, company: &Company) {
        let random = self.world.random("salesforce");
        let mut org = Org::new(self.world.seed());
        let user = seed::fill(&mut org, company, &random, self.now_ms());
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        *self.identity.write() = Identity {
            client_id: format!("3MVG9{}", random.text(letters, 80)),
            client_secret: random.text("0123456789ABCDEF", 64),
            password: random.text(letters, 12),
            security_token: random.text(letters, 24),
            user,
            username: format!("integration@{}", company.domain),
        };
        *self.settings.write() = Settings::default();
        self.tokens.clear();
        self.tokens.set_policy(policy(&Settings::default()));
        self.codes.clear();
        self.cursors.lock().clear();
        *self.loads.lock() = Loads::default();
        *self.approvals.lock() = Approvals::default();
        *self.bus.lock() = Bus::default();
        *self.listeners.lock() = Listeners::default();
        *self.random.lock() = random;
        self.schema_changed();
        self.used.store(0, Ordering::Relaxed);
        *self.org.lock() = org;
    }

    pub(super) fn configure(&self, with: &Json) -> Result<(), Problem> {
        let changed = self.settings.read().changed(with)?;
        self.tokens.set_policy(policy(&changed));
        let released = self.settings.read().bulk_held && !changed.bulk_held;
        *self.settings.write() = changed;
        if released {
            self.go_on();
        }
        Ok(())
    }

    pub(super) fn credentials(&self) -> Json {
        let identity = self.identity.read();
        let url = self.url();
        json!({
            "login_url": url, "instance_url": url, "pubsub_url": url, "client_id": identity.client_id, "client_secret": identity.client_secret,
            "username": identity.username, "password": identity.password, "security_token": identity.security_token,
            "organization_id": &*self.org.lock().id, "user_id": &*identity.user, "api_version": "62.0",
            "token_url": format!("{url}/services/oauth2/token"), "authorize_url": format!("{url}/services/oauth2/authorize"),
        })
    }

    /// Remembers that an admin changed the schema.
    pub(super) fn schema_changed(&self) {
        self.schema_changed_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    pub(super) fn url(&self) -> String {
        self.world.url("salesforce")
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.world.clock().now_ms()
    }

    pub(super) fn now_s(&self) -> i64 {
        self.world.clock().now_s()
    }

    /// How a query looks now.
    pub(super) fn look(&self, deleted: bool) -> Look {
        let now_ms = self.now_ms();
        let late_s = self.settings.read().late_rows_seconds;
        let seen_until_ms = if late_s > 0 { now_ms.saturating_sub(late_s.saturating_mul(1_000)) } else { i64::MAX };
        Look { now_ms, deleted, seen_until_ms }
    }

    /// A writer for the user of a call.
    pub(super) fn writer(&self, user: &Arc<str>, origin: &str, save_duplicates: bool) -> Writer {
        let duplicates = match (self.settings.read().duplicate_rules, save_duplicates) {
            (false, _) => Duplicates::Unchecked,
            (true, false) => Duplicates::Refused,
            (true, true) => Duplicates::Saved,
        };
        Writer { user: user.clone(), now_ms: self.now_ms(), origin: origin.into(), duplicates }
    }

    /// Meets a locked row when the settings say so.
    pub(super) fn lock_row(&self) -> Outcome<()> {
        if self.settings.read().locked_writes == 0 {
            return Ok(());
        }
        let mut settings = self.settings.write();
        if settings.locked_writes == 0 {
            return Ok(());
        }
        settings.locked_writes -= 1;
        Err(Trouble::bad("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: "))
    }

    /// Makes what was done final, and tells those who listen.
    pub(super) fn settle(&self, org: &mut Org) {
        let changes = org.settle();
        if !changes.is_empty() {
            outbound::tell(self, org, &changes);
            pubsub::tell(self, org, &changes);
            streaming::tell(self, org, &changes);
        }
    }

    /// Counts a call; false when the day's calls are used up.
    pub(super) fn count(&self, calls: u64) -> bool {
        let now_ms = self.now_ms();
        let since_ms = self.used_since_ms.load(Ordering::Relaxed);
        if now_ms - since_ms >= DAY_MS {
            self.used_since_ms.store(now_ms, Ordering::Relaxed);
            self.used.store(0, Ordering::Relaxed);
        }
        self.used.fetch_add(calls, Ordering::Relaxed) + calls <= self.settings.read().daily_requests
    }

    /// Calls used in the last day, and those that may be.
    pub(super) fn usage(&self) -> (u64, u64) {
        (self.used.load(Ordering::Relaxed), self.settings.read().daily_requests)
    }
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        access_s: settings.token_seconds,
        slides: true,
        refresh_s: None,
        rotates: settings.rotate_refresh_tokens,
        refresh_per_subject: Some(REFRESH_PER_USER),
    }
}
