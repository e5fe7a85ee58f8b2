//! Queries: tables joined, rows chosen, grouped, sorted and cut.

use std::{cmp::Ordering, collections::HashMap, rc::Rc};

use sqlparser::{
    ast::{
        Distinct, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, LimitClause, OrderByExpr, OrderByKind, OrderBySort,
        Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Statement, TableFactor,
        Value,
    },
    dialect::OracleDialect,
    parser::Parser,
};

use super::{
    Found, Trouble,
    compile::{Compiler, Node, Test},
    eval::{Scope, aggregate},
    tables::{self, Ctx, Item, Shape, Source},
    value::Val,
};

/// Rows a join may make on its way.
const JOINED_MAX: usize = 3_000_000;
/// Tables of a query.
const TABLES_MAX: usize = 20;
/// Signs outside of texts that make an expression deeper.
const SIGNS_MAX: usize = 1_000;
/// Queries within queries.
const NESTED_MAX: usize = 900;

/// Runs a query's text.
pub(super) fn query(text: &str, ctx: &Ctx<'_>) -> Result<Found, Trouble> {
    if signs(text) > SIGNS_MAX {
        return Err(Trouble::new("The query is too complex."));
    }
    let wrong = |error: sqlparser::parser::ParserError| Trouble::new(format!("Invalid or unsupported search. {error}"));
    let mut parsed = Parser::parse_sql(&OracleDialect {}, text).map_err(wrong)?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(Statement::Query(query)), true) => nested(&query, ctx, &[], 0),
        _ => Err(Trouble::new("Invalid or unsupported search")),
    }
}

/// Counts what may nest expressions without parentheses.
fn signs(text: &str) -> usize {
    let mut quoted = false;
    let mut count = 0;
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let sign = word.chars().next_back().unwrap_or(' ');
        if !quoted
            && (matches!(sign, '+' | '-' | '*' | '/' | '|' | '(')
                || ["and", "or", "not", "union"].iter().any(|known| word.trim().eq_ignore_ascii_case(known)))
        {
            count += 1;
        }
        if sign == '\'' {
            quoted = !quoted;
        }
    }
    count
}

/// Runs a query that may stand in another one.
pub(super) fn nested(query: &Query, ctx: &Ctx<'_>, named: &[Shape], depth: usize) -> Result<Found, Trouble> {
    if depth > NESTED_MAX {
        return Err(Trouble::new("The query is too deep."));
    }
    let mut named = named.to_vec();
    if let Some(with) = &query.with {
        for cte in &with.cte_tables {
            let found = nested(&cte.query, ctx, &named, depth + 100)?;
            named.push(kept(&cte.alias.name.value, found));
        }
    }
    let order = match &query.order_by {
        None => Vec::new(),
        Some(order) => match &order.kind {
            OrderByKind::Expressions(keys) => keys.clone(),
            OrderByKind::All(_) => return Err(Trouble::new("Invalid or unsupported search")),
        },
    };
    let mut found = body(&query.body, ctx, &named, &order, depth)?;
    cut(query, &mut found)?;
    Ok(found)
}

fn kept(name: &str, found: Found) -> Shape {
    Shape { alias: name.to_lowercase(), columns: found.columns, source: Source::Kept(Rc::new(found.rows)) }
}

fn cut(query: &Query, found: &mut Found) -> Result<(), Trouble> {
    let count = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse::<usize>().map_err(|_| Trouble::new("Invalid or unsupported search")),
            _ => Err(Trouble::new("Invalid or unsupported search")),
        },
        _ => Err(Trouble::new("Invalid or unsupported search")),
    };
    if let Some(LimitClause::LimitOffset { offset, limit, .. }) = &query.limit_clause {
        // Oracle has no LIMIT, only OFFSET … ROWS FETCH.
        if limit.is_some() {
            return Err(Trouble::new("Invalid or unsupported search: LIMIT"));
        }
        if let Some(offset) = offset {
            let skip = count(&offset.value)?.min(found.rows.len());
            found.rows.drain(..skip);
        }
    }
    if let Some(fetch) = &query.fetch {
        let most = fetch.quantity.as_ref().map_or(Ok(1), count)?;
        found.rows.truncate(most);
    }
    Ok(())
}

