//! The functions of formulas: one table, from which registration, checks, help and tests follow.
//!
//! Each is pure and may be called as `upper(x)` or as `x.upper()`. To add one, add a line to the
//! table of its group: its example is run by a test, and nothing else needs to know.

mod business;
mod calendar;
mod collection;
mod date;
mod digest;
mod list;
mod literal;
mod money;
mod number;
mod other;
mod pattern;
mod record;
mod signature;
mod table;
mod text;
mod times;
mod writing;

use std::{any::TypeId, collections::HashMap, ops::RangeInclusive, sync::LazyLock};

use rhai::{Array, Dynamic, Engine, FnPtr, ImmutableString, NativeCallContext};

pub(crate) use self::literal::check as check_literal;
use self::signature::Signature;
pub use self::signature::{Param, ValueType};
use crate::{
    EvalError, Segment, limits,
    machine::{Fault, fault, spend},
    number::Number,
    ops,
    reference::parse_dotted,
    time::{self, Time},
    value::{self, Kind, List, Record},
};

/// A function, for checks, help and completion.
#[derive(Debug, Clone)]
pub struct FunctionInfo {
    /// What it is called by.
    pub name: &'static str,
    /// `text`, `number`, `money`, `date`, `list`, `record`, `format`, `business`, `value` or `script`.
    pub group: &'static str,
    /// What it takes and gives, such as `pad(text: text|number, width: integer, [fill: text]) -> text`:
    /// the source of `usage`, `params`, `gives` and `arguments`.
    pub signature: &'static str,
    /// How it is written, with what may be left out in brackets: `pad(text, width, [fill])`.
    pub usage: String,
    /// What it gives, in a sentence.
    pub doc: &'static str,
    /// A formula that uses it.
    pub example: &'static str,
    /// What the example gives, as JSON.
    pub result: &'static str,
    /// What it takes, in order.
    pub params: Vec<Param>,
    /// What it may give, one of these.
    pub gives: Vec<ValueType>,
    /// How many values it takes.
    pub arguments: RangeInclusive<usize>,
    run: Run,
}

/// What a function does with its values.
type Run = fn(&mut Call<'_, '_>) -> Result<Dynamic, Fault>;

/// A line of a table.
struct Line {
    group: &'static str,
    signature: &'static str,
    doc: &'static str,
    example: &'static str,
    result: &'static str,
    run: Run,
}

/// All functions, by group.
#[must_use]
pub fn functions() -> &'static [FunctionInfo] {
    static ALL: LazyLock<Vec<FunctionInfo>> = LazyLock::new(|| {
        let tables = [
            text::FUNCTIONS,
            writing::FUNCTIONS,
            pattern::FUNCTIONS,
            number::FUNCTIONS,
            money::FUNCTIONS,
            date::FUNCTIONS,
            calendar::FUNCTIONS,
            list::FUNCTIONS,
            collection::FUNCTIONS,
            record::FUNCTIONS,
            table::FUNCTIONS,
            digest::FUNCTIONS,
            business::FUNCTIONS,
            other::FUNCTIONS,
        ];
        tables.into_iter().flatten().map(info).collect()
    });
    &ALL
}

/// The function of a name.
pub(crate) fn find(name: &str) -> Option<&'static FunctionInfo> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static FunctionInfo>> =
        LazyLock::new(|| functions().iter().map(|function| (function.name, function)).collect());
    BY_NAME.get(name).copied()
}

/// What rhai calls it: a name nobody can write by accident.
pub(crate) fn rhai_name(name: &str) -> String {
    format!("f_{name}__")
}

/// Makes the table known to rhai.
pub(crate) fn register(engine: &mut Engine) {
    for function in functions() {
        for count in function.arguments.clone() {
            let types = vec![TypeId::of::<Dynamic>(); count];
            engine.register_raw_fn(rhai_name(function.name), types, move |context, args| {
                (function.run)(&mut Call { function, context: &context, args })
            });
        }
    }
}

/// A line of a table.
const fn function(
    group: &'static str,
    signature: &'static str,
    doc: &'static str,
    example: &'static str,
    result: &'static str,
    run: Run,
) -> Line {
    Line { group, signature, doc, example, result, run }
}

