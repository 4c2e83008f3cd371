//! A gateway that is measured.

use comity_gateway::{Config, Gateway};

/// Starts the gateway of this file, and prints `ready`. Dropping it ends it.
///
/// # Panics
/// The file is not there or not right, or a port is taken.
pub async fn start(file: &str) -> Gateway {
    let text = std::fs::read_to_string(file).expect("it is there");
    let config = Config::read(file, &text).expect("it is right");
    let gateway = Gateway::start(config, Vec::new(), None).await;
    let gateway = gateway.expect("its ports are free");
    println!("ready");
    gateway
}
