//! Avro as events use it (specification 1.12): schemas in JSON, values in binary without a file around them.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};

/// Types within types.
const DEPTH_MAX: usize = 32;
/// Fields, branches and symbols of a schema together.
const PARTS_MAX: usize = 20_000;
/// Values of one event; an event has at most a megabyte.
const VALUES_MAX: usize = 100_000;

/// Why something cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub &'static str);

type Outcome<T> = Result<T, Unreadable>;

/// A type.
#[derive(Debug, Clone)]
pub(super) enum Type {
    Null,
    Boolean,
    /// `int` and `long` are written alike.
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Arc<[String]>),
    List(Arc<Type>),
    Map(Arc<Type>),
    Union(Arc<[Type]>),
    Record(Arc<[Field]>),
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub kind: Type,
}

impl Type {
    /// Reads a schema.
    pub(super) fn parse(text: &str) -> Outcome<Self> {
        let schema: Json = serde_json::from_str(text).map_err(|_| Unreadable("the schema is no JSON"))?;
        let mut reading = Reading { names: HashMap::new(), parts: 0 };
        reading.one(&schema, "", 0)
    }

    /// Reads a value; all bytes must belong to it.
    pub(super) fn read(&self, bytes: &[u8]) -> Outcome<Json> {
        let mut source = Source { bytes, values: 0 };
        let value = source.value(self, 0)?;
        if source.bytes.is_empty() { Ok(value) } else { Err(Unreadable("the event is longer than its schema says")) }
    }

    /// The fields of a record, also of one that may be null or something plain.
    pub(super) fn fields(&self) -> &[Field] {
        match self {
            Self::Record(fields) => fields,
            Self::Union(branches) => branches.iter().map(Self::fields).find(|fields| !fields.is_empty()).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// A schema being read, with the names it has given so far.
struct Reading {
    names: HashMap<String, Type>,
    parts: usize,
}

impl Reading {
    fn one(&mut self, schema: &Json, space: &str, depth: usize) -> Outcome<Type> {
        self.parts += 1;
        if depth > DEPTH_MAX || self.parts > PARTS_MAX {
            return Err(Unreadable("the schema is too large"));
        }
        match schema {
            Json::String(name) => self.named(name, space),
            Json::Array(branches) => {
                let branches: Outcome<Vec<Type>> = branches.iter().map(|branch| self.one(branch, space, depth + 1)).collect();
                Ok(Type::Union(branches?.into()))
            }
            Json::Object(schema) => self.complex(schema, space, depth),
            _ => Err(Unreadable("the schema holds something that is no type")),
        }
    }

    fn named(&self, name: &str, space: &str) -> Outcome<Type> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" | "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::Text,
            name => {
                let known = self.names.get(&full(name, space)).or_else(|| self.names.get(name));
                return known.cloned().ok_or(Unreadable("the schema names a type that it does not define"));
            }
        })
    }

