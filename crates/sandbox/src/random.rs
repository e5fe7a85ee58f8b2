//! Dice that fall alike for the same seed, on every machine and in every release.

use parking_lot::Mutex;

/// A stream of numbers: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
/// It makes data and ids, never secrets that protect anything.
#[derive(Debug)]
pub struct Random {
    state: Mutex<u64>,
}

impl Random {
    /// The stream of a seed; `name` gives each user its own.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a over the name.
        let mixed = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self { state: Mutex::new(mixed) }
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// One of the list, which must not be empty.
    pub fn pick<'a, T>(&self, list: &'a [T]) -> &'a T {
        let place = usize::try_from(self.below(list.len() as u64)).unwrap_or_default();
        &list[place]
    }

    /// A text of that many characters out of an alphabet of ASCII characters.
    pub fn text(&self, alphabet: &str, length: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..length).map(|_| char::from(*self.pick(alphabet))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_same_seed_and_name_give_the_same_numbers_and_others_do_not() {
        let numbers = |seed, name| {
            let random = Random::new(seed, name);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(numbers(1, "stripe"), numbers(1, "stripe"));
        assert_ne!(numbers(1, "stripe"), numbers(2, "stripe"));
        assert_ne!(numbers(1, "stripe"), numbers(1, "workday"));
    }
}
