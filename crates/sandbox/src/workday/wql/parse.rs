//! Text to a query.

/// How deep conditions may lie in each other, and parts of one query.
const DEPTH_MAX: usize = 32;
const PARTS_MAX: usize = 1_000;

/// A whole query.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) items: Vec<Item>,
    pub(super) source: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) condition: Option<Condition>,
    pub(super) group: Vec<String>,
    /// Names with true for descending.
    pub(super) order: Vec<(String, bool)>,
    pub(super) limit: Option<usize>,
    pub(super) distinct: bool,
}

impl Query {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One column.
#[derive(Debug)]
pub(super) struct Item {
    /// The function over a group: `COUNT`, `SUM`, `MIN`, `MAX`, `AVG`.
    pub(super) function: Option<String>,
    /// The field, or `*` of a count.
    pub(super) field: String,
    /// Fields of what the field refers to.
    pub(super) inner: Vec<Item>,
    pub(super) alias: Option<String>,
}

impl Item {
    /// The name in the answer.
    pub(super) fn name(&self) -> String {
        match (&self.alias, &self.function) {
            (Some(alias), _) => alias.clone(),
            (None, Some(function)) => format!("{}_{}", function.to_lowercase(), self.field.replace('*', "all")),
            (None, None) => self.field.clone(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    StartsWith,
    Contains,
    EndsWith,
}

#[derive(Debug)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Compare(String, Test, String),
    In(String, Vec<String>),
    Empty(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Mark(&'static str),
}

/// Reads a query; the error is the text it stumbled on.
pub(super) fn query(text: &str) -> Result<Query, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, parts: 0 };
    let query = parser.query()?;
    match parser.peek() {
        None => Ok(query),
        Some(_) => Err(parser.near()),
    }
}

const MARKS: [&str; 13] = ["!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", "{", "}", ",", "*"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            tokens.push(Token::Mark(mark));
            rest = &rest[mark.len()..];
        } else if first == '\'' || first == '"' {
            let (text, after) = quoted(&rest[1..], first).ok_or_else(|| rest.to_owned())?;
            tokens.push(Token::Text(text));
            rest = after;
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "_.-+:$".contains(c))).unwrap_or(rest.len());
            if end == 0 {
                return Err(first.to_string());
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// Text up to its quote, which stands for itself when doubled, and what comes after.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((place, c)) = chars.next() {
        if c != quote {
            out.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            out.push(quote);
        } else {
            return Some((out, &text[place + c.len_utf8()..]));
        }
    }
    None
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    parts: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn near(&self) -> String {
        match self.peek() {
            Some(Token::Word(word) | Token::Text(word)) => word.clone(),
            Some(Token::Mark(mark)) => (*mark).to_owned(),
            None => "end of query".to_owned(),
        }
    }

    fn next(&mut self) -> Result<Token, String> {
        self.parts += 1;
        let token = self.peek().filter(|_| self.parts < PARTS_MAX).cloned().ok_or_else(|| self.near())?;
        self.at += 1;
        Ok(token)
    }