fn info(line: &Line) -> FunctionInfo {
    let Line { group, signature, doc, example, result, run } = *line;
    // The table is ours, and any test that looks at a function meets a line that cannot be read.
    let read = Signature::parse(signature).unwrap_or_else(|why| panic!("the signature {signature}: {why}"));
    let (usage, arguments) = (read.usage(), read.arguments());
    let Signature { name, params, gives } = read;
    FunctionInfo { name, group, signature, usage, doc, example, result, params, gives, arguments, run }
}

/// One call with its values.
struct Call<'a, 'v> {
    function: &'static FunctionInfo,
    context: &'a NativeCallContext<'a>,
    args: &'a mut [&'v mut Dynamic],
}

impl Call<'_, '_> {
    fn arg(&self, at: usize) -> Option<&Dynamic> {
        self.args.get(at).map(|arg| &**arg)
    }

    fn value(&self, at: usize) -> Dynamic {
        self.arg(at).map_or(Dynamic::UNIT, Dynamic::flatten_clone)
    }

    fn kind(&self, at: usize) -> Kind {
        self.arg(at).map_or(Kind::Null, Kind::of)
    }

    fn text(&self, at: usize) -> Result<ImmutableString, Fault> {
        let text = self.arg(at).and_then(value::text).ok_or_else(|| self.misfit(at, "text"))?;
        spend(text.len() / 64).map_err(fault)?;
        Ok(text)
    }

    fn number(&self, at: usize) -> Result<Number, Fault> {
        self.arg(at).and_then(Number::of).ok_or_else(|| self.misfit(at, "a number"))
    }

    fn whole(&self, at: usize) -> Result<i64, Fault> {
        match self.number(at)? {
            Number::Int(value) => Ok(value),
            Number::Decimal(_) => Err(self.misfit(at, "a whole number")),
        }
    }

    fn list(&self, at: usize) -> Result<List<'_>, Fault> {
        let list = self.arg(at).and_then(List::of).ok_or_else(|| self.misfit(at, "a list"))?;
        spend(list.len()).map_err(fault)?;
        Ok(list)
    }

    fn record(&self, at: usize) -> Result<Record<'_>, Fault> {
        self.arg(at).and_then(Record::of).ok_or_else(|| self.misfit(at, "a record"))
    }

    fn closure(&self, at: usize) -> Result<FnPtr, Fault> {
        self.arg(at)
            .and_then(|arg| arg.clone().flatten().try_cast::<FnPtr>())
            .ok_or_else(|| self.misfit(at, "a closure such as |x| x.name"))
    }

    /// A path such as `customer.city`.
    fn path(&self, at: usize) -> Result<Vec<Segment>, Fault> {
        let text = self.text(at)?;
        parse_dotted(&text).ok_or_else(|| fault(literal::no_path(self.function, &text)))
    }

    /// What a path or a closure makes of an item.
    fn selector(&self, at: usize) -> Result<Selector, Fault> {
        if self.kind(at) == Kind::Text { self.path(at).map(Selector::Path) } else { self.closure(at).map(Selector::Closure) }
    }

    fn select(&self, selector: &Selector, item: Dynamic) -> Result<Dynamic, Fault> {
        match selector {
            Selector::Path(path) => value::follow(&item, path).map_err(fault),
            Selector::Closure(closure) => self.apply(closure, item),
        }
    }

    fn apply(&self, closure: &FnPtr, item: Dynamic) -> Result<Dynamic, Fault> {
        closure.call_raw(self.context, None, [item])
    }

    /// A closure that answers yes or no.
    fn test(&self, closure: &FnPtr, item: Dynamic) -> Result<bool, Fault> {
        let answer = self.apply(closure, item)?;
        answer.as_bool().map_err(|_| {
            let message = format!(
                "the closure of `{}` gives {}, and needs to give true or false",
                self.function.name,
                Kind::of(&answer).name()
            );
            fault(EvalError::new("not_a_boolean", message).with_hint(format!("For example: {}", self.function.example)))
        })
    }

    fn misfit(&self, at: usize, wanted: &str) -> Fault {
        let kind = self.kind(at);
        let name = self.function.name;
        let place = ["first", "second", "third", "fourth"].get(at).copied().unwrap_or("last");
        let message = if self.args.len() == 1 {
            format!("`{name}` takes {wanted}, here it gets {}", kind.name())
        } else {
            format!("`{name}` takes {wanted} as its {place} value, here it gets {}", kind.name())
        };
        let error = EvalError::new(if kind == Kind::Null { "null_value" } else { "type_mismatch" }, message);
        fault(match (kind, wanted) {
            (Kind::Null, "text") => error.with_hint("Say what a missing text counts as: (… ?? \"\")"),
            (Kind::Null, "a list") => error.with_hint("Say what a missing list counts as: (… ?? [])"),
            (Kind::Null, "a date") => error.with_hint("Say what a missing date counts as: (… ?? \"2026-01-31\")"),
            (Kind::Null, "a number") => error.with_hint("Say what a missing number counts as: (… ?? 0)"),
            (Kind::Number, "a date") => {
                error.with_hint("Seconds since 1970 become a date-time with from_unix(…), milliseconds with from_unix(…, \"ms\")")
            }
            (Kind::Number | Kind::Boolean | Kind::Date | Kind::DateTime | Kind::Duration, "text") => {
                error.with_hint("Turn it into text first: to_text(…)")
            }
            (Kind::Text, "a number") => error.with_hint("Turn the text into a number first: to_number(…)"),
            _ => error.with_hint(format!("For example: {}", self.function.example)),
        })
    }

    /// Parts of a text as a list.
    fn pieces<'t>(&self, pieces: impl Iterator<Item = &'t str>) -> Result<Dynamic, Fault> {
        let mut out = Array::new();
        for piece in pieces {
            if out.len() >= limits::LIST_ITEMS_MAX {
                let message = format!("`{}` would make a list of more than {} items", self.function.name, limits::LIST_ITEMS_MAX);
                return Err(fault(EvalError::new("limit", message)));
            }
            spend(1).map_err(fault)?;
            out.push(piece.into());
        }
        Ok(Dynamic::from_array(out))
    }

    fn too_long(&self) -> Fault {
        let message = format!("`{}` would make a text of more than {} bytes", self.function.name, limits::TEXT_BYTES_MAX);
        fault(EvalError::new("limit", message))
    }

    /// An error of an operator, said of this function.
    fn named(&self, error: EvalError) -> Fault {
        let message = error.message.strip_prefix("this ").map(|rest| format!("`{}` {rest}", self.function.name));
        fault(EvalError { message: message.unwrap_or(error.message), ..error })
    }

    fn bad(&self, message: &str) -> Fault {
        fault(
            EvalError::new("bad_argument", format!("`{}` {message}", self.function.name))
                .with_hint(format!("For example: {}", self.function.example)),
        )
    }
}

