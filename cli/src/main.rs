//! The `comity` program.

#![forbid(unsafe_code)]

mod demo;
mod gateway;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The Matrix Federation API over several transports.
#[derive(Debug, Parser)]
#[command(name = "comity", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows one implementation of the Federation API behind each transport, on loopback, and checks what arrives
    Demo(demo::Options),
    /// Runs a small homeserver under a real name, to try federation with; it is an example, and no server for daily use
    Serve(serve::Options),
    /// Stands beside a homeserver and changes the wire between it and others
    Gateway(gateway::Options),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(options) => demo::main(&options),
        Command::Serve(options) => serve::main(&options),
        Command::Gateway(options) => gateway::main(&options),
    }
}
