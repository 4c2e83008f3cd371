//! A setting of this process, and both sides of a subject in it.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use comity_bench::{
    model::{Flow, NETWORKS, Scenario},
    scenario::{Plan, service},
    subject::{Client, Guard, Proof, Setting, Subject, Tls, together},
};
use comity_core::{CallService, Operations, ServerName};

pub fn setting(servers: usize) -> Setting {
    let servers: Vec<ServerName> = (0..servers)
        .map(|number| format!("server{number}.example.org").parse().unwrap())
        .collect();
    Setting {
        client: "client.example.org".parse().unwrap(),
        listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
        seed: 7,
        tls: Tls::drawn(&servers).unwrap(),
        servers,
        proof: Proof::Seeded,
    }
}

/// Short, with a generous end.
pub fn plan(scenario: Scenario, flow: Flow) -> Plan {
    Plan {
        warm_up: Duration::from_millis(1),
        measure: Duration::from_millis(40),
        deadline: Duration::from_secs(60),
        ..Plan::new(scenario, flow, NETWORKS[0])
    }
}

pub fn name_of(subject: &Subject) -> String {
    match subject {
        Subject::Apart(wire) => wire.name(),
        Subject::Together(harness) => harness.name(),
    }
}

pub async fn set_up(subject: &Subject, setting: &Setting, scenario: Scenario) -> (Client, Guard) {
    let (operations, service) = service(setting, scenario);
    set_up_with(subject, setting, operations, service).await
}

pub async fn set_up_with(
    subject: &Subject,
    setting: &Setting,
    operations: Operations,
    service: CallService,
) -> (Client, Guard) {
    match subject {
        Subject::Apart(wire) => {
            let serving = wire.serve(setting, operations, service).await;
            let (addresses, guard) = serving.unwrap();
            let client = wire.connect(setting, &addresses).await.unwrap();
            (client, guard)
        }
        Subject::Together(harness) => together(&**harness, setting, operations, service)
            .await
            .unwrap(),
    }
}
