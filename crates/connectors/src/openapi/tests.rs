//! Descriptions become connector files that are sound, and always the same ones.

use super::*;
use crate::declared::File;

const PETS: &str = r##"
openapi: 3.0.3
info: { title: Pet Store, version: 1.2.0, description: "Pets and their owners. Much more text." }
servers:
  - { url: "https://{region}.pets.example/v1/", variables: { region: { default: eu, enum: [eu, us] } } }
  - { url: "https://test.pets.example" }
security: [{ token: [] }, { key: [] }]
paths:
  /pets:
    parameters: [{ $ref: "#/components/parameters/Trace" }]
    get:
      operationId: listPets
      summary: List pets
      parameters:
        - { name: starting_after, in: query, schema: { type: string } }
        - { name: tags, in: query, style: form, explode: false, schema: { type: array, items: { type: string } } }
        - { name: "filter[name]", in: query, schema: { type: string, nullable: true } }
      responses:
        "200": { content: { application/json: { schema: { type: object, properties: { data: { type: array, items: { $ref: "#/components/schemas/Pet" } }, has_more: { type: boolean } } } } } }
    post:
      operationId: createPet
      parameters: [{ name: Idempotency-Key, in: header, schema: { type: string } }]
      requestBody: { required: true, content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } }
      responses: { "201": { content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } } }
  /pets/{pet-id}:
    get:
      operationId: getPet
      parameters: [{ name: pet-id, in: path, required: true, schema: { type: string, pattern: "(?<unclosed" } }]
      responses: { "200": { content: { application/json: { schema: { $ref: "#/components/schemas/Pet" } } } } }
    put:
      operationId: listPets
      requestBody: { required: true, content: { multipart/form-data: { schema: { type: object } } } }
      responses: { "200": { description: fine } }
    patch:
      requestBody: { content: { application/x-www-form-urlencoded: { schema: { type: object, properties: { name: { type: string }, "pet-id": { type: integer } } } } } }
      responses: { "204": { description: fine } }
  /pets/{id}/photo:
    get: { operationId: photo, parameters: [{ name: id, in: path, required: true, schema: { type: string } }], responses: { "200": { content: { image/png: {} } } } }
  /me:
    get: { operationId: whoami_me, responses: { "200": { content: { text/plain: {} } } } }
components:
  parameters: { Trace: { name: X-Trace, in: header, schema: { type: string } } }
  securitySchemes:
    key: { type: apiKey, in: header, name: X-Key }
    token: { type: http, scheme: bearer }
    cookie: { type: apiKey, in: cookie, name: sid }
  schemas:
    Pet:
      type: object
      required: [name]
      properties:
        id: { type: string, readOnly: true }
        name: { type: string, maxLength: 50, description: "The <b>name</b>. More." }
        age: { type: integer, minimum: 0, exclusiveMinimum: true, nullable: true }
        parent: { $ref: "#/components/schemas/Pet" }
        owner: { oneOf: [{ type: string }, { type: object, required: [id], properties: { id: { type: string } } }] }
"##;

fn file(text: &str) -> Json {
    let mut problems = Problems::default();
    let limits = yaml::Limits { bytes: TEXT_BYTES_MAX, depth: 100, parts: PARTS_MAX, aliases: false };
    yaml::read(text, limits, &mut problems).unwrap().json()
}

fn sound(imported: &Imported) {
    if let Err(problems) = File::read(&imported.text) {
        let lines: Vec<String> = problems.iter().map(|problem| problem.line("made", &imported.text)).collect();
        panic!("{}\n{}", lines.join("\n"), imported.text);
    }
}

