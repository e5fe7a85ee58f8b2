//! Values: changed where they stand, or written in another's place.

use granit_parser::ScalarStyle;

use super::scalar::{double_quoted, is_plain, reads_back};
use super::{Place, Writer, Written};
use crate::edit::lines::{break_len, column, line_end, line_start, next_line};
use crate::edit::patch::{Patch, apply, tidy};
use crate::edit::target::{Body, Origin, Scalar, Shape, Slot, Target, scalar_of};
use crate::edit::tree::{Kind, Meaning, meaning};
use crate::offsets::OffsetMap;

impl Writer<'_, '_> {
    /// Patches the value of a part where it stands.
    pub(super) fn patch_value(&self, slot: Slot, value: &Target, out: &mut Vec<Patch>) {
        let source = self.source(slot.holder);
        let node = source.parts(slot.holder.node)[slot.index].value;
        let here = Origin { source: slot.holder.source, node };
        if value.origin() != Some(here) {
            return self.replace_value(slot, value, out);
        }
        let Target::Made { body, .. } = value else { return };
        let has_parts = !source.parts(node).is_empty();
        match (body, &source.node(node).kind) {
            (Body::Scalar(scalar), Kind::Scalar { .. }) => self.patch_scalar(slot, here, scalar, out),
            (Body::List(parts), Kind::List { .. }) | (Body::Record(parts), Kind::Record { .. })
                if has_parts && !parts.is_empty() =>
            {
                self.inside(value, out);
            }
            (Body::List(parts), Kind::List { .. }) | (Body::Record(parts), Kind::Record { .. })
                if !has_parts && parts.is_empty() => {}
            (Body::List(parts), Kind::List { flow: false, .. }) | (Body::Record(parts), Kind::Record { flow: false, .. })
                if parts.is_empty() && self.stands_below(slot) =>
            {
                let empty = if matches!(body, Body::List(_)) { " []" } else { " {}" };
                let after = source.parts(slot.holder.node)[slot.index].after;
                out.push(Patch::new(after, after, empty));
                self.remove_all(here, out);
            }
            _ => self.replace_value(slot, value, out),
        }
    }

    /// True if a value begins on a line below its key or dash.
    fn stands_below(&self, slot: Slot) -> bool {
        let source = self.source(slot.holder);
        let part = &source.parts(slot.holder.node)[slot.index];
        line_start(source.text, source.node(part.value).span.start) > part.after
    }

    fn patch_scalar(&self, slot: Slot, here: Origin, scalar: &Scalar, out: &mut Vec<Patch>) {
        let source = self.source(here);
        if source.meaning(here.node) == Some(meaning(&scalar.text, scalar.plain)) {
            return;
        }
        if let Some(patches) = self.hunks(here, scalar).or_else(|| self.inner_change(here, scalar)) {
            out.extend(patches);
        } else {
            let value = Target::Made { origin: Some(here), body: Body::Scalar(scalar.clone()) };
            self.replace_value(slot, &value, out);
        }
    }

    /// The known changes inside a scalar, if they can be made in its bytes one by one.
    fn hunks(&self, here: Origin, scalar: &Scalar) -> Option<Vec<Patch>> {
        let source = self.source(here);
        let Kind::Scalar { text, style, body } = &source.node(here.node).kind else { return None };
        if scalar.hunks.is_empty() {
            return None;
        }
        let map = OffsetMap::new(source.text, *body, text, *style);
        let patch = |(range, new): &(std::ops::Range<usize>, String)| {
            let place = map.place(range.clone());
            (source.text.get(place.start..place.end)? == text.get(range.clone())?)
                .then(|| Patch::new(place.start, place.end, new))
        };
        scalar.hunks.iter().map(patch).collect()
    }

