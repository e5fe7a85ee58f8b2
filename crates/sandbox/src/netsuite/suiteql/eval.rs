//! Expressions over rows.

use std::cmp::Ordering;

use super::{
    compile::{Aggregate, Node, Test},
    functions,
    tables::{self, Ctx, Item, Shape},
    value::{Val, plain},
};

/// What an expression looks at.
pub(super) struct Scope<'s, 'a> {
    pub(super) shapes: &'s [Shape],
    pub(super) ctx: &'s Ctx<'s>,
    pub(super) row: &'s [Item<'a>],
    /// Values of the aggregates, when rows are grouped.
    pub(super) groups: &'s [Val],
    pub(super) number: usize,
}

impl Scope<'_, '_> {
    pub(super) fn value(&self, node: &Node) -> Val {
        match node {
            Node::Value(value) => value.clone(),
            Node::Column(table, column) => {
                self.row.get(*table).map_or(Val::Null, |item| tables::value(item, &self.shapes[*table], *column, self.ctx))
            }
            Node::Display(table, column) => {
                self.row.get(*table).map_or(Val::Null, |item| tables::display(item, &self.shapes[*table], *column, self.ctx))
            }
            Node::Code(table, column) => {
                self.row.get(*table).map_or(Val::Null, |item| tables::code(item, &self.shapes[*table], *column, self.ctx))
            }
            Node::Group(place) => self.groups.get(*place).cloned().unwrap_or(Val::Null),
            Node::Rownum => tables::whole(self.number as u64),
            Node::Call(name, arguments) => {
                let values: Vec<Val> = arguments.iter().map(|argument| self.value(argument)).collect();
                functions::call(name, &values, self.ctx)
            }
            Node::Negative(inside) => self.value(inside).number().map_or(Val::Null, |number| Val::Number(-number)),
            Node::Sum(left, sign, right) => sum(&self.value(left), *sign, &self.value(right), self.ctx),
            Node::Joined(left, right) => {
                let text = |node: &Node| self.value(node).text(self.ctx.settings).unwrap_or_default();
                Val::of(text(left) + &text(right))
            }
            Node::Case(arms, otherwise) => {
                let found = arms.iter().find(|(test, _)| self.test(test) == Some(true));
                self.value(found.map_or(otherwise, |(_, node)| node))
            }
        }
    }

    /// True, false, or unknown where null stands in the way.
    pub(super) fn test(&self, test: &Test) -> Option<bool> {
        match test {
            Test::Is(known) => *known,
            Test::And(left, right) => match (self.test(left), self.test(right)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Test::Or(left, right) => match (self.test(left), self.test(right)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Test::Not(inside) => self.test(inside).map(|is| !is),
            Test::Null(node, wanted) => Some(self.value(node).is_null() == *wanted),
            Test::Compare(left, sign, right) => {
                let order = self.value(left).order(&self.value(right), self.ctx.settings)?;
                Some(match *sign {
                    "=" => order == Ordering::Equal,
                    "<>" => order != Ordering::Equal,
                    "<" => order == Ordering::Less,
                    "<=" => order != Ordering::Greater,
                    ">" => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                })
            }
            Test::In(node, list) => {
                let value = self.value(node);
                let mut unknown = value.is_null();
                for one in list {
                    match value.order(&self.value(one), self.ctx.settings) {
                        Some(Ordering::Equal) => return Some(true),
                        Some(_) => {}
                        None => unknown = true,
                    }
                }
                if unknown { None } else { Some(false) }
            }
            Test::Like { text, pattern, escape, any_case } => {
                let read = |node: &Node| {
                    self.value(node).text(self.ctx.settings).map(|text| if *any_case { text.to_lowercase() } else { text })
                };
                Some(like(&read(text)?, &read(pattern)?, *escape))
            }
        }
    }
}

fn sum(left: &Val, sign: char, right: &Val, ctx: &Ctx<'_>) -> Val {
    if let (Val::Day(_) | Val::Moment(_), Some(days)) = (left, right.number())
        && matches!(sign, '+' | '-')
    {
        let seconds = days * 86_400.0 * if sign == '-' { -1.0 } else { 1.0 };
        let moved =
            jiff::SignedDuration::try_from_secs_f64(seconds).ok().and_then(|by| left.moment(ctx.settings)?.checked_add(by).ok());
        return moved.map_or(Val::Null, Val::Moment);
    }
    if let (Val::Day(_) | Val::Moment(_), Val::Day(_) | Val::Moment(_), '-') = (left, right, sign)
        && let (Some(to), Some(from)) = (left.moment(ctx.settings), right.moment(ctx.settings))
    {
        return Val::Number(to.duration_since(from).as_secs_f64() / 86_400.0);
    }
    let (Some(left), Some(right)) = (left.number(), right.number()) else { return Val::Null };
    let done = match sign {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        _ => left / right,
    };
    if done.is_finite() { Val::Number(done) } else { Val::Null }
}

/// `%` is any text, `_` any letter. Works along both texts with one place to go back to, so it is never slow.
fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut wanted: Vec<(char, bool)> = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            wanted.extend(letters.next().map(|letter| (letter, true)));
        } else {
            wanted.push((letter, false));
        }
    }
    let (mut at, mut place, mut back) = (0, 0, None);
    while at < text.len() {
        match wanted.get(place) {
            Some(('%', false)) => {
                back = Some((place, at));
                place += 1;
            }
            Some((letter, exact)) if (*letter == '_' && !exact) || *letter == text[at] => {
                place += 1;
                at += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    place = star + 1;
                    at = from + 1;
                }
                None => return false,
            },
        }
    }
    wanted[place..].iter().all(|letter| *letter == ('%', false))
}

/// An aggregate over the values of a group.
pub(super) fn aggregate(aggregate: &Aggregate, mut values: Vec<Val>, rows: usize, ctx: &Ctx<'_>) -> Val {
    if aggregate.of.is_none() {
        return tables::whole(rows as u64);
    }
    values.retain(|value| !value.is_null());
    if aggregate.distinct {
        let mut seen = std::collections::HashSet::new();
        values.retain(|value| seen.insert(value.key()));
    }
    let better = |wanted: Ordering| {
        values.iter().fold(Val::Null, |best, value| match value.order(&best, ctx.settings) {
            Some(order) if order != wanted => best,
            _ => value.clone(),
        })
    };
    let total = || values.iter().filter_map(Val::number).sum::<f64>();
    match aggregate.name {
        "COUNT" => tables::whole(values.len() as u64),
        _ if values.is_empty() => Val::Null,
        // Sums of amounts are rounded, so that they do not show what binary numbers add.
        "SUM" => Val::Number(plain(total()).parse().unwrap_or_default()),
        "AVG" => Val::Number(total() / values.iter().filter(|value| value.number().is_some()).map(|_| 1.0).sum::<f64>().max(1.0)),
        "MIN" => better(Ordering::Less),
        "MAX" => better(Ordering::Greater),
        _ => Val::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn like_knows_its_signs_and_their_escape() {
        for (text, pattern, fits) in [
            ("Amber", "A%", true),
            ("Amber", "%b_r", true),
            ("Amber", "a%", false),
            ("", "%", true),
            ("", "_", false),
            ("100%", "100!%", true),
            ("1000", "100!%", false),
            ("é", "_", true),
        ] {
            assert_eq!(like(text, pattern, Some('!')), fits, "{text} {pattern}");
        }
        // What takes others for ever.
        assert!(!like(&"a".repeat(5_000), &"%a".repeat(50).replace("%a%a", "%aa%b"), None));
    }
}
