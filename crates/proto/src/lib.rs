//! The wire contracts between services, generated from `proto/`.

#![allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]

pub mod auth {
    pub mod v1 {
        tonic::include_proto!("auth.v1");
    }
}

pub mod booking {
    pub mod v1 {
        tonic::include_proto!("booking.v1");
    }
}

pub mod incidents {
    pub mod v1 {
        tonic::include_proto!("incidents.v1");
    }
}

pub mod points {
    pub mod v1 {
        tonic::include_proto!("points.v1");
    }
}

/// The descriptors of every service here, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
