//! The tenant's reports: advanced ones that are enabled as a web service and shared.

/// A report.
#[derive(Debug)]
pub(super) struct Report {
    /// Its name in the address.
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    /// Names of columns, and the fields behind them.
    pub(super) columns: &'static [(&'static str, &'static str)],
    /// Names of prompts, and what they pick: a field, `from:` and a date field, or `effective`.
    pub(super) prompts: &'static [(&'static str, &'static str)],
    /// It never has rows.
    pub(super) empty: bool,
}

const WORKERS: &[(&str, &str)] = &[
    ("Employee_ID", "employeeID"),
    ("Worker", "worker"),
    ("First_Name", "firstName"),
    ("Last_Name", "lastName"),
    ("Email", "primaryWorkEmail"),
    ("Business_Title", "businessTitle"),
    ("Supervisory_Organization", "supervisoryOrganization"),
    ("Cost_Center", "costCenter"),
    ("Location", "location"),
    ("Manager", "manager"),
    ("Hire_Date", "hireDate"),
    ("Termination_Date", "terminationDate"),
    ("Active", "currentlyActive"),
    ("Date_of_Birth", "dateOfBirth"),
    ("Organizations_group", "organizations"),
];
const WORKER_PROMPTS: &[(&str, &str)] = &[
    ("Organization", "supervisoryOrganization"),
    ("Location", "location"),
    ("Employee_ID", "employeeID"),
    ("Hired_On_or_After", "from:hireDate"),
    ("Effective_as_of_Date", "effective"),
];

/// All reports.
pub(super) const REPORTS: &[Report] = &[
    Report { name: "All_Workers", source: "allWorkers", columns: WORKERS, prompts: WORKER_PROMPTS, empty: false },
    Report { name: "Active_Workers", source: "allActiveWorkers", columns: WORKERS, prompts: WORKER_PROMPTS, empty: false },
    Report { name: "Nobody", source: "allWorkers", columns: WORKERS, prompts: WORKER_PROMPTS, empty: true },
    Report {
        name: "Organizations",
        source: "allOrganizations",
        columns: &[
            ("Reference_ID", "organizationID"),
            ("Organization", "organization"),
            ("Code", "code"),
            ("Type", "organizationType"),
            ("Manager", "manager"),
        ],
        prompts: &[("Type", "organizationType")],
        empty: false,
    },
    Report {
        name: "Customer_Invoices",
        source: "customerInvoices",
        columns: &[
            ("Invoice_Number", "invoiceNumber"),
            ("Customer", "billToCustomer"),
            ("Invoice_Date", "invoiceDate"),
            ("Due_Date", "dueDate"),
            ("Amount", "netAmount"),
            ("Amount_Due", "dueAmount"),
            ("Payment_Status", "paymentStatus"),
        ],
        prompts: &[("Invoiced_On_or_After", "from:invoiceDate"), ("Invoice_Number", "invoiceNumber")],
        empty: false,
    },
    Report {
        name: "Journal_Lines",
        source: "journalLines",
        columns: &[
            ("Line_ID", "lineID"),
            ("Accounting_Date", "accountingDate"),
            ("Ledger_Account", "ledgerAccount"),
            ("Debit", "debitAmount"),
            ("Credit", "creditAmount"),
            ("Memo", "memo"),
        ],
        prompts: &[("Accounting_Date_From", "from:accountingDate")],
        empty: false,
    },
];
