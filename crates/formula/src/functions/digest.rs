//! Hashes, signatures and ids made of them, and bytes as text.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rhai::Dynamic;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use uuid::Uuid;

use super::{Call, Line, as_text, function};
use crate::machine::{Fault, fault, spend};

const GROUP: &str = "format";

/// The namespace of the ids that `uuid` makes, itself made for this purpose and never changed.
const NAMESPACE: Uuid = Uuid::from_u128(0x8d5b_3c52_6f0e_5a8e_9a41_2f6d_11c7_40be);

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "base64_url(text: text) -> text",
        "The text in Base64 for addresses, without padding.",
        "base64_url(\"a?b>\")",
        "\"YT9iPg\"",
        |call| Ok(URL_SAFE_NO_PAD.encode(call.text(0)?.as_bytes()).into()),
    ),
    function(
        GROUP,
        "hex(text: text) -> text",
        "The bytes of the text in UTF-8, as hexadecimal digits.",
        "hex(\"é!\")",
        "\"c3a921\"",
        |call| Ok(hex::encode(call.text(0)?.as_bytes()).into()),
    ),
    function(
        GROUP,
        "from_hex(text: text) -> text",
        "The text whose bytes stand in hexadecimal digits.",
        "from_hex(\"c3a921\")",
        "\"é!\"",
        |call| {
            let bytes = hex::decode(call.text(0)?.trim()).map_err(|_| call.bad("gets a text that is no hexadecimal number"))?;
            String::from_utf8(bytes).map(Dynamic::from).map_err(|_| call.bad("finds bytes that are no text"))
        },
    ),
    function(
        GROUP,
        "sha256(text: text, [encoding: text]) -> text",
        "The SHA-256 hash, in \"hex\" or \"base64\".",
        "sha256(\"abc\")",
        "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
        |call| encoded(call, 1, &Sha256::digest(hashed(call, 0)?)),
    ),
    function(
        GROUP,
        "sha512(text: text, [encoding: text]) -> text",
        "The SHA-512 hash, in \"hex\" or \"base64\".",
        "sha512(\"abc\", \"base64\").len()",
        "88",
        |call| encoded(call, 1, &Sha512::digest(hashed(call, 0)?)),
    ),
    function(
        GROUP,
        "sha1(text: text, [encoding: text]) -> text",
        "The SHA-1 hash, for systems that ask for it; it is broken, so protect nothing with it.",
        "sha1(\"abc\")",
        "\"a9993e364706816aba3e25717850c26c9cd0d89d\"",
        |call| encoded(call, 1, &Sha1::digest(hashed(call, 0)?)),
    ),
    function(
        GROUP,
        "md5(text: text, [encoding: text]) -> text",
        "The MD5 hash, for systems that ask for it; it is broken, so protect nothing with it.",
        "md5(\"abc\")",
        "\"900150983cd24fb0d6963f7d28e17f72\"",
        |call| encoded(call, 1, &Md5::digest(hashed(call, 0)?)),
    ),
    function(
        GROUP,
        "hmac_sha256(text: text, key: text, [encoding: text]) -> text",
        "The HMAC-SHA-256 of a text under a key, in \"hex\" or \"base64\".",
        "hmac_sha256(\"what do ya want for nothing?\", \"Jefe\")",
        "\"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\"",
        |call| {
            let key = call.text(1)?;
            // Any length is a key.
            let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| call.bad("cannot take this key"))?;
            mac.update(&hashed(call, 0)?);
            encoded(call, 2, &mac.finalize().into_bytes())
        },
    ),
    function(
        GROUP,
        "uuid(seeds: text|number|boolean|date|datetime...) -> text",
        "A UUID (version 5) made of the values: the same for the same values, always. A good key for something that may be sent twice.",
        "uuid(\"invoice\", 4711) == uuid(\"invoice\", 4711)",
        "true",
        |call| {
            // Each with its length, so that ("ab", "c") and ("a", "bc") differ.
            let mut seed = String::new();
            for at in 0..call.args.len() {
                let part = as_text(&call.value(at)).map_err(fault)?;
                spend(part.len() / 64).map_err(fault)?;
                seed.push_str(&format!("{}:{part}", part.len()));
            }
            Ok(Uuid::new_v5(&NAMESPACE, seed.as_bytes()).to_string().into())
        },
    ),
];

/// The bytes of a text to hash, and their cost.
fn hashed(call: &Call<'_, '_>, at: usize) -> Result<Vec<u8>, Fault> {
    let text = call.text(at)?;
    spend(text.len() / 16).map_err(fault)?;
    Ok(text.as_bytes().to_vec())
}

fn encoded(call: &Call<'_, '_>, at: usize, bytes: &[u8]) -> Result<Dynamic, Fault> {
    let encoding = if call.given(at) { call.text(at)? } else { "hex".into() };
    match encoding.as_str() {
        "hex" => Ok(hex::encode(bytes).into()),
        "base64" => Ok(STANDARD.encode(bytes).into()),
        _ => Err(call.bad("gives \"hex\" or \"base64\"")),
    }
}
