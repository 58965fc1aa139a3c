//! The query of a URL. Each route takes the parameters that its description names; any other is rejected by its name, so that a
//! mistyped one is not ignored.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Query, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{OpenApi, RefOr};

use crate::paths::{ROOT, below_root};
use crate::problem::Problem;

/// The parameters of the query, checked.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(params) = Query::from_request_parts(parts, state).await?;
        Ok(Self(params))
    }
}

/// The names of the parameters that each operation takes. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Described(Arc<HashMap<(Method, String), BTreeSet<String>>>);

impl Described {
    /// Those of the operations of this description.
    pub(super) fn of(description: &OpenApi) -> Self {
        let mut described = HashMap::new();
        for (path, item) in &description.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                let names = operation
                    .parameters
                    .iter()
                    .flatten()
                    .filter_map(|parameter| match parameter {
                        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
                            Some(parameter.name.clone())
                        }
                        _ => None,
                    });
                described.insert((method, path.clone()), names.collect());
            }
        }
        Self(Arc::new(described))
    }

    /// The first parameter of a query that the operation does not take, and those that it takes.
    fn unknown<'a>(&'a self, method: &Method, path: &str, query: &str) -> Option<(String, &'a BTreeSet<String>)> {
        // HEAD is GET without its body.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let path = format!("{ROOT}{}", below_root(path)?);
        let known = self.0.get(&(method.clone(), path))?;
        let mut given = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned());
        let unknown = given.find(|name| !known.contains(name))?;
        Some((unknown, known))
    }
}

/// Middleware: rejects parameters that the route does not take.
pub(super) async fn known_only(
    State(described): State<Described>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    match described.unknown(request.method(), path, query) {
        None => next.run(request).await,
        Some((name, known)) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Problem::unknown_parameter(&name, &known).into_response()
        }
    }
}
