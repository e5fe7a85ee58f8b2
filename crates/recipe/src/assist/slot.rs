//! What the language, or a connector, expects at a place of the tree.

use serde_json::Value as Json;

use super::Neighbour;
use super::cut::{self, Part};
use crate::catalogue::{ActionInfo, Catalogue, ConnectorInfo, TriggerInfo};
use crate::keys::{
    BRANCH, FAILURE, FAILURE_WITH, INPUT_WITH, Key, PARAM, RECIPE, RETRY, SCHEDULE_WITH, STEP, Shape, TEST, Table, WEBHOOK_WITH,
};
use crate::yaml::Node;

/// What is expected.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot<'c> {
    /// A record with the keys of a table.
    Table(&'static Table),
    /// A list of them.
    Tables(&'static Table),
    /// The value of a key.
    Value(&'static Key),
    /// One of the texts of a list that is the value of a key.
    Item(&'static Key),
    /// A record of free names, each a list of steps.
    Branches,
    /// A record of free names, each a typed value.
    Params,
    /// A record of free names, each the name of a connector.
    Connections,
    /// The name of a connector.
    Connector,
    /// A record by names of the recipe.
    By(Names),
    /// What a connector's schema describes, expressions included.
    Schema { root: &'c Json, node: &'c Json, expressions: bool },
    /// A JSON Schema.
    JsonSchema,
    /// Any value, with expressions.
    Open,
    /// Data.
    Data,
}

/// Whose names the keys of a record are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Params,
    State,
    /// `save`: names of the state, with expressions for values.
    Save,
    Steps,
    Failures,
}

/// The recipe and what is installed.
#[derive(Clone, Copy)]
pub(super) struct World<'n, 't, 'c> {
    pub(super) root: &'n Node<'t>,
    pub(super) catalogue: &'c Catalogue,
    pub(super) neighbours: &'c dyn Fn() -> Vec<Neighbour>,
}

impl<'n, 'c> World<'n, '_, 'c> {
    /// Connection names and their connectors, as far as they are known.
    pub(super) fn connections(self) -> impl Iterator<Item = (&'n str, &'c ConnectorInfo)> {
        let entries = cut::get(self.root, "connections").map_or(&[][..], cut::entries);
        let connectors = &self.catalogue.connectors;
        entries.iter().filter_map(move |entry| {
            let id = cut::text_of(&entry.value)?;
            Some((entry.key.as_ref(), connectors.iter().find(|connector| connector.id == id)?))
        })
    }

    /// The connector before the dot of a name, and whether it is reached through a connection.
    fn owner(self, name: &str) -> Option<&'c ConnectorInfo> {
        let through = self.connections().find(|(connection, _)| *connection == name).map(|(_, connector)| connector);
        through.or_else(|| self.catalogue.connectors.iter().find(|connector| connector.builtin && connector.id == name))
    }

    pub(super) fn action(self, name: &str) -> Option<&'c ActionInfo> {
        let (owner, action) = name.split_once('.')?;
        self.owner(owner)?.actions.iter().find(|info| info.id == action)
    }

    pub(super) fn trigger(self, name: &str) -> Option<&'c TriggerInfo> {
        let (owner, trigger) = name.split_once('.')?;
        self.owner(owner)?.triggers.iter().find(|info| info.id == trigger)
    }
}