fn body(set: &SetExpr, ctx: &Ctx<'_>, named: &[Shape], order: &[OrderByExpr], depth: usize) -> Result<Found, Trouble> {
    match set {
        SetExpr::Select(select) => selected(select, ctx, named, order, depth),
        SetExpr::Query(query) if order.is_empty() => nested(query, ctx, named, depth + 100),
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } => {
            let mut found = body(left, ctx, named, &[], depth + 50)?;
            if depth > NESTED_MAX {
                return Err(Trouble::new("The query is too deep."));
            }
            let more = body(right, ctx, named, &[], depth + 50)?;
            if more.columns.len() != found.columns.len() {
                return Err(Trouble::new("Query block has incorrect number of result columns"));
            }
            found.rows.extend(more.rows);
            if *set_quantifier != SetQuantifier::All {
                distinct(&mut found.rows);
            }
            sort_by_columns(&mut found, order, ctx)?;
            Ok(found)
        }
        _ => Err(Trouble::new("Invalid or unsupported search")),
    }
}

fn distinct(rows: &mut Vec<Vec<Val>>) {
    let mut seen = std::collections::HashSet::new();
    rows.retain(|row| seen.insert(row.iter().map(Val::key).collect::<Vec<_>>()));
}

/// The place in the result a sort key names, by number or by name.
fn place(expr: &Expr, columns: &[String]) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse::<usize>().ok()?.checked_sub(1).filter(|place| *place < columns.len()),
            _ => None,
        },
        Expr::Identifier(name) => columns.iter().position(|column| *column == name.value.to_lowercase()),
        _ => None,
    }
}

