//! One layout for any text: it says the same, twice the same, and nothing is lost.

use super::edits::read;

pub(super) use super::recipe::WORDS;

pub(super) fn check(input: &[u8]) {
    let Some(text) = super::text(input) else { return };
    let formatted = match recipe::fmt(text) {
        Ok(formatted) => formatted,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(recipe::fmt(&formatted).as_ref(), Ok(&formatted), "a second time changes it again");
    if let Some(old) = read(text) {
        assert_eq!(read(&formatted).as_ref(), Some(&old), "{formatted:?} says something else");
    }
    let words = |text: &str| text.split_whitespace().filter(|word| word.starts_with('#')).count();
    assert_eq!(words(&formatted), words(text), "a comment is lost in {formatted:?}");
}
