//! The routes of a router.

use axum::Router;
use axum::body::Body;
use axum::http::header::ALLOW;
use axum::http::{Method, Request, Response, StatusCode};
use tower::ServiceExt as _;

/// Returns every `(method, path)` of the router, sorted. The paths are in its debug output only; each path lists its
/// methods when called with an unknown one.
pub async fn of(router: &Router) -> Vec<(Method, String)> {
    let mut doors = Vec::new();
    for path in paths(&format!("{router:?}")) {
        let any = path.replace("{*", "{").replace(['{', '}'], "");
        let strange = Method::from_bytes(b"PROPFIND").unwrap();
        let mut request = Request::new(Body::empty());
        (*request.method_mut(), *request.uri_mut()) = (strange, any.parse().unwrap());
        let reply = ask(router, request).await;
        // The fallback's answer: no such route.
        if reply.status() == StatusCode::NOT_FOUND {
            continue;
        }
        let allow = reply.headers().get(ALLOW).unwrap_or_else(|| panic!("{path}: no Allow"));
        let methods = allow.to_str().unwrap().split(',').map(str::trim);
        for method in methods.filter(|method| *method != "HEAD") {
            doors.push((method.parse::<Method>().unwrap(), path.clone()));
        }
    }
    doors.sort_by_key(|(method, path)| (path.clone(), method.to_string()));
    doors
}

/// Returns the answer without reading its body, which may never end.
pub async fn ask(router: &Router, request: Request<Body>) -> Response<Body> {
    Box::pin(router.clone().oneshot(request)).await.unwrap_or_else(|never| match never {})
}

fn paths(debugged: &str) -> Vec<String> {
    let entries = debugged.split("RouteId(").skip(1);
    let entry = |text: &str| {
        let quoted = text.split_once("): \"")?;
        quoted.0.parse::<u32>().ok()?;
        Some(quoted.1.split('"').next()?.to_owned())
    };
    let paths: std::collections::BTreeSet<_> =
        entries.filter_map(entry).filter(|path| path.starts_with('/')).collect();
    assert!(paths.len() > 3, "axum prints its routers differently now:\n{debugged}");
    paths.into_iter().collect()
}
