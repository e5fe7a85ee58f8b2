//! The account's business rules: names and numbers given by itself, totals, what is paid and what is open.

use serde_json::{Value as Json, json};

use super::{
    books::{Now, touch},
    refusal::Refusal,
    schema::{Family, Type},
    store::{Record, Row, Store, cell},
    values::money,
};

/// What is smaller is nothing.
const CENT: f64 = 0.005;

/// What a form calls the entity of a transaction.
pub(super) fn entity_title(kind: &Type) -> &'static str {
    match kind.name {
        "vendorBill" | "vendorPayment" | "purchaseOrder" | "itemReceipt" => "Vendor",
        "expenseReport" => "Employee",
        _ => "Customer",
    }
}

/// What an entity lacks.
pub(super) fn entity_needs(record: &Record, now: &Now) -> Vec<&'static str> {
    let mut missing = Vec::new();
    let has = |name: &str| !record.get(name).is_null();
    match record.kind.name {
        "customer" | "vendor" if record.get("isPerson") == &json!(true) => {
            missing.extend(
                [("firstName", "First Name"), ("lastName", "Last Name")]
                    .iter()
                    .filter(|(name, _)| !has(name))
                    .map(|(_, title)| *title),
            );
        }
        "customer" | "vendor" if !has("companyName") => missing.push("Company Name"),
        "contact" if !has("entityId") && !has("firstName") && !has("lastName") => missing.push("Contact"),
        _ => {}
    }
    if matches!(record.kind.name, "customer" | "vendor" | "employee") && !now.one_company && !has("subsidiary") {
        missing.push("Subsidiary");
    }
    missing
}

/// Fills in what the system gives by itself to a new record.
pub(super) fn complete(record: &mut Record, store: &mut Store, now: &Now) -> Result<(), Refusal> {
    default(record, "isInactive", || json!(false));
    match record.kind.family {
        Family::Entity => entity(record, store),
        Family::Transaction => {
            transaction(record, store, now);
            Ok(())
        }
        Family::Item => unique(record, store, "itemId"),
        Family::Own(_) => {
            if record.kind.name == "supportCase" && record.get("caseNumber").is_null() {
                let number = store.next_number(record.kind, 1001);
                record.set("caseNumber", number.to_string());
                default(record, "status", || json!("1"));
                default(record, "priority", || json!("2"));
            }
            Ok(())
        }
    }
}

fn default(record: &mut Record, name: &str, value: impl FnOnce() -> Json) {
    if record.get(name).is_null() {
        record.set(name, value());
    }
}

fn entity(record: &mut Record, store: &mut Store) -> Result<(), Refusal> {
    let person = format!("{} {}", record.text("firstName"), record.text("lastName"));
    let name =
        if record.text("companyName").is_empty() { person.trim().to_owned() } else { record.text("companyName").to_owned() };
    record.set("altName", name.clone());
    if record.kind.position("isPerson").is_some() {
        default(record, "isPerson", || json!(false));
    }
    for amount in ["balance", "overdueBalance", "unbilledOrders"] {
        default(record, amount, || json!(0.0));
    }
    default(record, "currency", || json!("1"));
    if record.kind.name == "customer" {
        default(record, "entityStatus", || json!("13"));
    }
    if record.get("entityId").is_null() && !name.is_empty() {
        record.set("entityId", name);
    }
    unique(record, store, "entityId")
}

fn unique(record: &Record, store: &Store, name: &str) -> Result<(), Refusal> {
    let wanted = record.text(name);
    // Only the newest are looked at: a whole table is not read for a name.
    let taken = store
        .ids(record.kind)
        .rev()
        .take(2_000)
        .any(|id| store.get(record.kind, id).is_some_and(|other| other.text(name) == wanted));
    if taken && !wanted.is_empty() && record.kind.name != "contact" {
        let kind = record.kind.title.to_lowercase();
        return Err(Refusal::user(format!(
            "A {kind} record with this ID already exists. You must enter a unique {kind} ID for each record you create."
        )));
    }
    Ok(())
}

