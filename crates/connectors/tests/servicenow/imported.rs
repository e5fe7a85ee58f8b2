//! A description as ServiceNow's API explorer gives them becomes a connector that works.
//!
//! `table_api.yaml` says what such descriptions say of the Table API and how: without servers and sign-in, numbers without a
//! format, headers among the parameters, and one parameter with a name that stands for many.

use std::{collections::HashMap, sync::Arc};

use connector::{Connection, Cx, ErrorClass, Secret};
use connectors::{
    declared::File,
    openapi::{Options, import},
};
use serde_json::json;

use crate::{said, start};

const DESCRIPTION: &str = include_str!("table_api.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn what_a_description_was_imported_to_reads_writes_and_removes_records() {
    let now = start().await;
    let options = Options {
        id: Some("tables".to_owned()),
        base_url: Some("https://${ config.instance }.service-now.com".to_owned()),
        // The description says nothing of it.
        auth: Some("basic".parse().unwrap()),
        ..Options::default()
    };
    let made = import(DESCRIPTION, &options).unwrap();
    let tables = File::read(&made.text).unwrap_or_else(|problems| panic!("{problems:?}\n{}", made.text)).connector();

    let told = said(&now.sandbox);
    let own = [("username", &told["user_name"]), ("password", &told["password"])];
    let credentials: HashMap<String, Secret> =
        own.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(text.as_str().unwrap().to_owned()))).collect();
    let config = json!({"instance": "acme", "base_url": now.sandbox.url("servicenow").as_str().trim_end_matches('/')});
    (tables.validate)(&config, &credentials).unwrap();
    let connection = Connection { name: "there".to_owned(), connector: "tables".to_owned(), config, credentials };
    let connection = Arc::new(connection);
    let call = async |action: &str, input| {
        let cx = Cx { connection: Some(Arc::clone(&connection)), ..now.cx("run_1/step") };
        (tables.action(action).unwrap().run)(cx, input).await
    };

    let body = json!({"short_description": "Imported & sound", "urgency": "2"});
    let made = call("create_record", json!({"tableName": "incident", "body": body})).await.unwrap();
    let id = made["result"]["sys_id"].as_str().unwrap().to_owned();
    let query = json!({"tableName": "incident", "sysparm_query": "short_description=Imported & sound", "sysparm_fields": "sys_id,urgency"});
    let found = call("get_record_list", query).await.unwrap();
    assert_eq!(found["result"], json!([{"sys_id": id, "urgency": "2"}]));
    let one = json!({"tableName": "incident", "sys_id": id});
    let read = call("get_record_by_id", one.clone()).await.unwrap();
    assert_eq!(read["result"]["short_description"], "Imported & sound");
    let error = call("get_record_by_id", json!({"tableName": "incident", "sys_id": "0".repeat(32)})).await.unwrap_err();
    assert_eq!((error.class, error.message.contains("No Record found")), (ErrorClass::NotFound, true), "{error:?}");
}
