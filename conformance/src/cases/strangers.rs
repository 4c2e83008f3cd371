//! Operations of the kit's own, some of which the servers have, to ask for what they do not have.

use comity_core::{
    api::GetVersionReply,
    call::{
        AclDuty, Authentication, Clocks, Endpoint, Flow, Idempotency, Op, Operation, OperationSpec,
        ReplyShape, SizeLimits, operation,
    },
    endpoint::{EndpointParts, PathTemplate},
    error::FederationError,
};

macro_rules! strangers {
    ($($name:ident $method:literal $path:literal,)*) => {
        $(
            #[derive(Clone, Debug, Default, PartialEq)]
            pub(super) struct $name;

            impl Operation for $name {
                type Reply = GetVersionReply;
                const SPEC: &'static OperationSpec = &OperationSpec {
                    name: concat!("Conformance", stringify!($name)),
                    group: "Conformance",
                    authentication: Authentication::None,
                    idempotency: Idempotency::Safe,
                    flow: Flow::Concurrent,
                    reply: ReplyShape::Message,
                    limits: SizeLimits::SMALL,
                    clocks: Clocks::short(10),
                    errors: &[],
                    server_acl: AclDuty::Unchecked,
                    editions: &[],
                };
            }

            impl Endpoint for $name {
                const METHOD: &'static str = $method;
                const PATH: PathTemplate = PathTemplate::new($path);

                fn write(&self) -> EndpointParts {
                    EndpointParts::default()
                }

                fn read(_: &EndpointParts) -> Result<Self, FederationError> {
                    Ok(Self)
                }
            }
        )*
    };
}

strangers! {
    Known "GET" "/_matrix/federation/unstable/org.example.comity/known",
    KnownByPut "PUT" "/_matrix/federation/unstable/org.example.comity/known",
    KnownByDelete "DELETE" "/_matrix/federation/unstable/org.example.comity/known",
    KnownKey "GET" "/_matrix/key/v2/org.example.comity.known",
    KnownKeyByPost "POST" "/_matrix/key/v2/org.example.comity.known",
    Unknown "GET" "/_matrix/federation/unstable/org.example.comity/unknown",
    UnknownByPost "POST" "/_matrix/federation/v9/send",
    UnknownKey "GET" "/_matrix/key/v2/org.example.comity.unknown",
}

/// Those that every server of the kit has.
pub(crate) fn operations() -> [Op; 2] {
    [operation::<Known>(), operation::<KnownKey>()]
}
