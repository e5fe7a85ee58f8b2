//! `/docs/api`: the OpenAPI document as a page.

use axum::{
    extract::State,
    http::{StatusCode, request::Parts},
    response::Response,
};
use serde_json::Value as Json;

use super::visit::{Visit, page};
use crate::{
    pages::docs::{Answer, DocsPage, Operation, Parameter, Tag},
    state::Shared,
};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Readable without signing in: it says nothing about this installation.
pub(super) async fn api(State(app): State<Shared>, parts: Parts) -> Response {
    let shell = Visit::of(&parts).shell_of_session(&app).await;
    let document: Json = app.openapi.get().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    page(StatusCode::OK, &DocsPage { shell, about: text(&document["info"]["description"]), tags: tags(&document) })
}

fn tags(document: &Json) -> Vec<Tag> {
    let named = document["tags"].as_array().into_iter().flatten();
    named
        .map(|tag| {
            let name = text(&tag["name"]);
            let operations = operations(document, &name);
            Tag { slug: name.replace(' ', "-"), about: text(&tag["description"]), name, operations }
        })
        .collect()
}

fn operations(document: &Json, tag: &str) -> Vec<Operation> {
    let mut out = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let operation = &item[method];
            if !operation["tags"].as_array().is_some_and(|tags| tags.iter().any(|name| name == tag)) {
                continue;
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let responses = operation["responses"].as_object().into_iter().flatten();
            out.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                summary: text(&operation["summary"]),
                about: text(&operation["description"]),
                body: schema_name(document, &operation["requestBody"]["content"]["application/json"]["schema"]),
                parameters: parameters.map(parameter).collect(),
                answers: responses
                    .map(|(status, answer)| Answer {
                        status: status.clone(),
                        about: text(&answer["description"]),
                        body: schema_name(document, &answer["content"]["application/json"]["schema"]),
                    })
                    .collect(),
            });
        }
    }
    out
}

fn parameter(parameter: &Json) -> Parameter {
    Parameter {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        required: parameter["required"] == true,
        about: text(&parameter["description"]),
    }
}

/// The fields of a body in one line: `{ id, status, output }`.
fn schema_name(document: &Json, schema: &Json) -> String {
    let named = |schema: &Json| schema["$ref"].as_str().and_then(|at| at.rsplit('/').next()).map(str::to_owned);
    let Some(name) = named(schema) else { return String::new() };
    let fields = fields(document, &document["components"]["schemas"][&name]);
    if fields.is_empty() { name } else { format!("{{ {} }}", fields.join(", ")) }
}

fn fields(document: &Json, schema: &Json) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let named = part["$ref"].as_str().and_then(|at| at.rsplit('/').next());
        out.extend(
            named.map_or_else(|| fields(document, part), |name| fields(document, &document["components"]["schemas"][name])),
        );
    }
    out.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    out
}

fn text(value: &Json) -> String {
    // Comments mark code with backticks; a page has no use for them.
    value.as_str().unwrap_or_default().trim().replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_document_is_on_the_page() {
        let (_, document) = crate::api::router();
        let document = serde_json::to_value(document).unwrap();
        let shown: Vec<_> =
            tags(&document).into_iter().flat_map(|tag| tag.operations).map(|call| (call.method, call.path)).collect();
        let mut calls = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in METHODS.iter().filter(|method| item[**method].is_object()) {
                calls += 1;
                let times = shown.iter().filter(|call| **call == (method.to_uppercase(), path.clone())).count();
                assert_eq!(times, 1, "{method} {path}");
            }
        }
        assert!(calls > 40, "{calls}");
    }
}
