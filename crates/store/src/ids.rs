//! Ids people can tell apart: a visible prefix, then a UUIDv7 in Crockford's base 32.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

/// The text is not an id of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not an id of this kind; it must look like {prefix}_ and 26 letters or digits")]
pub struct BadId {
    text: String,
    prefix: &'static str,
}

fn encode(value: u128) -> [u8; LENGTH] {
    let mut out = [b'0'; LENGTH];
    let mut rest = value;
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    out
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != LENGTH {
        return None;
    }
    let mut value: u128 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|letter| *letter == byte.to_ascii_lowercase())?;
        // 26 digits of 5 bits are 130 bits; an id never uses the top two.
        if value >> 123 != 0 {
            return None;
        }
        value = (value << 5) | digit as u128;
    }
    Some(value)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The visible prefix, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id for something that began at `now`; `random` makes it unique.
            #[must_use]
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.micros() / 1000).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = encode(self.0.as_u128());
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(|value| Self(Uuid::from_u128(value)))
                    .ok_or_else(|| BadId { text: text.chars().take(64).collect(), prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One run.
    RunId, "run"
);
id!(
    /// One recipe, whatever its slug becomes.
    RecipeId, "rcp"
);
id!(
    /// One connection.
    ConnectionId, "con"
);
id!(
    /// One question to people.
    ApprovalId, "apr"
);
id!(
    /// One entry of the audit list.
    AuditId, "aud"
);
id!(
    /// One API key (not its secret).
    KeyId, "key"
);
id!(
    /// Something people are told.
    NoticeId, "ntc"
);

id!(
    /// Something done to many dead letters.
    OperationId, "op"
);

id!(
    /// One request to a webhook address that started no run.
    InboundId, "inb"
);

/// A registered process. Small, because every owned run names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_as_written() {
        let id = RunId::new(Timestamp::from_micros(1_760_000_000_000_000), [7; 10]);
        let text = id.to_string();
        assert!(text.starts_with("run_01"), "{text}");
        assert_eq!(text.parse::<RunId>(), Ok(id));
        assert_eq!(text.to_uppercase().replace("RUN_", "run_").parse::<RunId>(), Ok(id));
        assert_eq!(RunId(Uuid::max()).to_string().parse::<RunId>(), Ok(RunId(Uuid::max())));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "run_", "rcp_01k6xg5v00e1r70e1r70e1r70e", "run_zzzzzzzzzzzzzzzzzzzzzzzzzz", "run_01k6xg5v00e1r70e1r70e1r7é"]
        {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_later() {
        let early = RunId::new(Timestamp::from_micros(1_000_000), [255; 10]);
        let late = RunId::new(Timestamp::from_micros(2_000_000), [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
    }
}
