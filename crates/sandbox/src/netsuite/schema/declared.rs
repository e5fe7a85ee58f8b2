//! What the types hold. Names follow the vendor's records browser; the columns are those of SuiteQL's tables.

use super::{Family, Sublist, Type, fields};

struct Declared {
    name: &'static str,
    title: &'static str,
    family: Family,
    code: &'static str,
    display: &'static str,
    groups: &'static [&'static str],
    sublists: &'static [(&'static str, &'static str, &'static str)],
    statuses: &'static [(&'static str, &'static str)],
    needs: &'static [&'static str],
}

pub(super) fn types() -> Vec<Type> {
    entities().into_iter().chain(items()).chain(transactions()).chain(lists()).map(built).collect()
}

fn built(declared: Declared) -> Type {
    let sublist =
        |(name, key, text): &(&'static str, &'static str, &'static str)| Sublist { name, key, fields: fields(text, &[]) };
    Type {
        name: declared.name,
        title: declared.title,
        family: declared.family,
        code: declared.code,
        display: declared.display,
        fields: declared.groups.iter().flat_map(|group| fields(group, declared.statuses)).collect(),
        sublists: declared.sublists.iter().map(sublist).collect(),
        needs: declared.needs,
    }
}

const ENTITY: &str = "
entityId text Name or number
email text E-mail
phone text Phone
isInactive boolean Inactive
subsidiary ref(subsidiary) Subsidiary
dateCreated stamp! Date created
comments text Comments
";
const MODIFIED: &str = "lastModifiedDate stamp! Last modified";
const COMPANY: &str = "
isPerson boolean Individual
companyName text Company name
firstName text First name
lastName text Last name
altName text! Name
fax text Fax
url text Web address
currency ref(currency) Primary currency
terms ref(term) Terms
creditLimit money Credit limit
balance/balancesearch money! Balance
";
const CUSTOMER: &str = "
parent ref(customer) Parent company
salesRep ref(employee) Sales representative
entityStatus choice(13=CUSTOMER-Closed_Won|7=LEAD-Qualified|10=PROSPECT-Proposal) Status
unbilledOrders/unbilledorderssearch money! Unbilled orders
overdueBalance/overduebalancesearch money! Overdue balance
custentity_industry text Industry
custentity_crm_id text CRM id
";
const ADDRESS_ROWS: &str = "
id integer! Id
label text Label
defaultBilling boolean Default billing address
defaultShipping boolean Default shipping address
addressBookAddress address Address
";

fn entities() -> Vec<Declared> {
    let entity = |name, title, code, groups, sublists, needs| Declared {
        name,
        title,
        family: Family::Entity,
        code,
        display: "entityId",
        groups,
        sublists,
        statuses: &[],
        needs,
    };
    const BOOK: &[(&str, &str, &str)] = &[("addressBook", "id", ADDRESS_ROWS)];
    vec![
        entity("customer", "Customer", "CustJob", &[ENTITY, MODIFIED, COMPANY, CUSTOMER], BOOK, &[]),
        entity(
            "vendor",
            "Vendor",
            "Vendor",
            &[ENTITY, MODIFIED, COMPANY, "legalName text Legal name\ntaxIdNum text Tax id\naccountNumber text Account"],
            BOOK,
            &[],
        ),
        entity(
            "contact",
            "Contact",
            "Contact",
            &[
                ENTITY,
                MODIFIED,
                "firstName text First name\nlastName text Last name\ntitle text Job title\ncompany ref(entity) Company",
            ],
            BOOK,
            &[],
        ),
        entity(
            "employee",
            "Employee",
            "Employee",
            &[
                ENTITY,
                "lastModifiedDate stamp!~ Last modified
                firstName text First name
                lastName text Last name
                title text Job title
                hireDate date Hire date
                releaseDate date Termination date
                supervisor ref(employee) Supervisor
                department ref(department) Department
                location ref(location) Location
                accountNumber text Employee number",
            ],
            BOOK,
            &["firstName", "lastName"],
        ),
        entity(
            "job",
            "Project",
            "Job",
            &[
                ENTITY,
                MODIFIED,
                "companyName text Project name\nparent ref(customer) Customer\nstartDate date Start date\nprojectedEndDate date Projected end",
            ],
            &[],
            &["companyName"],
        ),
    ]
}

const ITEM: &str = "
itemId text Item name or number
displayName text Display name
salesDescription/description text Sales description
isInactive boolean Inactive
subsidiary ref(subsidiary) Subsidiary
incomeAccount ref(account) Income account
createdDate stamp! Date created
lastModifiedDate stamp! Last modified
basePrice/baseprice money Base price
custitem_sku text SKU
";

fn items() -> Vec<Declared> {
    let item = |name, title, code, groups| Declared {
        name,
        title,
        family: Family::Item,
        code,
        display: "itemId",
        groups,
        sublists: &[],
        statuses: &[],
        needs: &["itemId"],
    };
    const STOCK: &str = "
        cost money Purchase price
        quantityOnHand/quantityonhand float! Quantity on hand
        quantityAvailable/quantityavailable float! Quantity available
        location ref(location) Location";
    vec![
        item("inventoryItem", "Inventory Item", "InvtPart", &[ITEM, STOCK]),
        item("nonInventorySaleItem", "Non-Inventory Item for Sale", "NonInvtPart", &[ITEM]),
        item("serviceSaleItem", "Service for Sale", "Service", &[ITEM]),
    ]
}

const TRANSACTION: &str = "
tranId text Document number
tranDate date Date
entity ref(entity) Name
subsidiary ref(subsidiary) Subsidiary
currency ref(currency) Currency
exchangeRate float Exchange rate
memo text Memo
department ref(department) Department
class ref(classification) Class
location ref(location) Location
status status! Status
total/foreigntotal money! Total
createdFrom ref(transaction) Created from
postingPeriod ref(accountingPeriod) Posting period
createdDate stamp! Date created
lastModifiedDate stamp! Last modified
custbody_source text Source
";
const SALES: &str = "
otherRefNum text PO number
email text E-mail
salesRep/employee ref(employee) Sales representative
subtotal money!~ Subtotal
terms ref(term) Terms
dueDate date Due date
";
const OPEN: &str = "
amountRemaining/foreignamountunpaid money! Amount remaining
amountPaid/foreignamountpaid money! Amount paid
";
const ITEM_ROWS: &str = "
line integer Line
item ref(item) Item
description text Description
quantity float Quantity
rate float Rate
amount money Amount
department ref(department) Department
class ref(classification) Class
location ref(location) Location
isClosed boolean Closed
quantityBilled float! Quantity billed
quantityFulfilled float! Quantity fulfilled
custcol_note text Note
";
const EXPENSE_ROWS: &str = "
line integer Line
account ref(account) Account
amount money Amount
memo text Memo
department ref(department) Department
";
const APPLY_ROWS: &str = "
doc ref(transaction) Document
apply boolean Apply
amount money Payment
";
const JOURNAL_ROWS: &str = "
line integer Line
account ref(account) Account
debit money Debit
credit money Credit
memo text Memo
entity ref(entity) Name
department ref(department) Department
location ref(location) Location
";

const ORDER: &[(&str, &str)] = &[
    ("A", "Pending Approval"),
    ("B", "Pending Fulfillment"),
    ("C", "Cancelled"),
    ("D", "Partially Fulfilled"),
    ("E", "Pending Billing/Partially Fulfilled"),
    ("F", "Pending Billing"),
    ("G", "Billed"),
    ("H", "Closed"),
];
const OWED: &[(&str, &str)] = &[("A", "Open"), ("B", "Paid In Full"), ("V", "Voided")];
const BILL: &[(&str, &str)] = &[("A", "Open"), ("B", "Paid In Full"), ("C", "Cancelled"), ("D", "Pending Approval")];
const CREDIT: &[(&str, &str)] = &[("A", "Open"), ("B", "Fully Applied"), ("V", "Voided")];
const PAYMENT: &[(&str, &str)] = &[("A", "Unapproved Payment"), ("B", "Not Deposited"), ("C", "Deposited")];
const DONE: &[(&str, &str)] = &[("A", "Picked"), ("B", "Packed"), ("C", "Shipped")];
const BOUGHT: &[(&str, &str)] = &[
    ("A", "Pending Supervisor Approval"),
    ("B", "Pending Receipt"),
    ("F", "Pending Bill"),
    ("G", "Fully Billed"),
    ("H", "Closed"),
];
const OFFER: &[(&str, &str)] = &[("A", "Open"), ("B", "Processed"), ("C", "Closed"), ("V", "Voided"), ("X", "Expired")];

type Lists = &'static [(&'static str, &'static str, &'static str)];

