//! Behaviour of dialling and accepting, on real sockets of the loopback interface.

mod aborts;
mod delivery;
mod listener;
mod pool;
mod setting;
mod tls;
mod wire;
