//! Expressions with their names looked up.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query,
    UnaryOperator, Value,
};

use super::{
    Trouble, functions, run,
    tables::{Ctx, Shape},
    value::Val,
};

/// Deepest nesting of an expression.
const DEPTH_MAX: usize = 1_200;

/// An expression that has a value.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Value(Val),
    /// Table and column.
    Column(usize, usize),
    /// `BUILTIN.DF`.
    Display(usize, usize),
    /// `BUILTIN.CF`.
    Code(usize, usize),
    /// An aggregate by its place.
    Group(usize),
    Rownum,
    Call(&'static str, Vec<Self>),
    Negative(Box<Self>),
    Sum(Box<Self>, char, Box<Self>),
    Joined(Box<Self>, Box<Self>),
    Case(Vec<(Test, Self)>, Box<Self>),
}

/// An expression that is true, false or unknown.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Is(Option<bool>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Null(Node, bool),
    Compare(Node, &'static str, Node),
    In(Node, Vec<Node>),
    Like { text: Node, pattern: Node, escape: Option<char>, any_case: bool },
}

#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    pub(super) name: &'static str,
    /// Nothing for `COUNT(*)`.
    pub(super) of: Option<Node>,
    pub(super) distinct: bool,
}

pub(super) struct Compiler<'c> {
    pub(super) shapes: &'c [Shape],
    pub(super) ctx: &'c Ctx<'c>,
    pub(super) named: &'c [Shape],
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) depth: usize,
}

fn unsupported(what: &impl std::fmt::Display) -> Trouble {
    let text: String = what.to_string().chars().take(200).collect();
    Trouble::new(format!("Invalid or unsupported search: {text}"))
}