fn transactions() -> Vec<Declared> {
    const ITEMS: Lists = &[("item", "line", ITEM_ROWS)];
    const BILLED: Lists = &[("item", "line", ITEM_ROWS), ("expense", "line", EXPENSE_ROWS)];
    const APPLIED: Lists = &[("apply", "doc", APPLY_ROWS)];
    const CREDITED: Lists = &[("item", "line", ITEM_ROWS), ("apply", "doc", APPLY_ROWS)];
    const JOURNAL: Lists = &[("line", "line", JOURNAL_ROWS)];
    let make = |name, title, code, groups, sublists, statuses, needs| Declared {
        name,
        title,
        family: Family::Transaction,
        code,
        display: "tranId",
        groups,
        sublists,
        statuses,
        needs,
    };
    const PAID: &str = "payment money Payment amount\nundepFunds boolean Undeposited funds\naccount ref(account) Account";
    const ALL: &[&str] = &["entity", "item"];
    vec![
        make(
            "opportunity",
            "Opportunity",
            "Opprtnty",
            &[TRANSACTION, "title text Title\nprobability float Probability\nprojectedTotal money Projected total"],
            ITEMS,
            OFFER,
            &["entity"],
        ),
        make("estimate", "Estimate", "Estimate", &[TRANSACTION, SALES], ITEMS, OFFER, ALL),
        make(
            "salesOrder",
            "Sales Order",
            "SalesOrd",
            &[
                TRANSACTION,
                SALES,
                "orderStatus choice(A=Pending_Approval|B=Pending_Fulfillment)~ Order status\nshipDate date Ship date",
            ],
            ITEMS,
            ORDER,
            ALL,
        ),
        make("invoice", "Invoice", "CustInvc", &[TRANSACTION, SALES, OPEN], ITEMS, OWED, ALL),
        make("cashSale", "Cash Sale", "CashSale", &[TRANSACTION, SALES], ITEMS, PAYMENT, ALL),
        make("creditMemo", "Credit Memo", "CustCred", &[TRANSACTION, SALES, OPEN], CREDITED, CREDIT, ALL),
        make("returnAuthorization", "Return Authorization", "RtnAuth", &[TRANSACTION, SALES], ITEMS, ORDER, ALL),
        make("customerPayment", "Payment", "CustPymt", &[TRANSACTION, PAID], APPLIED, PAYMENT, &["entity"]),
        make("itemFulfillment", "Item Fulfillment", "ItemShip", &[TRANSACTION], ITEMS, DONE, &["entity"]),
        make(
            "purchaseOrder",
            "Purchase Order",
            "PurchOrd",
            &[TRANSACTION, "dueDate date Receive by"],
            BILLED,
            BOUGHT,
            &["entity"],
        ),
        make("itemReceipt", "Item Receipt", "ItemRcpt", &[TRANSACTION], ITEMS, DONE, &["entity"]),
        make(
            "vendorBill",
            "Bill",
            "VendBill",
            &[TRANSACTION, OPEN, "dueDate date Due date\nterms ref(term) Terms"],
            BILLED,
            BILL,
            &["entity"],
        ),
        make("vendorPayment", "Bill Payment", "VendPymt", &[TRANSACTION, PAID], APPLIED, PAYMENT, &["entity"]),
        make(
            "expenseReport",
            "Expense Report",
            "ExpRept",
            &[TRANSACTION],
            &[("expense", "line", EXPENSE_ROWS)],
            BILL,
            &["entity"],
        ),
        make(
            "journalEntry",
            "Journal Entry",
            "Journal",
            &[TRANSACTION, "approved boolean Approved"],
            JOURNAL,
            &[("A", "Pending Approval"), ("B", "Approved for Posting")],
            &["line"],
        ),
        make(
            "advInterCompanyJournalEntry",
            "Advanced Intercompany Journal Entry",
            "Journal",
            &[TRANSACTION, "approved boolean Approved"],
            JOURNAL,
            &[("A", "Pending Approval"), ("B", "Approved for Posting")],
            &["line"],
        ),
    ]
}

