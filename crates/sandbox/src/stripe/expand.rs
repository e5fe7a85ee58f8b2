//! `expand[]`: ids become objects, and lists are laid in.

use serde_json::{Value as Json, json};

use super::{
    api::{API, Shape},
    books::{Books, Row, page, text},
    error::{Refused, Result},
};

/// Deepest path.
const DEPTH_MAX: usize = 4;

/// What a list is asked to expand is said of its rows: `data.customer`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    One,
    List,
}

impl Books {
    /// Expands an answer.
    pub(super) fn expand(&self, kind: &str, of: Of, answer: &mut Json, paths: &[Json]) -> Result<()> {
        for path in paths.iter().filter_map(Json::as_str) {
            let steps: Vec<&str> = path.split('.').collect();
            if steps.len() > DEPTH_MAX + usize::from(of == Of::List) {
                let message = format!("You cannot expand more than {DEPTH_MAX} levels of a property. Property: {path}");
                return Err(Refused::invalid(message).param("expand"));
            }
            match (of, &steps[..]) {
                (Of::List, ["total_count"]) => {}
                (Of::List, ["data", rest @ ..]) => {
                    self.known(kind, rest, path)?;
                    for row in answer.get_mut("data").and_then(Json::as_array_mut).into_iter().flatten() {
                        self.walk(row, rest);
                    }
                }
                (Of::List, _) => return Err(cannot(path)),
                (Of::One, steps) => {
                    self.known(kind, steps, path)?;
                    self.walk(answer, steps);
                }
            }
        }
        Ok(())
    }

    /// True paths lead over properties to one that can be expanded.
    fn known(&self, kind: &str, steps: &[&str], path: &str) -> Result<()> {
        let mut places: Vec<Shape> = vec![Shape::Kind(kind.to_owned())];
        let mut expandable = false;
        for step in steps {
            let next: Vec<Shape> = places.iter().flat_map(|place| inside(place, step)).collect();
            expandable = next.iter().any(opens);
            places = next;
        }
        if expandable { Ok(()) } else { Err(cannot(path)) }
    }

    fn walk(&self, value: &mut Json, steps: &[&str]) {
        let [step, rest @ ..] = steps else { return };
        if let Json::Array(list) = value {
            for value in list {
                self.walk(value, steps);
            }
            return;
        }
        let Some(map) = value.as_object_mut() else { return };
        if !map.contains_key(*step)
            && let Some(list) = self.included(map, step)
        {
            map.insert((*step).to_owned(), list);
        }
        let Some(found) = map.get_mut(*step) else { return };
        self.open(found);
        self.walk(found, rest);
    }

    /// An id becomes its object; a list of ids likewise.
    fn open(&self, value: &mut Json) {
        match value {
            Json::String(id) => {
                if let Some(row) = self.by_id(id) {
                    *value = Json::Object(row);
                }
            }
            Json::Array(list) => {
                for value in list {
                    self.open(value);
                }
            }
            _ => {}
        }
    }

    /// The object of any kind with that id.
    pub(super) fn by_id(&self, id: &str) -> Option<Row> {
        self.tables.values().find_map(|table| table.get(id)).cloned().or_else(|| match self.gone.get(id) {
            Some(Json::Object(gone)) => Some(gone.clone()),
            _ => None,
        })
    }

    /// Lists that are there only when they are asked for.
    fn included(&self, row: &Row, name: &str) -> Option<Json> {
        let id = text(row, "id");
        let of = |kind: &str, field: &str| -> Vec<Json> {
            let rows = self.newest(kind).filter(|other| text(other, field) == id).take(10);
            rows.map(|other| Json::Object(other.clone())).collect()
        };
        Some(match (text(row, "object"), name) {
            ("customer", "subscriptions") => {
                let mut active = of("Subscription", "customer");
                active.retain(|row| row.get("status").and_then(Json::as_str) != Some("canceled"));
                page(&format!("/v1/customers/{id}/subscriptions"), active)
            }
            ("customer", "tax_ids") => page(&format!("/v1/customers/{id}/tax_ids"), of("TaxId", "customer")),
            ("customer", "sources") => page(&format!("/v1/customers/{id}/sources"), of("Card", "customer")),
            ("customer", "cash_balance") => Json::Null,
            ("charge", "refunds") => page(&format!("/v1/charges/{id}/refunds"), of("Refund", "charge")),
            ("invoice", "payments") => page(&format!("/v1/invoice_payments?invoice={id}"), of("InvoicePayment", "invoice")),
            ("checkout.session" | "payment_link" | "quote", "line_items") => self.line_items(id),
            (_, "tiers" | "currency_options") => json!(null),
            _ => return None,
        })
    }

    /// The lines of a checkout session, payment link or quote.
    pub(super) fn line_items(&self, id: &str) -> Json {
        let lines = self.get("LineItems", id).and_then(|row| row.get("data")).cloned();
        let items = lines.and_then(|lines| lines.as_array().cloned()).unwrap_or_default();
        page(&format!("/v1/line_items/{id}"), items)
    }
}

fn cannot(path: &str) -> Refused {
    let message = format!(
        "This property cannot be expanded ({path}). You may want to use fewer levels, or check the property's name in the reference."
    );
    Refused::invalid(message).param("expand")
}

/// The shapes a step leads to.
fn inside(place: &Shape, step: &str) -> Vec<Shape> {
    match place {
        Shape::Open(inner) | Shape::List(inner) => inside(inner, step),
        Shape::Page(inner) if step == "data" => vec![(**inner).clone()],
        Shape::Record(record) => API.record(*record).properties.get(step).cloned().into_iter().collect(),
        Shape::Kind(name) => API.properties(name).and_then(|known| known.get(step)).cloned().into_iter().collect(),
        Shape::Expandable(kinds) => kinds.iter().flat_map(|kind| inside(&Shape::Kind(kind.clone()), step)).collect(),
        Shape::OneOf(choices) => choices.iter().flat_map(|choice| inside(choice, step)).collect(),
        _ => Vec::new(),
    }
}

/// True for what `expand` changes; a step to a part of the object on the way is none.
fn opens(shape: &Shape) -> bool {
    match shape {
        Shape::Open(inner) | Shape::List(inner) => opens(inner),
        Shape::Expandable(_) | Shape::Page(_) | Shape::Kind(_) => true,
        _ => false,
    }
}