    /// A change inside a quoted or folded text that leaves its escapes and line breaks as they are.
    fn inner_change(&self, here: Origin, scalar: &Scalar) -> Option<Vec<Patch>> {
        let source = self.source(here);
        let Kind::Scalar { text: old, style, body } = &source.node(here.node).kind else { return None };
        let raw = source.text.get(body.start..body.end)?;
        let special = match style {
            ScalarStyle::SingleQuoted | ScalarStyle::Plain => raw.contains(['\n', '\r']),
            ScalarStyle::DoubleQuoted => raw.contains(['\n', '\r', '\\']),
            ScalarStyle::Literal | ScalarStyle::Folded => false,
        };
        if !special || !matches!(source.meaning(here.node), Some(Meaning::Text(_))) || scalar.plain {
            return None;
        }
        let front: usize = old.chars().zip(scalar.text.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
        let (cut, add) = (&old[front..], &scalar.text[front..]);
        let same = |(a, b): &(char, char)| a == b;
        let back: usize = cut.chars().rev().zip(add.chars().rev()).take_while(same).map(|(a, _)| a.len_utf8()).sum();
        let map = OffsetMap::new(source.text, *body, old, *style);
        let place = map.place(front..old.len() - back);
        let add = &add[..add.len() - back];
        let new = match style {
            ScalarStyle::SingleQuoted => add.replace('\'', "''"),
            ScalarStyle::DoubleQuoted => double_quoted(add).trim_matches('"').to_owned(),
            _ => add.to_owned(),
        };
        let patch = Patch::new(place.start, place.end, new);
        let candidate =
            format!("{}{}{}", source.text.get(body.start..place.start)?, patch.text, source.text.get(place.end..body.end)?);
        reads_back(&candidate, &scalar.text).then(|| vec![patch])
    }

    /// Writes a value in the place of another one.
    fn replace_value(&self, slot: Slot, value: &Target, out: &mut Vec<Patch>) {
        let source = self.source(slot.holder);
        let part = &source.parts(slot.holder.node)[slot.index];
        let list = matches!(source.node(slot.holder.node).kind, Kind::List { .. });
        let flow = source.is_flow(slot.holder.node);
        let place = Place { flow, json: self.is_json(slot.holder), column: column(source.text, part.start), item: list };
        let old = source.node(part.value);
        let style = match &old.kind {
            Kind::Scalar { style, .. } if old.span.start < old.span.end => Some(*style),
            _ => None,
        };
        let written = self.written(value, place, style);
        let start = old.props.map_or(old.span.start, |props| props.start.min(old.span.start));
        let end = old.span.end.max(old.props.map_or(0, |props| props.end));
        if start >= end {
            let colon = if part.colon { "" } else { ":" };
            let head = if written.head.is_empty() { String::new() } else { format!(" {}", written.head) };
            out.push(Patch::new(part.after, part.after, format!("{colon}{head}")));
            return self.insert_body(source.text, part.after, written.body, out);
        }
        match &old.kind {
            Kind::Scalar { style: ScalarStyle::Literal | ScalarStyle::Folded, .. } => {
                let raw = &source.text[old.span.start..end];
                let head = old.span.start + raw.find([' ', '\t', '\n', '\r', '#']).unwrap_or(raw.len());
                self.replace_head(source.text, part.after, start, head, &written.head, out);
                let lines = next_line(source.text, head);
                let last = if head == end { lines } else { next_line(source.text, end) };
                self.replace_body(source.text, lines, last.max(lines), written.body, out);
            }
            Kind::List { flow: false, .. } | Kind::Record { flow: false, .. } if self.stands_below(slot) => {
                if !written.head.is_empty() {
                    out.push(Patch::new(part.after, part.after, format!(" {}", written.head)));
                }
                let lines = next_line(source.text, part.after);
                self.replace_body(source.text, lines, next_line(source.text, end), written.body, out);
            }
            _ => {
                self.replace_head(source.text, part.after, start, end, &written.head, out);
                self.insert_body(source.text, end, written.body, out);
            }
        }
    }

    fn replace_head(&self, text: &str, after: usize, start: usize, end: usize, head: &str, out: &mut Vec<Patch>) {
        // Without a head, the blank before it goes as well.
        let start = if head.is_empty() && text[after..start].trim().is_empty() { after } else { start };
        out.push(Patch::new(start, end, head));
    }

    /// Inserts lines below the line of `at`.
    fn insert_body(&self, text: &str, at: usize, body: String, out: &mut Vec<Patch>) {
        if !body.is_empty() {
            out.push(self.insertion(text, next_line(text, at), body));
        }
    }

    fn replace_body(&self, text: &str, start: usize, end: usize, mut body: String, out: &mut Vec<Patch>) {
        let open_end = end == text.len() && super::break_before(text, end) == 0;
        if start == end {
            if !body.is_empty() {
                out.push(self.insertion(text, start, body));
            }
            return;
        }
        if open_end {
            body.truncate(body.strip_suffix(self.newline).map_or(body.len(), str::len));
        }
        out.push(Patch::new(start, end, body));
    }

    /// A value in writing.
    pub(super) fn written(&self, value: &Target, place: Place, style: Option<ScalarStyle>) -> Written {
        if value.shape(self.sources) == Shape::Scalar {
            return self.written_scalar(value, place, style);
        }
        if place.flow {
            return Written::head(self.flow_text(value, place, false));
        }
        let list = value.shape(self.sources) == Shape::List;
        let mut opened = value.clone();
        let parts = opened.parts_mut(self.sources).map(std::mem::take).unwrap_or_default();
        if parts.is_empty() {
            return Written::head(if list { "[]" } else { "{}" });
        }
        if let Some(raw) = self.raw_flow(value, place) {
            return Written::head(raw);
        }
        let column =
            if place.item { place.column + 2 } else { place.column + if list { self.style.dashes } else { self.style.indent } };
        let body = self.lines(&parts, column, list);
        let compact = place.item && matches!(body.as_bytes().get(column), Some(byte) if !matches!(byte, b'#' | b' '));
        if compact && body[..column].bytes().all(|b| b == b' ') {
            let end = line_end(&body, 0);
            let rest = end + break_len(&body, end);
            return Written { head: body[column..end].to_owned(), body: body[rest..].to_owned() };
        }
        Written { head: String::new(), body }
    }

    /// True if the value is written with the bytes it has.
    pub(super) fn keeps_bytes(&self, value: &Target, place: Place) -> bool {
        !place.flow && self.raw_flow(value, place).is_some()
    }

    /// A list or record between brackets as it is in its source, with the changes inside.
    fn raw_flow(&self, value: &Target, place: Place) -> Option<String> {
        let has_parts = |o: &Origin| self.source(*o).is_flow(o.node) && !self.source(*o).parts(o.node).is_empty();
        let origin = value.origin().filter(has_parts)?;
        let source = self.source(origin);
        let node = source.node(origin.node);
        let same_shape = matches!(
            (&node.kind, value.shape(self.sources)),
            (Kind::List { .. }, Shape::List) | (Kind::Record { .. }, Shape::Record)
        );
        let bracketed = source.text[node.span.start..].starts_with(['{', '[']);
        if !same_shape || !bracketed || node.props.is_some() {
            return None;
        }
        let mut patches = Vec::new();
        self.inside(value, &mut patches);
        for patch in &mut patches {
            patch.span.start = patch.span.start.checked_sub(node.span.start)?;
            patch.span.end = patch.span.end.checked_sub(node.span.start)?;
        }
        let raw = &source.text[node.span.start..node.span.end];
        let text = apply(raw, &tidy(raw, patches)?)?;
        let from = Self::indentation(source.text, node.span.start);
        let end = line_end(&text, 0);
        Some(format!("{}{}", &text[..end], self.moved(&text[end..], from, place.column)))
    }

    fn written_scalar(&self, value: &Target, place: Place, style: Option<ScalarStyle>) -> Written {
        let (scalar, origin) = match value {
            Target::Kept(origin) => (scalar_of(self.source(*origin), origin.node), Some(*origin)),
            Target::Made { origin, body: Body::Scalar(scalar) } => (Some(scalar.clone()), *origin),
            Target::Made { .. } => (None, None),
        };
        if let (Target::Kept(origin), false) = (value, place.json)
            && let Some(raw) = self.raw_scalar(*origin, place)
        {
            return raw;
        }
        // Not a text but an alias, which refers to nothing once it is moved.
        let Some(scalar) = scalar else { return Written::head(origin.map_or("null", |o| self.slice(o))) };
        let own = origin.and_then(|o| match &self.source(o).node(o.node).kind {
            Kind::Scalar { style, body, .. } if body.start < body.end => Some(*style),
            _ => None,
        });
        self.scalar(&scalar, own.or(style), place)
    }

    fn slice(&self, origin: Origin) -> &str {
        let span = self.source(origin).node(origin.node).span;
        &self.text(origin)[span.start..span.end]
    }

    /// A scalar as it stands in its source, if it can stand so in this place.
    fn raw_scalar(&self, origin: Origin, place: Place) -> Option<Written> {
        let source = self.source(origin);
        let Kind::Scalar { text, style, .. } = &source.node(origin.node).kind else { return None };
        let raw = self.slice(origin);
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let head = &raw[..line_end(raw, 0)];
                let head = head[..head.find([' ', '\t', '#']).unwrap_or(head.len())].trim_end();
                let lines = next_line(source.text, source.node(origin.node).span.start);
                let body = source.text.get(lines..next_line(source.text, source.node(origin.node).span.end))?;
                if place.flow || head.contains(|c: char| c.is_ascii_digit()) || text.is_empty() || text.starts_with('\n') {
                    return None;
                }
                let from = body.len() - body.trim_start_matches(' ').len();
                let mut body = self.moved(body, from, place.column + self.style.indent.max(1));
                if super::break_before(&body, body.len()) == 0 {
                    body.push_str(self.newline);
                }
                Some(Written { head: head.to_owned(), body })
            }
            _ if raw.is_empty() && (place.flow || place.item) => Some(Written::head("null")),
            ScalarStyle::Plain if raw.contains(['\n', '\r']) => None,
            ScalarStyle::Plain => {
                let fits = !place.flow || is_plain(text, true) || !matches!(source.meaning(origin.node), Some(Meaning::Text(_)));
                fits.then(|| Written::head(raw))
            }
            _ => (!raw.contains(['\n', '\r'])).then(|| Written::head(raw)),
        }
    }
}