fn sort_by_columns(found: &mut Found, order: &[OrderByExpr], ctx: &Ctx<'_>) -> Result<(), Trouble> {
    let mut places = Vec::new();
    for key in order {
        let place = place(&key.expr, &found.columns).ok_or_else(|| Trouble::new("Invalid or unsupported search"))?;
        places.push((place, key.options.sort == Some(OrderBySort::Desc), key.options.nulls_first));
    }
    found.rows.sort_by(|one, two| {
        places
            .iter()
            .map(|(place, down, nulls)| compare(&one[*place], &two[*place], *down, *nulls, ctx))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Ok(())
}

/// Nulls come last when rising and first when falling, unless the query says otherwise.
fn compare(one: &Val, two: &Val, down: bool, nulls_first: Option<bool>, ctx: &Ctx<'_>) -> Ordering {
    let first = nulls_first.unwrap_or(down);
    match (one.is_null(), two.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => {
            if first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        (false, true) => {
            if first {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (false, false) => {
            let order = one.order(two, ctx.settings).unwrap_or_else(|| one.key().cmp(&two.key()));
            if down { order.reverse() } else { order }
        }
    }
}

struct Joining {
    shape: Shape,
    /// True when rows without a partner stay.
    left: bool,
    on: Option<Expr>,
}

fn sources(select: &Select, ctx: &Ctx<'_>, named: &[Shape], depth: usize) -> Result<Vec<Joining>, Trouble> {
    let mut all = Vec::new();
    for table in &select.from {
        all.push(Joining { shape: factor(&table.relation, ctx, named, depth)?, left: false, on: None });
        for Join { relation, join_operator, .. } in &table.joins {
            let (left, on) = match join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => (false, on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (true, on),
                _ => return Err(Trouble::new("Invalid or unsupported search: this kind of join")),
            };
            let on = match on {
                JoinConstraint::On(on) => Some(on.clone()),
                JoinConstraint::None => None,
                _ => return Err(Trouble::new("Invalid or unsupported search: this kind of join")),
            };
            all.push(Joining { shape: factor(relation, ctx, named, depth)?, left, on });
        }
    }
    if all.is_empty() || all.len() > TABLES_MAX {
        return Err(Trouble::new("Invalid or unsupported search: FROM"));
    }
    Ok(all)
}

fn factor(factor: &TableFactor, ctx: &Ctx<'_>, named: &[Shape], depth: usize) -> Result<Shape, Trouble> {
    match factor {
        TableFactor::Table { name, alias, args: None, .. } => {
            let name = name.to_string().replace('"', "");
            let known = named.iter().find(|shape| shape.alias == name.to_lowercase()).cloned();
            let mut shape = known.map_or_else(|| tables::find(&name, ctx), Ok)?;
            if let Some(alias) = alias {
                shape.alias = alias.name.value.to_lowercase();
            }
            Ok(shape)
        }
        TableFactor::Derived { subquery, alias, lateral: false, .. } => {
            let found = nested(subquery, ctx, named, depth + 100)?;
            Ok(kept(alias.as_ref().map_or("", |alias| alias.name.value.as_str()), found))
        }
        _ => Err(Trouble::new("Invalid or unsupported search: FROM")),
    }
}

/// The parts a condition is joined of by AND.
fn conjuncts<'t>(test: &'t Test, into: &mut Vec<&'t Test>) {
    match test {
        Test::And(left, right) => {
            conjuncts(left, into);
            conjuncts(right, into);
        }
        other => into.push(other),
    }
}

/// The ids a condition on the first table leaves, so that not all rows are looked at.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ids are positive and below 2 to the 52nd")]
fn bounds(conditions: &[&Test], shape: &Shape) -> (u64, u64) {
    let (mut from, mut to) = (0, u64::MAX);
    let Some(id) = shape.column("id").filter(|_| matches!(shape.source, Source::Type(_) | Source::Family(_))) else {
        return (from, to);
    };
    for condition in conditions {
        let Test::Compare(Node::Column(0, column), sign, Node::Value(value)) = condition else { continue };
        let Some(number) = value.number().filter(|number| *column == id && (0.0..1e15).contains(number)) else { continue };
        match *sign {
            "=" => (from, to) = (from.max(number.ceil() as u64), to.min(number.floor() as u64)),
            ">" | ">=" => from = from.max(number.floor() as u64),
            "<" | "<=" => to = to.min(number.ceil() as u64),
            _ => {}
        }
    }
    (from, to)
}

/// Finds `a = b` with the new table on one side and earlier ones on the other.
fn equal<'t>(conditions: &[&'t Test], table: usize) -> Option<(&'t Node, &'t Node)> {
    conditions.iter().find_map(|condition| match condition {
        Test::Compare(left, "=", right) => match (left, right) {
            (Node::Column(one, _), Node::Column(two, _)) if *one == table && *two < table => Some((left, right)),
            (Node::Column(one, _), Node::Column(two, _)) if *two == table && *one < table => Some((right, left)),
            _ => None,
        },
        _ => None,
    })
}

type Tuple<'a> = Vec<Item<'a>>;

/// All rows of the joined tables that pass.
fn tuples<'a>(
    shapes: &'a [Shape],
    joins: &[(bool, Option<Test>)],
    filter: Option<&Test>,
    ctx: &'a Ctx<'a>,
) -> Result<Vec<Tuple<'a>>, Trouble> {
    let mut wheres = Vec::new();
    if let Some(filter) = filter {
        conjuncts(filter, &mut wheres);
    }
    let (from, to) = bounds(&wheres, &shapes[0]);
    let passes =
        |tuple: &Tuple<'a>, test: &Test| Scope { shapes, ctx, row: tuple, groups: &[], number: 0 }.test(test) == Some(true);
    let mut rows: Vec<Tuple<'a>> = Vec::new();
    for item in tables::items(&shapes[0], from, to, ctx) {
        let tuple = vec![item];
        // With one table the rows that do not pass are never kept.
        if shapes.len() > 1 || filter.is_none_or(|filter| passes(&tuple, filter)) {
            rows.push(tuple);
        }
    }
    for (place, (left, on)) in joins.iter().enumerate().skip(1) {
        rows = joined(rows, place, *left, on.as_ref(), &wheres, shapes, ctx)?;
    }
    if shapes.len() > 1
        && let Some(filter) = filter
    {
        rows.retain(|tuple| passes(tuple, filter));
    }
    Ok(rows)
}

