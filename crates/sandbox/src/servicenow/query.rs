//! Reads encoded queries: `active=true^priorityIN1,2^ORstate=6^NQnumber=INC0010001^ORDERBYDESCsys_updated_on`.
//!
//! `^` is and, `^OR` binds to the condition just before it, `^NQ` begins another query whose records come, too.
//! `^^` stands for one `^` in a value; the vendor's documentation does not say so (unverified).

/// Conditions one query may have.
const CONDITIONS_MAX: usize = 20_000;
/// Queries inside queries.
const DEPTH_MAX: usize = 4;

/// Longest first where one begins like another.
const OPERATORS: &[&str] = &[
    "GT_OR_EQUALS_FIELD",
    "LT_OR_EQUALS_FIELD",
    "DOES NOT CONTAIN",
    "IN_HIERARCHY",
    "CHANGESFROM",
    "ISNOTEMPTY",
    "EMPTYSTRING",
    "STARTSWITH",
    "RELATIVEGT",
    "RELATIVELT",
    "RELATIVEGE",
    "RELATIVELE",
    "RELATIVEEE",
    "INSTANCEOF",
    "VALCHANGES",
    "CHANGESTO",
    "NOT LIKE",
    "GT_FIELD",
    "LT_FIELD",
    "ENDSWITH",
    "MORETHAN",
    "LESSTHAN",
    "DATEPART",
    "CONTAINS",
    "ANYTHING",
    "ISEMPTY",
    "NSAMEAS",
    "NOTLIKE",
    "BETWEEN",
    "DYNAMIC",
    "SAMEAS",
    "NOT IN",
    "NOTON",
    "NOTIN",
    "LIKE",
    "IN",
    "ON",
    "!=",
    "!*",
    ">=",
    "<=",
    "=",
    "<",
    ">",
    "*",
    "%",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// A field, dot-walked perhaps, an operator and what follows it.
    Field { path: String, operator: &'static str, value: String },
    /// Rows whose field equals a field of a row of another table that the query finds.
    Join { field: String, table: String, other: String, query: Query },
    /// Rows by the number of rows of another table that point to them and that the query finds.
    Related { table: String, field: String, operator: String, count: usize, query: Query },
    /// Any word anywhere in a record.
    Anywhere(String),
}

/// Groups that must all hold; of a group one test must.
pub(super) type Branch = Vec<Vec<Test>>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) branches: Vec<Branch>,
    /// Field and whether it is the largest first.
    pub(super) order: Vec<(String, bool)>,
    /// True when something could not be read as a condition; the instance leaves such things out.
    pub(super) dropped: bool,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self::read(text, 0)
    }

    fn read(text: &str, depth: usize) -> Self {
        let mut query = Self::default();
        let mut branch = Branch::new();
        let mut pieces = split(text).into_iter().take(CONDITIONS_MAX);
        while let Some(piece) = pieces.next() {
            if let Some(field) = piece.strip_prefix("ORDERBYDESC") {
                query.order.push((field.to_owned(), true));
            } else if let Some(field) = piece.strip_prefix("ORDERBY") {
                query.order.push((field.to_owned(), false));
            } else if piece == "EQ" || piece.is_empty() || piece.starts_with("GROUPBY") {
                // Marks of the user interface.
            } else if let Some(first) = piece.strip_prefix("NQ") {
                query.branches.push(std::mem::take(&mut branch));
                query.add(&mut branch, condition(first), false);
            } else if let Some(rest) = piece.strip_prefix("RLQUERY") {
                let inner: Vec<String> = pieces.by_ref().take_while(|piece| piece != "ENDRLQUERY").collect();
                query.add(&mut branch, related(rest, &inner.join("^"), depth), false);
            } else if let Some(rest) = piece.strip_prefix("JOIN") {
                let (inner, order): (Vec<String>, Vec<String>) = pieces.by_ref().partition(|piece| !piece.starts_with("ORDERBY"));
                query.add(&mut branch, join(rest, &inner, depth), false);
                for field in order {
                    let descending = field.starts_with("ORDERBYDESC");
                    query
                        .order
                        .push((field.trim_start_matches("ORDERBYDESC").trim_start_matches("ORDERBY").to_owned(), descending));
                }
            } else if let Some(rest) = piece.strip_prefix("OR") {
                query.add(&mut branch, condition(rest), true);
            } else {
                query.add(&mut branch, condition(&piece), false);
            }
        }
        query.branches.push(branch);
        query
    }

    fn add(&mut self, branch: &mut Branch, test: Option<Test>, or: bool) {
        match (test, branch.last_mut()) {
            (None, _) => self.dropped = true,
            (Some(test), Some(group)) if or => group.push(test),
            (Some(test), _) => branch.push(vec![test]),
        }
    }

    /// The `sys_id` when the query can find no record but that one.
    pub(super) fn one_id(&self) -> Option<&str> {
        let [branch] = &self.branches[..] else { return None };
        branch.iter().find_map(|group| match &group[..] {
            [Test::Field { path, operator: "=", value }] if path == "sys_id" && !value.starts_with("javascript:") => {
                Some(value.as_str())
            }
            _ => None,
        })
    }
}

