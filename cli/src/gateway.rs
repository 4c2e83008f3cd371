//! `comity gateway`: the sidecar as a program. What it does is in `comity-gateway`; here are its signals and its words.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use comity_gateway::{Config, Gateway};
use comity_net::InheritedSocket;
use comity_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::failure::chain;

/// What `comity gateway` is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The configuration, TOML. Files that it names are looked for beside it
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only check the configuration, and say what is wrong with it
    #[arg(long)]
    check: bool,
}

/// The configuration is refused, or the gateway cannot start.
const REFUSED: u8 = 2;

pub(crate) fn main(options: &Options) -> ExitCode {
    let config = match Config::read_file(&options.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(REFUSED);
        }
    };
    if options.check {
        println!("{}: nothing is wrong with it", options.config.display());
        return ExitCode::SUCCESS;
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    raise_descriptor_limit(&config);
    // Before there are other threads: it takes variables out of the environment.
    let inherited = match comity_net::inherited() {
        Ok(inherited) => inherited,
        Err(error) => {
            eprintln!("a socket that was passed to the gateway cannot be used: {error}");
            return ExitCode::from(REFUSED);
        }
    };
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Box::from)
        .and_then(|runtime| runtime.block_on(run(config, &options.config, inherited)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&*error));
            ExitCode::from(REFUSED)
        }
    }
}

/// Connections and calls, both ways, have a socket each. Fewer descriptors than that are no reason not to start.
fn raise_descriptor_limit(config: &Config) {
    let needed = 2 * (config.limits.connections + config.limits.calls) as u64;
    match comity_net::raise_descriptor_limit() {
        Ok(Some(limit)) if limit < needed => tracing::warn!(
            limit,
            needed,
            "the system lets the gateway open fewer files than limits.connections and limits.calls may need; LimitNOFILE= of systemd or `ulimit -Hn` sets it"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit on open files cannot be raised"),
    }
}

async fn run(
    config: Config,
    file: &Path,
    inherited: Vec<InheritedSocket>,
) -> Result<(), Box<dyn Error>> {
    // Before anything is started, so that none of them ends the process by its default.
    let mut signals = Signals {
        hangup: signal(SignalKind::hangup())?,
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    let name = config.server_name.clone();
    let keys = match &config.key_store {
        None => None,
        Some(path) => Some(Store::open(path)?.keys()),
    };
    let gateway = Gateway::start(config, inherited, keys).await?;
    let (from, to) = (gateway.egress_address(), gateway.inbound_address());
    tracing::info!(server = %name, egress = %from, listen = %to, "the gateway is ready");
    while signals.next().await == Asked::Reload {
        reload(&gateway, file);
    }
    tracing::info!("draining; a second signal ends it at once");
    tokio::select! {
        drained = gateway.drain() => tracing::info!(cut = drained.cut, "the gateway has ended"),
        () = signals.stop() => tracing::warn!("ended at once; calls in flight are lost"),
    }
    Ok(())
}

/// A configuration that is refused changes nothing.
fn reload(gateway: &Gateway, file: &Path) {
    let read = Config::read_file(file).map_err(Box::<dyn Error>::from);
    match read.and_then(|config| gateway.reload(config).map_err(Box::from)) {
        Ok(later) if later.is_empty() => tracing::info!("the configuration was read again"),
        Ok(later) => tracing::warn!(
            settings = later.join(", "),
            "the configuration was read again; these settings wait for a restart"
        ),
        Err(error) => {
            let reason = chain(&*error);
            tracing::error!(
                reason,
                "the old configuration stays: the new one is refused"
            );
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
        }
    }

    async fn stop(&mut self) {
        while self.next().await == Asked::Reload {}
    }
}
