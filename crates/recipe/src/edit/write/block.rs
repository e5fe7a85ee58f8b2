//! Lists and records written in lines.

use super::groups::{Group, groups, stays};
use super::region::{Region, blanks_above, blanks_below};
use super::{Place, Writer, break_before};
use crate::edit::lines::{column, line_end, line_start, newline, shift, skip, with_breaks};
use crate::edit::patch::{Patch, apply, tidy};
use crate::edit::target::{Origin, Part, Slot};
use crate::edit::tree::Kind;

impl Writer<'_, '_> {
    /// Patches a list or record written in lines that has parts and keeps or gets some.
    pub(super) fn patch_block(&self, holder: Origin, parts: &[Part], out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let old = source.parts(holder.node);
        let Some(first) = old.first() else { return };
        let list = matches!(source.node(holder.node).kind, Kind::List { .. });
        let column = column(source.text, first.start);
        let stays = stays(holder, parts);
        for (part, index) in parts.iter().zip(&stays).filter_map(|(part, stay)| Some((part, (*stay)?))) {
            match part.like.and_then(|like| self.carried(like, part, column, list)) {
                Some(lines) => self.rewrite(holder, index, lines, out),
                None => self.patch_part(Slot { holder, index }, part, out),
            }
        }
        for group in groups(old.len(), parts, &stays) {
            let lines: Vec<_> = group.new.iter().map(|part| self.part_lines(part, column, list)).collect();
            let blanks = self.separation(holder, &group, list, &lines);
            let mut text = String::new();
            for (part, (at, lines)) in group.new.iter().zip(lines.iter().enumerate()) {
                if at > 0 {
                    text.push_str(&self.between(part, blanks, column));
                }
                text.push_str(lines);
            }
            match (group.new.is_empty(), group.gone.is_empty()) {
                (true, _) => self.remove_lines(holder, &group, out),
                (false, true) => self.insert_lines(holder, &group, &text, blanks, out),
                (false, false) => self.replace_lines(holder, &group, text, out),
            }
        }
    }

    /// What stands before a part that is written behind another one.
    fn between(&self, part: &Part, blanks: usize, column: usize) -> String {
        match part.slot.filter(|_| part.joined).and_then(|slot| self.gap(slot, column)) {
            Some(gap) => gap,
            None => self.newline.repeat(blanks),
        }
    }

    /// The lines between a part and the one before, moved to a column.
    fn gap(&self, slot: Slot, column_to: usize) -> Option<String> {
        let before = self.region(slot.holder, slot.index.checked_sub(1)?);
        let region = self.region(slot.holder, slot.index);
        let source = self.source(slot.holder);
        let gap = source.text.get(before.end..region.start)?;
        let from = column(source.text, source.parts(slot.holder.node)[slot.index].start);
        Some(self.moved(gap, from, column_to))
    }

    /// Lines moved from one column to another, broken as the text is.
    pub(super) fn moved(&self, lines: &str, from: usize, to: usize) -> String {
        let shifted = shift(lines, to.cast_signed() - from.cast_signed());
        if newline(&shifted) == self.newline { shifted } else { with_breaks(&shifted, self.newline) }
    }

    /// How many blank lines keep what is new apart from its neighbours.
    fn separation(&self, holder: Origin, group: &Group<'_>, list: bool, lines: &[String]) -> usize {
        let count = self.source(holder).parts(holder.node).len();
        // As here, or as at the nearest place where two parts meet.
        let meeting = match (group.after, group.before) {
            (Some(after), Some(_)) => Some(after),
            (Some(after), None) => after.checked_sub(1),
            (None, before) => before.or(Some(0)).filter(|before| before + 1 < count),
        };
        let Some(meeting) = meeting.filter(|_| !self.careful) else { return 0 };
        let (blanks, _) = blanks_below(self.text(holder), self.region(holder, meeting).end);
        // A short entry stands close to what is above it; only blocks are set apart.
        let short = |lines: &String| line_end(lines, 0) + 2 >= lines.len();
        if list || !lines.iter().all(short) { blanks } else { 0 }
    }