/// What is expected of each node on a way, the root first.
pub(super) fn slots<'c>(world: World<'_, '_, 'c>, nodes: &[&Node<'_>], parts: &[Part]) -> Vec<Slot<'c>> {
    let mut slots = vec![Slot::Table(&RECIPE)];
    for (part, above) in parts.iter().zip(nodes) {
        let slot = slots.last().copied().unwrap_or(Slot::Data);
        slots.push(below(world, slot, above, part));
    }
    slots
}

fn below<'c>(world: World<'_, '_, 'c>, slot: Slot<'c>, above: &Node<'_>, part: &Part) -> Slot<'c> {
    match (slot, part) {
        (Slot::Table(table), Part::Key(key)) => match table.find(key) {
            Some(found) => of_key(world, table, found, above),
            None => Slot::Data,
        },
        (Slot::Tables(table), Part::Index(_)) => Slot::Table(table),
        (Slot::Value(key), Part::Index(_)) => match key.shape {
            Shape::Choices(_) | Shape::Texts => Slot::Item(key),
            Shape::ListValue | Shape::Value => Slot::Open,
            _ => Slot::Data,
        },
        (Slot::Value(key), Part::Key(name)) => match key.shape {
            Shape::Retry => RETRY.find(name).map_or(Slot::Data, Slot::Value),
            Shape::Value | Shape::Values | Shape::SetValue | Shape::ListValue => Slot::Open,
            _ => Slot::Data,
        },
        (Slot::Branches, Part::Key(_)) => Slot::Tables(&STEP),
        (Slot::Params, Part::Key(_)) => Slot::Table(&PARAM),
        (Slot::Connections, Part::Key(_)) => Slot::Connector,
        (Slot::By(Names::Failures), Part::Key(_)) => Slot::Table(&FAILURE),
        (Slot::By(Names::Save) | Slot::Open, _) => Slot::Open,
        (Slot::Schema { root, node, expressions }, part) => match inside(root, node, part, 0) {
            Some(node) => Slot::Schema { root, node, expressions },
            None if expressions => Slot::Open,
            None => Slot::Data,
        },
        (Slot::JsonSchema, Part::Key(key)) if matches!(key.as_str(), "items" | "additionalProperties" | "not") => {
            Slot::JsonSchema
        }
        (Slot::JsonSchema, Part::Key(key)) if matches!(key.as_str(), "properties" | "$defs") => Slot::Data,
        _ => Slot::Data,
    }
}

fn of_key<'c>(world: World<'_, '_, 'c>, table: &'static Table, key: &'static Key, above: &Node<'_>) -> Slot<'c> {
    let says = |name: &str| cut::get(above, name).and_then(cut::text_of);
    match key.shape {
        Shape::Table(inner) => Slot::Table(inner),
        Shape::Steps => Slot::Tables(&STEP),
        Shape::Branches => Slot::Tables(&BRANCH),
        Shape::Tests => Slot::Tables(&TEST),
        Shape::Connections => Slot::Connections,
        Shape::Params => Slot::Params,
        Shape::JsonSchema => Slot::JsonSchema,
        Shape::Parallel if cut::get(above, "each").is_none() => Slot::Branches,
        Shape::ByStep => Slot::By(Names::Steps),
        Shape::Failures => Slot::By(Names::Failures),
        Shape::Values if key.name == "save" => Slot::By(Names::Save),
        Shape::Values if key.name == "with" => match says("do").and_then(|name| world.action(name)) {
            Some(info) => Slot::Schema { root: &info.input, node: &info.input, expressions: true },
            None => Slot::Open,
        },
        Shape::LiteralRecord if *table == TEST && key.name == "params" => Slot::By(Names::Params),
        Shape::LiteralRecord if key.name == "state" => Slot::By(Names::State),
        Shape::LiteralRecord if key.name == "with" => match says("from") {
            Some("webhook") => Slot::Table(&WEBHOOK_WITH),
            Some("schedule") => Slot::Table(&SCHEDULE_WITH),
            Some("api" | "call") => Slot::Table(&INPUT_WITH),
            Some("failure") => Slot::Table(&FAILURE_WITH),
            Some(name) => world.trigger(name).map_or(Slot::Data, |info| Slot::Schema {
                root: &info.config,
                node: &info.config,
                expressions: false,
            }),
            None => Slot::Data,
        },
        _ => Slot::Value(key),
    }
}

/// The schema of a part of a value.
fn inside<'c>(root: &'c Json, node: &'c Json, part: &Part, depth: usize) -> Option<&'c Json> {
    /// Schemas may refer to themselves.
    const DEPTH_MAX: usize = 16;
    let schema = node.as_object().filter(|_| depth < DEPTH_MAX)?;
    if let Some(referred) = schema.get("$ref").and_then(Json::as_str).and_then(|at| root.pointer(at.strip_prefix('#')?)) {
        return inside(root, referred, part, depth + 1);
    }
    let own = match part {
        Part::Key(key) => schema
            .get("properties")
            .and_then(|properties| properties.get(key))
            .or_else(|| schema.get("additionalProperties").filter(|rest| rest.is_object())),
        Part::Index(_) => schema.get("items"),
    };
    let parts = || ["anyOf", "oneOf", "allOf"].iter().filter_map(|word| schema.get(*word)?.as_array()).flatten();
    own.or_else(|| parts().find_map(|node| inside(root, node, part, depth + 1)))
}