    /// Takes a word when it comes next, in any case of letters.
    fn takes(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word));
        self.at += usize::from(there);
        there
    }

    fn mark(&mut self, mark: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Mark(next)) if *next == mark);
        self.at += usize::from(there);
        there
    }

    fn must(&mut self, done: bool) -> Result<(), String> {
        if done { Ok(()) } else { Err(self.near()) }
    }

    fn word(&mut self) -> Result<String, String> {
        let near = self.near();
        match self.next()? {
            Token::Word(word) => Ok(word),
            _ => Err(near),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        let near = self.near();
        match self.next()? {
            Token::Word(word) | Token::Text(word) => Ok(word),
            Token::Mark(_) => Err(near),
        }
    }

    fn query(&mut self) -> Result<Query, String> {
        let mut query = Query::default();
        let select = self.takes("SELECT");
        self.must(select)?;
        query.distinct = self.takes("DISTINCT");
        query.items = self.list(Self::item)?;
        let from = self.takes("FROM");
        self.must(from)?;
        query.source = self.word()?;
        if self.mark("(") {
            query.parameters = self.list(Self::parameter)?;
            let closed = self.mark(")");
            self.must(closed)?;
        }
        if self.takes("WHERE") {
            query.condition = Some(self.any()?);
        }
        if self.takes("GROUP") {
            let by = self.takes("BY");
            self.must(by)?;
            query.group = self.list(Self::word)?;
        }
        if self.takes("ORDER") {
            let by = self.takes("BY");
            self.must(by)?;
            query.order = self.list(|parser| {
                let name = parser.word()?;
                let descending = parser.takes("DESC");
                Ok((
                    name,
                    descending || {
                        parser.takes("ASC");
                        false
                    },
                ))
            })?;
        }
        if self.takes("LIMIT") {
            let near = self.near();
            query.limit = Some(self.word()?.parse().map_err(|_| near)?);
        }
        Ok(query)
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let mut all = vec![one(self)?];
        while self.mark(",") {
            all.push(one(self)?);
        }
        Ok(all)
    }

    fn parameter(&mut self) -> Result<(String, String), String> {
        let name = self.word()?;
        let equal = self.mark("=");
        self.must(equal)?;
        Ok((name, self.value()?))
    }

    fn item(&mut self) -> Result<Item, String> {
        let word = self.word()?;
        let aggregate = ["COUNT", "SUM", "MIN", "MAX", "AVG"].iter().any(|name| word.eq_ignore_ascii_case(name));
        let mut item = Item { function: None, field: word.clone(), inner: Vec::new(), alias: None };
        if self.mark("(") {
            self.at -= usize::from(!aggregate);
            self.must(aggregate)?;
            item.function = Some(word.to_uppercase());
            item.field = if self.mark("*") { "*".to_owned() } else { self.word()? };
            let closed = self.mark(")");
            self.must(closed)?;
        } else if self.mark("{") {
            // One level: what lies further is asked for from its own source.
            item.inner = self.list(|parser| {
                let field = parser.word()?;
                let alias = if parser.takes("AS") { Some(parser.word()?) } else { None };
                Ok(Item { function: None, field, inner: Vec::new(), alias })
            })?;
            let closed = self.mark("}");
            self.must(closed)?;
        }
        if self.takes("AS") {
            item.alias = Some(self.word()?);
        }
        Ok(item)
    }

    fn any(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.near());
        }
        let mut all = vec![self.every()?];
        while self.takes("OR") {
            all.push(self.every()?);
        }
        self.depth -= 1;
        Ok(Condition::Or(all))
    }

    fn every(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.one()?];
        while self.takes("AND") {
            all.push(self.one()?);
        }
        Ok(Condition::And(all))
    }

    fn one(&mut self) -> Result<Condition, String> {
        let mut denied = false;
        while self.takes("NOT") {
            denied = !denied;
        }
        let condition = if self.mark("(") {
            let inner = self.any()?;
            let closed = self.mark(")");
            self.must(closed)?;
            inner
        } else {
            self.compare()?
        };
        Ok(if denied { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn compare(&mut self) -> Result<Condition, String> {
        let field = self.word()?;
        if self.takes("IS") {
            let denied = self.takes("NOT");
            let empty = self.takes("EMPTY") || self.takes("NULL");
            self.must(empty)?;
            let condition = Condition::Empty(field);
            return Ok(if denied { Condition::Not(Box::new(condition)) } else { condition });
        }
        let denied = self.takes("NOT");
        if self.takes("IN") {
            let open = self.mark("(");
            self.must(open)?;
            let values = self.list(Self::value)?;
            let closed = self.mark(")");
            self.must(closed)?;
            let condition = Condition::In(field, values);
            return Ok(if denied { Condition::Not(Box::new(condition)) } else { condition });
        }
        self.must(!denied)?;
        let near = self.near();
        let test = match self.next()? {
            Token::Mark("=") => Test::Equal,
            Token::Mark("!=" | "<>") => Test::NotEqual,
            Token::Mark("<") => Test::Less,
            Token::Mark("<=") => Test::LessEqual,
            Token::Mark(">") => Test::Greater,
            Token::Mark(">=") => Test::GreaterEqual,
            Token::Word(word) if word.eq_ignore_ascii_case("startsWith") => Test::StartsWith,
            Token::Word(word) if word.eq_ignore_ascii_case("contains") => Test::Contains,
            Token::Word(word) if word.eq_ignore_ascii_case("endsWith") => Test::EndsWith,
            _ => return Err(near),
        };
        Ok(Condition::Compare(field, test, self.value()?))
    }
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn queries_are_read_and_the_place_of_a_slip_is_named() {
        let good = "SELECT worker, employeeID AS id, manager{worker, employeeID} FROM allWorkers (effectiveAsOfDate='2026-12-01') \
                    WHERE (fullName startsWith 'O''B' OR hireDate >= '2026-01-01') AND location in ('a', 'b') AND manager is not empty \
                    ORDER BY employeeID DESC, id LIMIT 5";
        let read = query(good).unwrap();
        assert_eq!((read.items.len(), read.items[2].inner.len(), read.limit), (3, 2, Some(5)));
        assert_eq!(read.order, [("employeeID".to_owned(), true), ("id".to_owned(), false)]);
        for (bad, near) in [
            ("SELECT (worker) FROM allWorkers", "("),
            ("SELECT upper(worker) FROM allWorkers", "("),
            ("SELECT worker FROM", "end of query"),
            ("SELECT worker FROM allWorkers WHERE fullName LIKE 'A%'", "LIKE"),
            ("SELECT worker FROM allWorkers WHERE fullName = 'A", "'A"),
            ("DELETE FROM allWorkers", "DELETE"),
            ("SELECT worker FROM allWorkers; x", ";"),
        ] {
            assert_eq!(query(bad).unwrap_err(), near, "{bad}");
        }
        assert!(query(&format!("SELECT a FROM b WHERE {}", "(".repeat(10_000))).is_err());
    }
}