#[test]
fn a_description_becomes_a_sound_file_and_always_the_same() {
    let imported = import(PETS, &Options::default()).unwrap();
    sound(&imported);
    assert_eq!(import(PETS, &Options::default()).unwrap().text, imported.text);
    let json = file(PETS).to_string();
    assert_eq!(import(&json, &Options::default()).unwrap().text, imported.text);
    let made = file(&imported.text);
    assert_eq!(made["id"], "pet_store");
    assert_eq!(made["connection"]["base_url"], "https://${ config.region }.pets.example/v1");
    assert_eq!(made["connection"]["fields"]["region"]["enum"], json!(["eu", "us"]));
    assert_eq!(made["connection"]["auth"], json!([{"kind": "bearer"}, {"kind": "api_key", "in": "header", "name": "X-Key"}]));
    assert_eq!(made["test"], json!({"action": "whoami_me"}));
    let ids: Vec<&str> = made["actions"].as_array().unwrap().iter().map(|action| action["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["list_pets", "create_pet", "get_pet", "patch_pets_pet_id", "whoami_me"]);
}

#[test]
fn an_action_says_what_its_operation_says() {
    let made = file(&import(PETS, &Options::default()).unwrap().text);
    let list = &made["actions"][0];
    assert_eq!(list["effect"], "none");
    assert_eq!(list["paginate"]["next"], "data.-1.id");
    assert_eq!(list["lists"], "comma");
    assert_eq!(list["query"], json!({"tags": "${ input.tags }", "filter[name]": "${ input.filter_name }"}));
    assert_eq!(list["input"]["filter_name"]["type"], json!(["string", "null"]));
    assert_eq!(list["headers"], json!({"X-Trace": "${ input.x_trace }"}));
    let create = &made["actions"][1];
    assert_eq!((&create["effect"], &create["rest"]), (&json!("idempotent"), &json!("json")));
    assert_eq!(create["headers"]["Idempotency-Key"], "${ call.key }");
    assert_eq!(create["input"]["name"], json!({"type": "string", "description": "The name.", "maxLength": 50, "required": true}));
    assert_eq!(create["input"]["age"], json!({"type": ["integer", "null"], "exclusiveMinimum": 0}));
    assert!(create["input"].get("id").is_none(), "what only comes is not sent");
    let get = &made["actions"][2];
    assert_eq!(get["path"], "/pets/{pet_id}");
    assert!(get["input"]["pet_id"].get("pattern").is_none(), "a pattern nobody can read is left out");
    let patch = &made["actions"][3];
    assert_eq!(
        (&patch["effect"], &patch["rest"], &patch["form"]),
        (&json!("once"), &json!("form"), &json!({"pet-id": "${ input.pet_id_2 }"}))
    );
    assert_eq!(made["actions"][4]["answer"], "text");
}

#[test]
fn what_is_left_out_is_told_with_its_reason() {
    let report = import(PETS, &Options::default()).unwrap().report;
    for (place, why) in [
        ("PUT /pets/{pet-id}", "its body is multipart/form-data"),
        ("GET /pets/{id}/photo", "it answers with image/png"),
        ("servers", "https://test.pets.example is another address"),
        ("POST /pets", "leads back to itself"),
    ] {
        assert!(report.iter().any(|(at, told)| at == place && told.contains(why)), "{place}: {report:#?}");
    }
}

#[test]
fn texts_that_are_no_descriptions_are_refused_in_words() {
    for (text, wanted) in [
        ("swagger: '2.0'\npaths: {}", "this is Swagger 2.0"),
        ("openapi: 4.0.0\npaths: {}", "this is OpenAPI 4.0.0"),
        ("a: b", "it has no paths"),
        ("openapi: 3.1.0\npaths: { /a: { get: { responses: {} } } }", "give --base-url"),
        ("openapi: 3.1.0\nservers: [{ url: 'https://a.example' }]\npaths: { /a: { trace: {} } }", "none of its operations"),
        ("{\"openapi\": \"3.1", "cannot be read"),
    ] {
        let error = import(text, &Options::default()).unwrap_err();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn a_part_of_a_text_without_version_or_address_can_be_imported() {
    let text = json!({"absence": {"paths": {"/workers/{id}": {"get": {"operationId": "getWorker", "parameters": [],
        "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Worker"}}}}}}}},
        "schemas": {"Worker": {"type": "object", "properties": {"id": {"type": "string"}}}}}});
    let options = Options {
        part: Some("absence".to_owned()),
        base_url: Some("https://${ config.host }/api".to_owned()),
        ..Options::default()
    };
    let imported = import(&text.to_string(), &options).unwrap();
    sound(&imported);
    let made = file(&imported.text);
    assert_eq!(made["actions"][0]["output"]["properties"]["id"]["type"], "string");
    assert_eq!(made["connection"]["fields"]["host"]["required"], true);
}

