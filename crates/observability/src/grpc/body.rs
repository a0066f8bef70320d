//! The body of an answer. A call ends with its trailers, not with its head.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

/// Gets the end of a call exactly once, even if it is canceled.
pub(super) trait Call: Send + Unpin + 'static {
    /// Records the code of the call's end. Only the first end counts.
    fn ended(&mut self, code: Code);

    /// Returns the context in which the body is produced.
    fn context(&self) -> opentelemetry::Context;

    /// Handles a panic of the stream after its head was sent.
    fn panicked(&mut self) {}
}

/// A body that reports the end of its call.
pub(super) struct Observed<C: Call> {
    inner: Body,
    call: C,
}

/// Wraps the body of an answer, or ends the call if the head is already complete.
pub(super) fn observe<C: Call>(
    response: http::Response<Body>,
    mut call: C,
) -> http::Response<Body> {
    if let Some(status) = response.headers().get(Status::GRPC_STATUS) {
        call.ended(Code::from_bytes(status.as_bytes()));
    } else if !response.status().is_success() {
        // The answer is not from a gRPC server but from a proxy before it.
        call.ended(Code::Unknown);
    }
    response.map(|inner| Body::new(Observed { inner, call }))
}

impl<C: Call> http_body::Body for Observed<C> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { inner, call } = &mut *self;
        let _active = call.context().attach();
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *inner).poll_frame(cx)));
        let frame = polled.unwrap_or_else(|_| {
            call.panicked();
            // A body that has panicked is not polled again.
            *inner = Body::empty();
            Poll::Ready(Some(last_words()))
        });
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let status = trailers.get(Status::GRPC_STATUS);
                    call.ended(status.map_or(Code::Unknown, |s| Code::from_bytes(s.as_bytes())));
                }
            }
            Poll::Ready(Some(Err(status))) => call.ended(status.code()),
            Poll::Ready(None) => call.ended(Code::Unknown),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<C: Call> Drop for Observed<C> {
    fn drop(&mut self) {
        let _active = self.call.context().attach();
        self.call.ended(Code::Cancelled);
    }
}

fn last_words() -> Result<Frame<Bytes>, Status> {
    let mut trailers = http::HeaderMap::new();
    let status = Status::internal("internal error");
    status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))
}
