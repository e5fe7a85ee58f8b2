//! The books of one made-up company. Every system holds its part of them, so that records belong together.

mod names;

use jiff::civil::Date;
use serde::Serialize;

use crate::Random;

/// Where somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// Street and number.
    pub street: &'static str,
    /// City.
    pub city: &'static str,
    /// Postal code.
    pub postal_code: String,
    /// State or region, if the country writes one.
    pub state: Option<&'static str>,
    /// Country by ISO 3166-1, two letters.
    pub country: &'static str,
}

/// Somebody who buys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Customer {
    /// Counts from 1; every system keeps it as its external id, written `C-0001`.
    pub number: u32,
    /// The company's name.
    pub name: String,
    /// Where invoices go.
    pub email: String,
    /// Where to call, written internationally.
    pub phone: String,
    /// Where it is.
    pub address: Address,
    /// What it pays in, ISO 4217, capitals.
    pub currency: &'static str,
    /// What it does.
    pub industry: &'static str,
    /// Customer since.
    pub since: Date,
    /// The people there.
    pub contacts: Vec<Contact>,
}

impl Customer {
    /// The id all systems know it by.
    #[must_use]
    pub fn external_id(&self) -> String {
        format!("C-{:04}", self.number)
    }
}

/// A person at a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// First name.
    pub first_name: &'static str,
    /// Last name.
    pub last_name: &'static str,
    /// Where to write.
    pub email: String,
    /// What they do.
    pub title: &'static str,
}

/// Something to sell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Product {
    /// The company's own number for it.
    pub sku: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Price of one, in hundredths of a US dollar.
    pub cents: i64,
    /// True when it is paid every month.
    pub monthly: bool,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What was sold.
    pub sku: &'static str,
    /// How many.
    pub quantity: i64,
    /// All together, in hundredths.
    pub cents: i64,
}

/// What a customer owes or has paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoice {
    /// Its number, from 1001 on, written `INV-1001`.
    pub number: u32,
    /// The customer's number.
    pub customer: u32,
    /// Currency, ISO 4217, capitals.
    pub currency: &'static str,
    /// Written on.
    pub issued: Date,
    /// To be paid by.
    pub due: Date,
    /// Paid on, if it is.
    pub paid: Option<Date>,
    /// What was sold.
    pub lines: Vec<Line>,
}

impl Invoice {
    /// The number as it is printed.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("INV-{}", self.number)
    }

    /// What is asked for, in hundredths.
    #[must_use]
    pub fn cents(&self) -> i64 {
        self.lines.iter().map(|line| line.cents).sum()
    }
}

/// A part of the company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Organisation {
    /// Its code: `ENG`.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The employee number of who leads it.
    pub manager: u32,
}

/// Where people of the company work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// Its code: `BER`.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Country by ISO 3166-1, two letters.
    pub country: &'static str,
}

/// Somebody who works here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// Employee number, from 21001 on.
    pub number: u32,
    /// First name.
    pub first_name: &'static str,
    /// Last name.
    pub last_name: &'static str,
    /// Work address.
    pub email: String,
    /// Business title.
    pub title: &'static str,
    /// The organisation's code.
    pub organisation: &'static str,
    /// The location's code.
    pub location: &'static str,
    /// The employee number of who they report to; `None` for the head of the company.
    pub manager: Option<u32>,
    /// First day.
    pub hired: Date,
    /// Last day, if they left.
    pub left: Option<Date>,
}

/// The company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Company {
    /// Its name.
    pub name: &'static str,
    /// The domain of its addresses.
    pub domain: &'static str,
    /// The day of the books: what is to come is after it.
    pub today: Date,
    /// Those who buy, by number.
    pub customers: Vec<Customer>,
    /// What it sells.
    pub products: Vec<Product>,
    /// What was written, by number.
    pub invoices: Vec<Invoice>,
    /// Its parts.
    pub organisations: Vec<Organisation>,
    /// Its places.
    pub locations: Vec<Location>,
    /// Its people, by number.
    pub workers: Vec<Worker>,
}

/// Customers in the books.
const CUSTOMERS: u32 = 60;
/// Invoices in the books.
const INVOICES: u32 = 180;
/// People who work or worked here.
const WORKERS: u32 = 80;
/// The first invoice's number.
const FIRST_INVOICE: u32 = 1001;
/// The first worker's number, who leads the company.
const FIRST_WORKER: u32 = 21001;

impl Company {
    /// The books of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let random = Random::new(seed, "company");
        let today = jiff::civil::date(2026, 11, 16);
        let mut used = std::collections::HashSet::new();
        let customers: Vec<Customer> = (1..=CUSTOMERS).map(|number| customer(number, today, &random, &mut used)).collect();
        let products = names::PRODUCTS.to_vec();
        let invoices = (0..INVOICES).map(|place| invoice(FIRST_INVOICE + place, today, &customers, &products, &random)).collect();
        let mut people = std::collections::HashSet::new();
        let workers = (0..WORKERS).map(|place| worker(place, today, &random, &mut people)).collect();
        let organisations = (0_u32..)
            .zip(names::ORGANISATIONS)
            .map(|(place, (code, name))| Organisation { code, name, manager: FIRST_WORKER + place })
            .collect();
        let locations = names::LOCATIONS.iter().map(|(code, name, country)| Location { code, name, country }).collect();
        Self {
            name: "Northwind Instruments",
            domain: "northwind.example",
            today,
            customers,
            products,
            invoices,
            organisations,
            locations,
            workers,
        }
    }

    /// A customer by number.
    #[must_use]
    pub fn customer(&self, number: u32) -> Option<&Customer> {
        self.customers.iter().find(|customer| customer.number == number)
    }
}

