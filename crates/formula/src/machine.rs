//! The one rhai engine, locked down.
//!
//! It is raw: no package of rhai is loaded, so nothing exists but the operators below and the
//! functions of our own table. Files, modules, clocks, output and `eval` are not switched off but
//! never there.

use std::{
    any::TypeId,
    cell::Cell,
    cmp::Ordering,
    sync::{Arc, LazyLock},
};

use jiff::Timestamp;
use rhai::{Array, Dynamic, Engine, EvalAltResult, INT, ImmutableString, Module, OptimizationLevel, Position};
use rust_decimal::Decimal;

use crate::{
    EvalError, Shared, functions, limits,
    number::Number,
    ops::{self, Arithmetic},
    time::Time,
    value::{self, Kind},
};

/// What rhai hands back when a call fails.
pub(crate) type Fault = Box<EvalAltResult>;

/// The engine every expression shares.
pub(crate) static MACHINE: LazyLock<Engine> = LazyLock::new(build);

/// What `on_progress` gives back when the steps of one evaluation are spent.
pub(crate) struct Spent;

thread_local! {
    // Rhai counts the steps of each closure call anew; an evaluation never leaves its thread.
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static NOW: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// Begins the count of steps of one evaluation, which sees this instant as now.
pub(crate) fn begin(now: Option<Timestamp>) {
    STEPS.set(0);
    NOW.set(now);
}

/// What `now()` gives.
pub(crate) fn now() -> Result<Timestamp, EvalError> {
    NOW.get().ok_or_else(|| {
        EvalError::new("unknown_name", "now() is not known here")
            .with_hint("It is known while a run goes on; tests set it themselves.")
    })
}

/// Counts work that functions do on their own.
pub(crate) fn spend(steps: usize) -> Result<(), EvalError> {
    let spent = STEPS.get().saturating_add(steps as u64);
    STEPS.set(spent);
    if spent > limits::OPERATIONS_MAX { Err(too_many_steps()) } else { Ok(()) }
}

/// The formula ran too long, or makes too much.
pub(crate) fn too_many_steps() -> EvalError {
    EvalError::new("limit", "the formula takes too many steps, or makes too much")
        .with_hint("Let it handle less at a time, for example with an `each` step and `batch`.")
}

/// One of our errors, for rhai to carry.
pub(crate) fn fault(error: EvalError) -> Fault {
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE))
}

fn build() -> Engine {
    let mut engine = Engine::new_raw();
    engine
        .set_optimization_level(OptimizationLevel::None)
        // Our operators, also where rhai has its own: its integer division truncates.
        .set_fast_operators(false)
        .set_max_operations(limits::OPERATIONS_PER_CALL_MAX)
        .set_max_call_levels(limits::CALL_LEVELS_MAX)
        .set_max_string_size(limits::TEXT_BYTES_MAX)
        .set_max_array_size(limits::LIST_ITEMS_MAX)
        .set_max_map_size(limits::RECORD_FIELDS_MAX)
        // The places a formula reads are variables to rhai.
        .set_max_variables(limits::VARIABLES_MAX + limits::REFERENCES_MAX)
        .set_max_functions(limits::FUNCTIONS_MAX)
        .set_max_modules(0)
        .set_max_expr_depths(limits::EXPRESSION_DEPTH_MAX, limits::EXPRESSION_DEPTH_MAX)
        .set_max_strings_interned(64)
        .disable_symbol("eval")
        .disable_symbol("Fn")
        .on_progress(|_| {
            let spent = STEPS.get() + 1;
            STEPS.set(spent);
            (spent > limits::OPERATIONS_MAX).then(|| Dynamic::from(Arc::new(Spent)))
        });
    engine.register_type_with_name::<Shared>("data");
    engine.register_type_with_name::<Time>("time");
    let mut lists = Module::new();
    lists.set_iter_result(TypeId::of::<Shared>(), items);
    engine.register_global_module(lists.into());
    engine.register_iterator::<Array>();
    engine.register_iterator::<std::ops::Range<INT>>();
    engine.register_iterator::<std::ops::RangeInclusive<INT>>();
    operators(&mut engine);
    lookups(&mut engine);
    functions::register(&mut engine);
    engine
}

/// Registers a function of two values of any types.
fn binary(
    engine: &mut Engine,
    name: &'static str,
    compute: impl Fn(&Dynamic, &Dynamic) -> Result<Dynamic, EvalError> + Clone + Send + Sync + 'static,
) {
    let int = TypeId::of::<INT>();
    let decimal = TypeId::of::<Decimal>();
    let text = TypeId::of::<ImmutableString>();
    let any = TypeId::of::<Dynamic>();
    // The exact ones spare rhai the search for the general one.
    for types in [[int, int], [decimal, decimal], [int, decimal], [decimal, int], [text, text], [any, any]] {
        let compute = compute.clone();
        engine.register_raw_fn(name, types, move |_, args| compute(args[0], args[1]).map_err(fault));
    }
}

