//! The gRPC server and client layers.

mod body;
mod client;
mod series;
mod server;

use tonic::Code;

pub use client::{Client, ClientLayer};
pub use server::{Server, ServerLayer};

/// Creates a layer with everything a call needs, for `tonic::transport::Server::builder().layer(..)`; see
/// [`crate::http::layer`]. `descriptors` is an encoded `FileDescriptorSet`: its methods in the packages of
/// `service` (`points.v1` for `points`), and those of health and reflection, become labels, counted from 0;
/// all others are `other`.
pub fn layer(descriptors: &[u8], service: &str) -> ServerLayer {
    ServerLayer::new(descriptors, service)
}

/// Creates a layer around a `tonic` channel that opens a client span, propagates the context, and counts.
pub fn client_layer() -> ClientLayer {
    ClientLayer
}

/// Returns the name of a code in the gRPC specification.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Returns true for failures of the server. All other codes are the client's failures.
fn is_server_fault(code: Code) -> bool {
    let faults =
        [Code::Unknown, Code::DeadlineExceeded, Code::Internal, Code::Unavailable, Code::DataLoss];
    faults.contains(&code)
}