    fn complex(&mut self, schema: &Map<String, Json>, space: &str, depth: usize) -> Outcome<Type> {
        let text = |name: &str| schema.get(name).and_then(Json::as_str);
        let part = |name: &str| schema.get(name).ok_or(Unreadable("a type of the schema is not complete"));
        let Some(kind) = text("type") else {
            return self.one(part("type")?, space, depth + 1);
        };
        let space = text("namespace").unwrap_or(space);
        let name = || text("name").map(|name| full(name, space)).ok_or(Unreadable("a type of the schema has no name"));
        let made = match kind {
            "array" => return Ok(Type::List(Arc::new(self.one(part("items")?, space, depth + 1)?))),
            "map" => return Ok(Type::Map(Arc::new(self.one(part("values")?, space, depth + 1)?))),
            "record" => {
                let fields = part("fields")?.as_array().ok_or(Unreadable("a record of the schema has no fields"))?;
                let fields: Outcome<Vec<Field>> = fields.iter().map(|field| self.field(field, space, depth)).collect();
                Type::Record(fields?.into())
            }
            "enum" => {
                let symbols = part("symbols")?.as_array().into_iter().flatten();
                let symbols: Vec<String> = symbols.filter_map(|symbol| symbol.as_str().map(str::to_owned)).collect();
                self.parts += symbols.len();
                Type::Enum(symbols.into())
            }
            "fixed" => {
                let size = part("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                Type::Fixed(size.ok_or(Unreadable("a type of the schema has no size"))?)
            }
            plain => return self.named(plain, space),
        };
        self.names.insert(name()?, made.clone());
        Ok(made)
    }

    fn field(&mut self, field: &Json, space: &str, depth: usize) -> Outcome<Field> {
        let name = field["name"].as_str().ok_or(Unreadable("a field of the schema has no name"))?;
        Ok(Field { name: name.to_owned(), kind: self.one(&field["type"], space, depth + 1)? })
    }
}

/// A name with its namespace.
fn full(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

/// What is left to read.
struct Source<'a> {
    bytes: &'a [u8],
    values: usize,
}

const CUT: Unreadable = Unreadable("the event ends before its schema does");

impl Source<'_> {
    fn value(&mut self, kind: &Type, depth: usize) -> Outcome<Json> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err(Unreadable("the event holds too many values"));
        }
        Ok(match kind {
            Type::Null => Json::Null,
            Type::Boolean => json!(self.take::<1>()? == [1]),
            Type::Long => json!(self.long()?),
            // What is no number in JSON becomes null.
            Type::Float => json!(f32::from_le_bytes(self.take()?)),
            Type::Double => json!(f64::from_le_bytes(self.take()?)),
            Type::Bytes => json!(STANDARD.encode(self.counted()?)),
            Type::Fixed(size) => json!(STANDARD.encode(self.slice(*size)?)),
            Type::Text => {
                json!(std::str::from_utf8(self.counted()?).map_err(|_| Unreadable("a text of the event is not UTF-8"))?)
            }
            Type::Enum(symbols) => json!(symbols.get(self.place()?).ok_or(Unreadable("the event holds an unknown symbol"))?),
            Type::Union(branches) => {
                let branch = branches.get(self.place()?).ok_or(Unreadable("the event holds an unknown type"))?;
                self.value(branch, depth + 1)?
            }
            Type::List(items) => {
                let mut list = Vec::new();
                self.blocks(|source| {
                    list.push(source.value(items, depth + 1)?);
                    Ok(())
                })?;
                Json::Array(list)
            }
            Type::Map(values) => {
                let mut map = Map::new();
                self.blocks(|source| {
                    let key = source.value(&Type::Text, depth + 1)?;
                    map.insert(key.as_str().unwrap_or_default().to_owned(), source.value(values, depth + 1)?);
                    Ok(())
                })?;
                Json::Object(map)
            }
            Type::Record(fields) => {
                let mut record = Map::new();
                for field in fields.iter() {
                    record.insert(field.name.clone(), self.value(&field.kind, depth + 1)?);
                }
                Json::Object(record)
            }
        })
    }

    /// Lists come in blocks, each with its count; a negative count is followed by the block's length in bytes.
    fn blocks(&mut self, mut each: impl FnMut(&mut Self) -> Outcome<()>) -> Outcome<()> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                each(self)?;
            }
        }
    }

    fn slice(&mut self, length: usize) -> Outcome<&[u8]> {
        self.bytes.split_off(..length).ok_or(CUT)
    }

    fn take<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(CUT)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn counted(&mut self) -> Outcome<&[u8]> {
        let length = self.place()?;
        self.slice(length)
    }

    fn place(&mut self) -> Outcome<usize> {
        usize::try_from(self.long()?).map_err(|_| Unreadable("the event holds a count below nothing"))
    }

    /// Seven bits at a time, the lowest first; the sign is in the lowest.
    fn long(&mut self) -> Outcome<i64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
            }
        }
        Err(Unreadable("the event holds a number that is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(schema: &Json, bytes: &[u8]) -> Outcome<Json> {
        Type::parse(&schema.to_string())?.read(bytes)
    }

    #[test]
    fn each_type_is_read_as_the_specification_writes_it() {
        for (schema, bytes, value) in [
            (json!("null"), &[][..], Json::Null),
            (json!("boolean"), &[1], json!(true)),
            (json!("int"), &[0x01], json!(-1)),
            (json!("long"), &[0x80, 0x01], json!(64)),
            (json!("long"), &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], json!(i64::MIN)),
            (json!("float"), &[0, 0, 0x20, 0x40], json!(2.5)),
            (json!("double"), &[0, 0, 0, 0, 0, 0, 0x04, 0x40], json!(2.5)),
            (json!("bytes"), &[0x04, 1, 2], json!("AQI=")),
            (json!("string"), b"\x06foo", json!("foo")),
            (json!({"type": "fixed", "name": "F", "size": 2}), &[1, 2], json!("AQI=")),
            (json!({"type": "enum", "name": "E", "symbols": ["A", "B"]}), &[0x02], json!("B")),
            (json!({"type": "array", "items": "long"}), &[0x04, 0x06, 0x36, 0x00], json!([3, 27])),
            (json!({"type": "array", "items": "long"}), &[0x03, 0x04, 0x06, 0x36, 0x00], json!([3, 27])),
            (json!({"type": "map", "values": "int"}), b"\x02\x02a\x02\x00", json!({"a": 1})),
            (json!(["null", "string"]), b"\x02\x02a", json!("a")),
            (json!({"type": {"type": "string"}}), b"\x02a", json!("a")),
        ] {
            assert_eq!(read(&schema, bytes), Ok(value), "{schema}");
        }
    }

    #[test]
    fn a_name_stands_for_the_type_that_has_it() {
        let address = json!({"type": "record", "name": "Address", "fields": [{"name": "City", "type": ["null", "string"]}]});
        let schema = json!({"type": "record", "name": "R", "namespace": "com.sforce.eventbus", "fields": [
            {"name": "A", "type": ["null", address]}, {"name": "B", "type": "Address"},
            {"name": "C", "type": "com.sforce.eventbus.Address"}]});
        let value = read(&schema, b"\x00\x02\x02x\x00").unwrap();
        assert_eq!(value, json!({"A": null, "B": {"City": "x"}, "C": {"City": null}}));
    }

    #[test]
    fn nonsense_is_refused_without_much_work() {
        for (schema, bytes) in [
            (json!("string"), &b"\x06fo"[..]),
            (json!("string"), b"\x01"),
            (json!("string"), b"\x02\xff"),
            (json!("int"), b"\x00\x00"),
            (json!("int"), b""),
            (json!("long"), &[0xff; 11]),
            (json!(["null"]), b"\x02"),
            (json!("Unknown"), b""),
            (json!({"type": "record", "name": "R"}), b""),
            (json!({"type": "array", "items": "null"}), &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            (json!({"type": "fixed", "name": "F", "size": u64::MAX}), b""),
        ] {
            assert!(read(&schema, bytes).is_err(), "{schema}");
        }
        assert!(Type::parse(&format!("{}\"int\"{}", "[".repeat(100), "]".repeat(100))).is_err());
        assert!(Type::parse("{").is_err());
    }

    #[test]
    fn any_bytes_end_in_a_value_or_a_refusal() {
        let inner = json!({"type": "record", "name": "I", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}, {"name": "m", "type": {"type": "map", "values": "double"}}]});
        let schema = json!({"type": "record", "name": "R", "fields": [{"name": "i", "type": ["null", "string", inner]}, {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X"]}}, {"name": "l", "type": {"type": "array", "items": "I"}}]});
        let schema = Type::parse(&schema.to_string()).unwrap();
        let mut dice = 1_u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..24)
                .map(|_| {
                    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Small bytes are small counts, which lead deeper.
                    if dice >> 63 == 0 { (dice >> 40) as u8 & 0x07 } else { (dice >> 40) as u8 }
                })
                .collect();
            let _ = schema.read(&bytes);
        }
    }
}
