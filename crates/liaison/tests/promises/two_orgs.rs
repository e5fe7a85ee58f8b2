//! One recipe over two orgs of Salesforce and two accounts of Stripe: neither has anything of the other.

use std::collections::BTreeSet;

use sandbox::{Fault, Kind, Options, Recorded, Sandbox};
use serde_json::{Value, json};

use crate::harness::Process;

/// Both in one run, and each for itself.
const RECIPES: [(&str, &str); 3] = [
    (
        "both",
        "connections: { crm_north: salesforce, crm_south: salesforce, pay_north: stripe, pay_south: stripe }\ntrigger: { from: api }\nsteps:\n  \
         - { id: n, do: crm_north.create, with: { object: Lead, fields: { LastName: \"${ trigger.name }\", Company: North } } }\n  \
         - { id: s, do: crm_south.create, with: { object: Lead, fields: { LastName: \"${ trigger.name }\", Company: South } } }\n  \
         - { id: pn, do: pay_north.create_customer, with: { name: \"${ trigger.name }\" } }\n  \
         - { id: ps, do: pay_south.create_customer, with: { name: \"${ trigger.name }\" } }\n",
    ),
    ("north", "connections: { crm_north: salesforce }\ntrigger: { from: api }\nsteps:\n  - { id: n, do: crm_north.limits }\n"),
    ("south", "connections: { crm_south: salesforce }\ntrigger: { from: api }\nsteps:\n  - { id: s, do: crm_south.limits }\n"),
];

struct Orgs {
    server: Process,
    north: Sandbox,
    south: Sandbox,
    _folder: tempfile::TempDir,
}

async fn orgs() -> Orgs {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let start = async |seed| Sandbox::start(Options { seed, ..Options::default() }).await.unwrap();
    let (north, south) = (start(1).await, start(2).await);
    for (name, sandbox) in [("north", &north), ("south", &south)] {
        let (crm, pay) = (sandbox.vendor("salesforce").unwrap().credentials(), sandbox.vendor("stripe").unwrap().credentials());
        let url = sandbox.url("stripe").as_str();
        let circuit = json!({ "in_a_row": 2 });
        for connection in [
            json!({ "name": format!("crm_{name}"), "connector": "salesforce", "credentials": { "client_secret": crm["client_secret"] },
                "config": { "login_url": crm["login_url"], "sign_in": "client_credentials", "client_id": crm["client_id"], "circuit": circuit } }),
            json!({ "name": format!("pay_{name}"), "connector": "stripe", "credentials": { "api_key": pay["secret_key"] },
                "config": { "api_url": url, "files_url": url } }),
        ] {
            let (status, body) = server.api("POST", "/api/v1/connections", Some(&connection.to_string())).await;
            assert_eq!(status, 201, "{body}");
        }
    }
    for (slug, text) in RECIPES {
        let text = format!("liaison: 1\nrecipe: {slug}\n{text}");
        let (status, body) = server.api("PUT", &format!("/api/v1/recipes/{slug}"), Some(&text)).await;
        assert_eq!(status, 201, "{body}");
        let (status, body) = server.api("POST", &format!("/api/v1/recipes/{slug}/activate"), Some("{}")).await;
        assert_eq!(status, 200, "{body}");
    }
    Orgs { server, north, south, _folder: folder }
}

impl Orgs {
    async fn begin(&self, slug: &str, name: &str) -> String {
        let event = json!({ "name": name }).to_string();
        let (status, run) = self.server.api("POST", &format!("/api/v1/recipes/{slug}/runs"), Some(&event)).await;
        assert_eq!(status, 202, "{run}");
        run["id"].as_str().unwrap().to_owned()
    }

    async fn runs(&self, slug: &str, name: &str) -> Value {
        let run = self.begin(slug, name).await;
        self.server.wait(&run, "succeeded").await
    }