fn lists() -> Vec<Declared> {
    let list = |name, title, code, display, groups, needs| Declared {
        name,
        title,
        family: Family::Own(name),
        code,
        display,
        groups,
        sublists: &[],
        statuses: &[],
        needs,
    };
    const NAMED: &[&str] = &["name text Name\nisInactive boolean Inactive\nlastModifiedDate stamp! Last modified"];
    const CRM: &str = "
        startDate date Start date
        company ref(entity) Company
        assigned ref(employee) Assigned to
        createdDate stamp! Date created
        lastModifiedDate stamp! Last modified
        message text Message";
    vec![
        list(
            "subsidiary",
            "Subsidiary",
            "Subsidiary",
            "name",
            &[
                "name text Name\nisInactive boolean Inactive\ncurrency ref(currency) Currency\ncountry text Country\nparent ref(subsidiary) Parent\nlastModifiedDate stamp! Last modified",
            ],
            &["name"],
        ),
        list(
            "currency",
            "Currency",
            "Currency",
            "name",
            &[
                "name text Name\nsymbol text ISO code\nexchangeRate float Exchange rate\nisInactive boolean Inactive\nlastModifiedDate stamp! Last modified",
            ],
            &["name", "symbol"],
        ),
        list(
            "account",
            "Account",
            "Account",
            "acctName",
            &[
                "acctNumber/acctnumber text Number\nacctName/accountsearchdisplayname text Name\nacctType/accttype text Type\ncurrency ref(currency) Currency\nisInactive boolean Inactive\nbalance money! Balance\nlastModifiedDate stamp! Last modified",
            ],
            &["acctName", "acctType"],
        ),
        list("department", "Department", "Department", "name", NAMED, &["name"]),
        list("classification", "Class", "Classification", "name", NAMED, &["name"]),
        list(
            "location",
            "Location",
            "Location",
            "name",
            &[
                "name text Name\nisInactive boolean Inactive\nsubsidiary ref(subsidiary) Subsidiary\nlastModifiedDate stamp! Last modified",
            ],
            &["name"],
        ),
        list(
            "term",
            "Term",
            "Term",
            "name",
            &["name text Name\ndaysUntilNetDue integer Days till net due\nisInactive boolean Inactive"],
            &["name"],
        ),
        list(
            "accountingPeriod",
            "Accounting Period",
            "AccountingPeriod",
            "periodName",
            &[
                "periodName text Name\nstartDate date Start date\nendDate date End date\nclosed boolean Closed\narLocked boolean A/R locked",
            ],
            &["periodName"],
        ),
        list(
            "supportCase",
            "Case",
            "SupportCase",
            "caseNumber",
            &[
                "caseNumber text Number\ntitle text Subject\nemail text E-mail\nstatus choice(1=Not_Started|2=In_Progress|3=Escalated|5=Closed) Status\npriority choice(1=High|2=Medium|3=Low) Priority",
                CRM,
            ],
            &["title", "company"],
        ),
        list(
            "phoneCall",
            "Phone Call",
            "PhoneCall",
            "title",
            &["title text Subject\nphone text Phone\nstatus choice(SCHEDULED=Scheduled|COMPLETE=Completed) Status", CRM],
            &["title"],
        ),
        list(
            "task",
            "Task",
            "Task",
            "title",
            &[
                "title text Title\nstatus choice(NOTSTART=Not_Started|PROGRESS=In_Progress|COMPLETE=Completed) Status\ndueDate date Due date",
                CRM,
            ],
            &["title"],
        ),
        list("folder", "Folder", "folder", "name", &["name text Name\nisInactive boolean Inactive"], &["name"]),
        list(
            "file",
            "File",
            "file",
            "name",
            &["name text Name\nfileType text File type\ncontent text~ Content\nfolder ref(folder) Folder"],
            &["name", "folder"],
        ),
        list(
            "customrecord_device",
            "Device",
            "customrecord_device",
            "name",
            &[
                "name text Name\nisInactive boolean Inactive\ncreated stamp! Date created\nlastModified/lastmodified stamp! Last modified\ncustrecord_device_serial text Serial number\ncustrecord_device_customer ref(customer) Customer\ncustrecord_device_item ref(item) Item\ncustrecord_device_installed date Installed\ncustrecord_device_reading float Last reading\ncustrecord_device_active boolean Active",
            ],
            &["name"],
        ),
    ]
}
