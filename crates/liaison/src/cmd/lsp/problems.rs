//! Problems as editors show them, and the ready edits they bring.

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeDescription, DiagnosticSeverity, DiagnosticTag, DocumentChanges,
    NumberOrString, OneOf, OptionalVersionedTextDocumentIdentifier, TextDocumentEdit, TextEdit, Uri, WorkspaceEdit,
};
use recipe::{Diagnostic, Severity};

use super::document::Document;

/// What stands there and is never used or never reached is shown faded.
const UNNECESSARY: &[&str] = &["L0307", "L0601", "L0605"];

/// A problem as editors show it.
pub(super) fn shown(document: &Document, problem: &Diagnostic, page: Option<&str>) -> lsp_types::Diagnostic {
    let message = match &problem.help {
        Some(help) => format!("{}\n{help}", problem.message),
        None => problem.message.clone(),
    };
    lsp_types::Diagnostic {
        range: document.range(problem.span),
        severity: Some(match problem.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(problem.code.to_owned())),
        code_description: page.and_then(|page| link(page, problem.code)).map(|href| CodeDescription { href }),
        source: Some("liaison".to_owned()),
        message,
        tags: UNNECESSARY.contains(&problem.code).then(|| vec![DiagnosticTag::UNNECESSARY]),
        ..lsp_types::Diagnostic::default()
    }
}

/// The heading of a code on the page of all of them.
fn link(page: &str, code: &str) -> Option<Uri> {
    let info = recipe::codes().iter().find(|info| info.code == code)?;
    let heading = format!("{} {}", info.code, info.title).to_lowercase();
    let anchor: String = heading
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    format!("{page}#{anchor}").parse().ok()
}

/// The ready edits of the problems in a range.
pub(super) fn actions(
    uri: &Uri,
    document: &Document,
    problems: &[Diagnostic],
    range: lsp_types::Range,
    page: Option<&str>,
) -> Vec<CodeActionOrCommand> {
    let (start, end) = (document.offset(range.start), document.offset(range.end));
    let touches = |problem: &&Diagnostic| problem.span.start <= end && start <= problem.span.end;
    let action = |problem: &Diagnostic| {
        let edit = problem.edit.as_ref()?;
        let change = TextEdit { range: document.range(edit.span), new_text: edit.text.clone() };
        Some(CodeActionOrCommand::CodeAction(CodeAction {
            title: edit.title.clone(),
            kind: Some(CodeActionKind::QUICKFIX),
            diagnostics: Some(vec![shown(document, problem, page)]),
            edit: Some(changes(uri, document, vec![change])),
            is_preferred: Some(true),
            ..CodeAction::default()
        }))
    };
    problems.iter().filter(touches).filter_map(action).collect()
}

/// Edits of one text as it is in this version.
pub(super) fn changes(uri: &Uri, document: &Document, edits: Vec<TextEdit>) -> WorkspaceEdit {
    let text_document = OptionalVersionedTextDocumentIdentifier { uri: uri.clone(), version: Some(document.version) };
    let edits = edits.into_iter().map(OneOf::Left).collect();
    let change = TextDocumentEdit { text_document, edits };
    WorkspaceEdit { document_changes: Some(DocumentChanges::Edits(vec![change])), ..WorkspaceEdit::default() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_link_to_their_heading() {
        let link = super::link("https://example.com/diagnostics.html", "L0005").expect("a link");
        assert_eq!(link.as_str(), "https://example.com/diagnostics.html#l0005-tab-in-indentation");
        assert!(super::link("https://example.com", "L9999").is_none());
    }
}
