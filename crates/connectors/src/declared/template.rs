//! Values with formulas in them: `${ input.name }` in any text of a record or list.
//!
//! A text that is one formula keeps the type of its value; mixed text is text. An entry of a record whose formula gives
//! null is left out, unless the input holds that null itself: then somebody wants to clear something.

use std::sync::Arc;

use connector::{ErrorClass, StepError};
use formula::{Expression, Scope, Segment};
use serde_json::{Map, Value as Json};

use super::{
    problem::{Code, Problems},
    yaml::{Kind, Node},
};

/// Names that formulas of one place can read.
pub(crate) struct Names<'a> {
    roots: &'a [&'a str],
    /// What the records among them hold, where it is known.
    fields: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(roots: &'a [&'a str]) -> Self {
        Self { roots, fields: Vec::new() }
    }

    pub(crate) fn with(mut self, root: &'a str, fields: impl IntoIterator<Item = &'a str>) -> Self {
        self.fields.push((root, fields.into_iter().collect()));
        self
    }

    pub(crate) fn fields(&self, root: &str) -> &[&'a str] {
        self.fields.iter().find(|(name, _)| *name == root).map_or(&[], |(_, fields)| fields)
    }

    /// Every name a formula reads must be there.
    fn check(&self, expression: &Expression, at: (usize, usize), problems: &mut Problems) {
        for reference in expression.references() {
            if !reference.root.is_empty() && !self.roots.contains(&reference.root.as_str()) {
                problems.unknown(Code::UnknownName, at, "name here", &reference.root, self.roots);
            } else if let (Some((_, fields)), Some(Segment::Key(key))) =
                (self.fields.iter().find(|(name, _)| *name == reference.root), reference.path.first())
                && !fields.contains(&key.as_str())
            {
                problems.unknown(Code::UnknownName, at, &format!("field of {}", reference.root), key, fields);
            }
        }
    }
}

/// Reads a bare formula.
pub(crate) fn formula(source: &str, at: (usize, usize), names: &Names<'_>, problems: &mut Problems) -> Option<Expression> {
    if source.contains("${") {
        problems.add(Code::Formula, at, "A bare formula belongs here, without ${ }.");
        return None;
    }
    compile(source, at, names, problems)
}

fn compile(source: &str, at: (usize, usize), names: &Names<'_>, problems: &mut Problems) -> Option<Expression> {
    match Expression::compile(source) {
        Ok(expression) => {
            names.check(&expression, at, problems);
            Some(expression)
        }
        Err(problem) => {
            let message = format!("The formula `{}` cannot be read: {}.", source.trim(), problem.message.trim_end_matches('.'));
            match problem.hint {
                Some(hint) => problems.helped(Code::Formula, at, message, hint),
                None => problems.add(Code::Formula, at, message),
            }
            None
        }
    }
}

/// A value with formulas in it.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    Literal(Json),
    Formula(Expression),
    Mixed(Vec<Piece>),
    List(Vec<Template>),
    Record(Vec<(String, Template)>),
}

#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Text(String),
    Formula(Expression),
}

/// What formulas read, and the input that decides whether a null was meant.
pub(crate) struct Over {
    pub(crate) scope: Scope,
    given: Arc<Json>,
    name: &'static str,
}

impl Over {
    /// Over an input (`input`) or the settings of a trigger (`with`), and a connection's settings.
    pub(crate) fn new(name: &'static str, given: Json, config: &Json) -> Self {
        let given = Arc::new(given);
        let mut scope = Scope::new();
        scope.set(name, Arc::clone(&given));
        scope.set("config", config.clone());
        Self { scope, given, name }
    }

    /// The same names for one more look at the data.
    pub(crate) fn again(&self) -> Self {
        Self { scope: self.scope.clone(), given: Arc::clone(&self.given), name: self.name }
    }

    pub(crate) fn given(&self) -> &Json {
        &self.given
    }

    /// True for a null that stands in the input itself.
    fn meant(&self, expression: &Expression) -> bool {
        matches!(expression.references(), [one] if one.root == self.name
            && matches!(one.path.as_slice(), [Segment::Key(key)] if self.given.get(key).is_some_and(Json::is_null)))
    }
}

impl Template {
    /// Reads a value; problems of all its formulas.
    pub(crate) fn read(node: &Node, names: &Names<'_>, problems: &mut Problems) -> Self {
        match &node.kind {
            Kind::Text(text) => Self::text_of(text, node.at, names, problems),
            Kind::List(items) => Self::List(items.iter().map(|item| Self::read(item, names, problems)).collect()),
            Kind::Record(entries) => {
                Self::Record(entries.iter().map(|entry| (entry.key.clone(), Self::read(&entry.value, names, problems))).collect())
            }
            _ => Self::Literal(node.json()),
        }
    }

