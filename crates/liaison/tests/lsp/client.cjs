// An editor in small: the protocol library that VS Code itself uses talks to `liaison lsp`.
// Prints one line for each thing that held; stops at the first that did not.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const {
  createProtocolConnection, StreamMessageReader, StreamMessageWriter, InitializeRequest, InitializedNotification,
  DidOpenTextDocumentNotification, DidChangeTextDocumentNotification, DidCloseTextDocumentNotification,
  PublishDiagnosticsNotification, CompletionRequest, HoverRequest, DefinitionRequest, ReferencesRequest, RenameRequest,
  PrepareRenameRequest, DocumentSymbolRequest, CodeActionRequest, DocumentFormattingRequest, ShutdownRequest,
  ExitNotification, DiagnosticTag, CancellationTokenSource, LSPErrorCodes,
} = require("vscode-languageserver-protocol/node");

const server = spawn(process.argv[2], ["lsp", "--diagnostics-url", "https://example.com/diagnostics"], {
  stdio: ["pipe", "pipe", "inherit"],
});
const exit = new Promise((resolve) => server.on("exit", resolve));
const editor = createProtocolConnection(new StreamMessageReader(server.stdout), new StreamMessageWriter(server.stdin));
const held = (what) => console.log(`held: ${what}`);

/// The problems told last of each text, and who waits for the next.
const told = new Map();
const waiting = [];
editor.onNotification(PublishDiagnosticsNotification.type, (params) => {
  told.set(params.uri, params);
  for (const one of waiting.splice(0)) one();
});
async function problems(uri, version) {
  while (told.get(uri)?.version !== version) await new Promise((resolve) => waiting.push(resolve));
  return told.get(uri).diagnostics;
}

/// A text as the editor has it, and its changes as the editor sends them.
class Text {
  constructor(uri, text) {
    Object.assign(this, { uri, text, version: 1 });
    editor.sendNotification(DidOpenTextDocumentNotification.type, {
      textDocument: { uri, languageId: "yaml", version: 1, text },
    });
  }
  /// UTF-16 positions, as JavaScript counts anyway.
  at(needle, inside = 0) {
    const offset = this.text.indexOf(needle);
    assert.notEqual(offset, -1, `${needle} is in the text`);
    return this.position(offset + inside);
  }
  position(offset) {
    const before = this.text.slice(0, offset).split(/\r\n|\n|\r/);
    return { line: before.length - 1, character: before.at(-1).length };
  }
  offset({ line, character }) {
    const starts = [0];
    for (const found of this.text.matchAll(/\r\n|\n|\r/g)) starts.push(found.index + found[0].length);
    return starts[line] + character;
  }
  replace(old, text) {
    const start = this.text.indexOf(old);
    assert.notEqual(start, -1, `${old} is in the text`);
    const range = { start: this.position(start), end: this.position(start + old.length) };
    this.text = this.text.slice(0, start) + text + this.text.slice(start + old.length);
    this.send([{ range, text }]);
  }
  send(contentChanges, version = ++this.version) {
    editor.sendNotification(DidChangeTextDocumentNotification.type, { textDocument: { uri: this.uri, version }, contentChanges });
  }
  shown(range) {
    return this.text.slice(this.offset(range.start), this.offset(range.end));
  }
  applied(edits) {
    let text = this.text;
    for (const edit of [...edits].sort((a, b) => this.offset(b.range.start) - this.offset(a.range.start))) {
      text = text.slice(0, this.offset(edit.range.start)) + edit.newText + text.slice(this.offset(edit.range.end));
    }
    return text;
  }
  ask(type, position, more = {}) {
    return editor.sendRequest(type, { textDocument: { uri: this.uri }, position, ...more });
  }
  problems() {
    return problems(this.uri, this.version);
  }
}

const RECIPE = `liaison: 1
recipe: orders
title: "Bestellungen 🎉"

trigger:
  from: schedule
  with: { cron: "0 6 * * 1-5", zone: Europe/Berlin }

steps:
  - id: orders
    title: Read the orders
    do: http.request
    with: { url: "https://example.com/🎉", query: { since: "\${ trigger.scheduled_at }" } }

  - id: count
    set: { text: "🎉 \${ steps.orders.status } 🎉" }

  - id: tell
    do: log.write
    with: { message: "\${ steps.count.text }" }
`;

