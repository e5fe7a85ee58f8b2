//! What a number usually is, judged by the runs before.

/// With fewer numbers nothing is unusual.
pub(super) const KNOWN_MIN: usize = 5;

/// What a number usually is: between these two, give or take as much again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usual {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Usual {
    /// Learns from the numbers of earlier runs; the one lowest and the one highest may be accidents and do not
    /// count. `None` when there are too few.
    pub(super) fn of(mut known: Vec<f64>) -> Option<Self> {
        if known.len() < KNOWN_MIN {
            return None;
        }
        known.sort_by(f64::total_cmp);
        Some(Self { low: known[1], high: known[known.len() - 2] })
    }

    /// Whether a number is far from that. A tenth of the usual size, or one, is never far.
    pub(super) fn is_unusual(self, number: f64) -> bool {
        let slack = (self.high - self.low).max(self.low.abs().max(self.high.abs()) / 10.0).max(1.0);
        number < self.low - slack || number > self.high + slack
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_unusual_until_enough_is_known() {
        assert_eq!(Usual::of(vec![200.0; KNOWN_MIN - 1]), None);
        assert_eq!(Usual::of(vec![200.0; KNOWN_MIN]), Some(Usual { low: 200.0, high: 200.0 }));
    }

    #[test]
    fn none_where_there_are_usually_two_hundred_is_unusual() {
        let usual = Usual::of(vec![180.0, 220.0, 200.0, 190.0, 210.0, 0.0, 9000.0]).unwrap();
        assert_eq!(usual, Usual { low: 180.0, high: 220.0 });
        for number in [0.0, 100.0, 300.0, -5.0] {
            assert!(usual.is_unusual(number), "{number}");
        }
        for number in [150.0, 180.0, 200.0, 260.0] {
            assert!(!usual.is_unusual(number), "{number}");
        }
    }

    #[test]
    fn what_is_always_the_same_may_move_a_little() {
        let usual = Usual::of(vec![0.0; 9]).unwrap();
        assert!(!usual.is_unusual(1.0) && usual.is_unusual(2.0));
        let usual = Usual::of(vec![1000.0; 9]).unwrap();
        assert!(!usual.is_unusual(1100.0) && usual.is_unusual(1101.0));
    }
}