fn days(date: Date, days: i64) -> Date {
    date.checked_add(jiff::Span::new().days(days)).unwrap_or(date)
}

fn below(random: &Random, end: i64) -> i64 {
    i64::try_from(random.below(end.unsigned_abs())).unwrap_or_default()
}

fn customer(number: u32, today: Date, random: &Random, used: &mut std::collections::HashSet<String>) -> Customer {
    let (name, stem) = loop {
        let (first, second) = (*random.pick(names::COMPANY_FIRST), *random.pick(names::COMPANY_SECOND));
        let name = format!("{first} {second}");
        if used.insert(name.clone()) {
            break (name, format!("{first}{second}").to_lowercase().replace([' ', '&', '.'], ""));
        }
    };
    let (street, city, postal, state, country, currency, dial) = *random.pick(names::PLACES);
    let contacts = (0..=random.below(3))
        .map(|_| {
            let (first_name, last_name) = (*random.pick(names::FIRST), *random.pick(names::LAST));
            let email = format!("{}.{}@{stem}.example", plain(first_name), plain(last_name));
            Contact { first_name, last_name, email, title: random.pick::<&str>(names::CONTACT_TITLES) }
        })
        .collect();
    Customer {
        number,
        name,
        email: format!("billing@{stem}.example"),
        phone: format!("{dial}{:07}", random.below(10_000_000)),
        address: Address { street, city, postal_code: postal.to_owned(), state, country },
        currency,
        industry: random.pick::<&str>(names::INDUSTRIES),
        since: days(today, -30 - below(random, 1_800)),
        contacts,
    }
}

fn invoice(number: u32, today: Date, customers: &[Customer], products: &[Product], random: &Random) -> Invoice {
    let customer = random.pick(customers);
    // Numbers follow the calendar: the last one was written today.
    let age = i64::from(FIRST_INVOICE + INVOICES - 1 - number) * 2;
    let issued = days(today, -age);
    let lines = (0..=random.below(3))
        .map(|_| {
            let product = random.pick(products);
            let quantity = 1 + below(random, 9);
            Line { sku: product.sku, quantity, cents: product.cents * quantity }
        })
        .collect();
    let due = days(issued, 30);
    let paid = (age > 10 && random.below(10) < 8).then(|| days(issued, 1 + below(random, age.min(45) - 1)));
    Invoice { number, customer: customer.number, currency: customer.currency, issued, due, paid, lines }
}

fn worker(place: u32, today: Date, random: &Random, used: &mut std::collections::HashSet<String>) -> Worker {
    let (first_name, last_name) = loop {
        let pair = (*random.pick(names::FIRST), *random.pick(names::LAST));
        if used.insert(format!("{} {}", pair.0, pair.1)) {
            break pair;
        }
    };
    let leaders = u32::try_from(names::ORGANISATIONS.len()).unwrap_or_default();
    let leads = place < leaders;
    let home = if leads { place } else { u32::try_from(random.below(u64::from(leaders))).unwrap_or_default() };
    let (organisation, _) = names::ORGANISATIONS[usize::try_from(home).unwrap_or_default()];
    let titles = names::TITLES[usize::try_from(home).unwrap_or_default()];
    let manager = match (place, leads) {
        (0, _) => None,
        (_, true) => Some(FIRST_WORKER),
        (_, false) => Some(FIRST_WORKER + home),
    };
    let hired = if leads { days(today, -3_000 - i64::from(place)) } else { days(today, -below(random, 2_500)) };
    let left = (!leads && random.below(12) == 0 && hired < days(today, -200)).then(|| days(today, -below(random, 180)));
    Worker {
        number: FIRST_WORKER + place,
        first_name,
        last_name,
        email: format!("{}.{}@northwind.example", plain(first_name), plain(last_name)),
        title: if leads { titles[0] } else { random.pick::<&str>(&titles[1..]) },
        organisation,
        location: random.pick(names::LOCATIONS).0,
        manager,
        hired,
        left,
    }
}

/// A name as addresses write it.
fn plain(name: &str) -> String {
    name.chars()
        .flat_map(char::to_lowercase)
        .filter_map(|c| match c {
            'ö' | 'ó' | 'ø' => Some('o'),
            'ü' | 'ú' => Some('u'),
            'é' | 'è' => Some('e'),
            'ñ' => Some('n'),
            'á' | 'ä' | 'å' => Some('a'),
            c if c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Company;

    #[test]
    fn the_books_are_the_same_for_a_seed_and_hold_together() {
        let company = Company::new(7);
        assert_eq!(company, Company::new(7));
        assert_ne!(company, Company::new(8));
        for invoice in &company.invoices {
            assert!(company.customer(invoice.customer).is_some() && invoice.cents() > 0, "{invoice:?}");
            assert!(invoice.paid.is_none_or(|paid| paid >= invoice.issued && paid <= company.today), "{invoice:?}");
        }
        for worker in &company.workers {
            let manager = worker.manager.map(|number| company.workers.iter().find(|other| other.number == number));
            assert!(manager.is_none_or(|manager| manager.is_some_and(|manager| manager.left.is_none())), "{worker:?}");
            assert!(company.organisations.iter().any(|organisation| organisation.code == worker.organisation));
            assert!(worker.left.is_none_or(|left| left > worker.hired), "{worker:?}");
        }
        let emails: std::collections::HashSet<_> = company.workers.iter().map(|worker| &worker.email).collect();
        assert_eq!(emails.len(), company.workers.len(), "no two workers share an address");
        assert!(company.workers.iter().any(|worker| worker.left.is_some()));
        assert!(company.invoices.iter().any(|invoice| invoice.paid.is_none()));
    }
}
