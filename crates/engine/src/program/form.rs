//! What a question's form says.

use recipe::ast;
use serde_json::Value as Json;

/// The fields of a question's form, as people fill them in.
pub(super) fn form(fields: &[ast::Param]) -> Json {
    fields
        .iter()
        .map(|field| {
            serde_json::json!({
                "name": field.name.value,
                "type": format!("{:?}", field.kind).to_lowercase(),
                "title": field.title,
                "default": field.default,
            })
        })
        .collect()
}
