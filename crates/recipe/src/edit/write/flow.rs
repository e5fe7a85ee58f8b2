//! Lists and records written between brackets, JSON among them.

use super::groups::{Group, groups, stays};
use super::region::lead;
use super::{Place, Writer, scalar};
use crate::edit::lines::{column, line_end, line_start, next_line, skip};
use crate::edit::patch::{Patch, apply, tidy};
use crate::edit::target::{Origin, Part, Shape, Slot, Target};
use crate::edit::tree::{Kind, Source};

impl Writer<'_, '_> {
    /// Patches a list or record between brackets that has parts and keeps or gets some.
    pub(super) fn patch_flow(&self, holder: Origin, parts: &[Part], out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let stays = stays(holder, parts);
        for (part, index) in parts.iter().zip(&stays).filter_map(|(part, stay)| Some((part, (*stay)?))) {
            self.patch_part(Slot { holder, index }, part, out);
        }
        let record = matches!(source.node(holder.node).kind, Kind::Record { .. });
        let first = source.parts(holder.node).first().map_or(0, |part| part.start);
        let place =
            Place { flow: true, json: self.is_json(holder), column: Self::indentation(source.text, first), item: !record };
        for group in groups(source.parts(holder.node).len(), parts, &stays) {
            let new: Vec<_> = group.new.iter().map(|part| self.flow_part(part, place, false)).collect();
            match (new.is_empty(), group.gone.is_empty()) {
                (true, _) => self.remove_flow(holder, &group, out),
                (false, true) => self.insert_flow(holder, &group, &new, out),
                (false, false) => {
                    self.replace_flow(holder, &group, new.join(", "), out);
                }
            }
        }
    }

    /// True if the quotes of JSON are used in this list or record.
    pub(super) fn is_json(&self, holder: Origin) -> bool {
        let source = self.source(holder);
        let mut node = Some(holder.node);
        while let Some(at) = node.filter(|at| source.is_flow(*at)) {
            if let Kind::Record { parts, .. } = &source.node(at).kind
                && let Some(first) = parts.first()
            {
                return source.text[first.key_span.start..].starts_with('"');
            }
            node = source.node(at).parent.map(|(holder, _)| holder);
        }
        false
    }

    /// A value between brackets. `told`: its comments stand above already.
    pub(super) fn flow_text(&self, value: &Target, place: Place, told: bool) -> String {
        let shape = value.shape(self.sources);
        if shape == Shape::Scalar {
            return self.written(value, Place { flow: true, ..place }, None).head;
        }
        let mut opened = value.clone();
        let parts = opened.parts_mut(self.sources).map(std::mem::take).unwrap_or_default();
        let place = Place { flow: true, item: shape == Shape::List, ..place };
        let parts: Vec<_> = parts.iter().map(|part| self.flow_part(part, place, told)).collect();
        let padded = self.style.padded && !place.json && !parts.is_empty();
        match (shape, padded) {
            (Shape::List, _) => format!("[{}]", parts.join(", ")),
            (_, true) => format!("{{ {} }}", parts.join(", ")),
            (_, false) => format!("{{{}}}", parts.join(", ")),
        }
    }

    fn flow_part(&self, part: &Part, place: Place, told: bool) -> String {
        let carried = part.slot.and_then(|slot| self.carried_flow(slot, part, place));
        let carried = carried.filter(|text| !told || !text.contains('#'));
        let comments =
            part.slot.filter(|_| !place.json && !told).map(|slot| self.comments(slot, carried.is_some())).unwrap_or_default();
        let text = carried.unwrap_or_else(|| {
            let value = self.flow_text(&part.value, place, told || part.slot.is_some());
            if place.item { value } else { format!("{}: {value}", scalar::key(&part.key, place.json)) }
        });
        if comments.is_empty() {
            return text;
        }
        // Comments end their line, so they and what they belong to take lines of their own.
        let indent = format!("{}{}", self.newline, Self::spaces(place.column));
        let above: String = comments.iter().map(|comment| format!("{indent}{comment}")).collect();
        format!("{above}{indent}{text}")
    }