async function main() {
  editor.listen();
  await assert.rejects(editor.sendRequest(HoverRequest.type, { textDocument: { uri: "file:///x" }, position: { line: 0, character: 0 } }));
  held("nothing is answered before initialize");
  const { capabilities } = await editor.sendRequest(InitializeRequest.type, { processId: process.pid, rootUri: null, capabilities: {} });
  editor.sendNotification(InitializedNotification.type, {});
  assert.equal(capabilities.textDocumentSync, 2);
  for (const name of ["completion", "hover", "definition", "references", "rename", "documentSymbol", "codeAction", "documentFormatting"]) {
    assert.ok(capabilities[`${name}Provider`], name);
  }
  held("capabilities");

  const text = new Text("file:///orders.recipe.yaml", RECIPE);
  assert.deepEqual(await text.problems(), []);
  held("a good recipe has no problems");

  text.replace("steps.orders.status", "steps.orders.statsu");
  const [problem, ...others] = await text.problems();
  assert.deepEqual(others, []);
  assert.equal(text.shown(problem.range), "statsu");
  assert.deepEqual([problem.severity, problem.source], [1, "liaison"]);
  assert.match(problem.codeDescription.href, new RegExp(`^https://example.com/diagnostics#${problem.code.toLowerCase()}-`));
  assert.match(problem.message, /Did you mean "status"\?/);
  held("a problem is shown at its place, behind characters of two units");

  const [fix] = await editor.sendRequest(CodeActionRequest.type, {
    textDocument: { uri: text.uri }, range: problem.range, context: { diagnostics: [problem] },
  });
  const change = fix.edit.documentChanges[0];
  assert.equal(change.textDocument.version, text.version);
  assert.equal(text.applied(change.edits), RECIPE);
  held("its ready edit mends it");
  const explained = await text.ask(HoverRequest.type, problem.range.start);
  assert.ok(explained.contents.value.includes(problem.code));
  held("help explains the code");
  text.replace("steps.orders.statsu", "steps.orders.status");
  assert.deepEqual(await text.problems(), []);

  text.replace("  - id: tell\n    do: log.write\n    with: { message: \"${ steps.count.text }\" }\n", "  - id: tell\n    do: \n");
  const actions = await text.ask(CompletionRequest.type, text.at("do: \n", 4));
  assert.deepEqual(actions.map((item) => item.label), ["file.read_rows", "http.request", "log.write"]);
  text.replace("do: \n", "do: log.write\n    with:\n      \n");
  const inputs = await text.ask(CompletionRequest.type, text.at("      \n", 6));
  assert.equal(inputs[0].label, "message");
  text.replace("      \n", "      message: ${ steps.");
  const steps = await text.ask(CompletionRequest.type, text.position(text.text.length));
  assert.deepEqual(steps.map((item) => item.label), ["count", "orders"]);
  text.replace("message: ${ steps.", "message: 🎉 ${ steps.orders.bo");
  const fields = await text.ask(CompletionRequest.type, text.position(text.text.length));
  const body = fields.find((item) => item.label === "body");
  assert.match(text.applied([body.textEdit]), /message: 🎉 \$\{ steps\.orders\.body$/);
  held("actions, inputs, steps and fields are completed, also in an expression that is still open");

  text.replace("message: 🎉 ${ steps.orders.bo", "message: 🎉 ${ steps.orders.body }\n");
  assert.deepEqual((await text.problems()).filter((one) => one.severity === 1), []);
  const help = await text.ask(HoverRequest.type, text.at("http.request", 6));
  assert.match(help.contents.value, /`url`/);
  assert.equal(text.shown(help.range), "http.request");
  const cron = await text.ask(HoverRequest.type, text.at("0 6 *", 2));
  assert.match(cron.contents.value, /06:00, on Monday to Friday/);
  held("help");

  const there = await text.ask(DefinitionRequest.type, text.at("steps.orders.body", 8));
  assert.equal(text.shown(there.range), "orders");
  assert.equal(there.range.start.line, text.at("id: orders").line);
  const all = await text.ask(ReferencesRequest.type, text.at("id: orders", 5), { context: { includeDeclaration: true } });
  assert.deepEqual(all.map((one) => text.shown(one.range)), ["orders", "orders", "orders"]);
  const prepared = await text.ask(PrepareRenameRequest.type, text.at("steps.orders.status", 8));
  assert.equal(prepared.placeholder, "orders");
  const renamed = await text.ask(RenameRequest.type, text.at("steps.orders.status", 8), { newName: "bestellungen" });
  const after = text.applied(renamed.documentChanges[0].edits);
  assert.equal(after, text.text.replace("id: orders", "id: bestellungen").replaceAll("steps.orders", "steps.bestellungen"));
  await assert.rejects(text.ask(RenameRequest.type, text.at("steps.orders.status", 8), { newName: "count" }), /has the id/);
  held("go to step, references, rename");

  const outline = await editor.sendRequest(DocumentSymbolRequest.type, { textDocument: { uri: text.uri } });
  const named = outline.find((one) => one.name === "steps").children.map((one) => `${one.name}: ${one.detail}`);
  assert.deepEqual(named, ["orders: Read the orders (http.request)", "count: set", "tell: log.write"]);
  held("outline");

  const untidy = new Text("file:///untidy.recipe.yaml", RECIPE.replace("set: { text:", "set:   {text:").replaceAll("\n", "\r\n"));
  await untidy.problems();
  const options = { options: { tabSize: 2, insertSpaces: true } };
  const edits = await untidy.ask(DocumentFormattingRequest.type, undefined, options);
  assert.equal(untidy.applied(edits), RECIPE.replaceAll("\n", "\r\n"));
  untidy.replace("recipe: orders\r\n", "recipe: orders\r\nnote: \"🎉\"\r\nunknown: 1\r\n");
  const [unknown] = await untidy.problems();
  assert.equal(untidy.shown(unknown.range), "unknown");
  held("formatting, and line breaks of two bytes");

  const unused = new Text("file:///unused.recipe.yaml", RECIPE.replace("trigger:", "connections: { shop: http }\ntrigger:"));
  const [faded] = await unused.problems();
  assert.deepEqual([faded.code, faded.severity, faded.tags], ["L0307", 2, [DiagnosticTag.Unnecessary]]);
  unused.send([{ text: "nonsense: [" }], 0);
  unused.replace("shop: http", "shop: htp");
  assert.equal(unused.shown((await unused.problems())[0].range), "htp");
  held("what is unused is faded; a change older than the text is passed over");

  const other = new Text("file:///values.yaml", "just: [a, file\n");
  assert.deepEqual(await other.problems(), []);
  assert.equal(await other.ask(HoverRequest.type, { line: 0, character: 1 }), null);
  held("other YAML files are left alone");
  editor.sendNotification(DidCloseTextDocumentNotification.type, { textDocument: { uri: unused.uri } });
  assert.deepEqual(await problems(unused.uri, undefined), []);
  assert.equal(await unused.ask(HoverRequest.type, { line: 0, character: 1 }), null);
  await assert.rejects(editor.sendRequest("textDocument/unheard", {}));
  await assert.rejects(editor.sendRequest("textDocument/hover", { nonsense: true }));
  const far = await text.ask(HoverRequest.type, { line: 4000000000, character: 4000000000 });
  assert.equal(far, null);
  held("closed and unknown texts, unknown questions and places");

  // Two questions and the word that the second is not needed any more come in one piece.
  const source = new CancellationTokenSource();
  const many = Array.from({ length: 200 }, () => text.ask(HoverRequest.type, text.at("http.request", 6)));
  const last = editor.sendRequest(
    CompletionRequest.type, { textDocument: { uri: text.uri }, position: text.position(text.text.length) }, source.token);
  source.cancel();
  const outcome = await last.then(() => "answered", (error) => error.code);
  assert.ok(outcome === LSPErrorCodes.RequestCancelled || outcome === "answered", String(outcome));
  assert.equal((await Promise.all(many)).filter((one) => one.contents.value).length, 200);
  held("cancelled questions are ended, the others answered");

  const step = (n) => `  - id: step_${n}\n    if: steps.orders.status == ${n}\n    do: log.write\n    with: { message: "\${ steps.orders.body } ${n}" }\n`;
  const large = new Text("file:///large.recipe.yaml", RECIPE + Array.from({ length: 500 }, (_, n) => step(n)).join(""));
  assert.deepEqual(await large.problems(), []);
  const names = await large.ask(CompletionRequest.type, large.at("steps.orders.body } 499", 6));
  assert.equal(names.length, 500);
  held("500 steps");

  await editor.sendRequest(ShutdownRequest.type);
  await editor.sendNotification(ExitNotification.type);
  assert.equal(await exit, 0);
  held("shutdown and exit");
}

main().catch((error) => {
  console.error(error);
  server.kill();
  process.exitCode = 1;
});
