//! What the server knows, and how it answers each message.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use engine::catalogue;
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionParams, CodeActionProviderCapability, CompletionOptions, CompletionParams,
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DocumentFormattingParams,
    DocumentSymbolParams, GotoDefinitionParams, HoverParams, HoverProviderCapability, InitializeResult, OneOf,
    PositionEncodingKind, PublishDiagnosticsParams, ReferenceParams, RenameOptions, RenameParams, ServerCapabilities, ServerInfo,
    TextDocumentPositionParams, TextDocumentSyncCapability, TextDocumentSyncKind, Uri,
};
use recipe::{Catalogue, assist::Neighbour};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{answers, document::Document, neighbours, problems};

/// So many texts are kept open.
const DOCUMENTS_MAX: usize = 500;

/// What comes of a message.
#[derive(Debug)]
pub(super) enum Next {
    Send(Vec<Message>),
    Exit(ExitCode),
}

#[derive(Debug, PartialEq, Eq)]
enum Life {
    /// Not initialized yet.
    New,
    Running,
    /// Asked to shut down; only `exit` may follow.
    Ending,
}

/// The open texts, and what recipes are held against.
#[derive(Debug)]
pub(super) struct Server {
    life: Life,
    catalogue: Catalogue,
    documents: BTreeMap<String, Document>,
    /// Where each code is explained.
    page: Option<String>,
}

type Failure = (ErrorCode, String);

impl Server {
    pub(super) fn new(page: Option<String>) -> Self {
        let catalogue = catalogue::of(&crate::declared::here());
        Self { life: Life::New, catalogue, documents: BTreeMap::new(), page }
    }

    pub(super) fn handle(&mut self, message: Message) -> Next {
        match message {
            Message::Request(request) => Next::Send(vec![self.request(request).into()]),
            Message::Notification(note) if note.method == "exit" => {
                Next::Exit(if self.life == Life::Ending { ExitCode::SUCCESS } else { ExitCode::from(super::super::FAILED) })
            }
            Message::Notification(note) => Next::Send(self.notification(note)),
            // Nothing is asked of the client.
            Message::Response(_) => Next::Send(Vec::new()),
        }
    }

    /// True if some open text was not looked at since its last change.
    pub(super) fn has_unchecked(&self) -> bool {
        self.documents.values().any(|document| document.problems.is_none())
    }

    /// Looks at one text that has changed; its problems for the editor.
    pub(super) fn look_for_problems(&mut self) -> Vec<Message> {
        let Self { documents, catalogue, page, .. } = self;
        let Some((uri, document)) = documents.iter_mut().find(|(_, document)| document.problems.is_none()) else {
            return Vec::new();
        };
        check(document, catalogue);
        let problems = document.problems.as_deref().unwrap_or_default();
        let shown = problems.iter().map(|problem| problems::shown(document, problem, page.as_deref())).collect();
        published(uri, shown, Some(document.version))
    }

    fn request(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        // A mistake of ours must not end the session.
        let answer = catch_unwind(AssertUnwindSafe(|| self.answer(&method, params)))
            .unwrap_or_else(|_| Err((ErrorCode::InternalError, format!("{method} met a mistake of Liaison itself"))));
        answered(id, answer)
    }

    fn answer(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        match (&self.life, method) {
            (Life::New, "initialize") => {
                self.life = Life::Running;
                return made(initialized());
            }
            (Life::New, _) => return Err((ErrorCode::ServerNotInitialized, "the first request is initialize".to_owned())),
            (Life::Running, "initialize") => {
                return Err((ErrorCode::InvalidRequest, "the session is initialized already".to_owned()));
            }
            (Life::Running, "shutdown") => {
                self.life = Life::Ending;
                return Ok(Value::Null);
            }
            (Life::Ending, _) => return Err((ErrorCode::InvalidRequest, "the session is shutting down".to_owned())),
            (Life::Running, _) => {}
        }
        match method {
            "textDocument/completion" => {
                let at = read::<CompletionParams>(params)?.text_document_position;
                // What is open counts as it stands there, whatever the file says.
                let open: Vec<Neighbour> = self.documents.values().filter_map(|open| Neighbour::of(&open.text)).collect();
                self.at(&at, |uri, document, catalogue| {
                    let all = || neighbours::beside(uri, open.clone());
                    made(answers::completion(document, at.position, catalogue, &all))
                })
            }
            "textDocument/hover" => {
                let at = read::<HoverParams>(params)?.text_document_position_params;
                self.at(&at, |_, document, catalogue| {
                    let problems = document.problems.as_deref().unwrap_or_default();
                    made(answers::hover(document, problems, at.position, catalogue))
                })
            }
            "textDocument/definition" => {
                let at = read::<GotoDefinitionParams>(params)?.text_document_position_params;
                self.at(&at, |uri, document, catalogue| made(answers::definition(uri, document, at.position, catalogue)))
            }
            "textDocument/references" => {
                let ReferenceParams { text_document_position: at, context, .. } = read(params)?;
                let declaration = context.include_declaration;
                self.at(&at, |uri, document, catalogue| {
                    made(answers::references(uri, document, at.position, declaration, catalogue))
                })
            }
            "textDocument/prepareRename" => {
                let at: TextDocumentPositionParams = read(params)?;
                self.at(&at, |_, document, catalogue| made(answers::prepare_rename(document, at.position, catalogue)))
            }
            "textDocument/rename" => {
                let RenameParams { text_document_position: at, new_name, .. } = read(params)?;
                self.at(&at, |uri, document, catalogue| {
                    let edit = answers::rename(uri, document, at.position, &new_name, catalogue);
                    made(edit.map_err(|why| (ErrorCode::RequestFailed, why))?)
                })
            }
            "textDocument/documentSymbol" => {
                let uri = read::<DocumentSymbolParams>(params)?.text_document.uri;
                self.of(&uri, |document, _| made(answers::symbols(document)))
            }
            "textDocument/formatting" => {
                let uri = read::<DocumentFormattingParams>(params)?.text_document.uri;
                self.of(&uri, |document, _| made(answers::formatted(document).map_err(|why| (ErrorCode::RequestFailed, why))?))
            }
            "textDocument/codeAction" => {
                let CodeActionParams { text_document, range, .. } = read(params)?;
                let page = self.page.clone();
                self.of(&text_document.uri, |document, catalogue| {
                    check(document, catalogue);
                    let problems = document.problems.as_deref().unwrap_or_default();
                    made(problems::actions(&text_document.uri, document, problems, range, page.as_deref()))
                })
            }
            _ => Err((ErrorCode::MethodNotFound, format!("{method} is not offered"))),
        }
    }

