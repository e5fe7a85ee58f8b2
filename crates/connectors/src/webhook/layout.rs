//! Signatures with a shared secret: where they stand, how they are written, and what they sign.
//!
//! GitHub, Slack and Shopify are layouts of their own; any other is described in a connection's settings.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use connector::{Connection, Inbound, Refused, Verified};
use hmac::Hmac;
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::verify::{
    SIGNATURES_MAX, check_time, digits, event_key, malformed, matches, mismatch, missing, one, secrets, setting, unreadable,
};

/// Where a signature stands unless the settings say otherwise.
pub(super) const HEADER_DEFAULT: &str = "X-Signature";
/// What is signed unless the settings say otherwise.
pub(super) const SIGNED_DEFAULT: &str = "{body}";
/// What a template may hold.
const FIELDS: [&str; 5] = ["body", "timestamp", "id", "url", "method"];
/// From here on a number of a timestamp header is milliseconds: as seconds it would be the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

pub(super) const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

#[derive(Clone, Copy)]
pub(super) enum Algorithm {
    Sha256,
    Sha1,
    Sha512,
}

#[derive(Clone, Copy)]
pub(super) enum Encoding {
    Hex,
    Base64,
}

/// Where the sender's id of the event stands.
enum EventId<'a> {
    Nowhere,
    Header(&'a str),
    /// The same event may come under several topics; each is its own.
    TopicAndHeader(&'a str, &'a str),
    /// `event_id` of a JSON body.
    Body,
}

/// One way to sign.
pub(super) struct Layout<'a> {
    header: &'a str,
    prefix: &'a str,
    algorithm: Algorithm,
    encoding: Encoding,
    signed: &'a str,
    timestamp: Option<(&'a str, &'a str)>,
    secret_encoding: Option<Encoding>,
    event_id: EventId<'a>,
}

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>; a redelivery has the
/// id of the first delivery.
pub(super) const GITHUB: Layout<'static> = Layout {
    header: "X-Hub-Signature-256",
    prefix: "sha256=",
    algorithm: Algorithm::Sha256,
    encoding: Encoding::Hex,
    signed: SIGNED_DEFAULT,
    timestamp: None,
    secret_encoding: None,
    event_id: EventId::Header("X-GitHub-Delivery"),
};

/// <https://docs.slack.dev/authentication/verifying-requests-from-slack>
pub(super) const SLACK: Layout<'static> = Layout {
    header: "X-Slack-Signature",
    prefix: "v0=",
    signed: "v0:{timestamp}:{body}",
    timestamp: Some(("X-Slack-Request-Timestamp", "")),
    event_id: EventId::Body,
    ..GITHUB
};

/// <https://shopify.dev/docs/apps/build/webhooks/subscribe/https>, duplicates as in
/// <https://shopify.dev/docs/apps/build/webhooks/ignore-duplicates>.
pub(super) const SHOPIFY: Layout<'static> = Layout {
    header: "X-Shopify-Hmac-Sha256",
    prefix: "",
    encoding: Encoding::Base64,
    event_id: EventId::TopicAndHeader("X-Shopify-Topic", "X-Shopify-Event-Id"),
    ..GITHUB
};

impl Algorithm {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "sha256" => Some(Self::Sha256),
            "sha1" => Some(Self::Sha1),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn fits(self, key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
        match self {
            Self::Sha256 => matches::<Hmac<Sha256>>(key, parts, signature),
            Self::Sha1 => matches::<Hmac<Sha1>>(key, parts, signature),
            Self::Sha512 => matches::<Hmac<Sha512>>(key, parts, signature),
        }
    }
}

impl Encoding {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "hex" => Some(Self::Hex),
            "base64" => Some(Self::Base64),
            _ => None,
        }
    }

    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
        }
    }
}

/// The layout a connection's settings describe.
pub(super) fn own(connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
    let word = |name: &str, otherwise: &'static str| setting(connection, name).unwrap_or(otherwise).to_owned();
    let unknown = || unreadable("names an algorithm or encoding that is not known");
    let layout = Layout {
        header: setting(connection, "header").unwrap_or(HEADER_DEFAULT),
        prefix: setting(connection, "prefix").unwrap_or_default(),
        algorithm: Algorithm::parse(&word("algorithm", "sha256")).ok_or_else(unknown)?,
        encoding: Encoding::parse(&word("encoding", "hex")).ok_or_else(unknown)?,
        signed: setting(connection, "signed").unwrap_or(SIGNED_DEFAULT),
        timestamp: setting(connection, "timestamp_header")
            .map(|header| (header, setting(connection, "timestamp_prefix").unwrap_or_default())),
        secret_encoding: match &*word("secret_encoding", "text") {
            "text" => None,
            other => Some(Encoding::parse(other).ok_or_else(unknown)?),
        },
        event_id: setting(connection, "event_id_header").map_or(EventId::Nowhere, EventId::Header),
    };
    layout.verify(connection, inbound)
}

