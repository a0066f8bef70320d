//! A repeated command has one effect and one answer.
//!
//! ```ignore
//! let mut tx = self.db.begin().await?;
//! if let Some(answer) = idempotency::claim(&mut tx, principal, &key).await? {
//!     return Ok(answer);                       // nothing to do: the first answer, byte for byte
//! }
//! // … the effect …
//! let answer = Answer::json(StatusCode::CREATED, &receipt);
//! idempotency::record(&mut tx, principal, &key, &answer).await?;
//! tx.commit().await?;
//! ```

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sqlx::PgConnection;

use crate::error::{Classify, Kind};

/// A client's key together with what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// 1 to 255 printable ASCII characters, made by the client.
    pub value: String,
    /// Method and route, so that one key serves two routes without clash.
    pub route: String,
    /// SHA-256 of the canonical request: the same key with another body is refused.
    pub fingerprint: [u8; 32],
}

impl Key {
    /// A key for a gRPC method; `message` is the encoded request.
    pub fn grpc(_value: &str, _method: &str, _message: &[u8]) -> Result<Self, Error> {
        todo!()
    }
}

/// The first answer to a command, kept with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
    /// True when it was read back, not made now.
    pub replayed: bool,
}

impl Answer {
    pub fn json(_status: StatusCode, _body: &impl Serialize) -> Self {
        todo!()
    }
}

/// Sets `Idempotency-Replayed: true` on a replay.
impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this command needs an Idempotency-Key header")]
    Missing,
    #[error("an idempotency key is 1 to 255 printable ASCII characters, sent once")]
    Malformed,
    #[error("this idempotency key was used for another request")]
    Reused,
    #[error("the first request with this idempotency key is still running")]
    InProgress,
    #[error("database failure")]
    Database(#[from] sqlx::Error),
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        todo!()
    }

    fn code(&self) -> std::borrow::Cow<'static, str> {
        todo!()
    }
}

/// Claims the key for this transaction, or returns the first answer. Waits at most 2 s for a twin.
pub async fn claim(
    _tx: &mut PgConnection,
    _principal: &str,
    _key: &Key,
) -> Result<Option<Answer>, Error> {
    todo!()
}

/// Keeps the answer; it commits together with the effect.
pub async fn record(
    _tx: &mut PgConnection,
    _principal: &str,
    _key: &Key,
    _answer: &Answer,
) -> Result<(), Error> {
    todo!()
}