    /// Reads a text.
    pub(crate) fn text_of(text: &str, at: (usize, usize), names: &Names<'_>, problems: &mut Problems) -> Self {
        let mut pieces = Vec::new();
        let Some(()) = cut(text, &mut |piece| {
            pieces.push(match piece {
                Cut::Text(text) => Some(Piece::Text(text.to_owned())),
                Cut::Formula(source) => compile(source, at, names, problems).map(Piece::Formula),
            });
        }) else {
            problems.helped(
                Code::Formula,
                at,
                "A formula that begins here with ${ has no end.",
                "Close it with }, or write $${ for the text.",
            );
            return Self::Literal(Json::Null);
        };
        let Some(mut pieces) = pieces.into_iter().collect::<Option<Vec<_>>>() else { return Self::Literal(Json::Null) };
        match pieces.len() {
            0 => Self::Literal(Json::String(String::new())),
            1 => match pieces.remove(0) {
                Piece::Text(text) => Self::Literal(Json::String(text)),
                Piece::Formula(expression) => Self::Formula(expression),
            },
            _ => Self::Mixed(pieces),
        }
    }

    /// Its value.
    pub(crate) fn value(&self, over: &Over) -> Result<Json, StepError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Formula(expression) => evaluated(expression, over),
            Self::Mixed(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(plain) => text.push_str(plain),
                        Piece::Formula(expression) => text.push_str(&as_text(evaluated(expression, over)?)?),
                    }
                }
                Ok(Json::String(text))
            }
            Self::List(items) => items.iter().map(|item| item.value(over)).collect(),
            Self::Record(entries) => {
                let mut record = Map::new();
                for (key, template) in entries {
                    let value = template.value(over)?;
                    let left_out = value.is_null()
                        && match template {
                            Self::Formula(expression) => !over.meant(expression),
                            _ => false,
                        };
                    if !left_out {
                        record.insert(key.clone(), value);
                    }
                }
                Ok(Json::Object(record))
            }
        }
    }

    /// Its value as text; `None` for null.
    pub(crate) fn text(&self, over: &Over) -> Result<Option<String>, StepError> {
        match self.value(over)? {
            Json::Null => Ok(None),
            value => as_text(value).map(Some),
        }
    }

    /// The formulas in it.
    pub(crate) fn formulas(&self) -> Vec<&Expression> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Formula(expression) => vec![expression],
            Self::Mixed(pieces) => pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Formula(expression) => Some(expression),
                    Piece::Text(_) => None,
                })
                .collect(),
            Self::List(items) => items.iter().flat_map(Self::formulas).collect(),
            Self::Record(entries) => entries.iter().flat_map(|(_, template)| template.formulas()).collect(),
        }
    }
}

/// A formula's value over the data, or an error that says that the file and the data do not fit.
pub(crate) fn evaluated(expression: &Expression, over: &Over) -> Result<Json, StepError> {
    expression.eval(&over.scope).map_err(|error| failed(&error))
}

/// A formula's decision; anything but true or false is an error.
pub(crate) fn decided(expression: &Expression, scope: &Scope) -> Result<bool, StepError> {
    expression.eval_bool(scope).map_err(|error| failed(&error))
}

fn failed(error: &formula::EvalError) -> StepError {
    StepError::new(
        ErrorClass::Invalid,
        "CONNECTOR_FORMULA",
        format!("a formula of the connector file does not fit the data: {error}"),
    )
    .with_next("Check the input; if it is right, the connector file must be corrected.")
}

/// A value as text.
pub(crate) fn as_text(value: Json) -> Result<String, StepError> {
    match value {
        Json::Null => Ok(String::new()),
        Json::String(text) => Ok(text),
        Json::Bool(_) | Json::Number(_) => Ok(value.to_string()),
        Json::Array(_) | Json::Object(_) => Err(StepError::new(
            ErrorClass::Invalid,
            "CONNECTOR_FORMULA",
            format!("{} stands where the connector file needs a text", connector::strict::kind(&value)),
        )
        .with_next("Check the input; if it is right, the connector file must be corrected.")),
    }
}

enum Cut<'t> {
    Text(&'t str),
    Formula(&'t str),
}

/// Cuts a text into plain text and formulas; `None` when one has no end. `$${` is the text `${`.
fn cut<'t>(text: &'t str, found: &mut dyn FnMut(Cut<'t>)) -> Option<()> {
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            found(Cut::Text(&rest[..at - 1]));
            found(Cut::Text("${"));
            rest = &rest[at + 2..];
            continue;
        }
        if at > 0 {
            found(Cut::Text(&rest[..at]));
        }
        let inner = &rest[at + 2..];
        let end = end(inner)?;
        found(Cut::Formula(inner[..end].trim()));
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        found(Cut::Text(rest));
    }
    Some(())
}

/// The closing brace, past quotes and braces inside.
fn end(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'' | b'`') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth == 0 => return Some(at),
            (None, b'}') => depth -= 1,
            _ => {}
        }
    }
    None
}
