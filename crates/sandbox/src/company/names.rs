//! Words the books are made of. Names of people and companies are made up or common; addresses end in `.example`.

use super::Product;

pub(super) const COMPANY_FIRST: &[&str] = &[
    "Amber",
    "Birch",
    "Cobalt",
    "Delta",
    "Elm",
    "Falcon",
    "Granite",
    "Harbour",
    "Iris",
    "Juniper",
    "Kestrel",
    "Lumen",
    "Meridian",
    "Nordic",
    "Opal",
    "Pioneer",
    "Quartz",
    "Riverside",
    "Summit",
    "Tundra",
    "Umbra",
    "Vertex",
    "Willow",
    "Zephyr",
];
pub(super) const COMPANY_SECOND: &[&str] = &[
    "Analytics",
    "Biotech",
    "Clinics",
    "Components",
    "Energy",
    "Foods",
    "Freight",
    "Laboratories",
    "Logistics",
    "Media",
    "Metals",
    "Optics",
    "Robotics",
    "Systems",
    "Textiles",
    "Tools",
];
pub(super) const FIRST: &[&str] = &[
    "Ada", "Ahmed", "Amelie", "Anders", "Bea", "Carlos", "Chloé", "Daniel", "Elif", "Emma", "Fatima", "Freya", "Grace", "Hugo",
    "Ines", "Jan", "Jörg", "Kaito", "Lena", "Luca", "Maya", "Mei", "Nadia", "Noah", "Olga", "Omar", "Priya", "Rafael", "Rosa",
    "Sofía", "Thomas", "Uma", "Victor", "Wanda", "Yusuf", "Zoë",
];
pub(super) const LAST: &[&str] = &[
    "Adeyemi", "Bauer", "Chen", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Haddad", "Ivanov", "Jansen", "Kapoor",
    "Kowalski", "Larsen", "Marino", "Moreau", "Nakamura", "Novak", "O'Brien", "Okafor", "Patel", "Quinn", "Rossi", "Sato",
    "Schmidt", "Silva", "Tanaka", "Usman", "Vega", "Weber", "Yilmaz", "Zhang",
];
pub(super) const CONTACT_TITLES: &[&str] = &[
    "Accounts Payable",
    "Chief Financial Officer",
    "Head of Procurement",
    "IT Manager",
    "Operations Manager",
    "Purchasing Agent",
];
pub(super) const INDUSTRIES: &[&str] =
    &["Biotechnology", "Energy", "Food & Beverage", "Healthcare", "Manufacturing", "Media", "Transportation"];

/// Street, city, postal code, state, country, currency, beginning of phone numbers.
pub(super) type Place =
    (&'static str, &'static str, &'static str, Option<&'static str>, &'static str, &'static str, &'static str);
pub(super) const PLACES: &[Place] = &[
    ("1 Market Street", "San Francisco", "94105", Some("CA"), "US", "USD", "+1415"),
    ("350 Fifth Avenue", "New York", "10118", Some("NY"), "US", "USD", "+1212"),
    ("233 Wacker Drive", "Chicago", "60606", Some("IL"), "US", "USD", "+1312"),
    ("600 Congress Avenue", "Austin", "78701", Some("TX"), "US", "USD", "+1512"),
    ("Friedrichstraße 123", "Berlin", "10117", None, "DE", "EUR", "+4930"),
    ("12 Rue de Rivoli", "Paris", "75001", None, "FR", "EUR", "+331"),
    ("Calle de Alcalá 50", "Madrid", "28014", None, "ES", "EUR", "+3491"),
    ("30 St Mary Axe", "London", "EC3A 8BF", None, "GB", "GBP", "+4420"),
    ("1 Chome Marunouchi", "Tokyo", "100-0005", None, "JP", "JPY", "+813"),
    ("48 Pitt Street", "Sydney", "2000", Some("NSW"), "AU", "AUD", "+612"),
];
pub(super) const PRODUCTS: &[Product] = &[
    Product { sku: "SEN-100", name: "Temperature sensor", cents: 4_900, monthly: false },
    Product { sku: "SEN-200", name: "Pressure sensor", cents: 12_950, monthly: false },
    Product { sku: "GAT-010", name: "Gateway", cents: 39_900, monthly: false },
    Product { sku: "CAL-001", name: "Calibration", cents: 25_000, monthly: false },
    Product { sku: "SUB-BAS", name: "Monitoring Basic", cents: 9_900, monthly: true },
    Product { sku: "SUB-PRO", name: "Monitoring Pro", cents: 29_900, monthly: true },
    Product { sku: "TRN-DAY", name: "Training day", cents: 120_000, monthly: false },
    Product { sku: "CBL-005", name: "Cable, 5 m", cents: 1_990, monthly: false },
];
pub(super) const ORGANISATIONS: [(&str, &str); 8] = [
    ("EXE", "Executive Office"),
    ("FIN", "Finance"),
    ("ENG", "Engineering"),
    ("SAL", "Sales"),
    ("HRM", "People"),
    ("ITS", "IT Services"),
    ("OPS", "Operations"),
    ("MKT", "Marketing"),
];
/// Titles by organisation, the leader's first.
pub(super) const TITLES: [&[&str]; 8] = [
    &["Chief Executive Officer", "Chief of Staff", "Executive Assistant"],
    &["Chief Financial Officer", "Accountant", "Controller", "Payroll Specialist"],
    &["Vice President Engineering", "Firmware Engineer", "Software Engineer", "Test Engineer"],
    &["Vice President Sales", "Account Executive", "Sales Engineer"],
    &["Chief People Officer", "Recruiter", "People Partner"],
    &["Director IT", "Service Desk Analyst", "Systems Administrator"],
    &["Director Operations", "Buyer", "Warehouse Lead"],
    &["Director Marketing", "Content Editor", "Event Manager"],
];
pub(super) const LOCATIONS: &[(&str, &str, &str)] =
    &[("SFO", "San Francisco", "US"), ("BER", "Berlin", "DE"), ("LON", "London", "GB"), ("TYO", "Tokyo", "JP")];