/// The pieces between single `^`, with `^^` read as one.
fn split(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '^' {
            if let Some(piece) = pieces.last_mut() {
                piece.push(letter);
            }
        } else if letters.next_if_eq(&'^').is_some() {
            if let Some(piece) = pieces.last_mut() {
                piece.push('^');
            }
        } else {
            pieces.push(String::new());
        }
    }
    pieces
}

fn condition(text: &str) -> Option<Test> {
    if let Some(words) = text.strip_prefix("123TEXTQUERY321=") {
        return Some(Test::Anywhere(words.to_owned()));
    }
    let lower = text.find(|letter: char| !matches!(letter, 'a'..='z' | '0'..='9' | '_' | '.')).unwrap_or(text.len());
    // A field named in capitals ends where a sign begins.
    let any = text.find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '_' | '.')).unwrap_or(text.len());
    [lower, any].into_iter().filter(|end| *end > 0).find_map(|end| {
        let (path, rest) = text.split_at(end);
        let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator))?;
        Some(Test::Field { path: path.to_owned(), operator, value: rest[operator.len()..].to_owned() })
    })
}

/// `sys_user.sys_id=sys_user_group.manager!active=true`.
fn join(text: &str, more: &[String], depth: usize) -> Option<Test> {
    let (fields, first) = text.split_once('!')?;
    let (own, other) = fields.split_once('=')?;
    let (_, field) = own.split_once('.')?;
    let (table, other) = other.split_once('.')?;
    let inner = std::iter::once(first).chain(more.iter().map(String::as_str)).collect::<Vec<_>>().join("^");
    let query = inner_query(&inner, depth)?;
    Some(Test::Join { field: field.to_owned(), table: table.to_owned(), other: other.to_owned(), query })
}

/// `sys_group_has_role.group,>0,m2m`.
fn related(text: &str, inner: &str, depth: usize) -> Option<Test> {
    let mut parts = text.split(',');
    let (table, field) = parts.next()?.split_once('.')?;
    let wanted = parts.next()?;
    let digits = wanted.find(|letter: char| letter.is_ascii_digit())?;
    let (operator, count) = wanted.split_at(digits);
    let query = inner_query(inner, depth)?;
    let [table, field, operator] = [table, field, operator].map(str::to_owned);
    Some(Test::Related { table, field, operator, count: count.parse().ok()?, query })
}

fn inner_query(text: &str, depth: usize) -> Option<Query> {
    (depth < DEPTH_MAX).then(|| Query::read(text, depth + 1))
}

#[cfg(test)]
mod tests {
    use super::{Query, Test};

    fn shape(text: &str) -> Vec<Vec<Vec<String>>> {
        let show = |test: &Test| match test {
            Test::Field { path, operator, value } => format!("{path} {operator} {value}"),
            other => format!("{other:?}"),
        };
        let query = Query::parse(text);
        query.branches.iter().map(|branch| branch.iter().map(|group| group.iter().map(show).collect()).collect()).collect()
    }

    #[test]
    fn or_binds_to_the_condition_before_it_and_nq_begins_anew() {
        assert_eq!(
            shape("active=true^stateIN1,2^ORnumberSTARTSWITHINC^NQpriority<=2^EQ"),
            [
                vec![vec!["active = true".to_owned()], vec!["state IN 1,2".to_owned(), "number STARTSWITH INC".to_owned()]],
                vec![vec!["priority <= 2".to_owned()]]
            ]
        );
        let order = Query::parse("a=1^ORDERBYsys_updated_on^ORDERBYDESCsys_id").order;
        assert_eq!(order, [("sys_updated_on".to_owned(), false), ("sys_id".to_owned(), true)]);
    }

    #[test]
    fn every_kind_of_condition_is_read() {
        assert_eq!(
            shape("nameISNOTEMPTY^caller_id.company.nameNOT LIKEx^a^^b"),
            [vec![vec!["name ISNOTEMPTY ".to_owned()], vec!["caller_id.company.name NOT LIKE x".to_owned()],]]
        );
        assert_eq!(shape("nameLIKEa^^b^AAAA=BBBB"), [vec![vec!["name LIKE a^b".to_owned()], vec!["AAAA = BBBB".to_owned()]]]);
        let join = Query::parse("JOINsys_user.sys_id=sys_user_group.manager!active=true^ORDERBYsys_id");
        assert!(
            matches!(&join.branches[0][0][0], Test::Join { table, query, .. } if table == "sys_user_group" && query.branches[0].len() == 1)
        );
        assert_eq!(join.order.len(), 1);
        let related = Query::parse("RLQUERYsys_group_has_role.group,>0,m2m^role.nameLIKEadmin^ENDRLQUERY^active=true");
        assert!(matches!(&related.branches[0][0][0], Test::Related { count: 0, operator, .. } if operator == ">"));
        assert_eq!(related.branches[0].len(), 2);
    }

    #[test]
    fn what_is_no_condition_is_dropped_and_nothing_panics() {
        assert!(Query::parse("???^active=true").dropped);
        for text in
            ["", "^", "^^^", "OR", "NQ", "JOIN", "RLQUERY", "RLQUERYa.b,>", "=", "ü=1", "a=1^ORü", "ORDERBY", "JOINa.b=c.d!"]
        {
            let _ = Query::parse(text);
        }
        assert_eq!(Query::parse("sys_id=abc^active=true").one_id(), Some("abc"));
        assert_eq!(Query::parse("sys_id=abc^NQactive=true").one_id(), None);
    }
}
