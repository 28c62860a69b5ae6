//! What one owner can see and change of another: nothing.
//!
//! | module | contents |
//! |---|---|
//! | `tenant` | an owner with something of every kind |
//! | `walk` | every operation of the `OpenAPI` document with the ids of another owner, and every list |
//! | `attacks` | attacks that were written by hand |

mod attacks;
mod tenant;
mod walk;
