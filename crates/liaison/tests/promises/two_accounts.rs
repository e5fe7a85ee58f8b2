//! One recipe over two accounts of ServiceNow, of NetSuite, of Workday: neither has anything of the other.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use sandbox::{Fault, Kind, Options, Sandbox};
use serde_json::{Value, json};

use crate::{harness::Process, shapes};

/// How far the north's clock is ahead.
const AHEAD: Duration = Duration::from_secs(5);

/// A budget of one a day is used up by then.
const RUNS_MAX: usize = 10;

/// A name nobody had before.
fn fresh() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    format!("fern-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// What is particular to a system.
struct System {
    id: &'static str,
    /// A step of a connection, without its name, that is signed in by a token and leaves a row in a table.
    writes: &'static str,
    table: &'static str,
    /// Where tokens are had, and what ends them.
    tokens: &'static str,
    ends: &'static str,
    /// What changes in the north alone, where nobody asked before, and a step that fits only one of them then.
    drifts: fn(&Sandbox),
    drifted: &'static str,
    fits: &'static str,
    /// A trigger, what it waits for, and how far behind the system's clock it stays.
    trigger: &'static str,
    occurs: (&'static str, fn(&str) -> Value),
    lag: Duration,
}

struct Accounts {
    server: Process,
    north: Sandbox,
    south: Sandbox,
    system: System,
    _folder: tempfile::TempDir,
}

fn connection(sandbox: &Sandbox, system: &str) -> (Value, Value) {
    let told = sandbox.vendor(system).unwrap().credentials();
    match system {
        "servicenow" => (
            json!({ "base_url": sandbox.url(system).as_str(), "auth": "client_credentials" }),
            json!({ "client_id": told["client_id"], "client_secret": told["client_secret"] }),
        ),
        "workday" => {
            sandbox.vendor(system).unwrap().configure(&json!({ "calls_per_second": 0, "approvals": false })).unwrap();
            let names = ["client_id", "client_secret", "refresh_token"];
            let credentials = names.iter().map(|name| ((*name).to_owned(), told[*name].clone())).collect();
            (shapes::connection(sandbox, system).0, credentials)
        }
        _ => shapes::connection(sandbox, system),
    }
}

impl Accounts {
    async fn of(system: System) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Process::serve_with(folder.path(), &["--shape-patience", "20s"]);
        // The same company, so that the same records are in both.
        let start = async |seed| Sandbox::start(Options { seed, books: Some(1), ..Options::default() }).await.unwrap();
        let (north, south) = (start(1).await, start(2).await);
        for (name, sandbox) in [("north", &north), ("south", &south)] {
            let (mut config, credentials) = connection(sandbox, system.id);
            config["circuit"] = json!({ "in_a_row": 2 });
            let body = json!({ "name": name, "connector": system.id, "config": config, "credentials": credentials });
            let (status, told) = server.api("POST", "/api/v1/connections", Some(&body.to_string())).await;
            assert_eq!(status, 201, "{told}");
        }
        let accounts = Self { server, north, south, system, _folder: folder };
        let step = |id: &str, name: &str| format!("  - {{ id: {id}, do: {name}.{} }}\n", accounts.system.writes);
        accounts.activate("both", "from: api", &[step("n", "north"), step("s", "south")].concat()).await;
        for name in ["north", "south"] {
            accounts.activate(name, "from: api", &step("one", name)).await;
        }
        accounts
    }

    async fn save(&self, slug: &str, trigger: &str, steps: &str) -> (u16, Value) {
        let id = self.system.id;
        let used = |name: &str| trigger.contains(&format!("{name}.")) || steps.contains(&format!("do: {name}."));
        let names: Vec<String> =
            ["north", "south"].iter().filter(|name| used(name)).map(|name| format!("{name}: {id}")).collect();
        let text = format!(
            "liaison: 1\nrecipe: {slug}\nconnections: {{ {} }}\ntrigger: {{ {trigger} }}\nsteps:\n{steps}",
            names.join(", ")
        );
        self.server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(&text)).await
    }

    async fn activate(&self, slug: &str, trigger: &str, steps: &str) {
        let (status, told) = self.save(slug, trigger, steps).await;
        assert_eq!(status, 201, "{told}");
        let (status, told) = self.server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await;
        assert_eq!(status, 200, "{told}");
    }

    async fn begin(&self, slug: &str) -> String {
        let event = json!({ "name": fresh() }).to_string();
        let (status, run) = self.server.api("POST", &format!("/api/v1/recipes/{slug}/runs"), Some(&event)).await;
        assert_eq!(status, 202, "{run}");
        run["id"].as_str().unwrap().to_owned()
    }

    async fn runs(&self, slug: &str) {
        let run = self.begin(slug).await;
        self.server.wait(&run, "succeeded").await;
    }

    /// Begins runs until one waits: a change of a budget holds a moment later.
    async fn until_one_waits(&self, slug: &str) -> String {
        for _ in 0..RUNS_MAX {
            let (run, began) = (self.begin(slug).await, Instant::now());
            loop {
                let told = self.server.run(&run).await;
                match told["status"].as_str() {
                    Some("waiting") => return run,
                    Some("succeeded") => break,
                    _ => assert!(began.elapsed() < Duration::from_secs(40), "{told}"),
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
        panic!("nothing of {slug} ever waits");
    }

    async fn counted(&self, slug: &str) -> usize {
        let (_, list) = self.server.api("GET", &format!("/api/v1/runs?recipe={slug}&limit=200"), None).await;
        list["data"].as_array().map_or(0, Vec::len)
    }

    /// Asks a trigger until so many runs came of it, and once more.
    async fn ask(&self, slug: &str, wanted: usize) {
        let began = Instant::now();
        let mut over = false;
        while !over {
            over = self.counted(slug).await >= wanted;
            let asked = async || self.server.api("GET", &format!("/api/v1/polls/{slug}"), None).await.1;
            let before = asked().await["asked_at"].clone();
            while asked().await["asked_at"] == before {
                self.server.api("POST", &format!("/api/v1/polls/{slug}/ask"), None).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                assert!(began.elapsed() < Duration::from_secs(60), "{slug} is asked no more: {}", asked().await);
            }
        }
        assert_eq!(self.counted(slug).await, wanted, "{slug}");
    }

    fn rows(&self, sandbox: &Sandbox) -> usize {
        let tables = sandbox.vendor(self.system.id).unwrap().tables();
        tables.iter().find(|table| table.name == self.system.table).map_or(0, |table| table.rows)
    }

    fn sign_ins(&self, sandbox: &Sandbox) -> usize {
        let seen = sandbox.world().recorder().of(self.system.id);
        seen.iter().filter(|request| request.target.contains(self.system.tokens)).count()
    }

    /// What the system was shown to be let in.
    fn shown(&self, sandbox: &Sandbox) -> BTreeSet<String> {
        let all = sandbox.world().recorder().of(self.system.id).into_iter().flat_map(|request| request.headers);
        all.filter(|(name, value)| name == "authorization" && !value.is_empty()).map(|(_, value)| value).collect()
    }

    async fn tokens_are_each_one_s_own(&self) {
        let before = (self.rows(&self.north), self.rows(&self.south));
        self.runs("both").await;
        let rows = (self.rows(&self.north), self.rows(&self.south));
        assert_eq!((rows.0 - before.0, rows.1 - before.1), (1, 1));
        assert_eq!((self.sign_ins(&self.north), self.sign_ins(&self.south)), (1, 1));
        // A token that ends in one is renewed there.
        self.north.vendor(self.system.id).unwrap().happen(self.system.ends, &json!({})).unwrap();
        self.runs("both").await;
        assert_eq!((self.sign_ins(&self.north), self.sign_ins(&self.south)), (2, 1));
        let (north, south) = (self.shown(&self.north), self.shown(&self.south));
        assert!(!north.is_empty() && !south.is_empty() && north.is_disjoint(&south), "one is shown what belongs to the other");
    }

    async fn shapes_are_each_one_s_own(&self) {
        (self.system.drifts)(&self.north);
        for name in ["north", "south", "north"] {
            let steps = self.system.drifted.replace("{it}", name);
            let (status, told) = self.save(&format!("shaped-{name}"), "from: api", &steps).await;
            let fits = name == self.system.fits;
            assert_eq!(status < 300, fits, "{name}: {told}");
        }
    }

    async fn cursors_are_each_one_s_own(&self) {
        for name in ["north", "south"] {
            let trigger = format!("from: {name}.{}", self.system.trigger);
            self.activate(&format!("asks-{name}"), &trigger, "  - { id: end, return: {} }\n").await;
            self.ask(&format!("asks-{name}"), 0).await;
        }
        let (name, with) = &self.system.occurs;
        let occur = |sandbox: &Sandbox| drop(sandbox.vendor(self.system.id).unwrap().happen(name, &with(&fresh())).unwrap());
        // The south's is older than where the north's question ends, and is still told.
        occur(&self.south);
        self.north.world().clock().advance(AHEAD);
        occur(&self.north);
        occur(&self.north);
        for sandbox in [&self.north, &self.south] {
            sandbox.world().clock().advance(self.system.lag);
        }
        self.ask("asks-north", 2).await;
        self.ask("asks-south", 1).await;
        self.ask("asks-north", 2).await;
    }

    async fn limits_are_each_one_s_own(&self) {
        // One asks for a pause: its runs wait, and the other's do not.
        let pause = Kind::RateLimited { retry_after: Some(3_600) };
        self.south.world().faults().add(Fault::new(self.system.id, pause)).unwrap();
        let held = self.begin("south").await;
        self.server.wait(&held, "waiting").await;
        self.runs("north").await;
        let again = self.begin("south").await;
        self.server.wait(&again, "waiting").await;
        self.runs("north").await;
        // One has used up its day.
        let mut config = connection(&self.north, self.system.id).0;
        config["budget"] = json!({ "per_day": 1 });
        let body = json!({ "config": config }).to_string();
        let (status, told) = self.server.api("PATCH", "/api/v1/connections/north", Some(&body)).await;
        assert_eq!(status, 200, "{told}");
        let held = self.until_one_waits("north").await;
        self.south.world().faults().clear();
        let ended = json!({ "paused_until": null, "reason": "It is back." }).to_string();
        let (status, told) = self.server.api("POST", "/api/v1/connections/south/pause", Some(&ended)).await;
        assert_eq!(status, 200, "{told}");
        self.runs("south").await;
        // It may look in just now whether the day has come; it goes back to wait.
        self.server.wait(&held, "waiting").await;
    }
}

async fn story(system: System) {
    let accounts = Accounts::of(system).await;
    accounts.cursors_are_each_one_s_own().await;
    accounts.tokens_are_each_one_s_own().await;
    accounts.shapes_are_each_one_s_own().await;
    accounts.limits_are_each_one_s_own().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_of_servicenow_have_nothing_of_each_other() {
    story(System {
        id: "servicenow",
        writes: "create_incident, with: { short_description: \"${ trigger.name }\" }",
        table: "incident",
        tokens: "/oauth_token.do",
        ends: "expire_tokens",
        drifts: |north| {
            let field = json!({ "table": "problem", "name": "u_northern", "type": "string:40", "label": "Northern" });
            north.vendor("servicenow").unwrap().happen("add_field", &field).unwrap();
        },
        drifted: "  - { id: a, do: {it}.create_record, with: { table: problem, fields: { u_northern: x } } }\n",
        fits: "north",
        trigger: "new_record, with: { table: incident, lag_s: 0 }",
        occurs: ("create_record", |name| json!({ "table": "incident", "values": { "short_description": name } })),
        lag: Duration::from_secs(2),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_of_netsuite_have_nothing_of_each_other() {
    story(System {
        id: "netsuite",
        writes: "create_record, with: { type: customer, fields: { companyName: \"${ trigger.name }\", subsidiary: { id: \"1\" } } }",
        table: "customer",
        tokens: "/oauth2/v1/token",
        ends: "tokens_expired",
        drifts: |north| {
            let gone = json!({ "drifted_fields": { "phoneCall.phone": "removed" } });
            north.vendor("netsuite").unwrap().configure(&gone).unwrap();
        },
        drifted: "  - { id: a, do: {it}.update_record, with: { type: phoneCall, id: \"1\", fields: { phone: x } } }\n",
        fits: "south",
        trigger: "new_record, with: { type: customer }",
        occurs: ("record_created", |name| json!({ "type": "customer", "values": { "companyName": name, "subsidiary": "1" } })),
        lag: Duration::from_secs(10),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_of_workday_have_nothing_of_each_other() {
    story(System {
        id: "workday",
        writes: "update_home_contact, with: { worker: \"21010\", email: \"${ trigger.name }@home.example\" }",
        table: "events",
        tokens: "/ccx/oauth2/",
        ends: "expire_tokens",
        drifts: |north| {
            let renamed = json!({ "renamed_columns": { "Email": "E_Mail" } });
            north.vendor("workday").unwrap().configure(&renamed).unwrap();
        },
        drifted: "  - { id: a, do: {it}.run_report, with: { report: isu/All_Workers } }\n  - { id: b, return: \"${ steps.a.rows[0].Email }\" }\n",
        fits: "south",
        trigger: "worker_hired",
        occurs: ("hire_worker", |_| json!({})),
        lag: Duration::from_secs(70),
    })
    .await;
}
