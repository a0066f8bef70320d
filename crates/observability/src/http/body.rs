//! A body that measures its size.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};

use super::series::Series;

/// Reports the size when dropped, complete or not.
pub(super) struct Measured {
    inner: Body,
    sent: u64,
    series: Arc<Series>,
    /// The request's context, so that log lines of the body have its ids.
    context: opentelemetry::Context,
}

impl Measured {
    pub(super) fn new(inner: Body, series: Arc<Series>, context: opentelemetry::Context) -> Self {
        Self { inner, sent: 0, series, context }
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let _active = self.context.clone().attach();
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.sent += data.remaining() as u64;
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

impl Drop for Measured {
    fn drop(&mut self) {
        self.series.observe_size(self.sent);
    }
}
