//! What a condition asks about.
//!
//! `if is_text(x) { upper(x) }` is written by somebody who expects `x` to be text now and then,
//! whatever the schema says. Behind such a question nothing is said about `x`.

use super::Inference;
use crate::{
    Reference, Segment,
    types::tree::{Kind, Link, LinkKind, Node},
};

/// Something a condition asks about.
pub(super) enum Doubt<'a> {
    Place(&'a str, &'a [Segment]),
    Local(&'a str),
}

impl<'a> Inference<'a> {
    /// Something evaluation gets to only after `condition` had its say.
    pub(super) fn behind<T>(&mut self, condition: &Node<'a>, work: impl FnOnce(&mut Self) -> T) -> T {
        let known = self.doubts.len();
        self.doubt(condition);
        let out = self.perhaps(work);
        self.doubts.truncate(known);
        out
    }

    pub(super) fn doubts_place(&self, place: &Reference) -> bool {
        self.doubts.iter().any(|doubt| match doubt {
            Doubt::Place(root, start) => *root == place.root && place.path.starts_with(start),
            Doubt::Local(_) => false,
        })
    }

    pub(super) fn doubts_local(&self, name: &str) -> bool {
        self.doubts.iter().any(|doubt| matches!(doubt, Doubt::Local(doubted) if *doubted == name))
    }

    /// Notes what a condition asks about.
    fn doubt(&mut self, condition: &Node<'a>) {
        match &condition.kind {
            Kind::Binary("==" | "!=", a, b) if matches!(b.kind, Kind::Null) => self.doubt_subject(a),
            Kind::Binary("==" | "!=", a, b) if matches!(a.kind, Kind::Null) => self.doubt_subject(b),
            Kind::Binary("&&" | "||" | "==" | "!=", a, b) => {
                self.doubt(a);
                self.doubt(b);
            }
            Kind::Unary("!", inner) => self.doubt(inner),
            Kind::Call(call) => call.args.iter().for_each(|arg| self.doubt_subject(arg)),
            Kind::Chain(head, links) => {
                let call = links.iter().position(|link| matches!(link.kind, LinkKind::Call(_)));
                if let Some(call) = call {
                    self.doubt_chain(head, &links[..call]);
                }
            }
            _ => {}
        }
    }

    pub(super) fn doubt_subject(&mut self, subject: &Node<'a>) {
        match &subject.kind {
            Kind::Chain(head, links) => self.doubt_chain(head, links),
            Kind::Name(..) => self.doubt_chain(subject, &[]),
            _ => self.doubt(subject),
        }
    }

    fn doubt_chain(&mut self, head: &Node<'a>, links: &[Link<'a>]) {
        let Kind::Name(name, at) = &head.kind else { return };
        let references = self.references;
        self.doubts.push(match references.binary_search_by_key(at, |reference| reference.range.start) {
            Ok(place) => {
                let Reference { root, path, .. } = &references[place];
                Doubt::Place(root, &path[..path.len().min(links.len())])
            }
            Err(_) => Doubt::Local(name),
        });
    }
}
