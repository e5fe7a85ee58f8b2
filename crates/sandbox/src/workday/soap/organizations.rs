//! `Get_Organizations`.

use super::{Ask, Done, fault, flag, moment, read_moment, refs, workers};
use crate::{
    workday::{
        answer::Answer,
        items::{Item, Kind},
        state::State,
    },
    xml::{Element, Writer},
};

const KINDS: [Kind; 4] = [Kind::Supervisory, Kind::Company, Kind::CostCenter, Kind::Region];
const PATH: &str = "/wd:Get_Organizations_Request";

/// Answers the operation.
pub(super) fn get(state: &State, ask: &Ask<'_>) -> Done {
    let filter = workers::filter(ask)?;
    let found = match ask.body.child("Request_References") {
        Some(references) => references
            .all("Organization_Reference")
            .map(|reference| refs::item(state, reference, &KINDS, &format!("{PATH}/wd:Request_References[1]")))
            .collect::<Result<Vec<_>, _>>()?,
        None => by_criteria(state, ask, ask.body.child("Request_Criteria"))?,
    };
    let mut xml = Writer::new();
    let page = workers::head(ask, &mut xml, &filter, found.len());
    if !page.is_empty() {
        xml.element("wd:Response_Data", &[], |xml| {
            for place in &found[page] {
                xml.element("wd:Organization", &[], |xml| organization(state, ask, xml, *place));
            }
        });
    }
    Ok(xml.finish())
}

fn by_criteria(state: &State, ask: &Ask<'_>, criteria: Option<&Element>) -> Result<Vec<usize>, Answer> {
    let path = format!("{PATH}/wd:Request_Criteria[1]");
    let mut types = Vec::new();
    let mut ranges = Vec::new();
    if let Some(criteria) = criteria {
        for reference in criteria.all("Organization_Type_Reference") {
            types.push(state.item(refs::item(state, reference, &[Kind::OrganizationType], &path)?).id.clone());
        }
        for range in criteria.all("Transaction_Log_Criteria_Data") {
            let read = |name: &str| range.at(&["Transaction_Date_Range_Data", name]).and_then(|at| read_moment(at.text.trim()));
            match (read("Updated_From"), read("Updated_Through")) {
                (Some(from), Some(through)) if from <= through && through <= ask.now => ranges.push((from, through)),
                _ => {
                    return Err(fault::invalid(
                        "Updated_From and Updated_Through are both required, in order, and not in the future.",
                        &path,
                    ));
                }
            }
        }
    }
    let wanted = |item: &Item| {
        item.kind.is_organization()
            && (types.is_empty() || types.iter().any(|wanted| wanted == item.kind.organization_type()))
            && (ranges.is_empty() || ranges.iter().any(|(from, through)| (*from..=*through).contains(&item.changed)))
    };
    Ok(state.items.iter().filter(|(_, item)| wanted(item)).map(|(place, _)| place).collect())
}

fn organization(state: &State, ask: &Ask<'_>, xml: &mut Writer, place: usize) {
    let item = state.item(place);
    let group = ask.body.child("Response_Group");
    let said = |name| flag(group, name).unwrap_or(false);
    ask.item(xml, "wd:Organization_Reference", item);
    xml.text("wd:Organization_Descriptor", &[], &item.name);
    xml.element("wd:Organization_Data", &[], |xml| {
        xml.text("wd:Reference_ID", &[], &item.id);
        xml.text("wd:Name", &[], &item.name);
        xml.maybe("wd:Code", Some(item.code.as_str()).filter(|code| !code.is_empty()));
        xml.text("wd:Last_Updated_DateTime", &[], &moment(item.changed));
        xml.text("wd:Inactive", &[], "0");
        if let Some(of) = state.items.known(Kind::OrganizationType, item.kind.organization_type()) {
            ask.item(xml, "wd:Organization_Type_Reference", state.item(of));
        }
        let manager = item.manager.as_ref().and_then(|number| state.worker_at(&format!("Employee_ID={number}")));
        if let (true, Some(manager)) = (said("Include_Roles_Data"), manager) {
            xml.element("wd:Roles_Data", &[], |xml| {
                xml.element("wd:Organization_Role_Data", &[], |xml| {
                    ask.reference(xml, "wd:Organization_Role_Reference", "Manager", &[("Organization_Role_ID", "Manager")]);
                    ask.worker(xml, "wd:Role_Assignee_Reference", state, manager);
                });
            });
        }
        if said("Include_Hierarchy_Data") {
            hierarchy(state, ask, xml, place);
        }
    });
}

fn hierarchy(state: &State, ask: &Ask<'_>, xml: &mut Writer, place: usize) {
    let mut top = place;
    while let Some(parent) = state.item(top).parent {
        top = parent;
    }
    let below: Vec<&Item> =
        state.items.of(state.item(place).kind).map(|(_, item)| item).filter(|item| item.parent == Some(place)).collect();
    xml.element("wd:Hierarchy_Data", &[], |xml| {
        ask.item(xml, "wd:Top-Level_Organization_Reference", state.item(top));
        if let Some(parent) = state.item(place).parent {
            ask.item(xml, "wd:Superior_Organization_Reference", state.item(parent));
        }
        for item in below {
            ask.item(xml, "wd:Subordinate_Organization_Reference", item);
        }
    });
}
