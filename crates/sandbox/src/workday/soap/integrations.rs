//! `Get_References`, `Launch_EIB` and `Get_Integration_Events`.

use jiff::{SignedDuration, Timestamp};

use super::{Ask, Done, fault, moment, read_moment, refs, workers};
use crate::{
    workday::{
        items::Kind,
        state::{Launched, State},
        wid,
    },
    xml::{Element, Writer},
};

/// Runs of integrations kept.
const RUNS_MAX: usize = 10_000;

/// Everything that has a reference id of the type.
pub(super) fn references(state: &State, ask: &Ask<'_>) -> Done {
    let filter = workers::filter(ask)?;
    let path = "/wd:Get_References_Request";
    // One call names exactly one type.
    let wanted = ask.body.child("Request_Criteria").and_then(|criteria| criteria.text_of("Reference_ID_Type"));
    let wanted = wanted.ok_or_else(|| {
        fault::invalid(
            "Element Content 'Reference_ID_Type' is required, on internal element 'Get References Request Criteria'",
            path,
        )
    })?;
    let has = |ids: &[(&'static str, &str)]| ids.iter().find(|(kind, _)| *kind == wanted).map(|(_, id)| (*id).to_owned());
    let found: Vec<(String, String, String)> = state
        .items
        .iter()
        .filter_map(|(_, item)| Some((item.wid.clone(), has(&item.ids()).filter(|_| wanted != "WID")?, item.name.clone())))
        .collect();
    if found.is_empty() {
        return Err(fault::invalid(&format!("'{wanted}' is not a valid Reference ID Type."), path));
    }
    let mut xml = Writer::new();
    let page = workers::head(ask, &mut xml, &filter, found.len());
    if !page.is_empty() {
        xml.element("wd:Response_Data", &[], |xml| {
            for (wid, id, name) in &found[page] {
                xml.element("wd:Reference_ID", &[], |xml| {
                    ask.reference(xml, "wd:Reference_ID_Reference", name, &[("WID", wid)]);
                    xml.element("wd:Reference_ID_Data", &[], |xml| {
                        xml.text("wd:ID", &[], id);
                        xml.text("wd:Reference_ID_Type", &[], wanted);
                        xml.text("wd:Referenced_Object_Descriptor", &[], name);
                    });
                });
            }
        });
    }
    Ok(xml.finish())
}

/// Starts an integration; each call is a run of its own.
pub(super) fn launch(state: &mut State, ask: &Ask<'_>) -> Done {
    let path = "/wd:Launch_EIB_Request";
    let none = Element::default();
    let named = ask.body.child("Integration_System_Reference").unwrap_or(&none);
    let system = refs::item(state, named, &[Kind::IntegrationSystem], path)?;
    if state.launched.len() >= RUNS_MAX {
        return Err(fault::invalid(&format!("The tenant keeps {RUNS_MAX} runs already."), path));
    }
    let wid = wid(state.seed, &format!("integration {}", state.launched.len()));
    state.launched.push(Launched { wid, system, at: ask.now });
    let mut xml = Writer::new();
    event(state, ask, &mut xml, state.launched.len() - 1);
    Ok(xml.finish())
}

/// When a run is over, if it is.
fn over(state: &State, launched: &Launched, now: Timestamp) -> Option<Timestamp> {
    let takes = SignedDuration::from_secs(i64::from(state.settings.integration_s));
    launched.at.checked_add(takes).ok().filter(|over| *over <= now)
}

/// Runs by their references, or by the system and when they were sent.
pub(super) fn events(state: &State, ask: &Ask<'_>) -> Done {
    let filter = workers::filter(ask)?;
    let path = "/wd:Get_Integration_Events_Request";
    let mut found = Vec::new();
    if let Some(references) = ask.body.child("Request_References") {
        for reference in references.all("Integration_Event_Reference") {
            let (id_type, id) = refs::id(reference);
            let place = state.launched.iter().position(|launched| id_type == "WID" && launched.wid == id);
            let words = format!("Invalid ID value.  '{id}' is not a valid ID value for type = '{id_type}'");
            found.push(place.ok_or_else(|| fault::invalid(&words, path))?);
        }
    } else {
        let criteria = ask.body.child("Request_Criteria");
        let read = |name: &str| criteria.and_then(|criteria| criteria.text_of(name)).and_then(read_moment);
        let named = criteria.and_then(|criteria| criteria.child("Integration_System_Reference"));
        let system = refs::maybe_item(state, named, &[Kind::IntegrationSystem], path)?;
        let (after, before) = (read("Sent_After"), read("Sent_Before"));
        let fits = |launched: &Launched| {
            system.is_none_or(|system| system == launched.system)
                && after.is_none_or(|after| launched.at >= after)
                && before.is_none_or(|before| launched.at <= before)
        };
        found.extend((0..state.launched.len()).filter(|place| fits(&state.launched[*place])));
    }
    let mut xml = Writer::new();
    let page = workers::head(ask, &mut xml, &filter, found.len());
    if !page.is_empty() {
        xml.element("wd:Response_Data", &[], |xml| found[page].iter().for_each(|place| event(state, ask, xml, *place)));
    }
    Ok(xml.finish())
}

fn event(state: &State, ask: &Ask<'_>, xml: &mut Writer, place: usize) {
    let launched = &state.launched[place];
    let system = state.item(launched.system);
    let over = over(state, launched, ask.now);
    // The words of both states are (unverified).
    let (id, words) = if over.is_some() { ("COMPLETED", "Completed") } else { ("PROCESSING", "Processing") };
    xml.element("wd:Integration_Event", &[], |xml| {
        ask.reference(xml, "wd:Integration_Event_Reference", &system.name, &[("WID", &launched.wid)]);
        xml.element("wd:Integration_Event_Data", &[], |xml| {
            ask.item(xml, "wd:Integration_System_Reference", system);
            xml.text("wd:Process_Description", &[], &system.name);
            xml.text("wd:Initiated_DateTime", &[], &moment(launched.at));
            xml.text("wd:Integration_Response_Message", &[], if over.is_some() { "Integration Completed." } else { "" });
            xml.maybe("wd:Completed_DateTime", over.map(moment).as_deref());
            xml.text("wd:Percent_Complete", &[], if over.is_some() { "1" } else { "0" });
        });
        xml.element("wd:Background_Process_Instance_Data", &[], |xml| {
            let ids = [("Background_Process_Runtime_Status_ID", id)];
            ask.reference(xml, "wd:Background_Process_Instance_Status_Reference", words, &ids);
        });
    });
}
