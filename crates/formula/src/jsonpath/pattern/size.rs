//! How large the program of a regular expression will be, told from its text.

use regex_syntax::ast::{Ast, ClassSet, ClassSetItem, RepetitionKind, RepetitionRange, parse::Parser};

/// States of a class of Unicode such as `\\w` or `\\p{L}`, which has hundreds of ranges of up to four bytes.
const UNICODE_CLASS_STATES: usize = 1_000;
/// States of any other class, or a dot.
const CLASS_STATES: usize = 10;
/// Fewest times that `*` and `+` stand for what they repeat.
const OPEN_REPEATS: usize = 2;

/// An upper estimate of the states; 0 if the text is no regular expression.
pub(super) fn states(pattern: &str) -> usize {
    Parser::new().parse(pattern).map_or(0, |ast| of(&ast))
}

fn of(ast: &Ast) -> usize {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) | Ast::Literal(_) => 4,
        Ast::Dot(_) => CLASS_STATES,
        Ast::ClassUnicode(_) | Ast::ClassPerl(_) => UNICODE_CLASS_STATES,
        Ast::ClassBracketed(class) => of_set(&class.kind),
        Ast::Group(group) => of(&group.ast).saturating_add(2),
        Ast::Repetition(repetition) => {
            let times = match &repetition.op.kind {
                RepetitionKind::ZeroOrOne => 1,
                RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => OPEN_REPEATS,
                RepetitionKind::Range(range) => match range {
                    RepetitionRange::Exactly(times) | RepetitionRange::AtLeast(times) => *times as usize + 1,
                    RepetitionRange::Bounded(_, times) => *times as usize + 1,
                },
            };
            of(&repetition.ast).saturating_mul(times)
        }
        Ast::Alternation(alternation) => sum(&alternation.asts),
        Ast::Concat(concat) => sum(&concat.asts),
    }
}

fn sum(asts: &[Ast]) -> usize {
    asts.iter().fold(2, |sum: usize, ast| sum.saturating_add(of(ast)))
}

/// A class in brackets. Everything but it, or what two have in common, is made of as many ranges or some more.
fn of_set(set: &ClassSet) -> usize {
    match set {
        ClassSet::Item(item) => of_item(item).saturating_add(CLASS_STATES),
        ClassSet::BinaryOp(both) => of_set(&both.lhs).saturating_add(of_set(&both.rhs)).saturating_mul(2),
    }
}

fn of_item(item: &ClassSetItem) -> usize {
    match item {
        ClassSetItem::Empty(_) | ClassSetItem::Literal(_) | ClassSetItem::Range(_) | ClassSetItem::Ascii(_) => CLASS_STATES,
        ClassSetItem::Unicode(_) | ClassSetItem::Perl(_) => UNICODE_CLASS_STATES,
        ClassSetItem::Bracketed(class) => of_set(&class.kind),
        ClassSetItem::Union(union) => union.items.iter().fold(0, |sum: usize, item| sum.saturating_add(of_item(item))),
    }
}

#[cfg(test)]
mod tests {
    use regex::RegexBuilder;

    use super::states;
    use crate::limits::{PATTERN_PROGRAM_BYTES_MAX, PATTERN_STATES_MAX};

    /// What is small enough by its text can be built, and what is much too large is not called small.
    #[test]
    fn the_estimate_is_no_less_than_the_program() {
        for pattern in [
            "",
            "a",
            ".*",
            "\\w{9}",
            "(\\p{L}|\\d){3}",
            "[\\s\\S]{3}",
            "(a{40}){40}",
            "(?i)(straße|k){100}",
            "[^\\w]{8}",
            "(a|b|c|\\d){7}",
            "((a?){30}){30}",
            "(\\w+@\\w+)+",
            "[\\p{L}&&[^\\p{Lu}]]",
            "(?:.{20}){20}",
            "[a-z&&[^aeiou]]{2}",
            "(é|ß|\u{1F600}){300}",
        ] {
            assert!(states(pattern) <= PATTERN_STATES_MAX, "{pattern}: {}", states(pattern));
            let built = RegexBuilder::new(pattern).crlf(true).size_limit(PATTERN_PROGRAM_BYTES_MAX).build();
            assert!(built.is_ok(), "{pattern}: {built:?}");
        }
        for pattern in
            ["((a{100}){100}){100}", "\\w{1000}", "(\\p{L}{200}){50}", "(.{100}){100}", "a{4294967295}", "[\\s\\S]{100}"]
        {
            assert!(states(pattern) > PATTERN_STATES_MAX, "{pattern}: {}", states(pattern));
        }
        assert_eq!(states("("), 0);
    }
}
