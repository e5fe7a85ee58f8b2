//! What rhai says, in our words and at our places.

use std::{ops::Range, sync::Arc};

use rhai::{Dynamic, EvalAltResult, ParseError, ParseErrorType, Position};

use crate::{
    EvalError, SyntaxProblem, functions,
    lex::{Kind, Token},
    limits,
    machine::{Spent, too_many_steps},
    translate::Translation,
};

/// The ranges of the lines rhai knows.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Vec<Range<usize>>,
    tokens: Vec<Token>,
}

impl Lines {
    pub(crate) fn new(translation: &mut Translation) -> Self {
        Self { lines: std::mem::take(&mut translation.lines), tokens: std::mem::take(&mut translation.tokens) }
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    fn range(&self, position: Position) -> Option<Range<usize>> {
        self.lines.get(position.line()?.checked_sub(1)?).cloned()
    }

    /// The operator at a range with what stands left and right of it.
    fn operation(&self, operator: &Range<usize>) -> Option<Range<usize>> {
        let at = self.tokens.iter().position(|token| token.range == *operator && matches!(token.kind, Kind::Sign(_)))?;
        let mut first = at.checked_sub(1)?;
        loop {
            first = self.tokens[first].partner.min(first);
            match first.checked_sub(1).map(|before| &self.tokens[before].kind) {
                // A call or a look-up goes on to the left.
                Some(Kind::Sign("." | "?.")) => first = first.checked_sub(2)?,
                Some(Kind::Name(_) | Kind::Close(_)) if matches!(self.tokens[first].kind, Kind::Open(_)) => first -= 1,
                _ => break,
            }
        }
        let mut last = at + 1;
        while matches!(self.tokens.get(last)?.kind, Kind::Sign("-" | "!")) {
            last += 1;
        }
        last = self.tokens[last].partner.max(last);
        loop {
            match self.tokens.get(last + 1).map(|token| &token.kind) {
                Some(Kind::Sign("." | "?.")) => last += 2,
                Some(Kind::Open("(" | "[" | "?[")) => last = self.tokens[last + 1].partner,
                _ => break,
            }
        }
        Some(self.tokens[first].range.start..self.tokens.get(last)?.range.end)
    }
}

/// A source that rhai does not understand.
pub(crate) fn syntax(error: &ParseError, lines: &Lines, source: &str) -> SyntaxProblem {
    let end = source.trim_end().len();
    let range = lines.range(error.position()).unwrap_or(end..end);
    let found = source.get(range.clone()).unwrap_or_default();
    let at_end = found.is_empty() || matches!(error.err_type(), ParseErrorType::UnexpectedEOF);
    let here =
        |what: &str| if at_end { format!("the formula stops where {what}") } else { format!("`{found}` stands where {what}") };
    let (message, hint) = match error.err_type() {
        ParseErrorType::UnexpectedEOF => ("the formula is not complete".to_owned(), None),
        ParseErrorType::MissingToken(token, _) => match token.as_str() {
            "}" | ")" | "]" => (here("an operator, a comma or a closing bracket belongs"), None),
            token => (here(&format!("`{token}` belongs")), None),
        },
        ParseErrorType::ExprExpected(_) => (here("a value belongs"), None),
        ParseErrorType::BadInput(_) | ParseErrorType::Reserved(_) | ParseErrorType::UnknownOperator(_) => {
            (format!("`{found}` does not fit here"), None)
        }
        ParseErrorType::DuplicatedProperty(name) => (format!("the record has the field `{name}` twice"), None),
        ParseErrorType::DuplicatedVariable(name) => (format!("the name `{name}` is used twice"), None),
        ParseErrorType::ExprTooDeep => (
            format!("this is nested deeper than {} levels", limits::EXPRESSION_DEPTH_MAX),
            Some("Split it into several `set` values."),
        ),
        ParseErrorType::TooManyFunctions => (format!("more than {} closures and functions", limits::FUNCTIONS_MAX), None),
        ParseErrorType::LiteralTooLarge(..) => ("this value is too large to stand in a formula".to_owned(), None),
        ParseErrorType::PropertyExpected => {
            (here("the name of a field belongs"), Some("A record looks like #{ name: \"Ann\", age: 30 }"))
        }
        ParseErrorType::LoopBreak => (format!("`{found}` stands outside of a loop"), None),
        ParseErrorType::AssignmentToConstant(name) => {
            (format!("`{name}` is a constant"), Some("Declare it with `let` to change it."))
        }
        ParseErrorType::AssignmentToInvalidLHS(_) => ("nothing can be assigned to this".to_owned(), Some("Compare with ==")),
        other => (other.to_string().to_lowercase(), None),
    };
    let problem = SyntaxProblem::new(range, message);
    match hint {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    }
}

/// A formula that stopped while it ran.
pub(crate) fn run(error: EvalAltResult, lines: &Lines, source: &str) -> EvalError {
    let (error, position) = cause(error);
    let range = lines.range(position);
    let mut error = sentence(error);
    let Some(range) = range else { return error };
    if let Some(rest) = error.message.strip_prefix("this ") {
        let operation = lines.operation(&range).unwrap_or_else(|| range.clone());
        let piece = source.get(operation.clone()).unwrap_or_default();
        if !piece.is_empty() && piece.chars().count() <= 80 {
            error.message = format!("`{piece}` {rest}");
        } else {
            error.message = format!("a formula {rest}");
        }
        return error.with_range(operation);
    }
    error.with_range(range)
}

/// The innermost error, with the place closest to it.
fn cause(error: EvalAltResult) -> (EvalAltResult, Position) {
    let mut error = error;
    let mut position = error.position();
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) = error {
        error = *inner;
        if !error.position().is_none() {
            position = error.position();
        }
    }
    (error, position)
}

