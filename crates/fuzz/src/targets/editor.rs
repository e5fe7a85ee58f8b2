//! What an editor asks while somebody writes: any place of any text has an answer.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use recipe::{Span, apply, assist, diff};

use super::catalogue::catalogue;

pub(super) use super::recipe::WORDS;

/// Places asked about in one text.
const PLACES: usize = 6;

pub(super) fn check(input: &[u8]) {
    let Some(text) = super::text(input) else { return };
    let catalogue = catalogue();
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    let mut rng = SmallRng::seed_from_u64(hash.finish());
    for _ in 0..PLACES {
        // Any number, also inside a character and behind the end.
        let offset = rng.random_range(0..text.len() + 2);
        for completion in assist::complete(text, offset, &catalogue) {
            fits(text, completion.replace, &completion);
            assert!(!completion.label.is_empty());
        }
        if let Some(hover) = assist::hover(text, offset, &catalogue) {
            fits(text, hover.span, &hover);
            assert!(!hover.text.is_empty());
        }
        let Some(symbol) = assist::symbol_at(text, offset, &catalogue) else { continue };
        fits(text, symbol.span, &symbol);
        if let Some(declared) = symbol.declared {
            fits(text, declared, &symbol);
        }
        for reference in assist::references(text, &symbol, &catalogue) {
            fits(text, reference, &symbol);
        }
        if let Ok(renamed) = assist::rename(text, &symbol, "other_1", &catalogue) {
            assert_eq!(apply(&renamed.text, &renamed.undo).as_deref(), Some(text), "{symbol:?}");
        }
    }
    outline(text, &assist::outline(text));
    if let Ok(differences) = diff(text, text, &catalogue) {
        assert!(differences.is_empty(), "a text differs from itself: {differences:?}");
    }
}

fn outline(text: &str, parts: &[assist::Outline]) {
    for part in parts {
        fits(text, part.span, part);
        fits(text, part.name_span, part);
        outline(text, &part.inside);
    }
}

fn fits(text: &str, span: Span, of: &dyn std::fmt::Debug) {
    super::assert_in(text, &(span.start..span.end), of);
}
