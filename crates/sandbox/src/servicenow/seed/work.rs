//! Tickets, changes, machines, the catalog and the ways to import.

use super::Maker;
use crate::servicenow::data::Record;

/// Tickets of each kind in the beginning.
const INCIDENTS: usize = 67;
const PROBLEMS: usize = 14;
const CHANGES: usize = 12;
const SERVERS: usize = 12;
const COMPUTERS: usize = 20;

const TROUBLES: &[(&str, &str, &str)] = &[
    ("Printer on the second floor is jammed", "hardware", "IT"),
    ("Cannot sign in after password change", "inquiry", "IT"),
    ("Mail is slow this morning", "software", "IT"),
    ("Spectrometer shows error E42", "hardware", "ENG"),
    ("Invoice amount differs from the quote", "billing", "FIN"),
    ("Order portal does not load", "software", "ENG"),
    ("VPN drops every hour", "network", "IT"),
    ("Report shows last month's numbers", "database", "IT"),
    ("Need access to the shared drive", "inquiry", "IT"),
    ("Shipment arrived damaged", "inquiry", "OPS"),
];

pub(super) fn records(make: &Maker<'_>) -> Vec<Record> {
    let mut all = machines(make);
    all.extend((0..INCIDENTS).map(|place| incident(make, place)));
    all.extend((0..PROBLEMS).map(|place| problem(make, place)));
    all.extend((0..CHANGES).map(|place| change(make, place)));
    all.extend(catalog(make));
    all.extend(imports(make));
    all
}

/// The id of somebody who works here, one after the other.
fn worker(make: &Maker<'_>, place: usize) -> String {
    let here: Vec<_> = make.company.workers.iter().filter(|worker| worker.left.is_none()).collect();
    here.get(place % here.len().max(1)).map(|worker| make.id("sys_user", &worker.number.to_string())).unwrap_or_default()
}

fn group(make: &Maker<'_>, code: &str, place: usize) -> String {
    let parts = &make.company.organisations;
    let part = parts.iter().find(|part| part.code == code).or_else(|| parts.get(place % parts.len().max(1)));
    part.map(|part| make.id("sys_user_group", part.code)).unwrap_or_default()
}

fn minutes(place: usize, step: usize) -> i64 {
    i64::try_from(place * step).unwrap_or_default()
}

fn incident(make: &Maker<'_>, place: usize) -> Record {
    let (text, category, code) = TROUBLES[place % TROUBLES.len()];
    let state = ["1", "2", "2", "3", "6", "7"][place % 6];
    let priority = 1 + place % 5;
    let customers = &make.company.customers;
    let customer = &customers[place % customers.len()];
    let company = make.id("core_company", &customer.external_id());
    let outside = matches!(category, "billing" | "inquiry") && place.is_multiple_of(2);
    let caller =
        if outside { make.id("customer_contact", &format!("{}-0", customer.external_id())) } else { worker(make, place * 3) };
    let record = make
        .record("incident", &place.to_string(), minutes(INCIDENTS - place, 397))
        .with("short_description", text)
        .with("description", format!("{text}. Reported by {}.", if outside { &customer.name } else { make.company.name }))
        .with("category", category)
        .with("state", state)
        .with("priority", priority.to_string())
        .with("impact", (1 + place % 3).to_string())
        .with("urgency", (1 + place / 2 % 3).to_string())
        .with("caller_id", caller)
        .with("opened_by", make.id("sys_user", "admin"))
        .with("company", if outside { company } else { make.id("core_company", "own") })
        .with("assignment_group", group(make, code, place))
        .with("assigned_to", if state == "1" { String::new() } else { worker(make, place * 5) })
        .with("active", (state != "7").to_string())
        .with("cmdb_ci", make.id("cmdb_ci_server", &(place % SERVERS).to_string()));
    let opened = record.get("sys_created_on").to_owned();
    let record = record.with("opened_at", &opened);
    if matches!(state, "6" | "7") {
        return record
            .with("close_code", "Solution provided")
            .with("close_notes", "Done and confirmed by the caller.")
            .with("resolved_at", &opened)
            .with("resolved_by", worker(make, place * 5));
    }
    record
}

fn problem(make: &Maker<'_>, place: usize) -> Record {
    let state = ["101", "102", "103", "104", "106"][place % 5];
    make.record("problem", &place.to_string(), minutes(PROBLEMS - place, 1_733))
        .with("short_description", format!("Why: {}", TROUBLES[place % TROUBLES.len()].0.to_lowercase()))
        .with("state", state)
        .with("problem_state", state)
        .with("opened_by", make.id("sys_user", "admin"))
        .with("assigned_to", worker(make, place))
        .with("known_error", place.is_multiple_of(4).to_string())
}

fn change(make: &Maker<'_>, place: usize) -> Record {
    let state = ["-5", "-4", "-3", "-2", "-1", "0", "3"][place % 7];
    make.record("change_request", &place.to_string(), minutes(CHANGES - place, 2_003))
        .with("short_description", format!("Update server {place:02} to the new release"))
        .with("state", state)
        .with("type", ["normal", "standard", "emergency"][place % 3])
        .with("risk", (2 + place % 3).to_string())
        .with("requested_by", worker(make, place + 7))
        .with("opened_by", make.id("sys_user", "admin"))
        .with("assignment_group", group(make, "IT", place))
        .with("active", (state != "3").to_string())
}