fn transaction(record: &mut Record, store: &mut Store, now: &Now) {
    let today = now.today();
    default(record, "tranDate", || json!(today.to_string()));
    if record.get("tranId").is_null() {
        let number = store.next_number(record.kind, 5001);
        record.set("tranId", format!("{}{number}", prefix(record.kind.name)));
    }
    let party = record.reference("entity").and_then(|id| store.any("entity", id));
    let of_party = |name: &str| party.map(|party| party.get(name).clone()).filter(|value| !value.is_null());
    let (currency, subsidiary, terms) = (of_party("currency"), of_party("subsidiary"), of_party("terms"));
    default(record, "currency", || currency.unwrap_or_else(|| json!("1")));
    if !now.one_company {
        default(record, "subsidiary", || subsidiary.unwrap_or_else(|| json!("1")));
    }
    default(record, "exchangeRate", || json!(1.0));
    default(record, "terms", || terms.unwrap_or(Json::Null));
    if record.kind.name != "purchaseOrder" {
        let date = record.text("tranDate").parse().unwrap_or(today);
        default(record, "dueDate", || json!(date.checked_add(jiff::Span::new().days(30)).unwrap_or(date).to_string()));
    }
    let first = match record.kind.name {
        "salesOrder" => {
            if record.text("orderStatus") == "A" {
                "A"
            } else {
                "B"
            }
        }
        "purchaseOrder" | "journalEntry" | "advInterCompanyJournalEntry" | "customerPayment" | "cashSale" | "vendorPayment" => {
            "B"
        }
        "itemFulfillment" => "C",
        _ => "A",
    };
    record.set("status", first);
}

/// Sales documents print letters before their number.
fn prefix(kind: &str) -> &'static str {
    match kind {
        "salesOrder" => "SO",
        "invoice" => "INV",
        "estimate" => "EST",
        "creditMemo" => "CM",
        "customerPayment" => "PYMT",
        "purchaseOrder" => "PO",
        "vendorBill" => "BILL",
        "itemFulfillment" => "IF",
        "itemReceipt" => "IR",
        "journalEntry" => "JE",
        "opportunity" => "OPP",
        "cashSale" => "CS",
        "returnAuthorization" => "RMA",
        _ => "",
    }
}

/// Amounts of rows, sums, what is open.
pub(super) fn compute(record: &mut Record, store: &Store) -> Result<(), Refusal> {
    if !record.kind.is_transaction() {
        return Ok(());
    }
    price(record, store)?;
    let items: f64 = sum(record, "item", "amount");
    let expenses: f64 = sum(record, "expense", "amount");
    let total = match record.kind.name {
        "customerPayment" | "vendorPayment" => pay(record, store)?,
        "journalEntry" | "advInterCompanyJournalEntry" => journal(record)?,
        _ => items + expenses,
    };
    record.set("subtotal", money(items));
    record.set("total", money(total));
    if record.kind.name == "creditMemo" {
        check_applied(record, store)?;
        let applied = applied(record).map(|(_, amount)| amount).sum::<f64>();
        record.set("amountPaid", money(applied));
    }
    if record.kind.position("amountRemaining").is_some() {
        open(record);
    }
    Ok(())
}

/// Sets what remains and the state from what was paid.
fn open(record: &mut Record) {
    let (total, paid) = (record.number("total"), record.number("amountPaid"));
    record.set("amountPaid", money(paid));
    record.set("amountRemaining", money(total - paid));
    let done = total > CENT && total - paid < CENT;
    if matches!(record.text("status"), "A" | "B" | "") {
        record.set("status", if done { "B" } else { "A" });
    }
}

fn sum(record: &Record, sublist: &str, name: &str) -> f64 {
    record.sublist(sublist).iter().filter_map(|row| cell(record.kind, sublist, row, name).as_f64()).sum()
}

fn price(record: &mut Record, store: &Store) -> Result<(), Refusal> {
    let Some((place, sublist)) = record.kind.sublist("item") else { return Ok(()) };
    let at = |name: &str| sublist.position(name).unwrap_or_default();
    let (item, quantity, rate, amount) = (at("item"), at("quantity"), at("rate"), at("amount"));
    let (description, billed, fulfilled) = (at("description"), at("quantityBilled"), at("quantityFulfilled"));
    for (number, row) in record.rows[place].iter_mut().enumerate() {
        let Some(sold) = row[item].as_str().and_then(|id| store.any("item", id.parse().ok()?)) else {
            return Err(Refusal::missing(&["Item"]).path(format!("item.items[{number}].item")));
        };
        let fill = |row: &mut Row, place: usize, value: Json| {
            if row[place].is_null() {
                row[place] = value;
            }
        };
        fill(row, quantity, json!(1.0));
        fill(row, rate, sold.get("basePrice").clone());
        fill(row, description, sold.get("salesDescription").clone());
        fill(row, billed, json!(0.0));
        fill(row, fulfilled, json!(0.0));
        // An amount without a rate stands; otherwise it is counted anew.
        if let (Some(quantity), Some(rate)) = (row[quantity].as_f64(), row[rate].as_f64()) {
            row[amount] = money(quantity * rate);
        }
        fill(row, amount, json!(0.0));
    }
    Ok(())
}

