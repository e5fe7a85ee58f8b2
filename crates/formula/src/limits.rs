//! Every bound of this crate, with its unit in the name.
//!
//! A formula comes from a person and its data from the internet; neither may take a worker's time
//! or memory. Whatever runs into a bound ends with a sentence, never with a slow worker.

use std::ops::RangeInclusive;

/// Longest source text of one expression.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// Longest sentence about a source, in characters; what it quotes is cut in the middle.
pub const PROBLEM_CHARS_MAX: usize = 200;
/// The same for an evaluation, which may quote what a script throws.
pub const ERROR_CHARS_MAX: usize = 600;
/// Steps of one evaluation, closures included (rhai alone forgets what closures spend). Functions
/// count items, and 64 bytes of text as one, so this bounds memory as well.
pub const OPERATIONS_MAX: u64 = 1_000_000;
/// Steps of one call of a closure or of the body around it.
pub const OPERATIONS_PER_CALL_MAX: u64 = 100_000;
/// Functions and closures calling each other.
pub const CALL_LEVELS_MAX: usize = 32;
/// Longest text a formula may make.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Most items in a list a formula makes, lists in lists counted together.
pub const LIST_ITEMS_MAX: usize = 10_000;
/// Most fields in a record a formula makes, records in records counted together.
pub const RECORD_FIELDS_MAX: usize = 10_000;
/// Most names declared with `let` and `for` at the same time.
pub const VARIABLES_MAX: usize = 64;
/// Most names declared in one source text, parameters included.
pub const DECLARATIONS_MAX: usize = 512;
/// Most different names of fields that the records of one source text have.
pub const FIELD_NAMES_MAX: usize = 1024;
/// Most functions and closures in one source text.
pub const FUNCTIONS_MAX: usize = 32;
/// Most values in one call.
pub const ARGUMENTS_MAX: usize = 10;
/// Deepest nesting of brackets, operators and calls in the source.
pub const EXPRESSION_DEPTH_MAX: usize = 64;
/// Deepest nesting of lists and records that a script builds in its variables.
pub const VARIABLE_DEPTH_MAX: usize = 64;
/// Deepest nesting of a value that a formula gives.
pub const VALUE_DEPTH_MAX: usize = 128;
/// Most different places one formula reads.
pub const REFERENCES_MAX: usize = 256;
/// Deepest nesting of lists and records in a type; what lies deeper counts as anything.
pub const TYPE_DEPTH_MAX: u8 = 32;
/// Most parts of one type, fields of fields counted together; a larger one counts as any record
/// or list.
pub const TYPE_PARTS_MAX: u16 = 2048;
/// Most steps of inferring the type of one expression; what comes later counts as anything.
pub const INFERENCE_STEPS_MAX: u32 = 20_000;
/// Deepest nesting of a JSON Schema that is read as a type.
pub const SCHEMA_DEPTH_MAX: u32 = 64;
/// Most parts of one JSON Schema that are read as a type.
pub const SCHEMA_PARTS_MAX: u32 = 4096;
/// Deepest nesting of brackets, filters and functions in a JSONPath.
pub const PATH_DEPTH_MAX: usize = 32;
/// Steps of one JSONPath over data: places looked at and found, 64 bytes of text as one.
pub const PATH_STEPS_MAX: u64 = 2_000_000;
/// Longest regular expression of a filter.
pub const PATTERN_BYTES_MAX: usize = 1_000;
/// Most states of the program of a regular expression, as its text lets expect.
pub const PATTERN_STATES_MAX: usize = 10_000;
/// Most memory the program of a regular expression may take.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Most values a function such as `min(1, 2, …)` takes one by one; lists may be longer. Rhai looks
/// for a function twice as long for each of them.
pub const REPEATED_VALUES_MAX: usize = 8;
/// The years of the calendar of formulas: those that ISO 8601 writes with four digits.
pub const YEARS: RangeInclusive<i16> = 1..=9999;
/// Longest duration, in either direction: longer than between any two dates.
pub const DURATION_SECONDS_MAX: u64 = 10_000 * 366 * 86_400;
/// Longest text that is read as a date, a date-time or a duration.
pub const DATE_TEXT_BYTES_MAX: usize = 128;
/// Longest format of a date, such as `%d.%m.%Y`.
pub const DATE_FORMAT_BYTES_MAX: usize = 256;
/// Longest name of a time zone.
pub const ZONE_NAME_BYTES_MAX: usize = 64;
/// Deepest nesting of groups in a regular expression of a formula.
pub const PATTERN_DEPTH_MAX: u32 = 64;
/// Most regular expressions a thread keeps built.
pub const PATTERNS_KEPT_MAX: usize = 32;
/// Most lines of a CSV text that a formula reads.
pub const CSV_ROWS_MAX: usize = 50_000;
/// Longest address that a formula takes apart.
pub const URL_BYTES_MAX: usize = 16 * 1024;
/// Longest name of a country, and longest e-mail address (RFC 5321 allows 254 bytes).
pub const NAME_BYTES_MAX: usize = 254;
/// Longest text that is read as a phone number.
pub const PHONE_BYTES_MAX: usize = 64;