    async fn circuit(&self, connection: &str) -> Vec<String> {
        let (status, told) = self.server.api("GET", &format!("/api/v1/connections/{connection}/circuit"), None).await;
        assert_eq!(status, 200, "{told}");
        told["circuits"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
    }
}

fn seen(sandbox: &Sandbox, system: &str) -> Vec<Recorded> {
    sandbox.world().recorder().of(system)
}

/// The values of a header in what a system was asked.
fn values(sandbox: &Sandbox, system: &str, header: &str) -> BTreeSet<String> {
    let all = seen(sandbox, system).into_iter().flat_map(|request| request.headers);
    all.filter(|(name, value)| name == header && !value.is_empty()).map(|(_, value)| value).collect()
}

fn sign_ins(sandbox: &Sandbox) -> usize {
    seen(sandbox, "salesforce").iter().filter(|request| request.target.ends_with("/oauth2/token")).count()
}

fn leads(sandbox: &Sandbox) -> usize {
    let tables = sandbox.vendor("salesforce").unwrap().tables();
    tables.iter().find(|table| table.name == "Lead").map_or(0, |table| table.rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_keys_and_shapes_are_each_org_s_own() {
    let orgs = orgs().await;
    let before = (leads(&orgs.north), leads(&orgs.south));
    orgs.runs("both", "Fern").await;
    assert_eq!((leads(&orgs.north), leads(&orgs.south)), (before.0 + 1, before.1 + 1));
    assert_eq!((sign_ins(&orgs.north), sign_ins(&orgs.south)), (1, 1));

    // A session that ends in one org is renewed there.
    orgs.north.vendor("salesforce").unwrap().happen("expire_sessions", &json!({})).unwrap();
    orgs.runs("both", "Moss").await;
    assert_eq!((sign_ins(&orgs.north), sign_ins(&orgs.south)), (2, 1));
    for (system, header) in [("salesforce", "authorization"), ("stripe", "authorization"), ("stripe", "idempotency-key")] {
        let (north, south) = (values(&orgs.north, system, header), values(&orgs.south, system, header));
        assert!(!north.is_empty() && !south.is_empty(), "{system} is sent no {header}");
        assert!(north.is_disjoint(&south), "{system} is sent the other's {header}");
    }

    // A field that is there in one org is none of the other's.
    let fields = async |connection: &str| {
        let (status, told) = orgs.server.api("GET", &format!("/api/v1/connections/{connection}/objects/Account"), None).await;
        assert_eq!(status, 200, "{told}");
        told.to_string()
    };
    let new = json!({ "object": "Account", "field": "Northern__c string:80 \"Northern\"" });
    orgs.north.vendor("salesforce").unwrap().happen("add_field", &new).unwrap();
    assert!(fields("crm_north").await.contains("Northern__c"));
    assert!(!fields("crm_south").await.contains("Northern__c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_that_is_down_or_used_up_does_not_hold_back_the_other() {
    let orgs = orgs().await;
    orgs.runs("both", "Fern").await;
    // Down: its circuit opens.
    orgs.north.world().faults().add(Fault::new("salesforce", Kind::Unavailable)).unwrap();
    let waits = orgs.begin("north", "Fern").await;
    let again = orgs.begin("north", "Fern").await;
    for run in [&waits, &again] {
        orgs.server.wait(run, "waiting").await;
    }
    let began = std::time::Instant::now();
    while !orgs.circuit("crm_north").await.contains(&"open".to_owned()) {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "the circuit never opens");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    orgs.runs("south", "Fern").await;
    assert!(orgs.circuit("crm_south").await.iter().all(|state| state == "closed"));

    // Used up: the calls of its day are, and the other's are not.
    orgs.south.world().faults().add(Fault::new("salesforce", Kind::DailyLimit)).unwrap();
    let held = orgs.begin("south", "Fern").await;
    orgs.server.wait(&held, "waiting").await;
    orgs.north.world().faults().clear();
    let closed = json!({ "state": "closed", "reason": "It is back." }).to_string();
    assert_eq!(orgs.server.api("POST", "/api/v1/connections/crm_north/circuit", Some(&closed)).await.0, 200);
    orgs.runs("north", "Fern").await;
    for run in [&waits, &again] {
        orgs.server.wait(run, "succeeded").await;
    }
    let told = orgs.server.run(&held).await;
    assert_eq!(told["status"], "waiting", "{told}");
}
