//! The `comity` program.

#![forbid(unsafe_code)]

mod bench;
mod call;
mod completions;
mod demo;
mod failure;
mod gateway;
mod keys;
mod network;
mod printable;
mod resolve;
mod serve;
mod signer;
mod times;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// The Matrix Federation API over several transports.
#[derive(Debug, Parser)]
#[command(name = "comity", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compares transports by flows, scenarios and networks, and writes a report
    Bench(Box<comity_bench::Options>),
    /// Makes one federation call, and shows what comes back
    Call(Box<call::Options>),
    /// Prints a shell's completions for this program
    Completions(completions::Options),
    /// Shows one implementation of the Federation API behind each transport, on loopback, and checks what arrives
    Demo(demo::Options),
    /// Stands beside a homeserver and changes the wire between it and others
    Gateway(gateway::Options),
    /// Shows a server's signing keys, and what is wrong with them
    Keys(Box<keys::Options>),
    /// Shows every step from a server's name to the server, and what is wrong on the way
    Resolve(Box<resolve::Options>),
    /// Runs a small homeserver under a real name, to try federation with; it is an example, and no server for daily use
    Serve(serve::Options),
}

fn main() -> ExitCode {
    // Both sides of a transport that is measured are this program again.
    if let Some(ended) = bench::child() {
        return ended;
    }
    match Arguments::parse().command {
        Command::Bench(options) => bench::main(&options),
        Command::Call(options) => wait(call::main(&options)),
        Command::Completions(options) => completions::main(&options, Arguments::command()),
        Command::Demo(options) => demo::main(&options),
        Command::Gateway(options) => gateway::main(&options),
        Command::Keys(options) => wait(keys::main(&options)),
        Command::Resolve(options) => wait(resolve::main(&options)),
        Command::Serve(options) => serve::main(&options),
    }
}

/// Runs a command that goes to the network to its end.
fn wait(command: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            eprintln!("comity: the runtime cannot be started: {error}");
            ExitCode::from(4)
        }
    }
}