    /// Answers about a place of an open recipe; null about anything else.
    fn at(
        &mut self,
        at: &TextDocumentPositionParams,
        answer: impl FnOnce(&Uri, &Document, &Catalogue) -> Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        self.of(&at.text_document.uri, |document, catalogue| answer(&at.text_document.uri, document, catalogue))
    }

    fn of(
        &mut self,
        uri: &Uri,
        answer: impl FnOnce(&mut Document, &Catalogue) -> Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        match self.documents.get_mut(uri.as_str()).filter(|document| document.is_recipe) {
            Some(document) => answer(document, &self.catalogue),
            None => Ok(Value::Null),
        }
    }

    /// A notification has no answer, so one that cannot be read is passed over.
    fn notification(&mut self, note: Notification) -> Vec<Message> {
        if self.life != Life::Running {
            return Vec::new();
        }
        match note.method.as_str() {
            "textDocument/didOpen" => {
                if let Ok(DidOpenTextDocumentParams { text_document: open }) = read(note.params)
                    && (self.documents.len() < DOCUMENTS_MAX || self.documents.contains_key(open.uri.as_str()))
                {
                    let is_recipe = is_recipe(open.uri.as_str(), &open.language_id, &open.text);
                    self.documents.insert(open.uri.to_string(), Document::new(open.text, open.version, is_recipe));
                }
            }
            "textDocument/didChange" => {
                if let Ok(DidChangeTextDocumentParams { text_document, content_changes }) = read(note.params)
                    && let Some(document) = self.documents.get_mut(text_document.uri.as_str())
                    // One that is not newer was made already.
                    && text_document.version > document.version
                {
                    content_changes.into_iter().for_each(|change| document.change(change));
                    document.version = text_document.version;
                }
            }
            "textDocument/didClose" => {
                if let Ok(DidCloseTextDocumentParams { text_document }) = read(note.params)
                    && self.documents.remove(text_document.uri.as_str()).is_some()
                {
                    return published(text_document.uri.as_str(), Vec::new(), None);
                }
            }
            _ => {}
        }
        Vec::new()
    }
}

/// Finds the problems of a text, unless they are known.
fn check(document: &mut Document, catalogue: &Catalogue) {
    if document.problems.is_none() {
        let found = || recipe::parse_and_check(document.text.as_bytes(), catalogue).diagnostics;
        let found = if document.is_recipe { catch_unwind(AssertUnwindSafe(found)).unwrap_or_default() } else { Vec::new() };
        document.problems = Some(found);
    }
}

/// Editors send every YAML file; only recipes are looked at.
fn is_recipe(uri: &str, language: &str, text: &str) -> bool {
    [".recipe.yaml", ".recipe.yml", ".recipe.json"].iter().any(|end| uri.ends_with(end))
        || language.contains("liaison")
        || text.lines().take(100).any(|line| line.starts_with("liaison:"))
}

fn published(uri: &str, diagnostics: Vec<lsp_types::Diagnostic>, version: Option<i32>) -> Vec<Message> {
    let Ok(uri) = uri.parse() else { return Vec::new() };
    let params = PublishDiagnosticsParams { uri, diagnostics, version };
    vec![Notification::new("textDocument/publishDiagnostics".to_owned(), params).into()]
}

fn initialized() -> InitializeResult {
    let triggers = [".", ":", " ", "{", "\"", "'", "["].map(str::to_owned).to_vec();
    InitializeResult {
        capabilities: ServerCapabilities {
            position_encoding: Some(PositionEncodingKind::UTF16),
            text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::INCREMENTAL)),
            completion_provider: Some(CompletionOptions { trigger_characters: Some(triggers), ..CompletionOptions::default() }),
            hover_provider: Some(HoverProviderCapability::Simple(true)),
            definition_provider: Some(OneOf::Left(true)),
            references_provider: Some(OneOf::Left(true)),
            document_symbol_provider: Some(OneOf::Left(true)),
            document_formatting_provider: Some(OneOf::Left(true)),
            rename_provider: Some(OneOf::Right(RenameOptions {
                prepare_provider: Some(true),
                work_done_progress_options: Default::default(),
            })),
            code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
                code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
                ..CodeActionOptions::default()
            })),
            ..ServerCapabilities::default()
        },
        server_info: Some(ServerInfo { name: "liaison".to_owned(), version: Some(env!("CARGO_PKG_VERSION").to_owned()) }),
    }
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
    serde_json::from_value(params).map_err(|error| (ErrorCode::InvalidParams, error.to_string()))
}

fn made(answer: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|error| (ErrorCode::InternalError, error.to_string()))
}

fn answered(id: RequestId, answer: Result<Value, Failure>) -> Response {
    match answer {
        Ok(value) => Response::new_ok(id, value),
        Err((code, message)) => Response::new_err(id, code as i32, message),
    }
}
