//! Credit notes.

use serde_json::{Value as Json, json};

use super::{
    books::{Books, Row, number, page, set, some, text},
    error::{Refused, Result},
};

impl Books {
    pub(super) fn credit_notes(&mut self, name: &str, id: &str, url: &str, params: &Row) -> Option<Result> {
        Some(match name {
            "CreditNote.create" => self.credit(params, true),
            "CreditNote.preview" => self.credit(params, false),
            "CreditNote.void_credit_note" => self.void_credit_note(id),
            "CreditNoteLineItem.list" => match self.need("CreditNote", id, "id") {
                Ok(row) => Self::slice(super::invoices::lines(row), url, params),
                Err(refused) => Err(refused),
            },
            _ => return None,
        })
    }

    /// What an open bill was lowered by is owed again; what was given back on a paid one stays given.
    fn void_credit_note(&mut self, id: &str) -> Result {
        let note = self.need("CreditNote", id, "id")?.clone();
        if text(&note, "status") == "void" {
            return Err(Refused::invalid("This credit note is void already."));
        }
        let invoice = text(&note, "invoice").to_owned();
        if text(self.need("Invoice", &invoice, "invoice")?, "status") != "open" {
            return Err(Refused::invalid("You can only void credit notes of open invoices."));
        }
        self.lower(&invoice, -number(&note, "total"))?;
        let now = self.now;
        self.change("CreditNote", id, "credit_note.voided", |row| {
            set(row, [("status", json!("void")), ("voided_at", json!(now))]);
        })
    }

    fn credit(&mut self, params: &Row, keep: bool) -> Result {
        let id = some(params, "invoice").ok_or_else(|| Refused::needed("invoice"))?.to_owned();
        let invoice = self.need("Invoice", &id, "invoice")?.clone();
        let paid = text(&invoice, "status") == "paid";
        if !paid && text(&invoice, "status") != "open" {
            return Err(Refused::invalid("Credit notes can only be created for open or paid invoices.").param("invoice"));
        }
        let (lines, mut total) = self.credited(params, &invoice)?;
        total = params.get("amount").and_then(Json::as_i64).or_else(|| params.get("total_amount")?.as_i64()).unwrap_or(total);
        let before: i64 = self
            .all("CreditNote")
            .filter(|note| text(note, "invoice") == id && text(note, "status") == "issued")
            .map(|note| number(note, "total"))
            .sum();
        let most =
            (if paid { number(&invoice, "total") } else { number(&invoice, "amount_remaining") }) - before * i64::from(paid);
        if total < 1 {
            return Err(Refused::needed("amount"));
        }
        if total > most {
            let message =
                format!("The credit note amount ({total}) is greater than the amount that can still be credited ({most}).");
            return Err(Refused::invalid(message).param("amount"));
        }
        let part = |name: &str| params.get(name).and_then(Json::as_i64).unwrap_or_default();
        let (refund, credit, outside) = (part("refund_amount"), part("credit_amount"), part("out_of_band_amount"));
        if paid && refund + credit + outside != total {
            let message = "The sum of credit amount, refund amount and out of band amount must equal the credit note amount when the invoice is paid.";
            return Err(Refused::invalid(message));
        }
        let count = self.all("CreditNote").filter(|note| text(note, "invoice") == id).count() + 1;
        let mut row = self.made("CreditNote", params);
        let note = text(&row, "id").to_owned();
        set(
            &mut row,
            [
                ("amount", json!(total)),
                ("subtotal", json!(total)),
                ("total", json!(total)),
                ("subtotal_excluding_tax", json!(total)),
                ("total_excluding_tax", json!(total)),
                ("currency", invoice.get("currency").cloned().unwrap_or_default()),
                ("customer", invoice.get("customer").cloned().unwrap_or_default()),
                ("invoice", json!(id)),
                ("lines", page(&format!("/v1/credit_notes/{note}/lines"), lines)),
                ("number", json!(format!("{}-CN-{count:02}", text(&invoice, "number")))),
                ("pdf", json!(format!("https://pay.stripe.com/credit_notes/{}/{note}/pdf?s=ap", self.account))),
                ("status", json!("issued")),
                ("total_taxes", json!([])),
                ("type", json!(if paid { "post_payment" } else { "pre_payment" })),
                (if paid { "post_payment_amount" } else { "pre_payment_amount" }, json!(total)),
            ],
        );
        if !keep {
            return Ok(Json::Object(row));
        }
        if !paid {
            self.lower(&id, total)?;
        } else if credit > 0 {
            let words = Row::from_iter([
                ("currency".to_owned(), row.get("currency").cloned().unwrap_or_default()),
                ("credit_note".to_owned(), json!(note)),
            ]);
            let moved = self.move_balance(text(&invoice, "customer"), -credit, "credit_note", &words)?;
            row.insert("customer_balance_transaction".into(), moved.get("id").cloned().unwrap_or(Json::Null));
        }
        if refund > 0 {
            let made = self.refund_of(&id, refund)?;
            row.insert(
                "refunds".into(),
                json!([{"amount_refunded": refund, "payment_record_refund": null, "refund": made.get("id"), "type": "refund"}]),
            );
        }
        self.keep("CreditNote", row)
    }