/// How an item is turned into what counts.
enum Selector {
    Path(Vec<Segment>),
    Closure(FnPtr),
}

/// `contains(x, value)` and `value in x`.
pub(crate) fn has_value(list: &Dynamic, wanted: &Dynamic) -> Result<bool, EvalError> {
    if let Some(list) = List::of(list) {
        spend(list.len())?;
        for item in list.iter() {
            if ops::same(&time::alike(item?, wanted), wanted)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let kinds = (Kind::of(list), Kind::of(wanted));
    if let (Some(text), Some(wanted)) = (value::text(list), value::text(wanted)) {
        return Ok(text.contains(wanted.as_str()));
    }
    if let (Some(record), Some(name)) = (Record::of(list), value::text(wanted)) {
        return Ok(record.has(&name));
    }
    Err(match kinds {
        (Kind::Null, _) => EvalError::new("null_value", "what should contain something is null")
            .with_hint("Say what a missing list counts as: (… ?? [])"),
        (left, right) => EvalError::new("type_mismatch", format!("{} cannot contain {}", left.name(), right.name())),
    })
}

/// Text, numbers, booleans and dates as text. Null, lists and records never turn into text silently.
pub(crate) fn as_text(value: &Dynamic) -> Result<ImmutableString, EvalError> {
    if let Some(text) = value::text(value) {
        return Ok(text);
    }
    if let Some(number) = Number::of(value) {
        return Ok(number.to_string().into());
    }
    if let Some(time) = Time::of(value) {
        return Ok(time.to_string().into());
    }
    if let Ok(value) = value.as_bool() {
        return Ok(if value { "true" } else { "false" }.into());
    }
    Err(match Kind::of(value) {
        Kind::Null => EvalError::new("null_value", "null does not turn into text by itself")
            .with_hint("Give a text for that case: (… ?? \"\")"),
        kind => EvalError::new("type_mismatch", format!("{} does not fit into text", kind.name()))
            .with_hint("Take one field of it, or write it as JSON: json(…)"),
    })
}
