//! Session authentication over real connections. `threats` are the rows of the threat model in `docs/grpc-binding.md`, by name.

mod between;
mod bodies;
mod required;
mod selecting;
mod setting;
mod threats;
mod use_of_sessions;