impl Layout<'_> {
    /// Where the signature stands, in lower case.
    pub(super) fn header(&self) -> String {
        self.header.to_ascii_lowercase()
    }

    /// Checks a request signed this way.
    pub(super) fn verify(&self, connection: &Connection, inbound: &Inbound<'_>) -> Result<Verified, Refused> {
        let signatures = self.signatures(inbound)?;
        let timestamp = self.timestamp(inbound)?;
        let id = match self.event_id {
            EventId::Header(name) => one(inbound, name)?,
            _ => None,
        };
        let url = inbound.url(setting(connection, "url"));
        let pieces = pieces(self.signed).map_err(|_| unreadable("does not say what is signed"))?;
        let mut parts: Vec<&[u8]> = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            parts.push(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Field("body") => inbound.body,
                Piece::Field("timestamp") => match timestamp {
                    Some((text, _)) => text.as_bytes(),
                    None => return Err(unreadable("signs a timestamp and does not say which header has it")),
                },
                Piece::Field("id") => id.ok_or_else(|| missing("event id"))?.as_bytes(),
                Piece::Field("url") => url.as_bytes(),
                Piece::Field(_) => inbound.method.as_bytes(),
            });
        }
        for secret in secrets(connection)? {
            let text = secret.expose();
            let key = match self.secret_encoding {
                None => Cow::Borrowed(text.as_bytes()),
                Some(encoding) => Cow::Owned(
                    encoding
                        .decode(text.trim())
                        .filter(|key| !key.is_empty())
                        .ok_or_else(|| unreadable("has a secret that is not written in its secret_encoding"))?,
                ),
            };
            if signatures.iter().any(|signature| self.algorithm.fits(&key, &parts, signature)) {
                if let Some((_, seconds)) = timestamp {
                    check_time(connection, seconds, inbound.now_s)?;
                }
                return Ok(Verified { event_key: self.event_key(inbound)? });
            }
        }
        Err(mismatch(self.header))
    }

    /// Every signature in the header: some senders write two, separated by commas or blanks, while they
    /// change their secret, and some put the time beside it.
    fn signatures(&self, inbound: &Inbound<'_>) -> Result<Vec<Vec<u8>>, Refused> {
        let text = one(inbound, self.header)?.ok_or_else(|| missing(self.header))?;
        // As a whole first: a prefix may hold a blank itself, as in `HMAC …`.
        let found: Vec<Vec<u8>> = std::iter::once(text)
            .chain(words(text))
            .filter_map(|word| word.strip_prefix(self.prefix).map(str::trim))
            .filter(|word| !word.is_empty())
            .filter_map(|word| self.encoding.decode(word))
            .take(SIGNATURES_MAX)
            .collect();
        if found.is_empty() {
            let how = if matches!(self.encoding, Encoding::Hex) { "hexadecimal" } else { "base64" };
            return Err(malformed(self.header, &format!("{}… in {how}", self.prefix)));
        }
        Ok(found)
    }

    /// The time as it was signed, and in seconds.
    fn timestamp<'i>(&self, inbound: &Inbound<'i>) -> Result<Option<(&'i str, i64)>, Refused> {
        let Some((header, prefix)) = self.timestamp else { return Ok(None) };
        let text = one(inbound, header)?.ok_or_else(|| missing(header))?;
        let mut times = words(text).filter_map(|word| word.strip_prefix(prefix));
        let time = times.next().and_then(|text| Some((text, digits(text)?)));
        match (time, times.next()) {
            (Some((text, number)), None) => Ok(Some((text, if number >= MILLISECONDS_FROM { number / 1000 } else { number }))),
            _ => Err(malformed(header, &format!("{prefix}<seconds since 1970>"))),
        }
    }

    fn event_key(&self, inbound: &Inbound<'_>) -> Result<Option<String>, Refused> {
        Ok(match self.event_id {
            EventId::Nowhere => None,
            EventId::Header(name) => one(inbound, name)?.and_then(event_key),
            EventId::TopicAndHeader(topic, name) => {
                let topic = one(inbound, topic)?.unwrap_or_default();
                one(inbound, name)?.filter(|id| !id.is_empty()).and_then(|id| event_key(&format!("{topic}:{id}")))
            }
            EventId::Body => {
                #[derive(Deserialize)]
                struct Event<'a> {
                    #[serde(borrow)]
                    event_id: Option<Cow<'a, str>>,
                }
                serde_json::from_slice::<Event<'_>>(inbound.body).ok().and_then(|event| event_key(&event.event_id?))
            }
        })
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', ';']).filter(|word| !word.is_empty())
}

enum Piece<'a> {
    Text(&'a str),
    Field(&'a str),
}

/// A template's pieces, or what is wrong with it.
fn pieces(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}').ok_or("signed has a { without its }")?;
        let field = FIELDS
            .into_iter()
            .find(|known| *known == field)
            .ok_or_else(|| format!("signed has {{{}}}; known are {{{}}}", field.escape_debug(), FIELDS.join("}, {")))?;
        pieces.extend([Piece::Text(text), Piece::Field(field)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// What is wrong with a template, given which headers the settings name.
pub(super) fn check_signed(template: &str, has_timestamp: bool, has_id: bool) -> Result<(), String> {
    let fields: Vec<&str> = pieces(template)?
        .into_iter()
        .filter_map(|piece| if let Piece::Field(field) = piece { Some(field) } else { None })
        .collect();
    if !fields.contains(&"body") {
        return Err("signed must hold {body}: otherwise anybody could change what is sent".to_owned());
    }
    if fields.contains(&"id") && !has_id {
        return Err("signed holds {id}, so event_id_header must name the header it stands in".to_owned());
    }
    match (fields.contains(&"timestamp"), has_timestamp) {
        (true, false) => Err("signed holds {timestamp}, so timestamp_header must name the header it stands in".to_owned()),
        (false, true) => Err("signed must hold {timestamp}: a time that is not signed proves nothing".to_owned()),
        _ => Ok(()),
    }
}
