//! Objects whose fields only the system knows, through the real binary: listed, described, and held against recipes as they
//! are saved.

use std::time::{Duration, Instant};

use sandbox::{Fault, Kind, Options, Sandbox};
use serde_json::{Value, json};

use crate::harness::Process;

/// Settings and credentials of a connection to a simulated system.
pub(crate) fn connection(sandbox: &Sandbox, connector: &str) -> (Value, Value) {
    let told = sandbox.vendor(connector).expect("a system").credentials();
    let picked =
        |names: &[(&str, &str)]| -> Value { names.iter().map(|(to, from)| ((*to).to_owned(), told[*from].clone())).collect() };
    let same = |names: &[&'static str]| picked(&names.iter().map(|name| (*name, *name)).collect::<Vec<_>>());
    let url = sandbox.url(connector).as_str().trim_end_matches('/').to_owned();
    match connector {
        "salesforce" => (
            json!({"login_url": told["login_url"], "sign_in": "client_credentials", "client_id": told["client_id"]}),
            same(&["client_secret"]),
        ),
        "netsuite" => (
            json!({"account": told["account"], "base_url": url, "auth": "certificate", "certificate_id": told["certificate_id"], "signature": "ES256"}),
            same(&["client_id", "private_key"]),
        ),
        "servicenow" => (json!({"base_url": url}), picked(&[("username", "user_name"), ("password", "password")])),
        _ => (
            json!({"rest_endpoint": told["rest_endpoint"], "token_endpoint": told["token_endpoint"]}),
            same(&["client_id", "client_secret", "refresh_token", "username", "password"]),
        ),
    }
}

async fn connect(server: &Process, sandbox: &Sandbox, connector: &str) {
    let (config, credentials) = connection(sandbox, connector);
    let body = json!({"name": "sys", "connector": connector, "config": config, "credentials": credentials});
    let (status, answer) = server.api("POST", "/api/v1/connections", Some(&body.to_string())).await;
    assert_eq!(status, 201, "{answer}");
}

/// Saves a recipe with these steps; the status, and its problems as code and help.
async fn save(server: &Process, connector: &str, steps: &str) -> (u16, Vec<(String, String)>) {
    save_with(server, connector, "from: api", steps).await
}

/// The same with another trigger.
async fn save_with(server: &Process, connector: &str, trigger: &str, steps: &str) -> (u16, Vec<(String, String)>) {
    let text =
        format!("liaison: 1\nrecipe: story\nconnections: {{ sys: {connector} }}\ntrigger: {{ {trigger} }}\nsteps:\n{steps}");
    let (status, answer) = server.api("PUT", "/api/v1/recipes/story", Some(&text)).await;
    let told = |problem: &Value| {
        let words = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        (words("code"), format!("{} {}", words("message"), words("help")))
    };
    let problems = answer["diagnostics"].as_array().unwrap_or_else(|| panic!("{status} {answer}"));
    // Advice is no matter here.
    (status, problems.iter().map(told).filter(|(code, _)| !code.starts_with("L06")).collect())
}

/// A recipe that begins with this trigger and reads this of its event.
async fn read_of(server: &Process, connector: &str, trigger: &str, read: &str) -> (u16, Vec<(String, String)>) {
    save_with(server, connector, trigger, &format!("  - {{ id: a, return: \"${{ trigger.{read} }}\" }}\n")).await
}

/// Codes of problems, and parts of their words.
type Wanted = &'static [(&'static str, &'static str)];

/// The codes, and that the words hold what is wanted.
fn holds(found: &(u16, Vec<(String, String)>), status: u16, wanted: &[(&str, &str)]) {
    assert_eq!((found.0, found.1.len()), (status, wanted.len()), "{:?}", found.1);
    for ((code, words), (wanted_code, part)) in found.1.iter().zip(wanted) {
        assert!(code == wanted_code && words.contains(part), "{code} {words}: {wanted_code} {part} was expected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_field_is_found_when_the_recipe_is_saved() {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve_with(folder.path(), &["--shape-patience", "20s"]);
    connect(&server, &sandbox, "salesforce").await;
    let opportunity = |fields: &str| {
        format!("  - {{ id: a, do: sys.update, with: {{ object: Opportunity, id: \"006000000000001\", fields: {fields} }} }}\n")
    };
    holds(&save(&server, "salesforce", &opportunity("{ Amonut: 5 }")).await, 422, &[("L0402", "Did you mean \"Amount\"?")]);
    holds(&save(&server, "salesforce", &opportunity("{ Amount: five }")).await, 422, &[("L0403", "a number")]);
    holds(&save(&server, "salesforce", &opportunity("{ CreatedDate: \"2026-01-01\" }")).await, 422, &[("L0406", "CreatedDate")]);
    let read = |field: &str| {
        format!(
            "  - {{ id: a, do: sys.search, with: {{ object: Opportunity }} }}\n  - {{ id: b, return: \"${{ steps.a.records[0].{field} }}\" }}\n"
        )
    };
    holds(&save(&server, "salesforce", &read("Nmae")).await, 422, &[("L0506", "Did you mean \"Name\"?")]);
    holds(&save(&server, "salesforce", &read("Account.Name")).await, 201, &[]);
    holds(&save(&server, "salesforce", &opportunity("{ Amount: 5, Account: { External_Id__c: C-1 } }")).await, 200, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_trigger_is_known_when_the_recipe_is_saved() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let of = |trigger: &str, with: &str| format!("from: sys.{trigger}, with: {{ {with} }}");
    let systems: [(&str, String, &str, Wanted); 8] = [
        ("salesforce", of("new_record", "object: Opportunity"), "record.Amount", &[]),
        ("salesforce", of("new_record", "object: Opportunity"), "record.Amonut", &[("L0506", "Did you mean \"Amount\"?")]),
        (
            "salesforce",
            of("new_or_updated_record", "object: Opportunity, fields: [Nmae, Amount]"),
            "record.Amount",
            &[("L0402", "\"Name\"")],
        ),
        ("servicenow", of("new_record", "table: incident"), "short_description", &[]),
        (
            "servicenow",
            of("new_record", "table: incident, fields: [short_descripton, caller_id.name]"),
            "sys_id",
            &[("L0402", "\"short_description\"")],
        ),
        ("netsuite", of("new_record", "type: customer, fields: [companyname]"), "record.companyname", &[]),
        ("netsuite", of("new_record", "type: customer, with_sublists: true"), "record.companyName", &[]),
        (
            "netsuite",
            of("changed_record", "type: customer, with_sublists: true"),
            "record.companyName.Nmae",
            &[("L0506", "trigger.record.companyName")],
        ),
    ];
    for connector in ["salesforce", "servicenow", "netsuite"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Process::serve_with(folder.path(), &["--shape-patience", "20s"]);
        connect(&server, &sandbox, connector).await;
        for (number, (_, trigger, read, wanted)) in systems.iter().filter(|(one, ..)| *one == connector).enumerate() {
            let found = read_of(&server, connector, trigger, read).await;
            let saved = if number == 0 { 201 } else { 200 };
            holds(&found, if wanted.is_empty() { saved } else { 422 }, wanted);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_the_system_is_seen_after_a_refresh() {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve_with(folder.path(), &["--shape-patience", "20s"]);
    connect(&server, &sandbox, "salesforce").await;
    let get = async |path: &str| server.api("GET", &format!("/api/v1/connections/sys/objects{path}"), None).await;
    let (status, all) = get("?limit=2").await;
    assert_eq!((status, all["data"].as_array().unwrap().len(), &all["pagination"]["has_more"]), (200, 2, &json!(true)), "{all}");
    let (status, first) = get("/Account").await;
    assert_eq!((status, &first["schema"]["properties"]["Region__c"]), (200, &Value::Null));
    assert!(first["age_s"].as_u64().unwrap() < 60 && first["asked_at"].is_string(), "{first}");
    let account =
        "  - { id: a, do: sys.update, with: { object: Account, id: \"001000000000001\", fields: { Region__c: EMEA } } }\n";
    holds(&save(&server, "salesforce", account).await, 422, &[("L0402", "Region__c")]);
    let salesforce = sandbox.vendor("salesforce").unwrap();
    let with = json!({"object": "Account", "field": "Region__c picklist restricted \"Region\" = EMEA | APAC"});
    salesforce.happen("add_field", &with).unwrap();
    let again = get("/Account").await.1;
    assert_eq!(again, first_again(&first, &again), "what was told is kept");
    let (status, anew) = get("/Account?refresh=true").await;
    assert_eq!((status, &anew["schema"]["properties"]["Region__c"]["enum"]), (200, &json!(["EMEA", "APAC", null])));
    holds(&save(&server, "salesforce", account).await, 201, &[]);
    holds(&save(&server, "salesforce", &account.replace("EMEA", "MOON")).await, 422, &[("L0404", "MOON")]);
    salesforce.happen("remove_field", &json!({"object": "Account", "field": "Region__c"})).unwrap();
    assert_eq!(get("/Account?refresh=true").await.0, 200);
    holds(&save(&server, "salesforce", account).await, 422, &[("L0402", "Region__c")]);
    // A system that is away is told as such, and what it said before is still there.
    sandbox.world().faults().add(Fault::new("salesforce", Kind::Unavailable));
    let (status, refused) = get("/Account?refresh=true").await;
    assert_eq!((status, &refused["error"]["code"]), (502, &json!("SYSTEM_DID_NOT_TELL")), "{refused}");
    assert_eq!(get("/Account").await.0, 200);
    assert_eq!(get("/a%2F..").await.0, 422);
    assert_eq!(server.api("GET", "/api/v1/connections/none/objects", None).await.0, 404);
}

/// The same answer, as old as the other.
fn first_again(first: &Value, other: &Value) -> Value {
    let mut first = first.clone();
    first["age_s"] = other["age_s"].clone();
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn saving_does_not_wait_for_a_system_that_hangs() {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve_with(folder.path(), &["--shape-patience", "300ms"]);
    connect(&server, &sandbox, "salesforce").await;
    sandbox.world().faults().add(Fault::new("salesforce", Kind::Hang { ms: 25_000 }));
    let began = Instant::now();
    let lead = "  - { id: a, do: sys.update, with: { object: Lead, id: 00Q000000000001, fields: { Nmae: x } } }\n";
    holds(&save(&server, "salesforce", lead).await, 201, &[]);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn catalogues_dictionaries_and_data_sources_are_told() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let systems = [
        (
            "netsuite",
            "customer",
            "companyName",
            Some(("sys.update_record, with: { type: customer, id: \"1\", fields: { companyNmae: x } }", "companyName")),
        ),
        (
            "servicenow",
            "incident",
            "short_description",
            Some((
                "sys.update_record, with: { table: incident, sys_id: 46c5bf6ca9fe1981010713e3ac7d3384, fields: { short_descripton: x } }",
                "short_description",
            )),
        ),
        ("workday", "allWorkers", "currentlyActive", None),
    ];
    for (connector, object, field, misspelt) in systems {
        let folder = tempfile::tempdir().unwrap();
        let server = Process::serve_with(folder.path(), &["--shape-patience", "20s"]);
        connect(&server, &sandbox, connector).await;
        let (status, all) = server.api("GET", "/api/v1/connections/sys/objects", None).await;
        assert_eq!(status, 200, "{connector}: {all}");
        assert!(all["data"].as_array().unwrap().iter().any(|one| one["name"] == object), "{connector}: {all}");
        let (status, one) = server.api("GET", &format!("/api/v1/connections/sys/objects/{object}"), None).await;
        assert_eq!(status, 200, "{connector}: {one}");
        assert!(one["schema"]["properties"][field].is_object(), "{connector}: {one}");
        if let Some((call, meant)) = misspelt {
            let steps = format!("  - {{ id: a, do: {call} }}\n");
            holds(&save(&server, connector, &steps).await, 422, &[("L0402", &format!("Did you mean \"{meant}\"?"))]);
        }
    }
    // A connector without objects says so.
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), None);
    let body = json!({"name": "web", "connector": "http", "config": {"base_url": "https://a.example"}, "credentials": {}});
    assert_eq!(server.api("POST", "/api/v1/connections", Some(&body.to_string())).await.0, 201);
    let (status, told) = server.api("GET", "/api/v1/connections/web/objects", None).await;
    assert_eq!((status, &told["error"]["code"]), (409, &json!("NO_OBJECTS")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_of_a_report_are_known() {
    let (sandbox, folder) = (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve_with(folder.path(), &["--shape-patience", "20s"]);
    connect(&server, &sandbox, "workday").await;
    let run = |report: &str, rest: &str| format!("  - {{ id: a, do: sys.run_report, with: {{ report: {report} }}{rest} }}\n");
    let first = |column: &str| {
        let read = format!("  - {{ id: b, return: \"${{ steps.a.rows[0].{column} }}\" }}\n");
        run("isu/All_Workers", "") + read.as_str()
    };
    let each = |column: &str| {
        let set = format!("      - {{ id: c, set: {{ x: \"${{ item.{column} }}\" }} }}\n");
        [run("isu/All_Workers", ", stream: true"), "  - id: b\n    each: ${ steps.a }\n    steps:\n".to_owned(), set].concat()
    };
    holds(&save(&server, "workday", &first("Email")).await, 201, &[]);
    holds(&save(&server, "workday", &first("Emial")).await, 422, &[("L0506", "Did you mean \"Email\"?")]);
    holds(&save(&server, "workday", &each("Cost_Center")).await, 200, &[]);
    holds(&save(&server, "workday", &each("Cost_Centre")).await, 422, &[("L0506", "Did you mean \"Cost_Center\"?")]);
    // A report that is not there, or that an expression names, is left to the run.
    let other = first("Emial").replace("isu/All_Workers", "isu/No_Such_Report");
    holds(&save(&server, "workday", &other).await, 200, &[]);
    let scheduled = "from: sys.report_scheduled, with: { report: isu/All_Workers, key_field: Employe_ID }";
    holds(&read_of(&server, "workday", scheduled, "rows[0].Email").await, 422, &[("L0402", "Did you mean \"Employee_ID\"?")]);
    let scheduled = scheduled.replace("Employe_ID", "Employee_ID");
    holds(&read_of(&server, "workday", &scheduled, "rows[0].Emial").await, 422, &[("L0506", "Did you mean \"Email\"?")]);
    let (status, told) = server.api("GET", "/api/v1/connections/sys/objects/isu%2FAll_Workers", None).await;
    assert_eq!((status, told["schema"]["properties"]["Email"].is_object()), (200, true), "{told}");
}

/// A command that checks files, and where it runs.
fn terminal(folder: &std::path::Path, server: &Process, arguments: &[&str]) -> (Option<i32>, String) {
    let url = format!("http://{}", server.address);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_liaison"));
    command.current_dir(folder).args(arguments).args(["--server", &url]).env("LIAISON_API_KEY", crate::harness::KEY);
    let output = command.output().expect("the binary runs");
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&told).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_held_against_a_server_s_systems_before_they_are_sent() {
    let (sandbox, folder, files) =
        (Sandbox::start(Options::default()).await.unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Process::serve_with(folder.path(), &["--shape-patience", "20s"]);
    connect(&server, &sandbox, "salesforce").await;
    let write = |slug: &str, field: &str| {
        let text = format!(
            "liaison: 1\nrecipe: {slug}\nconnections: {{ sys: salesforce }}\ntrigger: {{ from: api }}\nsteps:\n  - {{ id: a, do: sys.update, with: {{ object: Account, id: \"001000000000001\", fields: {{ {field}: x }} }} }}\n"
        );
        std::fs::write(files.path().join(format!("{slug}.recipe.yaml")), text).unwrap();
    };
    let run = |arguments: &[&str]| terminal(files.path(), &server, arguments);
    write("good", "Name");
    write("other", "CreatedDate");
    let (code, told) = run(&["check", "."]);
    assert!(code == Some(1) && told.contains("L0406") && told.contains("other.recipe.yaml"), "{told}");
    for arguments in [["apply", "."].as_slice(), &["apply", ".", "--dry-run"]] {
        let (code, told) = run(arguments);
        assert!(code == Some(1) && told.contains("L0406") && told.contains("nothing was sent"), "{told}");
    }
    let (_, all) = server.api("GET", "/api/v1/recipes", None).await;
    assert_eq!(all["data"], json!([]), "not even the good one");
    // A field that was added since is found: the system is asked again before anything is refused.
    write("other", "Region__c");
    assert!(run(&["check", "."]).1.contains("L0402"));
    let with = json!({"object": "Account", "field": "Region__c string:80 \"Region\""});
    sandbox.vendor("salesforce").unwrap().happen("add_field", &with).unwrap();
    assert_eq!(server.api("GET", "/api/v1/connections/sys/objects/Account?refresh=true", None).await.0, 200);
    let (code, told) = run(&["check", "."]);
    assert!(code == Some(0), "{told}");
    // A system that does not answer is told, and keeps nobody from anything.
    sandbox.world().faults().add(Fault::new("salesforce", Kind::Unavailable));
    write("other", "Name");
    std::fs::write(
        files.path().join("lead.recipe.yaml"),
        std::fs::read_to_string(files.path().join("good.recipe.yaml"))
            .unwrap()
            .replace("recipe: good", "recipe: lead")
            .replace("object: Account", "object: Lead")
            .replace("Name:", "Nmae:"),
    )
    .unwrap();
    let (code, told) = run(&["check", "."]);
    assert!(code == Some(0) && told.contains("note: the fields of Lead are not known"), "{told}");
    assert_eq!(run(&["apply", "."]).0, Some(0));
}