fn operators(engine: &mut Engine) {
    let flag = |result: Result<bool, EvalError>| result.map(Dynamic::from);
    binary(engine, "==", move |a, b| flag(ops::equal(a, b)));
    binary(engine, "!=", move |a, b| flag(ops::equal(a, b).map(|equal| !equal)));
    binary(engine, "<", move |a, b| flag(ops::order(a, b).map(Ordering::is_lt)));
    binary(engine, "<=", move |a, b| flag(ops::order(a, b).map(Ordering::is_le)));
    binary(engine, ">", move |a, b| flag(ops::order(a, b).map(Ordering::is_gt)));
    binary(engine, ">=", move |a, b| flag(ops::order(a, b).map(Ordering::is_ge)));
    binary(engine, "+", ops::add);
    let arithmetic = [
        ("-", "-=", Arithmetic::Subtract),
        ("*", "*=", Arithmetic::Multiply),
        ("/", "/=", Arithmetic::Divide),
        ("%", "%=", Arithmetic::Remainder),
        ("**", "**=", Arithmetic::Power),
    ];
    let any = TypeId::of::<Dynamic>();
    for (sign, assign, compute) in arithmetic {
        binary(engine, sign, move |a, b| ops::arithmetic(a, b, compute));
        engine.register_raw_fn(assign, [any, any], move |_, args| {
            *args[0] = ops::arithmetic(args[0], args[1], compute).map_err(fault)?;
            Ok(Dynamic::UNIT)
        });
    }
    engine.register_raw_fn("+=", [any, any], |_, args| {
        let sum = ops::add(args[0], args[1]).map_err(fault)?;
        value::check_depth(&sum).map_err(fault)?;
        *args[0] = sum;
        Ok(Dynamic::UNIT)
    });
    engine.register_raw_fn("-", [any], |_, args| ops::negate(args[0]).map_err(fault));
    engine.register_raw_fn("!", [any], |_, args| ops::not(args[0]).map_err(fault));
    // `x in list` is `contains(list, x)` to rhai.
    binary(engine, "contains", |list, value| functions::has_value(list, value).map(Dynamic::from));
}

/// What `.name`, `[x]` and template texts were turned into.
fn lookups(engine: &mut Engine) {
    let any = TypeId::of::<Dynamic>();
    engine.register_raw_fn("get__", [any, TypeId::of::<ImmutableString>()], |_, args| {
        let key = value::text(args[1]).unwrap_or_default();
        value::field(args[0], &key).map_err(fault)
    });
    engine.register_raw_fn("at__", [any, any], |_, args| at(args[0], args[1]).map_err(fault));
    engine.register_raw_fn("shallow__", [any], |_, args| {
        value::check_depth(args[0]).map_err(fault)?;
        Ok(args[0].flatten_clone())
    });
    engine.register_raw_fn("copy__", [any], |_, args| Ok(args[0].flatten_clone()));
    engine.register_raw_fn("text__", [any], |_, args| template(args[0]).map_err(fault));
}

/// `x[key]`: a field or an item, or null.
fn at(value: &Dynamic, key: &Dynamic) -> Result<Dynamic, EvalError> {
    if let Some(name) = value::text(key) {
        return value::field(value, &name);
    }
    match Number::of(key) {
        Some(Number::Int(index)) => value::item(value, index),
        Some(Number::Decimal(_)) => Err(EvalError::new("bad_argument", "between the brackets stands a number that is not whole")),
        None => match Kind::of(key) {
            Kind::Null => Ok(Dynamic::UNIT),
            kind => Err(EvalError::new("bad_argument", format!("between the brackets stands {}", kind.name()))
                .with_hint("Items have numbers, x[0]; fields have names, x[\"a name\"].")),
        },
    }
}

/// The parts of a template text, joined.
fn template(parts: &Dynamic) -> Result<Dynamic, EvalError> {
    let mut out = String::new();
    if let Ok(parts) = parts.as_array_ref() {
        for part in parts.iter() {
            out.push_str(&functions::as_text(part)?);
        }
    }
    Ok(out.into())
}

/// A list of the data, for `for`.
fn items(list: Dynamic) -> Box<dyn Iterator<Item = Result<Dynamic, Fault>>> {
    let mut next = 0;
    Box::new(std::iter::from_fn(move || {
        let item = value::List::of(&list).filter(|list| next < list.len())?.get(i64::try_from(next).ok()?);
        next += 1;
        Some(item.map_err(fault))
    }))
}
