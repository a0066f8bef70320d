use std::str::FromStr;

use axum::http::{HeaderValue, Uri};

/// The origin of pages that may call this API, exactly as a browser writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// The text is not an origin such as `https://app.example.org`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin such as https://app.example.org, without a path")]
pub struct InvalidOrigin;

impl Origin {
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Refuses `*` and `null`: an origin that may send credentials has to be named.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let uri: Uri = text.parse().map_err(|_| InvalidOrigin)?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvalidOrigin);
        };
        let origin = format!("{scheme}://{host}").to_ascii_lowercase();
        if origin != text || !["http", "https"].contains(&scheme) || text.contains('*') {
            return Err(InvalidOrigin);
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| InvalidOrigin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_maybe_a_port() {
        for right in ["https://app.example.org", "http://localhost:3000"] {
            assert!(right.parse::<Origin>().is_ok(), "{right}");
        }
        for wrong in [
            "",
            "*",
            "null",
            "https://*.example.org",
            "app.example.org",
            "https://app.example.org/",
            "https://App.example.org",
            "ftp://app.example.org",
            "https://",
        ] {
            assert_eq!(wrong.parse::<Origin>(), Err(InvalidOrigin), "{wrong}");
        }
    }
}
