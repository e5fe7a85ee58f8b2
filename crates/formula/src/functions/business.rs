//! Countries, phone numbers and e-mail addresses, in the one form other systems compare by. What
//! cannot be read gives null, so that a recipe can tell it and go on.

use std::{collections::HashMap, str::FromStr, sync::LazyLock};

use email_address::{EmailAddress, Options};
use phonenumber::{Mode, country, metadata::DATABASE};
use rhai::Dynamic;
use rust_iso3166::{ALL, CountryCode};

use super::{Call, Line, function, writing::plain};
use crate::{
    limits,
    machine::{Fault, fault, spend},
};

const GROUP: &str = "business";

/// Reading a phone number looks through the patterns of a country.
const PHONE_STEPS: usize = 500;

pub(super) const FUNCTIONS: &[Line] = &[
    function(
        GROUP,
        "country_code(text: text, [form: text]) -> text|null",
        "The code of ISO 3166 for a code, a number or an English name of a country; null if there is none. The form is alpha2, alpha3 or numeric.",
        "country_code(\"united kingdom\")",
        "\"GB\"",
        |call| {
            let (text, form) = (call.text(0)?, if call.given(1) { call.text(1)? } else { "alpha2".into() });
            let found = country_of(&text);
            Ok(match form.as_str() {
                "alpha2" => found.map_or(Dynamic::UNIT, |country| country.alpha2.into()),
                "alpha3" => found.map_or(Dynamic::UNIT, |country| country.alpha3.into()),
                "numeric" => found.map_or(Dynamic::UNIT, |country| country.numeric_str().into()),
                _ => return Err(call.bad("gives alpha2, alpha3 or numeric")),
            })
        },
    ),
    function(
        GROUP,
        "country_name(text: text) -> text|null",
        "The English name of a country in ISO 3166, by its code, number or another name; null if there is none.",
        "country_name(\"NLD\")",
        "\"Netherlands (Kingdom of the)\"",
        |call| Ok(country_of(&call.text(0)?).map_or(Dynamic::UNIT, |country| country.name.into())),
    ),
    function(
        GROUP,
        "phone(text: text, [country: text]) -> text|null",
        "The phone number as E.164 has it, such as +4930901820; null if it is none. A number without + needs the country it is written for.",
        "phone(\"030 / 90 18 20\", \"DE\")",
        "\"+4930901820\"",
        phone,
    ),
    function(
        GROUP,
        "email(text: text) -> text|null",
        "The e-mail address without blanks around it and with its domain in small letters; null if it is none.",
        "email(\" Ada@Example.COM \")",
        "\"Ada@example.com\"",
        |call| Ok(address(&call.text(0)?).map_or(Dynamic::UNIT, Into::into)),
    ),
    function(
        GROUP,
        "is_email(text: text) -> boolean",
        "Whether the text is one e-mail address and nothing else.",
        "is_email(\"Ada <ada@example.com>\")",
        "false",
        |call| Ok(address(&call.text(0)?).is_some().into()),
    ),
];

/// Names in daily use that ISO 3166 does not have, by code.
const EVERYDAY: &[(&str, &str)] = &[
    ("america", "US"),
    ("bolivia", "BO"),
    ("britain", "GB"),
    ("brunei", "BN"),
    ("burma", "MM"),
    ("cape verde", "CV"),
    ("czech republic", "CZ"),
    ("democratic republic of the congo", "CD"),
    ("east timor", "TL"),
    ("el", "GR"),
    ("england", "GB"),
    ("great britain", "GB"),
    ("holland", "NL"),
    ("ivory coast", "CI"),
    ("laos", "LA"),
    ("macau", "MO"),
    ("macedonia", "MK"),
    ("netherlands", "NL"),
    ("north korea", "KP"),
    ("northern ireland", "GB"),
    ("palestine", "PS"),
    ("republic of korea", "KR"),
    ("republic of the congo", "CG"),
    ("russia", "RU"),
    ("saint martin", "MF"),
    ("scotland", "GB"),
    ("sint maarten", "SX"),
    ("south korea", "KR"),
    ("swaziland", "SZ"),
    ("syria", "SY"),
    ("taiwan", "TW"),
    ("turkey", "TR"),
    ("uae", "AE"),
    ("uk", "GB"),
    ("united kingdom", "GB"),
    ("united states", "US"),
    ("us virgin islands", "VI"),
    ("usa", "US"),
    ("vatican", "VA"),
    ("vatican city", "VA"),
    ("vietnam", "VN"),
    ("wales", "GB"),
];

pub(super) fn country_of(text: &str) -> Option<CountryCode> {
    static BY_NAME: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
        let mut names = HashMap::new();
        for country in ALL {
            names.insert(folded(country.name), country.alpha2);
            // "Iran (Islamic Republic of)" is Iran as well, but Korea could be either.
            if let Some((short, _)) = country.name.split_once(" (")
                && !matches!(short, "Korea" | "Congo" | "Virgin Islands")
            {
                names.insert(folded(short), country.alpha2);
            }
        }
        names.extend(EVERYDAY.iter().map(|(name, code)| (folded(name), *code)));
        names
    });
    let text = text.trim();
    if text.len() > limits::NAME_BYTES_MAX {
        return None;
    }
    let code = text.to_ascii_uppercase();
    let by_code = match code.len() {
        2 => rust_iso3166::from_alpha2(&code),
        3 if code.bytes().all(|byte| byte.is_ascii_digit()) => rust_iso3166::from_numeric_str(&code),
        3 => rust_iso3166::from_alpha3(&code),
        _ => None,
    };
    by_code.or_else(|| rust_iso3166::from_alpha2(BY_NAME.get(&folded(text))?))
}

/// A name without accents, capitals, signs, articles and the words people abbreviate.
fn folded(name: &str) -> String {
    let mut letters = String::new();
    name.chars().for_each(|c| plain(c, &mut letters));
    let letters = letters.to_lowercase().replace('&', " and ").replace(['\'', '’', '.'], "");
    let words = letters.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && *word != "the");
    words.map(|word| if word == "st" { "saint" } else { word }).collect::<Vec<_>>().join(" ")
}

fn phone(call: &mut Call<'_, '_>) -> Result<Dynamic, Fault> {
    let text = call.text(0)?;
    let region = if call.given(1) {
        let name = call.text(1)?;
        let code = country_of(&name).and_then(|country| country::Id::from_str(country.alpha2).ok());
        Some(code.ok_or_else(|| call.bad("gets a country it does not know"))?)
    } else {
        None
    };
    spend(PHONE_STEPS).map_err(fault)?;
    let text = text.trim();
    if text.len() > limits::PHONE_BYTES_MAX || (region.is_none() && !text.starts_with('+')) {
        return Ok(Dynamic::UNIT);
    }
    let parse = |region, text: &str| phonenumber::parse(region, text).ok().filter(phonenumber::is_valid);
    // A number that begins with the digits of its own country code is taken for one that has it.
    let number = parse(region, text).or_else(|| {
        let code = DATABASE.by_id(region?.as_ref())?.country_code();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        parse(None, &format!("+{code}{digits}"))
    });
    Ok(number.map_or(Dynamic::UNIT, |number| number.format().mode(Mode::E164).to_string().into()))
}

fn address(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > limits::NAME_BYTES_MAX {
        return None;
    }
    let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
    let address = EmailAddress::parse_with_options(text, options).ok()?;
    Some(format!("{}@{}", address.local_part(), address.domain().to_lowercase()))
}
