//! What every request and every response has, and the server.
//!
//! | module | contents |
//! |---|---|
//! | `middleware` | request ids, access log, security headers, panics, problem documents |
//! | `problem` | problem documents (RFC 9457) and their types |
//! | `body` | timeouts and draining of request bodies |
//! | `routes` | the documented paths and their methods |
//! | `docs` | Swagger UI, the `OpenAPI` document, descriptions of problem types |
//! | `server` | the HTTP/1.1 server |

pub(crate) mod body;
pub(crate) mod docs;
pub(crate) mod middleware;
pub(crate) mod problem;
pub(crate) mod routes;
pub(crate) mod server;
