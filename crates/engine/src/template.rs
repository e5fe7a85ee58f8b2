//! Values of a recipe, compiled: literals as they are, expressions ready to run.

use std::sync::Arc;

use connector::ErrorClass;
use formula::{EvalError, Expression, Scope};
use recipe::ast::{Part, Value, ValueKind};
use serde_json::{Map, Value as Json};
use store::ErrorRecord;

/// A value that may hold expressions.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    Literal(Arc<Json>),
    Expr(Expression),
    Text(Vec<Piece>),
    List(Vec<Self>),
    Record(Record),
}

/// A record whose fields may hold expressions.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Its fields, all null: to copy it costs less than to put them in one by one.
    shape: Map<String, Json>,
    /// What they are, in the same order.
    pub(crate) values: Vec<Template>,
}

impl FromIterator<(String, Template)> for Record {
    fn from_iter<I: IntoIterator<Item = (String, Template)>>(fields: I) -> Self {
        let mut record = Self { shape: Map::new(), values: Vec::new() };
        for (name, value) in fields {
            match record.shape.keys().position(|known| *known == name) {
                Some(place) => record.values[place] = value,
                None => {
                    record.shape.insert(name, Json::Null);
                    record.values.push(value);
                }
            }
        }
        record
    }
}

/// A piece of mixed text.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Literal(String),
    Expr(Expression),
}

impl Template {
    /// Compiles a checked value.
    pub(crate) fn compile(value: &Value) -> Result<Self, String> {
        let expression = |source: &str| Expression::compile(source).map_err(|problem| problem.message);
        Ok(match &value.kind {
            ValueKind::Literal(json) => Self::Literal(Arc::new(json.clone())),
            ValueKind::Expr(expr) => Self::Expr(expression(&expr.source)?),
            ValueKind::Text(parts) => Self::Text(
                parts
                    .iter()
                    .map(|part| {
                        Ok(match part {
                            Part::Literal(text) => Piece::Literal(text.clone()),
                            Part::Expr(expr) => Piece::Expr(expression(&expr.source)?),
                        })
                    })
                    .collect::<Result<_, String>>()?,
            ),
            ValueKind::List(items) => Self::List(items.iter().map(Self::compile).collect::<Result<_, _>>()?),
            ValueKind::Record(fields) => Self::Record(
                fields
                    .iter()
                    .map(|(name, value)| Ok((name.value.clone(), Self::compile(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
        })
    }

    /// What the value is in this scope.
    pub(crate) fn eval(&self, scope: &Scope) -> Result<Json, EvalError> {
        Ok(match self {
            Self::Literal(json) => Json::clone(json),
            Self::Expr(expression) => expression.eval(scope)?,
            Self::Text(pieces) => Json::String(text(pieces, scope)?),
            Self::List(items) => Json::Array(items.iter().map(|item| item.eval(scope)).collect::<Result<_, _>>()?),
            Self::Record(record) => {
                let mut fields = record.shape.clone();
                for (field, value) in fields.values_mut().zip(&record.values) {
                    *field = value.eval(scope)?;
                }
                Json::Object(fields)
            }
        })
    }

    /// As [`Template::eval`], without copying what is shared already.
    pub(crate) fn eval_shared(&self, scope: &Scope) -> Result<Arc<Json>, EvalError> {
        match self {
            Self::Literal(json) => Ok(Arc::clone(json)),
            other => other.eval(scope).map(Arc::new),
        }
    }
}

/// Mixed text is always text; null, lists and records never turn into text by themselves.
fn text(pieces: &[Piece], scope: &Scope) -> Result<String, EvalError> {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Expr(expression) => match expression.eval(scope)? {
                Json::String(text) => out.push_str(&text),
                Json::Number(number) => out.push_str(&number.to_string()),
                Json::Bool(value) => out.push_str(if value { "true" } else { "false" }),
                Json::Null => {
                    return Err(EvalError::new(
                        "null_value",
                        format!("`{}` is null, and null does not turn into text by itself", expression.source()),
                    )
                    .with_hint(format!("Give a text for that case: ${{ {} ?? \"…\" }}", expression.source())));
                }
                Json::Array(_) | Json::Object(_) => {
                    return Err(EvalError::new(
                        "type_mismatch",
                        format!("`{}` is a list or a record, which does not fit into text", expression.source()),
                    )
                    .with_hint("Take one field of it, or write it as JSON: json(…)"));
                }
            },
        }
    }
    Ok(out)
}

/// What a failed formula looks like in the journal.
pub(crate) fn formula_failed(error: &EvalError, place: &str) -> Box<ErrorRecord> {
    Box::new(ErrorRecord {
        class: ErrorClass::Recipe.as_str().to_owned(),
        code: format!("FORMULA_{}", error.code.to_uppercase()),
        message: format!("{place} could not be computed: {}.", error.message.trim_end_matches('.')),
        next: Some(match &error.hint {
            Some(hint) => format!("{hint} Then resume the run."),
            None => "Correct the recipe or the data it reads, then resume the run.".to_owned(),
        }),
        path: None,
        request: None,
        response: None,
        causes: Vec::new(),
    })
}