fn machines(make: &Maker<'_>) -> Vec<Record> {
    let ci = |class: &str, place: usize, name: String, system: &str| {
        make.record(class, &place.to_string(), 250_000)
            .with("name", &name)
            .with("host_name", name)
            .with("serial_number", format!("NW-{}-{place:04}", if class == "cmdb_ci_server" { "S" } else { "C" }))
            .with("asset_tag", format!("P{:06}", 1_000 + place))
            .with("os", system)
            .with("ip_address", format!("10.1.{}.{}", usize::from(class == "cmdb_ci_server"), 10 + place))
            .with("support_group", group(make, "IT", place))
            .with("company", make.id("core_company", "own"))
    };
    let mut all: Vec<Record> = (0..SERVERS)
        .map(|place| ci("cmdb_ci_server", place, format!("srv-{place:02}.northwind.example"), "Linux Debian"))
        .collect();
    all.extend((0..COMPUTERS).map(|place| {
        let laptop = ci("cmdb_ci_computer", place, format!("laptop-{place:03}"), "Windows 11");
        laptop.with("assigned_to", worker(make, place))
    }));
    let hosts = make.record("cmdb_rel_type", "runs", 600_000).with("name", "Runs on::Runs");
    all.push(hosts.with("parent_descriptor", "Runs on").with("child_descriptor", "Runs"));
    for place in 1..SERVERS {
        let id = |place: usize| make.id("cmdb_ci_server", &place.to_string());
        let relation =
            make.record("cmdb_rel_ci", &place.to_string(), 240_000).with("parent", id(place)).with("child", id(place / 2));
        all.push(relation.with("type", make.id("cmdb_rel_type", "runs")));
    }
    all
}

fn catalog(make: &Maker<'_>) -> Vec<Record> {
    let category = make.id("sc_category", "hardware");
    let mut all = vec![make.record("sc_category", "hardware", 500_000).with("title", "Hardware and Software")];
    let items = [
        ("laptop", "Standard Laptop", "A laptop for everyday work", "USD;1200.00"),
        ("licence", "Software Licence", "A licence for a program of the company's list", "USD;90.00"),
        ("onboarding", "New Hire Kit", "Everything somebody needs on the first day", "USD;1500.00"),
    ];
    for (key, name, text, price) in items {
        let item = make.record("sc_cat_item", key, 480_000).with("name", name).with("short_description", text);
        all.push(item.with("price", price).with("category", &category));
    }
    let outage = make.record("sc_cat_item_producer", "outage", 480_000).with("name", "Report an Outage");
    all.push(
        outage.with("table_name", "incident").with("short_description", "Opens an incident").with("type", "record_producer"),
    );
    // Item, name, question, the vendor's number of its type, mandatory, choices.
    let questions = [
        ("laptop", "model", "Which model", 5, true, "X1,X2,Workstation"),
        ("laptop", "accessories", "Anything else", 6, false, ""),
        ("licence", "program", "Which program", 6, true, ""),
        ("licence", "until", "Needed until", 9, false, ""),
        ("onboarding", "employee_number", "Employee number", 6, true, ""),
        ("onboarding", "start_date", "First day", 9, false, ""),
        ("outage", "short_description", "What is wrong", 6, true, ""),
    ];
    for (place, (item, name, question, kind, mandatory, choices)) in questions.into_iter().enumerate() {
        let table = if item == "outage" { "sc_cat_item_producer" } else { "sc_cat_item" };
        all.push(
            make.record("item_option_new", &format!("{item}.{name}"), 480_000)
                .with("name", name)
                .with("question_text", question)
                .with("cat_item", make.id(table, item))
                .with("type", kind.to_string())
                .with("mandatory", mandatory.to_string())
                .with("choices", choices)
                .with("order", (100 * (place + 1)).to_string()),
        );
    }
    all
}

fn imports(make: &Maker<'_>) -> Vec<Record> {
    // Source table, map, target table, then source field, target field, whether it finds the record.
    let users: &[(&str, &str, bool)] = &[
        ("u_email", "email", true),
        ("u_user_name", "user_name", false),
        ("u_first_name", "first_name", false),
        ("u_last_name", "last_name", false),
        ("u_employee_number", "employee_number", false),
        ("u_title", "title", false),
        ("u_active", "active", false),
    ];
    let customers: &[(&str, &str, bool)] = &[
        ("u_external_id", "u_external_id", true),
        ("u_name", "name", false),
        ("u_email", "email", false),
        ("u_phone", "phone", false),
        ("u_city", "city", false),
        ("u_country", "country", false),
    ];
    let maps =
        [("u_imp_user", "User import", "sys_user", users), ("u_imp_customer", "Customer import", "core_company", customers)];
    let mut all = Vec::new();
    for (source, name, target, entries) in maps {
        let map = make.record("sys_transform_map", source, 480_000).with("name", name);
        all.push(map.with("source_table", source).with("target_table", target));
        for (from, to, coalesce) in entries {
            all.push(
                make.record("sys_transform_entry", &format!("{source}.{from}"), 480_000)
                    .with("map", make.id("sys_transform_map", source))
                    .with("source_field", *from)
                    .with("target_field", *to)
                    .with("coalesce", coalesce.to_string())
                    // A customer without a name is refused by the map's own script.
                    .with("mandatory", (*from == "u_name").to_string()),
            );
        }
    }
    let rule = make.record("sys_rest_insert_multiple", "u_imp_customer", 480_000).with("source_table", "u_imp_customer");
    all.push(rule.with("use_column_names", "true").with("transformation", "asynchronous"));
    all
}
