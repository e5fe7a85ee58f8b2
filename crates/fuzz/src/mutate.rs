//! Other inputs from known ones.

use rand::{Rng, RngExt};

/// The longest input that mutations make.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Most changes of one input.
const CHANGES_MAX: usize = 6;
/// Most times a piece is repeated.
const REPEATS_MAX: usize = 80;
/// Longest piece that is moved, cut or repeated.
const PIECE_BYTES_MAX: usize = 200;

/// Characters that are more than one byte, turn the direction of text, or have no width.
const ODD: &[char] =
    &['é', 'ß', 'İ', '\u{1F600}', '\u{202E}', '\u{200B}', '\u{FEFF}', '\u{2028}', '\u{85}', '\0', '\t', '\r', '\u{7F}', '０'];

/// One of the seeds, changed a few times. Nearly always text, for anything else ends at the door.
pub(crate) fn mutate(seeds: &[Vec<u8>], words: &[&str], rng: &mut impl Rng) -> Vec<u8> {
    let mut text = pick(seeds, rng).map(|seed| String::from_utf8_lossy(seed).into_owned()).unwrap_or_default();
    for _ in 0..rng.random_range(1..=CHANGES_MAX) {
        change(&mut text, seeds, words, rng);
        if text.len() > INPUT_BYTES_MAX {
            text.truncate(floor(&text, INPUT_BYTES_MAX));
        }
    }
    let mut bytes = text.into_bytes();
    if rng.random_range(0..50) == 0 && !bytes.is_empty() {
        let at = rng.random_range(0..bytes.len());
        bytes[at] = rng.random();
    }
    bytes
}

fn change(text: &mut String, seeds: &[Vec<u8>], words: &[&str], rng: &mut impl Rng) {
    let (start, end) = piece(text, rng);
    match rng.random_range(0..10) {
        0 => text.replace_range(start..end, ""),
        1 | 2 => {
            if let Some(word) = pick(words, rng) {
                text.insert_str(start, word);
            }
        }
        3 => {
            if let Some(word) = pick(words, rng) {
                text.replace_range(start..end, word);
            }
        }
        4 => {
            if let Some(c) = pick(ODD, rng) {
                text.insert(start, *c);
            }
        }
        5 => text.insert(start, char::from(rng.random_range(b' '..=b'~'))),
        6 => {
            let copy = text[start..end].to_owned();
            let (at, _) = piece(text, rng);
            text.insert_str(at, &copy);
        }
        7 => {
            let copies = text[start..end].repeat(rng.random_range(1..=REPEATS_MAX));
            text.insert_str(start, &copies);
        }
        8 => {
            let other = pick(seeds, rng).map(|seed| String::from_utf8_lossy(seed).into_owned()).unwrap_or_default();
            let (from, to) = piece(&other, rng);
            text.replace_range(start..end, &other[from..to]);
        }
        _ => lines(text, rng),
    }
}

/// Takes a line out, or puts it elsewhere.
fn lines(text: &mut String, rng: &mut impl Rng) {
    let mut all: Vec<&str> = text.split_inclusive('\n').collect();
    if all.is_empty() {
        return;
    }
    let line = all.remove(rng.random_range(0..all.len()));
    if rng.random() {
        all.insert(rng.random_range(0..=all.len()), line);
    }
    *text = all.concat();
}

/// A piece between two characters; often short, often of one line.
fn piece(text: &str, rng: &mut impl Rng) -> (usize, usize) {
    let start = floor(text, rng.random_range(0..=text.len()));
    let longest = if rng.random() { 8 } else { PIECE_BYTES_MAX };
    let end = floor(text, (start + rng.random_range(0..=longest)).min(text.len()));
    (start, end.max(start))
}

fn pick<'a, T>(all: &'a [T], rng: &mut impl Rng) -> Option<&'a T> {
    (!all.is_empty()).then(|| &all[rng.random_range(0..all.len())])
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
