//! What every request and every response has, and the server.
//!
//! | module | contents |
//! |---|---|
//! | `middleware` | request ids, access log, security headers, panics, problem documents |
//! | `problem` | problem documents (RFC 9457) and their types |
//! | `body` | timeouts, minimum rate and draining of request bodies |
//! | `pace` | how slow a client may be |
//! | `conditional` | `ETag`, `If-Match`, `If-None-Match` |
//! | `cors` | which pages of other sites may use the api |
//! | `json` | JSON bodies of bounded size |
//! | `cross_site` | requests that pages of other sites send |
//! | `routes` | the documented paths and their methods |
//! | `docs` | Swagger UI, the `OpenAPI` document, descriptions of problem types |
//! | `server` | the HTTP/1.1 server |
//! | `connections` | the bounds of connections and requests, and eviction |
//! | `refusal` | connections for which there is no room |
//! | `client` | since when a connection waits for its client |
//! | `client_io` | a connection's stream with deadlines |

pub(crate) mod body;
mod client;
mod client_io;
pub(crate) mod conditional;
mod connections;
mod cors;
pub(crate) mod cross_site;
pub(crate) mod docs;
pub(crate) mod json;
pub(crate) mod middleware;
pub(crate) mod pace;
pub(crate) mod problem;
mod refusal;
pub(crate) mod routes;
pub(crate) mod server;