fn journal(record: &Record) -> Result<f64, Refusal> {
    let (debit, credit) = (sum(record, "line", "debit"), sum(record, "line", "credit"));
    if record.sublist("line").iter().any(|row| cell(record.kind, "line", row, "account").is_null()) {
        return Err(Refusal::missing(&["Account"]));
    }
    if (debit - credit).abs() > CENT {
        return Err(Refusal::user("The amounts in a journal entry must balance."));
    }
    Ok(debit)
}

/// The documents a payment or credit settles, and how much of each.
fn applied(record: &Record) -> impl Iterator<Item = (u64, f64)> + '_ {
    record.sublist("apply").iter().filter_map(|row| {
        let doc = cell(record.kind, "apply", row, "doc").as_str()?.parse().ok()?;
        let applies = cell(record.kind, "apply", row, "apply") != &json!(false);
        applies.then(|| (doc, cell(record.kind, "apply", row, "amount").as_f64().unwrap_or_default()))
    })
}

fn check_applied(record: &mut Record, store: &Store) -> Result<(), Refusal> {
    let Some((place, sublist)) = record.kind.sublist("apply") else { return Ok(()) };
    let at = |name: &str| sublist.position(name).unwrap_or_default();
    let (doc, apply, amount) = (at("doc"), at("apply"), at("amount"));
    let wanted = if record.kind.name == "vendorPayment" { "vendorBill" } else { "invoice" };
    let party = record.reference("entity");
    for (number, row) in record.rows[place].iter_mut().enumerate() {
        let path = format!("apply.items[{number}].doc");
        let owed = row[doc].as_str().and_then(|id| store.any(wanted, id.parse().ok()?));
        let Some(owed) = owed.filter(|owed| owed.reference("entity") == party) else {
            return Err(Refusal::user("Invalid apply reference key. The document is not one of this name.").path(path));
        };
        if row[apply].is_null() {
            row[apply] = json!(true);
        }
        if row[apply] == json!(true) && owed.number("amountRemaining") < CENT {
            return Err(Refusal::user("The document is already paid in full.").path(path));
        }
        if row[amount].is_null() {
            row[amount] = owed.get("amountRemaining").clone();
        }
        if row[apply] == json!(true) && row[amount].as_f64().unwrap_or_default() > owed.number("amountRemaining") + CENT {
            return Err(Refusal::user("You cannot apply more than the amount remaining on the document.").path(path));
        }
    }
    Ok(())
}

fn pay(record: &mut Record, store: &Store) -> Result<f64, Refusal> {
    check_applied(record, store)?;
    let applied: f64 = applied(record).map(|(_, amount)| amount).sum();
    let payment = record.get("payment").as_f64().unwrap_or(applied);
    if applied > payment + CENT {
        return Err(Refusal::user("The amount applied exceeds the payment amount."));
    }
    record.set("payment", money(payment));
    Ok(payment)
}

/// Carries what a record settles over to the documents it settles; `sign` -1 takes it back.
pub(super) fn settle(store: &mut Store, record: &Record, sign: f64, now: &Now) {
    let targets: Vec<(u64, f64)> = applied(record).collect();
    for (id, amount) in targets {
        let Some(kind) = store.any("transaction", id).map(|owed| owed.kind) else { continue };
        store.change(kind, id, |owed| {
            let paid = owed.number("amountPaid") + sign * amount;
            owed.set("amountPaid", money(paid));
            open(owed);
            touch(owed, now);
        });
    }
    balance(store, record, sign);
}

/// What a customer or vendor owes or is owed.
fn balance(store: &mut Store, record: &Record, sign: f64) {
    let direction = match record.kind.name {
        "invoice" | "vendorBill" => 1.0,
        "customerPayment" | "creditMemo" | "vendorPayment" => -1.0,
        _ => return,
    };
    let Some((kind, id)) = record.reference("entity").and_then(|id| Some((store.any("entity", id)?.kind, id))) else { return };
    store.change(kind, id, |party| {
        let balance = party.number("balance") + sign * direction * record.number("total");
        party.set("balance", money(balance));
    });
}

/// Why a record cannot be deleted, if so.
pub(super) fn held(store: &Store, record: &Record) -> Option<&'static str> {
    let id = json!(record.id.to_string());
    let mut others = store.family(Family::Transaction, 0);
    match record.kind.family {
        Family::Entity => others
            .any(|other| other.get("entity") == &id)
            .then_some("This record cannot be deleted because it has dependent records."),
        Family::Transaction => others
            .any(|other| other.get("createdFrom") == &id || applied(other).any(|(doc, _)| doc == record.id))
            .then_some("This transaction cannot be deleted because it is linked to by one or more transactions."),
        Family::Item => others
            .any(|other| other.sublist("item").iter().any(|row| cell(other.kind, "item", row, "item") == &id))
            .then_some("This record cannot be deleted because it has dependent records."),
        Family::Own(_) => None,
    }
}
