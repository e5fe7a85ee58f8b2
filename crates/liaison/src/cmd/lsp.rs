//! `liaison lsp`: the language server, over standard input and output.
//!
//! One thread reads messages, one answers them in order; a change is applied before anything that was
//! asked after it. Problems are looked for when nothing else waits, so that fast typing costs one check
//! and not one for each letter. What a client cancels before its turn is not computed at all.

mod answers;
mod document;
mod frames;
mod neighbours;
mod problems;
mod server;

use std::{
    collections::VecDeque,
    io::{BufReader, Write as _},
    process::ExitCode,
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
};

use anyhow::Context;
use clap::Args;
use lsp_server::{ErrorCode, Message, RequestId, Response};

use frames::{Frame, read_frame};
use server::{Next, Server};

/// Messages that wait; the client waits when there are more.
const QUEUE_MAX: usize = 256;

/// Serves editors: problems, completion, help, renames and more, over standard input and output.
#[derive(Debug, Args)]
pub(crate) struct Lsp {
    /// Where the page of all diagnostics is published; editors then link each code to it.
    #[arg(long, value_name = "URL", env = "LIAISON_DIAGNOSTICS_URL")]
    diagnostics_url: Option<String>,
    /// Ignored: editors pass it to say what is the only way.
    #[arg(long, hide = true)]
    stdio: bool,
}

pub(crate) fn lsp(lsp: Lsp) -> anyhow::Result<ExitCode> {
    let (sender, messages) = sync_channel(QUEUE_MAX);
    std::thread::Builder::new()
        .name("lsp-reader".to_owned())
        .spawn(move || {
            let mut input = BufReader::new(std::io::stdin());
            loop {
                let frame = read_frame(&mut input);
                let over = matches!(frame, Frame::End);
                if sender.send(frame).is_err() || over {
                    return;
                }
            }
        })
        .context("cannot start the reader")?;
    let mut session = Session { server: Server::new(lsp.diagnostics_url), waiting: VecDeque::new(), over: false };
    session.run(&messages)
}

struct Session {
    server: Server,
    waiting: VecDeque<Message>,
    /// Nothing more will come.
    over: bool,
}

impl Session {
    fn run(&mut self, messages: &Receiver<Frame>) -> anyhow::Result<ExitCode> {
        loop {
            self.take(messages)?;
            match self.waiting.pop_front() {
                Some(message) => match self.server.handle(message) {
                    Next::Send(answers) => send(&answers)?,
                    Next::Exit(code) => return Ok(code),
                },
                // A client that goes without a word has crashed.
                None if self.over => return Ok(ExitCode::from(super::FAILED)),
                None => send(&self.server.look_for_problems())?,
            }
        }
    }

    /// Takes all that has come; waits only if there is nothing to do.
    fn take(&mut self, messages: &Receiver<Frame>) -> anyhow::Result<()> {
        while !self.over && self.waiting.len() < QUEUE_MAX {
            let idle = self.waiting.is_empty() && !self.server.has_unchecked();
            let frame = match idle {
                true => messages.recv().unwrap_or(Frame::End),
                false => match messages.try_recv() {
                    Ok(frame) => frame,
                    Err(TryRecvError::Empty) => return Ok(()),
                    Err(TryRecvError::Disconnected) => Frame::End,
                },
            };
            match frame {
                Frame::Message(Message::Notification(note)) if note.method == "$/cancelRequest" => {
                    self.cancel(note.params.get("id"))?;
                }
                Frame::Message(message) => self.waiting.push_back(message),
                Frame::Malformed(why) => {
                    // Its id is not known, so nobody in particular is told.
                    let error = serde_json::json!({"code": ErrorCode::ParseError as i32, "message": why});
                    write(&serde_json::json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string())?;
                }
                Frame::End => self.over = true,
            }
        }
        Ok(())
    }

    /// Answers a request that waits as cancelled.
    fn cancel(&mut self, id: Option<&serde_json::Value>) -> anyhow::Result<()> {
        let Some(id) = id.and_then(|id| serde_json::from_value::<RequestId>(id.clone()).ok()) else { return Ok(()) };
        let place = self.waiting.iter().position(|message| matches!(message, Message::Request(request) if request.id == id));
        let Some(place) = place else { return Ok(()) };
        self.waiting.remove(place);
        let answer = Response::new_err(id, ErrorCode::RequestCanceled as i32, "cancelled by the client".to_owned());
        send(&[answer.into()])
    }
}

fn send(messages: &[Message]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for message in messages {
        message.write(&mut out).context("cannot write to the editor")?;
    }
    Ok(())
}

fn write(body: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "Content-Length: {}\r\n\r\n{body}", body.len()).and_then(|()| out.flush()).context("cannot write to the editor")
}