fn joined<'a>(
    rows: Vec<Tuple<'a>>,
    place: usize,
    left: bool,
    on: Option<&Test>,
    wheres: &[&Test],
    shapes: &'a [Shape],
    ctx: &'a Ctx<'a>,
) -> Result<Vec<Tuple<'a>>, Trouble> {
    let mut conditions = Vec::new();
    if let Some(on) = on {
        conjuncts(on, &mut conditions);
    }
    let pair = equal(&conditions, place).or_else(|| if left { None } else { equal(wheres, place) });
    let items: Vec<Item<'a>> = tables::items(&shapes[place], 0, u64::MAX, ctx).collect();
    let mut index: HashMap<String, Vec<usize>> = HashMap::new();
    if let Some((Node::Column(_, column), _)) = pair {
        for (number, item) in items.iter().enumerate() {
            let value = tables::value(item, &shapes[place], *column, ctx);
            if !value.is_null() {
                index.entry(value.key()).or_default().push(number);
            }
        }
    }
    let everything: Vec<usize> = if pair.is_none() { (0..items.len()).collect() } else { Vec::new() };
    let mut out = Vec::new();
    let mut tried = 0_usize;
    for tuple in rows {
        let partners = match pair {
            Some((_, other)) => {
                let value = Scope { shapes, ctx, row: &tuple, groups: &[], number: 0 }.value(other);
                index.get(&value.key()).map(Vec::as_slice).unwrap_or_default()
            }
            None => &everything,
        };
        tried += partners.len() + 1;
        if tried > JOINED_MAX {
            return Err(Trouble::new("The query joins too many rows. Add a condition to the join."));
        }
        let before = out.len();
        for partner in partners {
            let mut longer = tuple.clone();
            longer.push(items[*partner]);
            let fits = on.is_none_or(|on| Scope { shapes, ctx, row: &longer, groups: &[], number: 0 }.test(on) == Some(true));
            if fits {
                out.push(longer);
            }
        }
        if left && out.len() == before {
            let mut longer = tuple;
            longer.push(Item::Nothing);
            out.push(longer);
        }
    }
    Ok(out)
}

/// Takes `ROWNUM <= n` out of a condition.
fn rownum(expr: &Expr) -> (Option<Expr>, Option<usize>) {
    use sqlparser::ast::BinaryOperator::{And, Lt, LtEq};
    match expr {
        Expr::Nested(inside) => rownum(inside),
        Expr::BinaryOp { left, op: And, right } => {
            let ((one, first), (two, second)) = (rownum(left), rownum(right));
            let rest = match (one, two) {
                (Some(one), Some(two)) => Some(Expr::BinaryOp { left: Box::new(one), op: And, right: Box::new(two) }),
                (one, two) => one.or(two),
            };
            (rest, first.into_iter().chain(second).min())
        }
        Expr::BinaryOp { left, op: op @ (Lt | LtEq), right } => match (&**left, &**right) {
            (Expr::Identifier(name), Expr::Value(value)) if name.value.eq_ignore_ascii_case("rownum") => match &value.value {
                Value::Number(text, _) => {
                    let most = text.parse::<usize>().unwrap_or_default();
                    (None, Some(if *op == Lt { most.saturating_sub(1) } else { most }))
                }
                _ => (Some(expr.clone()), None),
            },
            _ => (Some(expr.clone()), None),
        },
        _ => (Some(expr.clone()), None),
    }
}