    fn refund_of(&mut self, invoice: &str, amount: i64) -> Result {
        let intent = self.all("InvoicePayment").find(|row| text(row, "invoice") == invoice && text(row, "status") == "paid");
        let intent = intent.and_then(|row| row.get("payment")?.get("payment_intent")?.as_str()).map(str::to_owned);
        let intent =
            intent.ok_or_else(|| Refused::invalid("This invoice was not paid through Stripe; nothing can be refunded."))?;
        self.create_refund(&Row::from_iter([("payment_intent".to_owned(), json!(intent)), ("amount".to_owned(), json!(amount))]))
    }

    /// Less is due on an open bill.
    fn lower(&mut self, invoice: &str, amount: i64) -> Result<()> {
        let done = self.change("Invoice", invoice, "invoice.updated", |row| {
            let (due, before) = (number(row, "amount_due") - amount, number(row, "pre_payment_credit_notes_amount") + amount);
            set(
                row,
                [
                    ("amount_due", json!(due)),
                    ("amount_remaining", json!(due)),
                    ("pre_payment_credit_notes_amount", json!(before)),
                ],
            );
        })?;
        if done.get("amount_due") == Some(&json!(0)) { self.paid(invoice, None).map(drop) } else { Ok(()) }
    }

    /// The lines of a credit note, and their sum.
    fn credited(&self, params: &Row, invoice: &Row) -> Result<(Vec<Json>, i64)> {
        let (mut lines, mut sum) = (Vec::new(), 0);
        for (place, one) in
            params.get("lines").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_object).enumerate()
        {
            let source = some(one, "invoice_line_item");
            let known = source
                .map(|id| super::invoices::lines(invoice).iter().find(|line| line.get("id").and_then(Json::as_str) == Some(id)));
            let known = match known {
                Some(None) => {
                    return Err(Refused {
                        status: 400,
                        ..Refused::missing("line_item", source.unwrap_or_default(), &format!("lines[{place}][invoice_line_item]"))
                    });
                }
                Some(known) => known.and_then(Json::as_object),
                None => None,
            };
            let quantity = one.get("quantity").and_then(Json::as_i64).unwrap_or(1);
            let whole = known.map(|line| number(line, "amount") * quantity / number(line, "quantity").max(1));
            let unit = one.get("unit_amount").and_then(Json::as_i64).map(|unit| unit * quantity);
            let amount = one.get("amount").and_then(Json::as_i64).or(unit).or(whole).unwrap_or_default();
            sum += amount;
            let mut row = self.made("CreditNoteLineItem", one);
            set(
                &mut row,
                [
                    ("amount", json!(amount)),
                    ("type", json!(text(one, "type"))),
                    ("quantity", json!(quantity)),
                    ("taxes", json!([])),
                ],
            );
            lines.push(Json::Object(row));
        }
        Ok((lines, sum))
    }
}
