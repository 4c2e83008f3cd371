//! `comity call`: makes one federation call, and shows what comes back.
//!
//! `request` reads the command line, `wire` sends, `reply` shows, `told` says how it went, `list` tells what can be called.

mod list;
mod reply;
mod request;
mod told;
mod wire;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, ValueEnum, builder::PossibleValue};
use comity_core::{
    Operations, ServerName,
    auth::{SessionUse, SigningKey},
    call::{Authentication, Call},
    transport::ConnectTo,
};
use comity_http::Locations;

use crate::{
    failure::{EXIT_CODES, Failure},
    network::{Network, connect_to, server_name},
    printable::put,
    signer,
};
use reply::Shown;
use request::{Asked, is_file};

/// What `comity call` can be told.
#[derive(Debug, Args)]
#[command(
    override_usage = "comity call [OPTIONS] NAME OPERATION [PARAMETER=VALUE]...\n       comity call [OPTIONS] NAME METHOD /PATH\n       comity call --list [OPERATION]",
    after_help = format!("Examples:
  comity call matrix.org GetVersion
  comity call --list
  comity call --origin hs1.example --key signing.key matrix.org GetEvent 'eventId=$abc'
  comity call --origin hs1.example --key signing.key -v hs2.example SendTransaction txnId=1 --body-file transaction.json
  comity call --origin hs1.example --key signing.key hs2.example DownloadMedia mediaId=abc --output picture.png
  comity call hs2.example GET /_matrix/federation/unstable/org.example/ping --unsigned

{EXIT_CODES}")
)]
pub(crate) struct Options {
    /// The server to call
    #[arg(value_name = "NAME", value_parser = server_name, required_unless_present = "list")]
    name: Option<ServerName>,
    /// What to call: an operation, or a method of HTTP and a path
    #[arg(value_name = "OPERATION", value_parser = OperationName, hide_possible_values = true, required_unless_present = "list")]
    operation: Option<String>,
    /// Parameters of the path and of the query, unescaped; or the path of a method, escaped as it is to be signed
    #[arg(value_name = "PARAMETER=VALUE")]
    parameters: Vec<String>,
    /// Shows the operations, or one of them
    #[arg(long, value_name = "OPERATION", num_args = 0..=1, exclusive = false, conflicts_with = "name")]
    list: Option<Option<String>>,
    /// A parameter whose value is what a file holds: for secrets
    #[arg(long, value_name = "PARAMETER=FILE")]
    param_file: Vec<String>,
    /// The content, a JSON object
    #[arg(long, value_name = "JSON", conflicts_with = "body_file")]
    body: Option<String>,
    /// The content, from a file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// Where the bytes of a file that is the reply go; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Who calls: the server whose key --key is
    #[arg(long, value_name = "NAME", value_parser = server_name, requires = "key")]
    origin: Option<ServerName>,
    /// The origin's signing key: a file with `ed25519 VERSION SEED`, as Synapse keeps it
    #[arg(long, value_name = "FILE", requires = "origin")]
    key: Option<PathBuf>,
    /// Sends a call without a signature that needs one
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
    /// The binding
    #[arg(long, value_enum, default_value_t = Binding::Auto)]
    binding: Binding,
    /// How --origin is proven: by a session of the connection, where the server's signed offer says that it takes one, or by a signature
    #[arg(long, value_enum, default_value_t = Sessions::Auto)]
    sessions: Sessions,
    /// Connects there instead of where the name leads; the certificate has to be the same
    #[arg(long, value_name = "HOST:PORT", value_parser = connect_to)]
    connect_to: Option<ConnectTo>,
    /// Tells on standard error what was sent where, by which binding and why, how the origin was proven, how long it took, and how many bytes went over the wire
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    network: Network,
}

/// Which binding carries the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Binding {
    /// The best that the server offers, HTTPS if that fails
    Auto,
    /// HTTPS with JSON
    Https,
    /// gRPC, or nothing
    Grpc,
}

/// Whether a session of the connection proves the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sessions {
    /// Where the server's signed offer says that it takes one
    Auto,
    /// No: an X-Matrix signature does
    Off,
    /// Over every binding that can, whatever is offered; else a signature
    On,
    /// Or nothing is sent
    Required,
}

impl Sessions {
    /// What the policy says: of `auto`, nothing.
    fn said(self) -> Option<SessionUse> {
        Some(match self {
            Self::Auto => return None,
            Self::Off => SessionUse::Off,
            Self::On => SessionUse::On,
            Self::Required => SessionUse::Required,
        })
    }
}

/// An operation's name or a method. The names are there for completions.
#[derive(Clone)]
struct OperationName;

impl clap::builder::TypedValueParser for OperationName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        clap::builder::StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let operations = Operations::federation();
        let names: Vec<_> = operations.iter().map(|op| op.spec().name).collect();
        Some(Box::new(names.into_iter().map(PossibleValue::new)))
    }
}

/// Runs the command.
pub(crate) async fn main(options: &Options) -> ExitCode {
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("call", options.network.json),
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    if let Some(name) = &options.list {
        return put(&list::list(name.as_deref(), options.network.json)?);
    }
    let (Some(destination), Some(operation)) = (&options.name, &options.operation) else {
        return Err(Failure::usage("there is no server, or nothing to call")
            .next("`comity call --help` has examples"));
    };
    let asked = Asked {
        operation,
        words: &options.parameters,
        from_files: &options.param_file,
        body: options.body.as_deref(),
        body_file: options.body_file.as_deref(),
    };
    let mut call = asked.make(destination.clone())?;
    if is_file(call.operation()) && options.output.is_none() {
        return Err(Failure::usage("the reply is a file")
            .next("--output FILE names it; `--output -` is standard output"));
    }
    let signer = options.signer(&call)?;
    call.context_mut().connect_to = options.connect_to.clone();

    let reach = options.network.reach()?;
    let shown = Shown {
        destination,
        json: options.network.json,
        output: options.output.as_deref(),
        locations: Locations::new(reach.resolver(), reach.tls.clone(), reach.guard.clone()),
    };
    let sent = wire::Sent {
        reach: &reach,
        binding: options.binding,
        sessions: options.sessions.said(),
        signer,
        limit: options.network.timeout,
    };
    sent.send(call, &shown, options.verbose).await
}

impl Options {
    fn signer(&self, call: &Call) -> Result<Option<(ServerName, Arc<SigningKey>)>, Failure> {
        if let (Some(origin), Some(path)) = (&self.origin, &self.key) {
            return Ok(Some((origin.clone(), Arc::new(signer::read(path)?))));
        }
        let spec = call.spec();
        if spec.authentication == Authentication::Server && !self.unsigned {
            let what = match spec.group {
                "" => "a call by method and path",
                _ => spec.name,
            };
            return Err(Failure::usage(format!("{what} has to be signed")).next(
                "--origin NAME and --key FILE sign it by a homeserver's key; --unsigned sends it as it is",
            ));
        }
        Ok(None)
    }
}