    fn insert_lines(&self, holder: Origin, group: &Group<'_>, text: &str, blanks: usize, out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let gap = self.newline.repeat(blanks);
        if let Some(after) = group.after {
            let at = self.region(holder, after).end;
            out.push(self.insertion(source.text, at, format!("{gap}{text}")));
        } else if let Some(before) = group.before {
            let region = self.region(holder, before);
            if region.inline {
                let start = source.parts(holder.node)[before].start;
                let indent = Self::spaces(column(source.text, start));
                out.push(Patch::new(start, start, format!("{}{gap}{indent}", text.trim_start_matches(' '))));
            } else {
                out.push(Patch::new(region.start, region.start, format!("{text}{gap}")));
            }
        }
    }

    /// Inserts whole lines at the beginning of a line, or behind a last line that is not broken.
    pub(super) fn insertion(&self, text: &str, at: usize, lines: String) -> Patch {
        if at == text.len() && at > 0 && break_before(text, at) == 0 && !lines.is_empty() {
            let lines = lines.strip_suffix(self.newline).unwrap_or(&lines);
            return Patch::new(at, at, format!("{}{lines}", self.newline));
        }
        Patch::new(at, at, lines)
    }

    fn replace_lines(&self, holder: Origin, group: &Group<'_>, text: String, out: &mut Vec<Patch>) {
        let first = group.gone.start;
        self.rewrite(holder, first, text, out);
        let rest = Group { after: Some(first), before: group.before, gone: first + 1..group.gone.end, new: Vec::new() };
        self.remove_lines(holder, &rest, out);
    }

    /// Puts whole lines in the place of a part.
    fn rewrite(&self, holder: Origin, index: usize, text: String, out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let region = self.region(holder, index);
        let mut text = if region.inline { text.trim_start_matches(' ').to_owned() } else { text };
        if region.end == source.text.len() && break_before(source.text, region.end) == 0 {
            text.truncate(text.strip_suffix(self.newline).map_or(text.len(), str::len));
        }
        out.push(Patch::new(region.start, region.end, text));
    }

    /// Removes every part; what stands alone between them stays.
    pub(super) fn remove_all(&self, holder: Origin, out: &mut Vec<Patch>) {
        let count = self.source(holder).parts(holder.node).len();
        self.remove_lines(holder, &Group { after: None, before: None, gone: 0..count, new: Vec::new() }, out);
    }

    fn remove_lines(&self, holder: Origin, group: &Group<'_>, out: &mut Vec<Patch>) {
        let source = self.source(holder);
        let text = source.text;
        let mut gone = group.gone.clone();
        let Some(first) = gone.clone().next() else { return };
        let mut bound = group.after.map_or(0, |after| self.region(holder, after).end);
        if self.region(holder, first).inline {
            bound = self.remove_inline(holder, group, out);
            gone.start += 1;
        }
        for index in gone {
            let mut region = self.region(holder, index);
            if region.start < bound {
                continue;
            }
            if self.joined.contains(&Slot { holder, index }) {
                region.start = bound;
            }
            let (above, start) = blanks_above(text, region.start, bound);
            let (below, end) = blanks_below(text, region.end);
            // The larger gap stays between what remains; at the end, the one that follows.
            let last = group.before.is_none() || end == text.len();
            let first = group.after.is_none();
            let below = !last && (first || above >= below);
            let whole = Region { start: if below { region.start } else { start }, ..region };
            let end = if below { end } else { region.end };
            out.push(Patch::new(whole.start, end, ""));
            bound = end;
        }
    }

    /// Removes a first part that stands behind a dash; up to where.
    fn remove_inline(&self, holder: Origin, group: &Group<'_>, out: &mut Vec<Patch>) -> usize {
        let source = self.source(holder);
        let parts = source.parts(holder.node);
        let region = self.region(holder, group.gone.start);
        let Some(before) = group.before else { return region.end };
        let next = self.region(holder, before);
        let start = parts[group.gone.start].start;
        let only_one = group.gone.len() == 1;
        let (_, blank_to) = blanks_below(source.text, region.end);
        if only_one && blank_to == next.start && line_start(source.text, parts[before].start) == next.start {
            // The next part takes the place behind the dash.
            out.push(Patch::new(start, parts[before].start, ""));
            return parts[before].start;
        }
        let end = line_end(source.text, source.part_end(&parts[group.gone.start]));
        let bare = source.text[..start].trim_end_matches(' ').len();
        out.push(Patch::new(bare, end, ""));
        let deeper = crate::edit::lines::next_line(source.text, end);
        if deeper < region.end {
            out.push(Patch::new(deeper, region.end, ""));
        }
        region.end
    }

