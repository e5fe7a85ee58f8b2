//! People, places, companies and invoices, as the other systems have them.

use super::{INTEGRATION_ROLES, INTEGRATION_USER, Maker};
use crate::{Worker, servicenow::data::Record};

/// Users that have the admin role, besides the administrator.
const ADMINS: usize = 12;
/// Groups whose role has "admin" in its name.
const ADMIN_GROUPS: usize = 4;
/// Users with a mobile phone.
const MOBILES: usize = 10;

pub(super) fn records(make: &Maker<'_>) -> Vec<Record> {
    let mut all = places(make);
    all.extend(people(make));
    all.extend(groups(make));
    all.extend(companies(make));
    all
}

/// The user name of a worker: what comes before the sign of their address.
pub(super) fn user_name(worker: &Worker) -> &str {
    worker.email.split('@').next().unwrap_or_default()
}

fn places(make: &Maker<'_>) -> Vec<Record> {
    let company = make.company;
    let own =
        make.record("core_company", "own", 500_000).with("name", company.name).with("email", format!("info@{}", company.domain));
    let mut all = vec![own];
    for location in &company.locations {
        all.push(
            make.record("cmn_location", location.code, 500_000)
                .with("name", location.name)
                .with("city", location.name)
                .with("country", location.country),
        );
    }
    for part in &company.organisations {
        let head = company.workers.iter().find(|worker| worker.number == part.manager);
        let head = head.map(|worker| make.id("sys_user", &worker.number.to_string())).unwrap_or_default();
        all.push(
            make.record("cmn_department", part.code, 500_000)
                .with("name", part.name)
                .with("id", part.code)
                .with("dept_head", head)
                .with("company", make.id("core_company", "own")),
        );
    }
    let finance = make.record("cmn_department", "Finance", 500_000).with("name", "Finance").with("id", "FIN0");
    all.push(finance.with("dept_head", make.id("sys_user", "natasha.ingram")));
    all
}

fn people(make: &Maker<'_>) -> Vec<Record> {
    let company = make.company;
    let mut all: Vec<Record> = company.workers.iter().enumerate().map(|(place, worker)| person(make, place, worker)).collect();
    let account = |name: &str, first: &str, last: &str, zone: &str, roles: &str| {
        make.record("sys_user", name, 500_000)
            .with("user_name", name)
            .with("first_name", first)
            .with("last_name", last)
            .with("name", format!("{first} {last}").trim())
            .with("email", format!("{name}@example.com"))
            // What is shown of it is a row of stars; what is kept is no password.
            .with("user_password", "not kept here")
            .with("time_zone", zone)
            .with("roles", roles)
            .with("company", make.id("core_company", "own"))
    };
    all.push(
        account("admin", "System", "Administrator", "US/Pacific", "admin")
            .with("department", make.id("cmn_department", "Finance")),
    );
    all.push(account("problem.admin", "Problem", "Admin", "US/Pacific", "itil"));
    all.push(account("natasha.ingram", "Natasha", "Ingram", "US/Pacific", ""));
    all.push(account("read.only", "Read", "Only", "GMT", "snc_read_only"));
    all.push(
        account(INTEGRATION_USER, "Liaison", "Integration", "GMT", INTEGRATION_ROLES).with("web_service_access_only", "true"),
    );
    all
}

fn person(make: &Maker<'_>, place: usize, worker: &Worker) -> Record {
    let id = |number: u32| make.id("sys_user", &number.to_string());
    let mobile = if place < MOBILES { format!("+1 555 01{place:02}") } else { String::new() };
    make.record("sys_user", &worker.number.to_string(), 400_000 - i64::try_from(place).unwrap_or_default())
        .with("user_name", user_name(worker))
        .with("first_name", worker.first_name)
        .with("last_name", worker.last_name)
        .with("name", format!("{} {}", worker.first_name, worker.last_name))
        .with("email", &worker.email)
        .with("employee_number", worker.number.to_string())
        .with("title", worker.title)
        .with("active", worker.left.is_none().to_string())
        .with("manager", worker.manager.map(id).unwrap_or_default())
        .with("department", make.id("cmn_department", worker.organisation))
        .with("location", make.id("cmn_location", worker.location))
        .with("company", make.id("core_company", "own"))
        .with("mobile_phone", mobile)
        .with("time_zone", "GMT")
}

