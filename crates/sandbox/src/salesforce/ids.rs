//! Record ids: 15 characters that tell upper from lower case, and 3 check characters that make 18.

use std::sync::Arc;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
/// The instance an org lives on, and a reserved character, as they stand in every id.
const INSTANCE: &str = "xx0";
const SERIAL_DIGITS: usize = 9;

/// The three check characters of a 15 character id: for each group of five, bit i tells that character i is upper case.
fn check(fifteen: &[u8]) -> [u8; 3] {
    let mut out = [0; 3];
    for (place, group) in fifteen.chunks(5).take(3).enumerate() {
        let bits = group.iter().enumerate().fold(0, |bits, (bit, byte)| bits | (usize::from(byte.is_ascii_uppercase()) << bit));
        out[place] = CHECK[bits];
    }
    out
}

/// The id of a record by its object's key prefix and its number. Ids of an object sort, byte by byte, as their numbers do.
pub(super) fn make(prefix: &str, serial: u64) -> Arc<str> {
    let mut digits = [b'0'; SERIAL_DIGITS];
    let mut rest = serial;
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[usize::try_from(rest % 62).unwrap_or_default()];
        rest /= 62;
    }
    let mut id = String::with_capacity(18);
    id.push_str(prefix);
    id.push_str(INSTANCE);
    id.extend(digits.iter().map(|digit| char::from(*digit)));
    let check = check(id.as_bytes());
    id.extend(check.iter().map(|byte| char::from(*byte)));
    id.into()
}

/// Key prefix and number of an id of 15 or 18 characters; `None` when it is no id at all.
///
/// The check characters of a long one restore the case of its letters, so that it may be written in any.
pub(super) fn read(id: &str) -> Option<(String, u64)> {
    let bytes = id.as_bytes();
    if !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let mut own = match bytes.len() {
        15 => bytes.to_vec(),
        18 => restored(bytes)?,
        _ => return None,
    };
    let serial = own.split_off(6);
    if &own[3..] != INSTANCE.as_bytes() {
        // Another instance's id: well made, and nothing here has it.
        return Some((String::from_utf8(own[..3].to_vec()).ok()?, u64::MAX));
    }
    let number = serial.iter().try_fold(0_u64, |number, byte| {
        let digit = BASE62.iter().position(|known| known == byte)?;
        number.checked_mul(62)?.checked_add(digit as u64)
    })?;
    Some((String::from_utf8(own[..3].to_vec()).ok()?, number))
}

fn restored(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut own = bytes[..15].to_vec();
    for (group, letter) in bytes[15..].iter().enumerate() {
        let bits = CHECK.iter().position(|known| known.eq_ignore_ascii_case(letter))?;
        for bit in 0..5 {
            let byte = &mut own[group * 5 + bit];
            *byte = if bits >> bit & 1 == 1 { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        }
    }
    // A bit that stands where no letter is would have been set by nobody.
    (check(&own) == [bytes[15].to_ascii_uppercase(), bytes[16].to_ascii_uppercase(), bytes[17].to_ascii_uppercase()])
        .then_some(own)
}

#[cfg(test)]
mod tests {
    use super::{make, read};

    #[test]
    fn an_id_and_its_short_form_name_the_same_record() {
        for serial in [0, 1, 61, 62, 916_132_831, 13_537_086_546_263_551] {
            let id = make("001", serial);
            assert_eq!(id.len(), 18);
            assert_eq!(read(&id), Some(("001".to_owned(), serial)));
            assert_eq!(read(&id[..15]), Some(("001".to_owned(), serial)));
            assert_eq!(read(&id.to_lowercase()).map(|(_, number)| number), Some(serial), "check characters restore the case");
        }
    }

    #[test]
    fn check_characters_are_those_of_the_documentation() {
        // Pairs of short and long ids as they stand in Salesforce's own examples.
        for long in ["00Dxx0000001gPLEAY", "005xx000001Sv6eAAC", "001D000000IRFmaIAH"] {
            assert_eq!(super::check(&long.as_bytes()[..15]), long.as_bytes()[15..], "{long}");
        }
        assert_eq!(read("001xx000003DGb"), None);
        assert_eq!(read("001xx000003DGb1ZZZ"), None);
        assert_eq!(read("001xx0000-3DGb1"), None);
    }
}
