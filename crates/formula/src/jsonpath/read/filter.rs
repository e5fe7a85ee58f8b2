//! What stands behind `?` in brackets.

use serde_json::Value as Json;

use super::Reader;
use crate::SyntaxProblem;
use crate::jsonpath::pattern::Pattern;
use crate::jsonpath::{Comparison, Operand, Query, Test};

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

const FUNCTIONS: &str = "Filters know length(…), count(…), value(…), match(…, '…') and search(…, '…').";

/// What can stand alone or on one side of a comparison.
enum Term {
    /// A path that may match more than once.
    Many(Query),
    Value(Operand),
    Decision(Test),
}

impl Reader<'_> {
    pub(super) fn test(&mut self) -> Result<Test, SyntaxProblem> {
        self.joined("||", Test::Any, |reader| reader.joined("&&", Test::All, Self::basic))
    }

    /// One test, or several with a sign between them.
    fn joined(
        &mut self,
        sign: &str,
        join: fn(Vec<Test>) -> Test,
        mut read: impl FnMut(&mut Self) -> Result<Test, SyntaxProblem>,
    ) -> Result<Test, SyntaxProblem> {
        let first = read(self)?;
        let mut tests = vec![first];
        loop {
            let before = self.at;
            self.blanks();
            if !self.eat(sign) {
                self.at = before;
                break;
            }
            self.blanks();
            tests.push(read(self)?);
        }
        Ok(match tests.pop() {
            Some(only) if tests.is_empty() => only,
            last => join(tests.into_iter().chain(last).collect()),
        })
    }

    fn basic(&mut self) -> Result<Test, SyntaxProblem> {
        if self.eat("!") {
            self.blanks();
            let test = if self.peek() == Some('(') { self.deeper(Self::parentheses)? } else { self.alone()? };
            return Ok(Test::Not(Box::new(test)));
        }
        if self.peek() == Some('(') {
            return self.deeper(Self::parentheses);
        }
        let start = self.at;
        let left = self.term()?;
        let before = self.at;
        self.blanks();
        let Some((_, comparison)) = COMPARISONS.iter().find(|(sign, _)| self.eat(sign)) else {
            self.at = before;
            return self.decision(left, start);
        };
        self.blanks();
        let left = self.comparable(left, start)?;
        let start = self.at;
        let right = self.term()?;
        Ok(Test::Compare(left, *comparison, self.comparable(right, start)?))
    }

    fn parentheses(&mut self) -> Result<Test, SyntaxProblem> {
        self.expect('(')?;
        self.blanks();
        let test = self.test()?;
        self.blanks();
        self.expect(')')?;
        Ok(test)
    }

    /// A path or function that decides by itself.
    fn alone(&mut self) -> Result<Test, SyntaxProblem> {
        let start = self.at;
        let term = self.term()?;
        self.decision(term, start)
    }

    fn decision(&self, term: Term, start: usize) -> Result<Test, SyntaxProblem> {
        match term {
            Term::Decision(test) => Ok(test),
            Term::Many(query) => Ok(Test::Exists(query)),
            Term::Value(Operand::Only(query)) if is_written(self.text, start) => Ok(Test::Exists(query)),
            Term::Value(_) => {
                Err(self.unfit(start, "this is a value, and a filter needs a comparison", "Compare it: @.amount > 100"))
            }
        }
    }

    fn comparable(&self, term: Term, start: usize) -> Result<Operand, SyntaxProblem> {
        match term {
            Term::Value(operand) => Ok(operand),
            Term::Many(_) => Err(self.unfit(
                start,
                "a path that may match more than once cannot be compared",
                "Name one place, such as @.lines[0].sku, or count them: count(@.lines[*]) > 1",
            )),
            Term::Decision(_) => {
                Err(self.unfit(start, "match and search decide by themselves", "Leave the comparison out, or put ! before it."))
            }
        }
    }

    fn unfit(&self, start: usize, message: &str, hint: &str) -> SyntaxProblem {
        SyntaxProblem::new(start..self.at, message).with_hint(hint)
    }

    fn term(&mut self) -> Result<Term, SyntaxProblem> {
        match self.peek() {
            Some('$' | '@') => self.query(),
            Some('\'' | '"') => Ok(Term::Value(Operand::Literal(Json::String(self.quoted()?)))),
            Some('-' | '0'..='9') => Ok(Term::Value(Operand::Literal(self.number()?))),
            Some('a'..='z') => self.word(),
            _ => Err(self.misfit()),
        }
    }

    fn query(&mut self) -> Result<Term, SyntaxProblem> {
        let absolute = self.next() == Some('$');
        let segments = self.segments()?;
        let once = segments.iter().all(|segment| segment.single().is_some());
        let query = Query { absolute, segments };
        Ok(if once { Term::Value(Operand::Only(query)) } else { Term::Many(query) })
    }

    /// `true`, `false`, `null`, or a function.
    fn word(&mut self) -> Result<Term, SyntaxProblem> {
        let start = self.at;
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        let word = &rest[..end];
        if self.peek() != Some('(') {
            let literal = match word {
                "true" => Json::Bool(true),
                "false" => Json::Bool(false),
                "null" => Json::Null,
                _ => {
                    return Err(self.unfit(
                        start,
                        &format!("`{word}` means nothing in a filter"),
                        "A field of the item is @.name, a text stands in quotes: 'paid'.",
                    ));
                }
            };
            return Ok(Term::Value(Operand::Literal(literal)));
        }
        self.deeper(|reader| reader.function(word, start))
    }

    fn function(&mut self, name: &str, start: usize) -> Result<Term, SyntaxProblem> {
        self.expect('(')?;
        self.blanks();
        let term = match name {
            "length" => Term::Value(Operand::Length(Box::new(self.value()?))),
            "count" => Term::Value(Operand::Count(self.places()?)),
            "value" => Term::Value(Operand::Only(self.places()?)),
            "match" | "search" => {
                let text = self.value()?;
                self.blanks();
                self.expect(',')?;
                self.blanks();
                let at = self.at;
                let pattern = Pattern::new(self.value()?, name == "match").map_err(|_| {
                    self.unfit(
                        at,
                        "this regular expression is too large",
                        "Use a shorter one, or fewer and smaller counts in { }.",
                    )
                })?;
                Term::Decision(Test::Matches { text, pattern })
            }
            _ => return Err(self.unfit(start, &format!("there is no function {name} in filters"), FUNCTIONS)),
        };
        self.blanks();
        self.expect(')')?;
        Ok(term)
    }

    /// An argument that is one value.
    fn value(&mut self) -> Result<Operand, SyntaxProblem> {
        let start = self.at;
        let term = self.term()?;
        self.comparable(term, start)
    }

    /// An argument that is a path of any kind.
    fn places(&mut self) -> Result<Query, SyntaxProblem> {
        let start = self.at;
        match self.term()? {
            Term::Many(query) => Ok(query),
            Term::Value(Operand::Only(query)) if is_written(self.text, start) => Ok(query),
            _ => Err(self.unfit(start, "here belongs a path", "Write a path that begins with @ or $, such as @.lines[*].")),
        }
    }
}

/// Whether a path stands here, and not the function `value`.
fn is_written(text: &str, start: usize) -> bool {
    text[start..].starts_with(['$', '@'])
}