impl Compiler<'_> {
    fn deeper<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        if self.depth > DEPTH_MAX {
            return Err(Trouble::new("The query is too deep."));
        }
        self.depth += 1;
        let done = act(self);
        self.depth -= 1;
        done
    }

    pub(super) fn test(&mut self, expr: &Expr) -> Result<Test, Trouble> {
        self.deeper(|own| own.test_inside(expr))
    }

    fn test_inside(&mut self, expr: &Expr) -> Result<Test, Trouble> {
        let negate = |test: Test, negated: bool| if negated { Test::Not(Box::new(test)) } else { test };
        Ok(match expr {
            Expr::Nested(inside) => self.test(inside)?,
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                Test::And(Box::new(self.test(left)?), Box::new(self.test(right)?))
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                Test::Or(Box::new(self.test(left)?), Box::new(self.test(right)?))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Test::Not(Box::new(self.test(expr)?)),
            Expr::IsNull(inside) => Test::Null(self.node(inside)?, true),
            Expr::IsNotNull(inside) => Test::Null(self.node(inside)?, false),
            Expr::InList { expr, list, negated } => {
                let list = list.iter().map(|one| self.node(one)).collect::<Result<_, _>>()?;
                negate(Test::In(self.node(expr)?, list), *negated)
            }
            Expr::InSubquery { expr, subquery, negated } => {
                let list =
                    self.subquery(subquery)?.into_iter().filter_map(|row| row.into_iter().next()).map(Node::Value).collect();
                negate(Test::In(self.node(expr)?, list), *negated)
            }
            Expr::Exists { subquery, negated } => Test::Is(Some(self.subquery(subquery)?.is_empty() == *negated)),
            Expr::Between { expr, negated, low, high } => {
                let (value, low, high) = (self.node(expr)?, self.node(low)?, self.node(high)?);
                let both =
                    Test::And(Box::new(Test::Compare(value.clone(), ">=", low)), Box::new(Test::Compare(value, "<=", high)));
                negate(both, *negated)
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), false, *negated)?
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), true, *negated)?
            }
            Expr::BinaryOp { left, op, right } => {
                let sign = match op {
                    BinaryOperator::Eq => "=",
                    BinaryOperator::NotEq => "<>",
                    BinaryOperator::Lt => "<",
                    BinaryOperator::LtEq => "<=",
                    BinaryOperator::Gt => ">",
                    BinaryOperator::GtEq => ">=",
                    _ => return Err(unsupported(expr)),
                };
                Test::Compare(self.node(left)?, sign, self.node(right)?)
            }
            Expr::Value(value) => match &value.value {
                Value::Boolean(on) => Test::Is(Some(*on)),
                _ => return Err(unsupported(expr)),
            },
            _ => return Err(unsupported(expr)),
        })
    }

    fn like(
        &mut self,
        text: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        any_case: bool,
        negated: bool,
    ) -> Result<Test, Trouble> {
        let escape = match escape {
            Some(Expr::Value(value)) => value.value.clone().into_string().and_then(|text| text.chars().next()),
            _ => None,
        };
        let test = Test::Like { text: self.node(text)?, pattern: self.node(pattern)?, escape, any_case };
        Ok(if negated { Test::Not(Box::new(test)) } else { test })
    }

    pub(super) fn node(&mut self, expr: &Expr) -> Result<Node, Trouble> {
        self.deeper(|own| own.node_inside(expr))
    }

    fn node_inside(&mut self, expr: &Expr) -> Result<Node, Trouble> {
        match expr {
            Expr::Nested(inside) => self.node(inside),
            Expr::Identifier(name) => self.name(name),
            Expr::CompoundIdentifier(parts) => self.column(parts).map(|(table, column)| Node::Column(table, column)),
            Expr::Value(value) => literal(&value.value).ok_or_else(|| unsupported(expr)).map(Node::Value),
            Expr::TypedString(typed) => {
                let text = typed.value.value.clone().into_string().unwrap_or_default();
                Val::of(text).moment(self.ctx.settings).map(|at| Node::Value(Val::Moment(at))).ok_or_else(|| unsupported(expr))
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(Node::Negative(Box::new(self.node(expr)?))),
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => self.node(expr),
            Expr::BinaryOp { left, op, right } => self.operation(expr, left, op, right),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Cast { expr, data_type, .. } => {
                let kind = data_type.to_string().to_uppercase();
                let name =
                    ["VARCHAR", "CHAR", "CLOB", "TIMESTAMP", "DATE", "INT", "NUMBER", "NUMERIC", "DECIMAL", "FLOAT", "DOUBLE"]
                        .iter()
                        .find(|name| kind.starts_with(**name));
                let call = match name {
                    Some(&("VARCHAR" | "CHAR" | "CLOB")) => "TO_CHAR",
                    Some(&"TIMESTAMP") => "TO_TIMESTAMP",
                    Some(&"DATE") => "TRUNC",
                    Some(&"INT") => "ROUND",
                    Some(_) => "TO_NUMBER",
                    None => return Err(unsupported(data_type)),
                };
                Ok(Node::Call(call, vec![self.node(expr)?]))
            }
            Expr::Function(function) => self.function(function),
            Expr::Ceil { expr, .. } => Ok(Node::Call("CEIL", vec![self.node(expr)?])),
            Expr::Floor { expr, .. } => Ok(Node::Call("FLOOR", vec![self.node(expr)?])),
            Expr::Extract { field, expr, .. } => {
                let field = Node::Value(Val::of(field.to_string().to_uppercase()));
                Ok(Node::Call("EXTRACT", vec![field, self.node(expr)?]))
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut arguments = vec![self.node(expr)?];
                for part in [substring_from, substring_for].into_iter().flatten() {
                    arguments.push(self.node(part)?);
                }
                Ok(Node::Call("SUBSTR", arguments))
            }
            Expr::Trim { expr, trim_what: None, .. } => Ok(Node::Call("TRIM", vec![self.node(expr)?])),
            Expr::Subquery(query) => {
                let rows = self.subquery(query)?;
                if rows.len() > 1 {
                    return Err(Trouble::new("Single-row subquery returns more than one row"));
                }
                Ok(Node::Value(rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or(Val::Null)))
            }
            _ => Err(unsupported(expr)),
        }
    }

    fn operation(&mut self, whole: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Node, Trouble> {
        let (left, right) = (Box::new(self.node(left)?), Box::new(self.node(right)?));
        Ok(match op {
            BinaryOperator::StringConcat => Node::Joined(left, right),
            BinaryOperator::Plus => Node::Sum(left, '+', right),
            BinaryOperator::Minus => Node::Sum(left, '-', right),
            BinaryOperator::Multiply => Node::Sum(left, '*', right),
            BinaryOperator::Divide => Node::Sum(left, '/', right),
            _ => return Err(unsupported(whole)),
        })
    }

    fn case(&mut self, operand: Option<&Expr>, conditions: &[CaseWhen], otherwise: Option<&Expr>) -> Result<Node, Trouble> {
        let mut arms = Vec::new();
        for CaseWhen { condition, result } in conditions {
            let test = match operand {
                Some(operand) => Test::Compare(self.node(operand)?, "=", self.node(condition)?),
                None => self.test(condition)?,
            };
            arms.push((test, self.node(result)?));
        }
        let otherwise = otherwise.map_or(Ok(Node::Value(Val::Null)), |expr| self.node(expr))?;
        Ok(Node::Case(arms, Box::new(otherwise)))
    }

    fn name(&mut self, name: &Ident) -> Result<Node, Trouble> {
        match self.column(std::slice::from_ref(name)) {
            Ok((table, column)) => Ok(Node::Column(table, column)),
            Err(trouble) => match name.value.to_uppercase().as_str() {
                "SYSDATE" | "CURRENT_DATE" | "CURRENT_TIMESTAMP" | "SYSTIMESTAMP" if name.quote_style.is_none() => {
                    Ok(Node::Call("SYSDATE", Vec::new()))
                }
                "ROWNUM" => Ok(Node::Rownum),
                _ => Err(trouble),
            },
        }
    }

    fn column(&self, parts: &[Ident]) -> Result<(usize, usize), Trouble> {
        let lower: Vec<String> = parts.iter().map(|part| part.value.to_lowercase()).collect();
        let (table, name) = match lower.as_slice() {
            [name] => (None, name),
            [table, name] | [_, table, name] => (Some(table), name),
            _ => return Err(Trouble::new("Invalid or unsupported search")),
        };
        let fitting = |shape: &Shape| table.is_none_or(|table| *table == shape.alias);
        for (place, shape) in self.shapes.iter().enumerate().filter(|(_, shape)| fitting(shape)) {
            if let Some(column) = shape.column(name) {
                return Ok((place, column));
            }
        }
        let aliases: Vec<String> = self.shapes.iter().map(|shape| shape.alias.clone()).collect();
        Err(Trouble::identifier(table.filter(|table| !aliases.contains(table)).unwrap_or(name), &aliases))
    }

    fn subquery(&mut self, query: &Query) -> Result<Vec<Vec<Val>>, Trouble> {
        run::nested(query, self.ctx, self.named, self.depth + 100).map(|found| found.rows)
    }

    fn function(&mut self, function: &Function) -> Result<Node, Trouble> {
        let name = function.name.to_string().to_uppercase();
        let list = match &function.args {
            FunctionArguments::None => None,
            FunctionArguments::List(list) => Some(list),
            FunctionArguments::Subquery(_) => return Err(unsupported(&name)),
        };
        let arguments = list.map(|list| list.args.as_slice()).unwrap_or_default();
        if function.over.is_some() {
            return Err(unsupported(&name));
        }
        if let Some(name) = functions::AGGREGATES.iter().find(|known| **known == name) {
            let of = match arguments {
                [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if *name == "COUNT" => None,
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)), ..] => Some(self.node(expr)?),
                _ => return Err(unsupported(name)),
            };
            let distinct = list.is_some_and(|list| list.duplicate_treatment == Some(DuplicateTreatment::Distinct));
            self.aggregates.push(Aggregate { name, of, distinct });
            return Ok(Node::Group(self.aggregates.len() - 1));
        }
        let nodes = arguments
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.node(expr),
                _ => Err(unsupported(&name)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        match (name.as_str(), nodes.as_slice()) {
            ("BUILTIN.DF", [Node::Column(table, column)]) => Ok(Node::Display(*table, *column)),
            ("BUILTIN.CF", [Node::Column(table, column)]) => Ok(Node::Code(*table, *column)),
            _ => match functions::NAMES
                .iter()
                .find(|(known, least, most)| *known == name && (*least..=*most).contains(&nodes.len()))
            {
                Some((name, ..)) => Ok(Node::Call(name, nodes)),
                None => Err(Trouble::new(format!("Invalid or unsupported function: {name}"))),
            },
        }
    }
}

fn literal(value: &Value) -> Option<Val> {
    Some(match value {
        Value::Number(text, _) => Val::Number(text.parse().ok()?),
        Value::SingleQuotedString(text) => Val::of(text.clone()),
        Value::Boolean(on) => Val::flag(*on),
        Value::Null => Val::Null,
        _ => return None,
    })
}