fn groups(make: &Maker<'_>) -> Vec<Record> {
    let company = make.company;
    let mut all = Vec::new();
    for (place, name) in ["admin", "itil", "user_admin", "catalog_admin", "knowledge_admin", "approver_user"].iter().enumerate() {
        all.push(make.record("sys_user_role", name, 600_000).with("name", *name).with("description", format!("Role {place}")));
    }
    let roles = ["user_admin", "catalog_admin", "knowledge_admin", "admin"];
    for (place, part) in company.organisations.iter().enumerate() {
        let group = make.id("sys_user_group", part.code);
        all.push(
            make.record("sys_user_group", part.code, 450_000)
                .with("name", format!("{} Support", part.name))
                .with("description", format!("People of {} who answer tickets", part.name))
                .with("manager", make.id("sys_user", &part.manager.to_string()))
                .with("email", format!("{}-support@{}", part.code.to_lowercase(), company.domain)),
        );
        let role = if place < ADMIN_GROUPS { roles[place % roles.len()] } else { "itil" };
        all.push(
            make.record("sys_group_has_role", part.code, 450_000)
                .with("group", &group)
                .with("role", make.id("sys_user_role", role)),
        );
    }
    for (place, worker) in company.workers.iter().filter(|worker| worker.left.is_none()).enumerate() {
        let user = make.id("sys_user", &worker.number.to_string());
        let key = worker.number.to_string();
        let group = make.id("sys_user_group", worker.organisation);
        all.push(make.record("sys_user_grmember", &key, 440_000).with("group", group).with("user", &user));
        let role = if place < ADMINS { "admin" } else { "itil" };
        all.push(make.record("sys_user_has_role", &key, 440_000).with("user", user).with("role", make.id("sys_user_role", role)));
    }
    let admin = make.record("sys_user_has_role", "admin", 600_000).with("user", make.id("sys_user", "admin"));
    all.push(admin.with("role", make.id("sys_user_role", "admin")));
    all
}

fn companies(make: &Maker<'_>) -> Vec<Record> {
    let mut all = Vec::new();
    for customer in &make.company.customers {
        let key = customer.external_id();
        let id = make.id("core_company", &key);
        all.push(
            make.record("core_company", &key, 300_000 - i64::from(customer.number))
                .with("name", &customer.name)
                .with("u_external_id", &key)
                .with("customer", "true")
                .with("email", &customer.email)
                .with("phone", &customer.phone)
                .with("street", customer.address.street)
                .with("city", customer.address.city)
                .with("state", customer.address.state.unwrap_or_default())
                .with("zip", &customer.address.postal_code)
                .with("country", customer.address.country)
                .with("u_currency", customer.currency)
                .with("u_industry", customer.industry),
        );
        for (place, contact) in customer.contacts.iter().enumerate() {
            all.push(
                make.record("customer_contact", &format!("{key}-{place}"), 290_000)
                    .with("user_name", &contact.email)
                    .with("first_name", contact.first_name)
                    .with("last_name", contact.last_name)
                    .with("name", format!("{} {}", contact.first_name, contact.last_name))
                    .with("email", &contact.email)
                    .with("title", contact.title)
                    .with("account", &id)
                    .with("company", &id),
            );
        }
    }
    for invoice in &make.company.invoices {
        let status = match invoice.paid {
            Some(_) => "paid",
            None if invoice.due < make.company.today => "overdue",
            None => "open",
        };
        let customer = make.company.customer(invoice.customer).map(crate::Customer::external_id).unwrap_or_default();
        all.push(
            make.record("u_customer_invoice", &invoice.reference(), 200_000 - i64::from(invoice.number))
                .with("u_number", invoice.reference())
                .with("u_customer", make.id("core_company", &customer))
                .with("u_amount", format!("{}.{:02}", invoice.cents() / 100, invoice.cents() % 100))
                .with("u_currency", invoice.currency)
                .with("u_status", status)
                .with("u_issued", invoice.issued.to_string())
                .with("u_due", invoice.due.to_string())
                .with("u_paid", invoice.paid.map(|day| day.to_string()).unwrap_or_default()),
        );
    }
    all
}
