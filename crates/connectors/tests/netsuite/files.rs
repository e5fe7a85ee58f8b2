//! The file cabinet.

use std::sync::Arc;

use connector::{Doubt, ErrorClass};
use sandbox::{Fault, Kind};
use serde_json::{Value as Json, json};

use crate::{machine, shelf, tokens, vendor::Vendor};

async fn cabinet() -> (Vendor, Arc<shelf::Shelf>) {
    let (vendor, shelf) = (tokens().await, Arc::<shelf::Shelf>::default());
    vendor.http.keep_files_with(Arc::new(shelf::Door(Arc::clone(&shelf))));
    (vendor, shelf)
}

fn rows(vendor: &Vendor, table: &str) -> Vec<Json> {
    vendor.sandbox.vendor("netsuite").unwrap().rows(table, 0, 100).unwrap()
}

#[tokio::test]
async fn a_file_goes_in_once_comes_back_whole_and_is_tied_to_a_record() {
    let (vendor, shelf) = cabinet().await;
    let content: Vec<u8> = (0..70_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let file = shelf.put("Invoice & more.pdf", "application/pdf", &content).json();
    let input = json!({ "folder": "1", "file": file });
    let made = vendor.call("upload_file", input.clone()).await.unwrap();
    assert_eq!((&made["name"], &made["size"]), (&json!("Invoice & more.pdf"), &json!(70_000)));
    // An attempt whose answer was lost is made again.
    let again = vendor.call("upload_file", input).await.unwrap();
    assert_eq!((&again["id"], rows(&vendor, "file").len()), (&made["id"], 1));
    let got = vendor.call("get_file", json!({ "file": made["id"] })).await.unwrap();
    assert_eq!(
        (&got["name"], &got["type"], &got["size"]),
        (&json!("Invoice & more.pdf"), &json!("application/pdf"), &json!(70_000))
    );
    assert_eq!(shelf.contents().last().unwrap(), &content);

    let customer = vendor.call("get_record", json!({ "type": "customer", "external_id": "C-0001" })).await.unwrap();
    let tied = json!({ "type": "customer", "id": customer["id"], "file": made["id"] });
    assert_eq!(vendor.call("attach_file", tied).await.unwrap(), json!({ "attached": true }));
    assert_eq!(rows(&vendor, "attachment"), [json!({ "type": "customer", "id": customer["id"], "file": made["id"] })]);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_what_is_not_known_is_said() {
    let (vendor, shelf) = cabinet().await;
    for (input, class) in [
        (json!({ "folder": "1" }), ErrorClass::Invalid),
        (json!({ "folder": "1", "text": "a", "file": shelf.put("a.txt", "text/plain", b"a").json() }), ErrorClass::Invalid),
        (json!({ "folder": "99", "text": "a" }), ErrorClass::Invalid),
    ] {
        let error = vendor.call("upload_file", input).await.unwrap_err();
        assert_eq!(error.class, class, "{error:?}");
    }
    let error = vendor.call("get_file", json!({ "file": "99" })).await.unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::NotFound, "RCRD_DSNT_EXIST"));
    let made = vendor.call("upload_file", json!({ "folder": "1", "text": "a" })).await.unwrap();
    let tied = json!({ "type": "customer", "id": "999999", "file": made["id"] });
    assert_eq!(vendor.call("attach_file", tied.clone()).await.unwrap_err().class, ErrorClass::NotFound);
    vendor.sandbox.world().faults().add(Fault::new("netsuite", Kind::ServerError).times(1)).unwrap();
    assert_eq!(vendor.call("attach_file", tied).await.unwrap_err().doubt, Doubt::MayHaveHappened);
    let other = machine().await;
    assert_eq!(other.call("upload_file", json!({ "folder": "1", "text": "a" })).await.unwrap_err().code, "SOAP_NEEDS_TBA");
}