fn selected(select: &Select, ctx: &Ctx<'_>, named: &[Shape], order: &[OrderByExpr], depth: usize) -> Result<Found, Trouble> {
    let sources = sources(select, ctx, named, depth)?;
    let shapes: Vec<Shape> = sources.iter().map(|source| source.shape.clone()).collect();
    let mut compiler = Compiler { shapes: &shapes, ctx, named, aggregates: Vec::new(), depth };
    let joins: Vec<(bool, Option<Test>)> = sources
        .iter()
        .map(|source| Ok((source.left, source.on.as_ref().map(|on| compiler.test(on)).transpose()?)))
        .collect::<Result<_, Trouble>>()?;
    let (condition, most) = select.selection.as_ref().map_or((None, None), rownum);
    let filter = condition.as_ref().map(|condition| compiler.test(condition)).transpose()?;
    let (columns, nodes) = projection(select, &mut compiler)?;
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.iter().map(|key| compiler.node(key)).collect::<Result<Vec<_>, _>>()?,
        GroupByExpr::All(_) => return Err(Trouble::new("Invalid or unsupported search: GROUP BY ALL")),
    };
    let having = select.having.as_ref().map(|having| compiler.test(having)).transpose()?;
    let mut sorts = Vec::new();
    for key in order {
        let node = match place(&key.expr, &columns) {
            Some(place) => nodes[place].clone(),
            None => compiler.node(&key.expr)?,
        };
        sorts.push((node, key.options.sort == Some(OrderBySort::Desc), key.options.nulls_first));
    }
    let aggregates = std::mem::take(&mut compiler.aggregates);
    let mut rows = tuples(&shapes, &joins, filter.as_ref(), ctx)?;
    rows.truncate(most.unwrap_or(usize::MAX));
    let grouped = !keys.is_empty() || !aggregates.is_empty();
    let groups = if grouped { groups(&rows, &keys, &aggregates, &shapes, ctx) } else { Vec::new() };
    let scope = |number: usize| match grouped {
        true => Scope {
            shapes: &shapes,
            ctx,
            row: groups[number].0.map(Vec::as_slice).unwrap_or_default(),
            groups: &groups[number].1,
            number: number + 1,
        },
        false => Scope { shapes: &shapes, ctx, row: &rows[number], groups: &[], number: number + 1 },
    };
    let total = if grouped { groups.len() } else { rows.len() };
    let mut out: Vec<(Vec<Val>, Vec<Val>)> = Vec::with_capacity(total);
    for number in 0..total {
        let scope = scope(number);
        if having.as_ref().is_none_or(|having| scope.test(having) == Some(true)) {
            out.push((
                sorts.iter().map(|(node, ..)| scope.value(node)).collect(),
                nodes.iter().map(|node| scope.value(node)).collect(),
            ));
        }
    }
    out.sort_by(|(one, _), (two, _)| {
        let keys = sorts.iter().zip(one.iter().zip(two));
        keys.map(|((_, down, nulls), (one, two))| compare(one, two, *down, *nulls, ctx))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    let mut rows: Vec<Vec<Val>> = out.into_iter().map(|(_, row)| row).collect();
    if matches!(select.distinct, Some(Distinct::Distinct)) {
        distinct(&mut rows);
    }
    Ok(Found { columns, rows })
}

type Group<'r, 'a> = (Option<&'r Tuple<'a>>, Vec<Val>);

/// The first row of each group and its aggregates, in the order the groups were met.
fn groups<'r, 'a>(
    rows: &'r [Tuple<'a>],
    keys: &[Node],
    aggregates: &[super::compile::Aggregate],
    shapes: &[Shape],
    ctx: &Ctx<'_>,
) -> Vec<Group<'r, 'a>> {
    let mut places: HashMap<Vec<String>, usize> = HashMap::new();
    let mut members: Vec<Vec<&'r Tuple<'a>>> = Vec::new();
    for tuple in rows {
        let scope = Scope { shapes, ctx, row: tuple, groups: &[], number: 0 };
        let key: Vec<String> = keys.iter().map(|key| scope.value(key).key()).collect();
        let place = *places.entry(key).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        members[place].push(tuple);
    }
    // Without GROUP BY there is one group, even of no rows.
    if members.is_empty() && keys.is_empty() {
        members.push(Vec::new());
    }
    let one = |members: Vec<&'r Tuple<'a>>| {
        let values = |node: &Node| {
            members.iter().map(|tuple| Scope { shapes, ctx, row: tuple, groups: &[], number: 0 }.value(node)).collect()
        };
        let results = aggregates
            .iter()
            .map(|of| aggregate(of, of.of.as_ref().map(values).unwrap_or_default(), members.len(), ctx))
            .collect();
        (members.first().copied(), results)
    };
    members.into_iter().map(one).collect()
}

/// Names and expressions of the result. Names are in small letters, whatever the alias.
fn projection(select: &Select, compiler: &mut Compiler<'_>) -> Result<(Vec<String>, Vec<Node>), Trouble> {
    let (mut columns, mut nodes) = (Vec::new(), Vec::new());
    let shapes = compiler.shapes;
    let whole = |wanted: Option<String>, columns: &mut Vec<String>, nodes: &mut Vec<Node>| {
        for (table, shape) in
            shapes.iter().enumerate().filter(|(_, shape)| wanted.as_ref().is_none_or(|wanted| *wanted == shape.alias))
        {
            for (place, column) in
                shape.columns.iter().enumerate().filter(|(_, column)| !columns.contains(column)).collect::<Vec<_>>()
            {
                columns.push(column.clone());
                nodes.push(Node::Column(table, place));
            }
        }
    };
    for item in &select.projection {
        match item {
            SelectItem::Wildcard(_) => whole(None, &mut columns, &mut nodes),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                whole(Some(name.to_string().to_lowercase()), &mut columns, &mut nodes);
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                nodes.push(compiler.node(expr)?);
                columns.push(alias.value.to_lowercase());
            }
            SelectItem::UnnamedExpr(expr) => {
                nodes.push(compiler.node(expr)?);
                let name = match expr {
                    Expr::Identifier(name) => name.value.to_lowercase(),
                    Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.to_lowercase()).unwrap_or_default(),
                    _ => format!("expr{}", columns.len() + 1),
                };
                columns.push(name);
            }
            _ => return Err(Trouble::new("Invalid or unsupported search")),
        }
    }
    Ok((columns, nodes))
}
