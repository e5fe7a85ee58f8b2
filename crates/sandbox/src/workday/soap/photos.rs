//! `Get_Worker_Photos` and `Put_Worker_Photo`.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{Ask, Done, fault, refs, workers, writes::text_of};
use crate::{
    workday::state::State,
    xml::{Element, Writer},
};

/// Letters of a photo in base64.
const PHOTO_CHARS_MAX: usize = 16 * 1024 * 1024;

/// Answers with the photos of the workers that are named; who has none is left out.
pub(super) fn get(state: &State, ask: &Ask<'_>) -> Done {
    let filter = workers::filter(ask)?;
    let path = "/wd:Get_Worker_Photos_Request/wd:Request_References[1]";
    let named = ask.body.child("Request_References").into_iter().flat_map(|given| given.all("Worker_Reference"));
    let mut found = Vec::new();
    for reference in named {
        let worker = refs::worker(state, Some(reference), path)?;
        found.extend(state.photos.get(&worker).map(|photo| (worker, photo)));
    }
    let mut xml = Writer::new();
    let page = workers::head(ask, &mut xml, &filter, found.len());
    if !page.is_empty() {
        xml.element("wd:Response_Data", &[], |xml| {
            for (worker, (name, file)) in &found[page] {
                xml.element("wd:Worker_Photo", &[], |xml| {
                    ask.worker(xml, "wd:Worker_Reference", state, *worker);
                    xml.element("wd:Worker_Photo_Data", &[], |xml| {
                        xml.text("wd:ID", &[], &state.workers[*worker].number);
                        xml.text("wd:Filename", &[], name);
                        xml.text("wd:File", &[], file);
                    });
                });
            }
        });
    }
    Ok(xml.finish())
}

/// Takes a photo in place of the one before.
pub(super) fn put(state: &mut State, ask: &Ask<'_>) -> Done {
    let path = "/wd:Put_Worker_Photo_Request";
    let worker = refs::worker(state, ask.body.child("Worker_Reference"), path)?;
    let path = format!("{path}/wd:Worker_Photo_Data[1]");
    let none = Element::default();
    let data = ask.body.child("Worker_Photo_Data").unwrap_or(&none);
    let name = text_of(data, "Filename", &path)?.to_owned();
    let file: String = data.text_of("File").unwrap_or_default().split_whitespace().collect();
    if file.is_empty() || file.len() > PHOTO_CHARS_MAX || BASE64_STANDARD.decode(&file).is_err() {
        return Err(fault::invalid("The field File is required and must be base64 of at most 12 MB.", &path));
    }
    state.photos.insert(worker, (name, file));
    let mut xml = Writer::new();
    ask.worker(&mut xml, "wd:Worker_Reference", state, worker);
    Ok(xml.finish())
}
