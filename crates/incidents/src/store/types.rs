//! The domain's words as columns of type `text`. An unknown word is an error.

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

use crate::domain::{EventKind, Missed, RunStatus, Severity, Status};

fn decode<'r, T: Deserialize<'r>>(value: &PgValueRef<'r>) -> Result<T, BoxDynError> {
    let word = value.as_str()?.into_deserializer();
    Ok(T::deserialize(word).map_err(|error: Error| error)?)
}

impl Type<Postgres> for EventKind {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for EventKind {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        decode(&value)
    }
}

impl Type<Postgres> for Missed {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Missed {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        decode(&value)
    }
}

impl Type<Postgres> for RunStatus {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for RunStatus {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        decode(&value)
    }
}

impl Type<Postgres> for Severity {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Severity {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        decode(&value)
    }
}

impl Type<Postgres> for Status {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Status {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        decode(&value)
    }
}