    /// The comments of a part that goes to where its lines cannot go; without those inside it, if
    /// its bytes go.
    pub(super) fn comments(&self, slot: Slot, bytes_go: bool) -> Vec<String> {
        let source = self.source(slot.holder);
        let part = &source.parts(slot.holder.node)[slot.index];
        let (start, end) = if source.is_block(slot.holder.node) {
            let region = self.region(slot.holder, slot.index);
            (region.start, region.end)
        } else {
            let (start, own_line) = Self::flow_start(source, slot.holder, slot.index);
            if own_line { (start, Self::flow_end(source, slot.holder, slot.index)) } else { (part.start, source.part_end(part)) }
        };
        let inside = |at: usize| bytes_go && part.start <= at && at < source.part_end(part);
        if !source.text[start..end].contains('#') {
            return Vec::new();
        }
        let comments = source.comments(start, end).into_iter().filter(|span| !inside(span.start));
        comments.map(|span| source.text[span.start..span.end].to_owned()).collect()
    }

    /// A part as it is in its source, with the changes inside it.
    fn carried_flow(&self, slot: Slot, part: &Part, place: Place) -> Option<String> {
        let source = self.source(slot.holder);
        let list = matches!(source.node(slot.holder.node).kind, Kind::List { .. });
        if !source.is_flow(slot.holder.node) || list != place.item || self.is_json(slot.holder) != place.json {
            return None;
        }
        let old = &source.parts(slot.holder.node)[slot.index];
        let mut patches = Vec::new();
        self.patch_part(slot, part, &mut patches);
        for patch in &mut patches {
            patch.span.start = patch.span.start.checked_sub(old.start)?;
            patch.span.end = patch.span.end.checked_sub(old.start)?;
        }
        let raw = source.text.get(old.start..source.part_end(old))?;
        let text = apply(raw, &tidy(raw, patches)?)?;
        let end = line_end(&text, 0);
        let from = Self::indentation(source.text, old.start);
        Some(format!("{}{}", &text[..end], self.moved(&text[end..], from, place.column)))
    }

    /// Where a part begins, with the comments above it if it begins a line.
    fn flow_start(source: &Source<'_>, holder: Origin, index: usize) -> (usize, bool) {
        let parts = source.parts(holder.node);
        let start = parts[index].start;
        if !Self::begins_line(source.text, start) {
            return (start, false);
        }
        let before = index.checked_sub(1).map_or(source.node(holder.node).span.start, |at| source.part_end(&parts[at]));
        (lead(source.text, line_start(source.text, start), next_line(source.text, before)), true)
    }

    /// The comma behind a part.
    fn comma(source: &Source<'_>, holder: Origin, index: usize) -> Option<usize> {
        let end = source.part_end(&source.parts(holder.node)[index]);
        let at = skip(source.text, end, false);
        source.text[at..].starts_with(',').then_some(at)
    }

    /// Where the line of a part ends, its comma and the comment beside included.
    fn flow_end(source: &Source<'_>, holder: Origin, index: usize) -> usize {
        let end = source.part_end(&source.parts(holder.node)[index]);
        let comma = Self::comma(source, holder, index).filter(|comma| line_start(source.text, *comma) <= end);
        let at = comma.map_or(end, |comma| comma + 1);
        let rest = source.text[at..line_end(source.text, at)].trim_start_matches([' ', '\t']);
        if rest.starts_with('#') || rest.is_empty() { line_end(source.text, at) } else { at }
    }

    /// Puts parts in the place of others, whose comments go with them.
    fn replace_flow(&self, holder: Origin, group: &Group<'_>, text: String, out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let parts = source.parts(holder.node);
        let (first, last) = (group.gone.start, group.gone.end - 1);
        let (start, own_line) = Self::flow_start(source, holder, first);
        let end = source.part_end(&parts[last]);
        if own_line {
            out.push(Patch::new(start, line_start(source.text, parts[first].start), ""));
        }
        out.push(Patch::new(parts[first].start, end, text));
        if Self::begins_line(source.text, parts[last].start) {
            let comma = Self::comma(source, holder, last).map_or(end, |comma| comma + 1);
            out.push(Patch::new(comma, Self::flow_end(source, holder, last).max(comma), ""));
        }
    }

