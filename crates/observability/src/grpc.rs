//! The gRPC server and client layers.

mod body;
mod client;
mod series;
mod server;

use tonic::Code;

pub use client::{Client, ClientLayer};
pub use server::{Server, ServerLayer};

/// Everything one call needs, in one layer for `tonic::transport::Server::builder().layer(..)`; see
/// [`crate::http::layer`]. `descriptors` is an encoded `FileDescriptorSet`: only its methods in the packages
/// of `service` (`points.v1` for `points`), and those of health and reflection, become labels, counted from 0;
/// all others are `other`.
pub fn layer(descriptors: &[u8], service: &str) -> ServerLayer {
    ServerLayer::new(descriptors, service)
}

/// Opens a client span, hands the context to the callee, and counts; goes around a `tonic` channel.
pub fn client_layer() -> ClientLayer {
    ClientLayer
}

/// The name of a code in the gRPC specification.
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

/// Whether the server is to blame. The rest is the client's doing, and no error of ours.
fn is_server_fault(code: Code) -> bool {
    let faults =
        [Code::Unknown, Code::DeadlineExceeded, Code::Internal, Code::Unavailable, Code::DataLoss];
    faults.contains(&code)
}
