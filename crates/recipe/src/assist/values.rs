//! Values: words of fixed lists, connectors, actions, triggers.

use super::complete::Found;
use super::slot::{Slot, World};
use super::{CompletionKind, inputs};
use crate::keys::{Key, Shape, TRIGGERS};

/// Keys of JSON Schema that recipes use most.
pub(super) const JSON_SCHEMA: &[(&str, &str)] = &[
    ("type", "string, number, integer, boolean, object, array or null."),
    ("properties", "The fields of a record, each a JSON Schema."),
    ("required", "The fields that must be there."),
    ("items", "The JSON Schema of each item of a list."),
    ("enum", "The only values it takes."),
    ("format", "What a text looks like: date, date-time, email, uri, uuid."),
    ("minimum", "The smallest number."),
    ("maximum", "The largest number."),
    ("description", "What people should know about it."),
    ("additionalProperties", "Whether other fields may be there, or what they are."),
];

impl Found<'_> {
    /// What a scalar at the cursor may be.
    pub(super) fn value(&mut self, slot: Slot<'_>, world: World<'_, '_, '_>) {
        match slot {
            Slot::Value(key) => self.of_key(key, world),
            Slot::Item(key) => {
                if let Shape::Choices(choices) = key.shape {
                    self.words(choices, key);
                }
            }
            Slot::Connector => {
                for connector in world.catalogue.connectors.iter() {
                    let detail = Some(connector.title.clone());
                    self.add(&connector.id, CompletionKind::Connector, detail, None, connector.id.as_str());
                }
            }
            Slot::Schema { root, node, .. } => {
                for choice in inputs::choices(root, node) {
                    self.add(&choice, CompletionKind::Value, None, crate::check::doc(node), choice.as_str());
                }
            }
            _ => {}
        }
    }

    fn of_key(&mut self, key: &'static Key, world: World<'_, '_, '_>) {
        match key.shape {
            Shape::Version => self.words(&["1"], key),
            Shape::Boolean => self.words(&["true", "false"], key),
            Shape::Choice(choices) => self.words(choices, key),
            Shape::Duration | Shape::DurationValue => self.words(&["500ms", "30s", "5m", "1h", "1d"], key),
            Shape::Retry => self.words(&["none", "3", "5"], key),
            Shape::WaitFor => self.words(&["all", "any"], key),
            Shape::Choices(choices) => {
                for choice in choices {
                    self.add(choice, CompletionKind::Value, None, Some(key.doc.to_owned()), format!("[{choice}]"));
                }
            }
            Shape::Action => self.actions(world),
            Shape::Source => self.triggers(key, world),
            Shape::Slug => self.recipes(key, world),
            _ => {}
        }
    }

    fn words(&mut self, words: &[&str], key: &Key) {
        for word in words {
            self.add(word, CompletionKind::Value, None, Some(key.doc.to_owned()), *word);
        }
    }

    fn actions(&mut self, world: World<'_, '_, '_>) {
        let builtin = world.catalogue.connectors.iter().filter(|connector| connector.builtin);
        let through: Vec<_> = world.connections().collect();
        let all = through.into_iter().map(|(name, connector)| (name, connector, true));
        for (name, connector, connected) in all.chain(builtin.map(|connector| (connector.id.as_str(), connector, false))) {
            for action in connector.actions.iter().filter(|action| connected || !action.needs_connection) {
                let full = format!("{name}.{}", action.id);
                let detail = Some(format!("{}: {}", connector.title, action.title));
                self.add(&full, CompletionKind::Action, detail, Some(action.summary.clone()), full.as_str());
            }
        }
    }

    fn triggers(&mut self, key: &Key, world: World<'_, '_, '_>) {
        for (name, connector) in world.connections() {
            for trigger in &connector.triggers {
                let full = format!("{name}.{}", trigger.id);
                let detail = Some(format!("{}: {}", connector.title, trigger.title));
                self.add(&full, CompletionKind::Action, detail, Some(trigger.summary.clone()), full.as_str());
            }
        }
        self.words(TRIGGERS, key);
    }
}