#[test]
fn whoever_imports_can_say_how_connections_sign_in() {
    for (text, wanted) in [
        ("none", json!("none")),
        ("basic", json!("basic")),
        ("api_key", json!("api_key")),
        ("api_key:X-Token", json!({"kind": "api_key", "in": "header", "name": "X-Token"})),
    ] {
        let imported = import(PETS, &Options { auth: Some(text.parse().unwrap()), ..Options::default() }).unwrap();
        sound(&imported);
        assert_eq!(file(&imported.text)["connection"]["auth"], wanted);
        assert!(imported.report.iter().all(|(place, _)| !place.starts_with("security")), "{:?}", imported.report);
    }
    for (text, wanted) in [
        ("oauth2", "write it under connection.auth"),
        ("api_key:a b", "\"a b\" cannot be the name of a header"),
        ("bearer:x", "a sign-in is none, bearer"),
        ("digest", "a sign-in is none, bearer"),
    ] {
        let error = text.parse::<SignsIn>().unwrap_err();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

/// The inputs of an operation that lists the keys among its parameters, with these requirements and this sign-in.
fn inputs(security: &Json, auth: Option<&str>) -> String {
    let text = json!({"openapi": "3.1.0", "info": {"title": "Keys"}, "servers": [{"url": "https://a.example"}], "security": security,
    "paths": {"/pets": {
        "parameters": [{"name": "X-TOKEN", "in": "header", "required": true, "schema": {"type": "string"}}],
        "get": {
            "parameters": [
                {"name": "key", "in": "query", "required": true, "schema": {"type": "string"}},
                {"name": "x-api-key", "in": "header", "schema": {"type": "string"}}
            ],
            "responses": {"200": {"description": "fine"}}
        }
    }},
    "components": {"securitySchemes": {
        "header": {"type": "apiKey", "in": "header", "name": "X-Token"},
        "query": {"type": "apiKey", "in": "query", "name": "key"},
        "bearer": {"type": "http", "scheme": "bearer"}
    }}});
    let auth = auth.map(|auth| auth.parse::<SignsIn>().unwrap());
    let imported = import(&text.to_string(), &Options { auth, ..Options::default() }).unwrap();
    sound(&imported);
    let made = file(&imported.text);
    let mut inputs: Vec<&str> = made["actions"][0]["input"].as_object().unwrap().keys().map(String::as_str).collect();
    inputs.sort_unstable();
    inputs.join(" ")
}

#[test]
fn a_key_that_the_connection_fills_in_is_no_input() {
    for (security, auth, wanted) in [
        (json!([]), Some("api_key:x-Token"), "key x_api_key"),
        (json!([]), Some("api_key"), "key x_token"),
        (json!([{"header": []}]), None, "key x_api_key"),
        (json!([{"query": []}]), None, "x_api_key x_token"),
        (json!([{"bearer": []}, {"header": []}]), None, "key x_api_key"),
        // Nobody fills it in.
        (json!([{"header": []}]), Some("none"), "key x_api_key x_token"),
        (json!([{"bearer": []}]), None, "key x_api_key x_token"),
        // A connection has one of both: whoever signs in with the token gives the key as an input.
        (json!([{"bearer": [], "header": []}]), None, "key x_api_key x_token"),
    ] {
        assert_eq!(inputs(&security, auth), wanted, "{security} {auth:?}");
    }
}

#[test]
fn schemas_that_lead_to_each_other_without_end_are_cut() {
    let mut schemas = Map::new();
    for number in 0..200 {
        let fields: Map<String, Json> = (0..20)
            .map(|field| (format!("f{field}"), json!({"$ref": format!("#/components/schemas/S{}", (number * 7 + field) % 200)})))
            .collect();
        schemas.insert(format!("S{number}"), json!({"type": "object", "properties": fields}));
    }
    let text = json!({"openapi": "3.1.0", "info": {"title": "Wide"}, "servers": [{"url": "https://a.example"}],
        "paths": {"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}, "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S1"}}}}}}}},
        "components": {"schemas": schemas}});
    let imported = import(&text.to_string(), &Options::default()).unwrap();
    sound(&imported);
    assert!(imported.text.len() < 200_000, "{}", imported.text.len());
}
