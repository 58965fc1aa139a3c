//! The description of the API (OpenAPI 3.1), made from the routes. A handler describes what is its own; what holds for every route is
//! added here: the problems that it may answer with, the key of requests that may be repeated, who may use it.

use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Schema,
    SecurityRequirement,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::access::Right;
pub(super) use crate::paths::ROOT;
use crate::problem::Problem;

/// The name of the scheme of tokens.
const TOKEN: &str = "token";

/// The description without routes.
pub(super) fn empty() -> OpenApi {
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "Not needed in the demo profile, unless a token file is given. If no token is needed, pages of the same host may use the \
         API, whatever their port is; pages of other hosts get 403.",
    ));
    let mut license = LicenseBuilder::new().name("MIT").build();
    license.identifier = Some("MIT".to_owned());
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("wsmesh admin")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Shows the whole cluster, changes its Redis nodes, and lets backends reach its clients. Answers are gathered \
                     from every live server over the bus. Only the last jobs and the last idempotency keys are stored, in memory.",
                ))
                .license(Some(license))
                .build(),
        )
        .servers(Some([ServerBuilder::new()
            .url(".")
            .description(Some("The folder of this description, also behind a path prefix."))
            .build()]))
        .security(Some([SecurityRequirement::new(TOKEN, [""; 0])]))
        .components(Some(
            ComponentsBuilder::new()
                .schema(Problem::name(), Problem::schema())
                .security_scheme(TOKEN, SecurityScheme::Http(token.build()))
                .build(),
        ))
        .build()
}

/// Says which role the operations of these routes need at least.
pub(super) fn needs<S: Clone + Send + Sync + 'static>(right: Right, mut router: OpenApiRouter<S>) -> OpenApiRouter<S> {
    let role = right.least().as_str();
    for item in router.get_openapi_mut().paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, [role])]);
        }
    }
    router
}

/// Adds what holds for every operation.
pub(super) fn complete(mut description: OpenApi) -> OpenApi {
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            complete_operation(path, &method, operation);
        }
    }
    description
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Delete, &mut item.delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn complete_operation(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let mut problems = vec![(400, "The request is wrong: it fails again unless it is changed.")];
    problems.extend(ALWAYS);
    if path.contains('{') {
        problems.push((404, "There is nothing at this path."));
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        problems.extend(WITH_A_BODY);
        body.content.values_mut().for_each(complete_body);
    }
    if *method != HttpMethod::Get {
        problems.extend(WITH_A_KEY);
        operation
            .parameters
            .get_or_insert_default()
            .push(idempotency_key().into());
    }
    for (status, description) in problems {
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.to_string())
            .or_insert_with(|| ResponseBuilder::new().description(description).build().into());
    }
    for (status, response) in &mut operation.responses.responses {
        if let (Ok(status), RefOr::T(response)) = (status.parse(), response)
            && status >= 400
        {
            complete_problem(status, response);
        }
    }
}

/// A body that may be left out is not null.
fn complete_body(content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content
        && let Some(RefOr::T(Schema::OneOf(either))) = &content.schema
        && let [given @ RefOr::Ref(_), _] = either.items.as_slice()
    {
        content.schema = Some(given.clone());
    }
}

/// Problems of every route.
const ALWAYS: [(u16, &str); 6] = [
    (401, "There is no token, or it is not one of this API."),
    (
        403,
        "The token's role may not do this; or a page of another host asks while no token is needed.",
    ),
    (405, "The path does not support the method."),
    (408, "The request did not end in time, its body included."),
    (429, "Too many wrong tokens came from this address."),
    (
        503,
        "Too many requests run at once, no Redis node is heard, or not every server that must answer did.",
    ),
];
/// Problems of routes that take a body.
const WITH_A_BODY: [(u16, &str); 2] = [
    (413, "The body, or what is in it, is too large."),
    (
        415,
        "The body is of another type than this route takes, compressed, or not in UTF-8.",
    ),
];
/// Problems of routes that can be repeated with a key.
const WITH_A_KEY: [(u16, &str); 2] = [
    (
        409,
        "The first request with this idempotency key is still running (code running).",
    ),
    (
        422,
        "The idempotency key was used for another request (code key-reused).",
    ),
];

/// Gives a response the form that all problems have, with an example.
fn complete_problem(status: u16, response: &mut Response) {
    let header = |description: &str| {
        HeaderBuilder::new()
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    };
    let own = match status {
        401 => Some(("WWW-Authenticate", header("Bearer, and what is wrong with the token."))),
        405 => Some(("Allow", header("The methods that the path supports."))),
        429 | 503 => Some(("Retry-After", header("Seconds until it is worth trying again."))),
        _ => None,
    };
    response
        .headers
        .extend(own.map(|(name, header)| (name.to_owned(), header.into())));
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .example(Some(example(status, &response.description)))
        .build();
    response
        .content
        .insert("application/problem+json".to_owned(), content.into());
}

fn example(status: u16, detail: &str) -> Value {
    let title = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    json!({"type": "about:blank", "title": title.unwrap_or("Error"), "status": status, "detail": detail})
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A request that is repeated with its key within two minutes is carried out once, and the repeat gets the same answer, if \
             the same admin takes it. 409 while the first is still running, 422 if the key was used for another request. Also as a \
             quoted string, as draft-ietf-httpapi-idempotency-key-header writes it.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(128))
                .pattern(Some("^[!#-\\[\\]-~]+$")),
        ))
        .build()
}
