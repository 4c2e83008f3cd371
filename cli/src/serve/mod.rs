//! `comity serve`: the example homeserver under a real name, for people who want to try.
//!
//! `stack` is the server as others see it and how it calls them; `control` is how a person or a script tells it what to do; `commands` are the
//! commands themselves.

mod commands;
mod control;
mod stack;

use std::{error::Error, fs, io, net::SocketAddr, path::PathBuf, process::ExitCode, str::FromStr};

use clap::Args;
use comity_core::{ServerName, transport::ConnectTo};
use comity_homeserver::Storage;
use comity_net::ListenerOptions;

use crate::{failure::chain, printable::Printable};
use stack::Stack;

/// What `comity serve` can be told.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// The server's name: what stands behind the colon of its users' IDs. It cannot be changed later
    #[arg(long)]
    name: ServerName,
    /// Where its key, its users and the events of its rooms are kept; made if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where it listens, for HTTPS and gRPC alike
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8448")]
    listen: SocketAddr,
    /// The certificate for the name, and those between it and the authority (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Trusts the authorities of this file too (PEM); may be given several times
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Lets other servers be at these addresses, which are refused otherwise as they are not public: 127.0.0.0/8, fd00::/8; may be given several
    /// times
    #[arg(long, value_name = "RANGE")]
    allow_address: Vec<String>,
    /// Connects to this server there, wherever its name leads; may be given several times
    #[arg(long, value_name = "NAME=ADDRESS")]
    peer: Vec<Peer>,
    /// Tells generic gRPC clients, such as grpcurl, the schema (`grpc.reflection.v1`)
    #[arg(long)]
    reflection: bool,
}

const AFTER_HELP: &str = "\
Commands are read from standard input, one a line; each is answered by one line of JSON on standard output, and so is each event that comes to
stand in a room. `help` lists the commands. Whoever can write to standard input speaks for every user of the server.
The server goes on when standard input ends; it is stopped by Ctrl-C or SIGTERM.

Example:
  comity serve --name hs.example.org --data /var/lib/comity --certificate fullchain.pem --key privkey.pem";

/// A server and where to connect for it.
#[derive(Clone, Debug)]
struct Peer {
    name: ServerName,
    connect_to: ConnectTo,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or("NAME=ADDRESS is expected")?;
        let name = name.parse().map_err(|error| format!("{name:?}: {error}"))?;
        let connect_to = address.parse();
        let connect_to = connect_to.map_err(|error| format!("{address:?}: {error}"))?;
        Ok(Self { name, connect_to })
    }
}

pub(crate) fn main(options: &Options) -> ExitCode {
    log_to_stderr();
    let needed = ListenerOptions::default().max_connections as u64;
    match comity_net::raise_descriptor_limit() {
        Ok(Some(limit)) if limit < needed => tracing::warn!(
            limit,
            needed,
            "the system lets the server open fewer files than it takes connections; `ulimit -Hn` sets it"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit on open files cannot be raised"),
    }
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("comity serve: {}", Printable(&chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

/// Warnings, or what `RUST_LOG` asks for.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let is_new = !options.data.join(Storage::FILE).exists();
    let stack = Stack::start(options).await?;
    greet(options, &stack, is_new);
    let commands = control::read_lines(io::stdin());
    let controlled = control::run(&stack, commands, io::stdout());
    tokio::select! {
        // It does not end by itself: the input may, and the server goes on.
        () = controlled => {}
        signal = stop_signal() => signal?,
        failed = stack.homeserver.disk_failed() => {
            stack.drain().await;
            return Err(failed.into());
        }
    }
    eprintln!("comity serve: stopping; calls in flight may finish");
    stack.drain().await;
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        signal = tokio::signal::ctrl_c() => signal,
        _ = terminate.recv() => Ok(()),
    }
}

/// Says on standard error where the server is, and the first time also what is left to do.
fn greet(options: &Options, stack: &Stack, is_new: bool) {
    let (name, address) = (&options.name, stack.address);
    let key = stack.key.verify_key().to_base64();
    let id = stack.key.key_id();
    eprintln!(
        "comity serve: {name} listens on {address}, HTTPS and gRPC; its data is in {}",
        options.data.display()
    );
    eprintln!("comity serve: it signs with {id}, whose public half is {key}");
    if !is_new {
        return;
    }
    let port = address.port();
    if name.port().is_some() || name.ip().is_some() {
        eprintln!(
            "\nOther servers connect to {name} as it is written: that has to lead to this port {port}."
        );
    } else {
        eprintln!(
            "\nOther servers look for it at {name}, port 8448. If that leads to this port {port}, nothing is left to do.\n\
             Otherwise let https://{name}/.well-known/matrix/server answer, with the host where this port can be reached:\n\n    \
             {{\"m.server\": \"{name}:{port}\"}}\n"
        );
    }
    eprintln!(
        "What others see of it:  comity resolve {name}\n\
         Then make a user and a room here, on standard input:\n\n    \
         user alice\n    \
         create alice public alias=lobby\n\n\
         and join #lobby:{name} from another server. `help` lists the other commands.\n"
    );
}

/// A file that an option names.
fn read(file: &std::path::Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}
