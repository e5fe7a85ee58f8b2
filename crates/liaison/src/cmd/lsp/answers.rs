//! What is answered about an open text.

use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionResponse, CompletionTextEdit, DocumentSymbol, DocumentSymbolResponse,
    Documentation, GotoDefinitionResponse, Hover, HoverContents, Location, MarkupContent, MarkupKind, Position,
    PrepareRenameResponse, SymbolKind, TextEdit, Uri, WorkspaceEdit,
};
use recipe::{
    Catalogue, Diagnostic, Span,
    assist::{self, CompletionKind, Neighbour, Outline, OutlineKind},
};

use super::{document::Document, problems};

/// What could stand at a place.
pub(super) fn completion(
    document: &Document,
    position: Position,
    catalogue: &Catalogue,
    neighbours: &dyn Fn() -> Vec<Neighbour>,
) -> CompletionResponse {
    let found = assist::complete_among(&document.text, document.offset(position), catalogue, neighbours);
    let item = |(at, one): (usize, assist::Completion)| CompletionItem {
        kind: Some(match one.kind {
            CompletionKind::Key | CompletionKind::Field => CompletionItemKind::FIELD,
            CompletionKind::Value => CompletionItemKind::ENUM_MEMBER,
            CompletionKind::Connector => CompletionItemKind::MODULE,
            CompletionKind::Action => CompletionItemKind::METHOD,
            CompletionKind::Step => CompletionItemKind::CLASS,
            CompletionKind::Variable => CompletionItemKind::VARIABLE,
            CompletionKind::Function => CompletionItemKind::FUNCTION,
        }),
        detail: one.detail,
        documentation: one.doc.map(|doc| Documentation::MarkupContent(markdown(doc))),
        // Editors sort by letters; the likeliest come first here.
        sort_text: Some(format!("{at:04}")),
        filter_text: Some(one.label.clone()),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit { range: document.range(one.replace), new_text: one.insert })),
        label: one.label,
        ..CompletionItem::default()
    };
    CompletionResponse::Array(found.into_iter().enumerate().map(item).collect())
}

/// Help about a place: what stands there, and what the codes of its problems mean.
pub(super) fn hover(document: &Document, problems: &[Diagnostic], position: Position, catalogue: &Catalogue) -> Option<Hover> {
    let offset = document.offset(position);
    let about = assist::hover(&document.text, offset, catalogue);
    let mut parts: Vec<String> = about.iter().map(|help| help.text.clone()).collect();
    let mut codes: Vec<_> = problems.iter().filter(|p| p.span.start <= offset && offset <= p.span.end).map(|p| p.code).collect();
    codes.dedup();
    for info in codes.iter().filter_map(|code| recipe::codes().iter().find(|info| info.code == *code)) {
        parts.push(format!("**{}: {}**\n\n{}", info.code, info.title, info.explanation));
    }
    let contents = HoverContents::Markup(markdown(parts.join("\n\n---\n\n")));
    (!parts.is_empty()).then(|| Hover { contents, range: about.map(|help| document.range(help.span)) })
}

/// Where the name at a place is declared.
pub(super) fn definition(
    uri: &Uri,
    document: &Document,
    position: Position,
    catalogue: &Catalogue,
) -> Option<GotoDefinitionResponse> {
    let symbol = assist::symbol_at(&document.text, document.offset(position), catalogue)?;
    let range = document.range(symbol.declared?);
    Some(GotoDefinitionResponse::Scalar(Location { uri: uri.clone(), range }))
}

/// Where the name at a place stands.
pub(super) fn references(
    uri: &Uri,
    document: &Document,
    position: Position,
    declaration: bool,
    catalogue: &Catalogue,
) -> Option<Vec<Location>> {
    let symbol = assist::symbol_at(&document.text, document.offset(position), catalogue)?;
    let found = assist::references(&document.text, &symbol, catalogue).into_iter();
    let wanted = found.filter(|span| declaration || Some(*span) != symbol.declared);
    Some(wanted.map(|span| Location { uri: uri.clone(), range: document.range(span) }).collect())
}

/// The name at a place, if it can be renamed.
pub(super) fn prepare_rename(document: &Document, position: Position, catalogue: &Catalogue) -> Option<PrepareRenameResponse> {
    let symbol = assist::symbol_at(&document.text, document.offset(position), catalogue)?;
    let can = symbol.declared.is_some() && symbol.kind != assist::SymbolKind::State;
    can.then(|| PrepareRenameResponse::RangeWithPlaceholder { range: document.range(symbol.span), placeholder: symbol.name })
}

/// Gives the name at a place another one everywhere; a sentence if that cannot be.
pub(super) fn rename(
    uri: &Uri,
    document: &Document,
    position: Position,
    to: &str,
    catalogue: &Catalogue,
) -> Result<WorkspaceEdit, String> {
    let symbol = assist::symbol_at(&document.text, document.offset(position), catalogue)
        .ok_or("Only steps, parameters and connections can be renamed.")?;
    let edited = assist::rename(&document.text, &symbol, to, catalogue)
        .map_err(|error| error.help.map_or_else(|| error.message.clone(), |help| format!("{} {help}", error.message)))?;
    let edit = |patch: recipe::Patch| TextEdit { range: document.range(patch.span), new_text: patch.text };
    Ok(problems::changes(uri, document, edited.patches.into_iter().map(edit).collect()))
}

/// The text in its one layout; a sentence if it cannot be read. Lines at either end that stay are no
/// part of the edit, so that the cursor stays where it is.
pub(super) fn formatted(document: &Document) -> Result<Vec<TextEdit>, String> {
    let old = document.text.as_str();
    let new = recipe::fmt(old).map_err(|error| error.to_string())?;
    if new == old {
        return Ok(Vec::new());
    }
    let same = |pair: &(&str, &str)| pair.0 == pair.1;
    let front: usize =
        old.split_inclusive('\n').zip(new.split_inclusive('\n')).take_while(same).map(|(line, _)| line.len()).sum();
    let (old_rest, new_rest) = (&old[front..], &new[front..]);
    let lines = old_rest.split_inclusive('\n').rev().zip(new_rest.split_inclusive('\n').rev());
    let back: usize = lines.take_while(same).map(|(line, _)| line.len()).sum();
    let range = document.range(Span { start: front, end: old.len() - back });
    Ok(vec![TextEdit { range, new_text: new_rest[..new_rest.len() - back].to_owned() }])
}

/// The outline.
pub(super) fn symbols(document: &Document) -> DocumentSymbolResponse {
    DocumentSymbolResponse::Nested(assist::outline(&document.text).iter().map(|part| symbol(document, part)).collect())
}

fn symbol(document: &Document, part: &Outline) -> DocumentSymbol {
    #[expect(deprecated, reason = "the type has no other way to be made")]
    DocumentSymbol {
        name: part.name.clone(),
        detail: Some(part.detail.clone()).filter(|detail| !detail.is_empty()),
        kind: match part.kind {
            OutlineKind::Block => SymbolKind::NAMESPACE,
            OutlineKind::Declaration => SymbolKind::VARIABLE,
            OutlineKind::Trigger => SymbolKind::EVENT,
            OutlineKind::Step => SymbolKind::METHOD,
            OutlineKind::Branch => SymbolKind::OBJECT,
            OutlineKind::Test => SymbolKind::BOOLEAN,
        },
        range: document.range(Span { start: part.span.start, end: part.span.end.max(part.name_span.end) }),
        selection_range: document.range(part.name_span),
        children: Some(part.inside.iter().map(|inner| symbol(document, inner)).collect()),
        tags: None,
        deprecated: None,
    }
}

fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}