    fn remove_flow(&self, holder: Origin, group: &Group<'_>, out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let parts = source.parts(holder.node);
        let (first, last) = (group.gone.start, group.gone.end - 1);
        let (start, own_line) = Self::flow_start(source, holder, first);
        let Some(before) = group.before else {
            return self.remove_flow_tail(holder, group, start, own_line, out);
        };
        let (next, next_own_line) = Self::flow_start(source, holder, before);
        if own_line == next_own_line {
            out.push(Patch::new(start, next, ""));
        } else if own_line {
            out.push(Patch::new(parts[first].start, parts[before].start, ""));
        } else {
            let from = match group.after {
                Some(after) => Self::comma(source, holder, after).map_or(start, |comma| comma + 1),
                None => start,
            };
            // A comment beside several parts is not that of the last.
            let end = Self::comma(source, holder, last).map_or(source.part_end(&parts[last]), |comma| comma + 1);
            out.push(Patch::new(from.min(start), end, ""));
        }
    }

    /// Removes the last parts, and the comma before them unless one follows them.
    fn remove_flow_tail(&self, holder: Origin, group: &Group<'_>, start: usize, own_line: bool, out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let parts = source.parts(holder.node);
        let last = group.gone.end - 1;
        let end = source.part_end(&parts[last]);
        let Some(after) = group.after else { return };
        let before = source.part_end(&parts[after]);
        if !own_line || !Self::has_comment(source.text, before, parts[group.gone.start].start) {
            if !own_line {
                return out.push(Patch::new(before, end, ""));
            }
            let trailing = Self::comma(source, holder, last).is_some();
            let to = if trailing { end } else { Self::flow_end(source, holder, last) };
            return out.push(Patch::new(before, to, ""));
        }
        // The comment beside the part before stays.
        if let (Some(comma), None) = (Self::comma(source, holder, after), Self::comma(source, holder, last)) {
            out.push(Patch::new(comma, comma + 1, ""));
        }
        let to = Self::flow_end(source, holder, last);
        // The closing bracket may stand behind.
        let to = if line_end(source.text, to) == to { next_line(source.text, to) } else { to };
        out.push(Patch::new(start, to, ""));
    }

    fn insert_flow(&self, holder: Origin, group: &Group<'_>, new: &[String], out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let parts = source.parts(holder.node);
        let Some(after) = group.after else {
            let Some(before) = group.before else { return };
            let (start, own_line) = Self::flow_start(source, holder, before);
            if own_line {
                let indent = Self::spaces(column(source.text, parts[before].start));
                let text =
                    |text: &String| text.strip_prefix(self.newline).map_or_else(|| format!("{indent}{text}"), str::to_owned);
                let lines: String = new.iter().map(|new| format!("{},{}", text(new), self.newline)).collect();
                return out.push(Patch::new(start, start, lines));
            }
            return out.push(Patch::new(start, start, format!("{}, ", new.join(", "))));
        };
        let end = source.part_end(&parts[after]);
        // One part a line, if it is so here.
        let in_lines = Self::begins_line(source.text, parts[after].start) && {
            let next = group.before.map_or(source.node(holder.node).span.end - 1, |before| parts[before].start);
            line_start(source.text, next) > end
        };
        if !in_lines {
            return out.push(Patch::new(end, end, format!(", {}", new.join(", "))));
        }
        let indent = format!("{}{}", self.newline, Self::spaces(column(source.text, parts[after].start)));
        let comma = Self::comma(source, holder, after);
        if comma.is_none() {
            out.push(Patch::new(end, end, ","));
        }
        let line = |text: &String| if text.starts_with(self.newline) { text.clone() } else { format!("{indent}{text}") };
        let mut lines = new.iter().map(line).collect::<Vec<_>>().join(",");
        if comma.is_some() {
            lines.push(',');
        }
        let at = Self::flow_end(source, holder, after);
        out.push(Patch::new(at, at, lines));
    }
}