/// The longest message a script can give.
const THROWN_CHARS_MAX: usize = 500;

fn sentence(error: EvalAltResult) -> EvalError {
    match error {
        EvalAltResult::ErrorRuntime(value, _) if value.is::<EvalError>() => value.cast::<EvalError>(),
        EvalAltResult::ErrorRuntime(value, _) => EvalError::new("thrown", thrown(&value)),
        EvalAltResult::ErrorTooManyOperations(_) => too_many_steps(),
        EvalAltResult::ErrorTerminated(token, _) if token.is::<Arc<Spent>>() => too_many_steps(),
        EvalAltResult::ErrorStackOverflow(_) => {
            EvalError::new("limit", format!("functions call each other more than {} levels deep", limits::CALL_LEVELS_MAX))
        }
        EvalAltResult::ErrorTooManyVariables(_) => {
            EvalError::new("limit", format!("more than {} variables at the same time", limits::VARIABLES_MAX))
        }
        EvalAltResult::ErrorDataTooLarge(what, _) => EvalError::new("limit", too_large(&what))
            .with_hint("Let it handle less at a time, for example with an `each` step and `batch`."),
        EvalAltResult::ErrorMismatchDataType(wanted, found, _) if wanted == "bool" => {
            EvalError::new("not_a_boolean", format!("here belongs true or false, not {}", kind_name(&found)))
                .with_hint("Ask a question that has yes or no for an answer: x == null, x != \"\", present(x)")
        }
        EvalAltResult::ErrorMismatchDataType(_, found, _) => {
            EvalError::new("type_mismatch", format!("{} does not fit here", kind_name(&found)))
        }
        EvalAltResult::ErrorFor(_) => EvalError::new("type_mismatch", "`for` goes through a list, and this is none")
            .with_hint("Say what a missing list counts as: for x in (… ?? [])"),
        EvalAltResult::ErrorArithmetic(..) => EvalError::new("arithmetic", "the numbers are too large for this"),
        EvalAltResult::ErrorFunctionNotFound(..) => EvalError::new("bad_argument", "this does not take values of these kinds"),
        EvalAltResult::ErrorVariableNotFound(name, _) => {
            EvalError::new("unknown_name", format!("there is nothing called `{name}` here"))
        }
        EvalAltResult::ErrorAssignmentToConstant(..)
        | EvalAltResult::ErrorNonPureMethodCallOnConstant(..)
        | EvalAltResult::ErrorIndexingType(..) => EvalError::new("read_only", "this can be read only")
            .with_hint("Data of the run never changes. Give a new record: merge(record, #{ … })"),
        EvalAltResult::ErrorArrayBounds(len, index, _) => {
            EvalError::new("bad_argument", format!("the list has {len} items, none at {index}")).with_hint("Add items with push.")
        }
        other => EvalError::new("failed", other.to_string().to_lowercase()),
    }
}

/// What a script says about itself, as far as a person reads.
fn thrown(value: &Dynamic) -> String {
    let text = functions::as_text(value).map_or_else(|_| value.to_string(), |text| text.to_string());
    match text.char_indices().nth(THROWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.trim().is_empty() => "the script gave up without a word".to_owned(),
        None => text,
    }
}

fn too_large(what: &str) -> String {
    let what = what.to_lowercase();
    if what.contains("string") {
        format!("the text grows beyond {} bytes", limits::TEXT_BYTES_MAX)
    } else if what.contains("map") {
        format!("the record grows beyond {} fields", limits::RECORD_FIELDS_MAX)
    } else {
        format!("the list grows beyond {} items", limits::LIST_ITEMS_MAX)
    }
}

/// Rhai's name of a type, in our words.
fn kind_name(name: &str) -> &'static str {
    match name {
        "()" => "null",
        "string" | "char" => "text",
        "i64" | "decimal" => "a number",
        "bool" => "true or false",
        "array" => "a list",
        "map" => "a record",
        "data" => "a list or a record",
        "time" => "a date or a duration",
        "Fn" => "a closure",
        _ => "something else",
    }
}