    /// Patches a part where it stands: its key and its value.
    pub(super) fn patch_part(&self, slot: Slot, part: &Part, out: &mut Vec<Patch>) {
        let source = self.source(slot.holder);
        let old = &source.parts(slot.holder.node)[slot.index];
        if matches!(source.node(slot.holder.node).kind, Kind::Record { .. }) && old.key != part.key {
            let key = super::scalar::key_like(&source.text[old.key_span.start..old.key_span.end], &part.key);
            out.push(Patch::new(old.key_span.start, old.key_span.end, key));
        }
        self.patch_value(slot, &part.value, out);
    }

    /// An item of a list as lines of their own.
    pub(crate) fn alone(&self, part: &Part) -> String {
        self.part_lines(part, 0, true)
    }

    /// An entry of a record as lines of their own.
    pub(crate) fn entry_alone(&self, part: &Part) -> String {
        self.part_lines(part, 0, false)
    }

    /// A part as whole lines at a column, its comments included.
    pub(super) fn part_lines(&self, part: &Part, column_to: usize, list: bool) -> String {
        if let Some(lines) = part.like.or(part.slot).and_then(|slot| self.carried(slot, part, column_to, list)) {
            return lines;
        }
        let place = Place { flow: false, json: false, column: column_to, item: list };
        let written = self.written(&part.value, place, None);
        let mut lines = String::new();
        for comment in part.slot.map(|slot| self.comments(slot, self.keeps_bytes(&part.value, place))).unwrap_or_default() {
            lines.push_str(&format!("{}{comment}{}", Self::spaces(column_to), self.newline));
        }
        lines.push_str(&Self::spaces(column_to));
        if list {
            lines.push('-');
        } else {
            lines.push_str(&super::scalar::key(&part.key, false));
            lines.push(':');
        }
        if !written.head.is_empty() {
            lines.push(' ');
            lines.push_str(&written.head);
        }
        lines.push_str(self.newline);
        lines.push_str(&written.body);
        lines
    }

    /// The lines a part has in its source, with the changes inside it, at another column.
    fn carried(&self, slot: Slot, part: &Part, column_to: usize, list: bool) -> Option<String> {
        let source = self.source(slot.holder);
        let fits = match &source.node(slot.holder.node).kind {
            Kind::List { flow: false, .. } => list,
            Kind::Record { flow: false, .. } => !list,
            _ => false,
        };
        let old = source.parts(slot.holder.node).get(slot.index).filter(|_| fits)?;
        let region = self.region(slot.holder, slot.index);
        let mut patches = Vec::new();
        self.patch_part(slot, part, &mut patches);
        for patch in &mut patches {
            patch.span.start = patch.span.start.checked_sub(region.start)?;
            patch.span.end = patch.span.end.checked_sub(region.start)?;
        }
        let raw = source.text.get(region.start..region.end)?;
        let mut lines = apply(raw, &tidy(raw, patches)?)?;
        if break_before(&lines, lines.len()) == 0 {
            lines.push_str(self.newline);
        }
        let from = column(source.text, old.start);
        if region.inline {
            lines.insert_str(0, &Self::spaces(from));
        } else {
            // A comment above that stands deeper would look like that of the part before.
            let above = line_start(source.text, old.start) - region.start;
            let level = |line: &str| {
                let text = line.trim_start_matches(' ');
                format!("{}{text}", Self::spaces(from.min(line.len() - text.len())))
            };
            let leveled: String = lines[..above].split_inclusive('\n').map(level).collect();
            lines.replace_range(..above, &leveled);
        }
        Some(self.moved(&lines, from, column_to))
    }

    /// Parts as lines at a column.
    pub(super) fn lines(&self, parts: &[Part], column: usize, list: bool) -> String {
        let mut lines = String::new();
        let mut before: Option<Slot> = None;
        for part in parts {
            let follows = part.slot.zip(before).is_some_and(|(slot, before)| {
                slot.holder == before.holder
                    && slot.index == before.index + 1
                    && self.source(slot.holder).is_block(slot.holder.node)
            });
            if follows {
                lines.push_str(&part.slot.and_then(|slot| self.gap(slot, column)).unwrap_or_default());
            }
            lines.push_str(&self.part_lines(part, column, list));
            before = part.slot;
        }
        lines
    }

    /// True if a comment stands within these bytes, which hold no value.
    pub(super) fn has_comment(text: &str, start: usize, end: usize) -> bool {
        skip(text, start, true) >= end && text.get(start..end).is_some_and(|between| between.contains('#'))
    }
}
