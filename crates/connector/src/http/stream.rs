//! Bodies that are never whole in memory: sent piece by piece, and received into a sink.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::http::{StatusCode, response::Parts};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt, TryStreamExt, iter, once, try_unfold};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use url::Url;

use super::problem;
use crate::{error::StepError, files::Files};

/// What is sent: mostly whole, sometimes made on the way.
pub(super) type Outgoing = Either<Full<Bytes>, Sent>;

/// A part of a body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// A file, by its token.
    File {
        /// The token.
        token: String,
        /// Its length in bytes.
        size: u64,
    },
}

/// A body in pieces. It can be sent several times, when a redirect asks for it.
#[derive(Clone, Debug)]
pub struct Pieces {
    pieces: Arc<[Piece]>,
    length: u64,
}

impl Pieces {
    /// A body of these pieces, one after the other.
    #[must_use]
    pub fn new(pieces: Vec<Piece>) -> Self {
        let length = pieces.iter().map(Piece::length).sum();
        Self { pieces: pieces.into(), length }
    }

    /// A body for one sending. What goes wrong with a file is left in `trouble`.
    pub(super) fn open(&self, files: Arc<dyn Files>, trouble: Trouble) -> Sent {
        let pieces: Vec<Piece> = self.pieces.to_vec();
        let stream = iter(pieces).flat_map(move |piece| match piece {
            Piece::Bytes(bytes) => once(std::future::ready(Ok(bytes))).boxed(),
            Piece::File { token, .. } => read(Arc::clone(&files), token).boxed(),
        });
        let stream = stream.map_err(move |error| {
            let told = io::Error::other(error.message.clone());
            *trouble.lock() = Some(error);
            told
        });
        Sent { left: self.length, stream: stream.boxed() }
    }
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }
}

/// Why a body could not be made.
pub(super) type Trouble = Arc<Mutex<Option<StepError>>>;

fn read(files: Arc<dyn Files>, token: String) -> impl Stream<Item = Result<Bytes, StepError>> + Send {
    try_unfold((None, files, token), |(reader, files, token)| async move {
        let mut reader = match reader {
            Some(reader) => reader,
            None => files.open(&token).await?,
        };
        Ok(reader.next().await?.map(|piece| (piece, (Some(reader), files, token))))
    })
}

/// A body on its way.
pub(super) struct Sent {
    left: u64,
    stream: Pin<Box<dyn Stream<Item = Result<Bytes, io::Error>> + Send>>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.stream.as_mut().poll_next(cx).map(|piece| {
            piece.map(|piece| {
                let piece = piece?;
                self.left = self.left.saturating_sub(piece.len() as u64);
                Ok(Frame::data(piece))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        // Not when the last byte was given: only the end of a file says that it was whole.
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Takes an answer's body while it comes.
#[async_trait]
pub trait Sink: Send {
    /// Whether the body of an answer with this status is wanted; any other is read as usual.
    fn wants(&self, status: StatusCode) -> bool;

    /// Takes the next bytes.
    async fn take(&mut self, bytes: Bytes) -> Result<(), StepError>;
}

/// Hands a body to a sink as it comes. It is not unpacked.
pub(super) async fn pour(url: &Url, head: &Parts, mut incoming: Incoming, sink: &mut dyn Sink) -> Result<(), StepError> {
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| problem::truncated(url, head.status, &error))?;
        if let Ok(data) = frame.into_data() {
            sink.take(data).await?;
        }
    }
    Ok(())
}
