//! Protobuf messages of Comity's gRPC binding, package `comity.federation.v1`. No logic.
//!
//! The schema stands in `comity/federation/v1/`, one file per group; `common.proto` says the rules that every message keeps.
//! The code is generated and checked in: after a change of the schema run `cargo run -p xtask -- proto`.

#[path = "generated/comity.federation.v1.rs"]
#[rustfmt::skip]
mod generated;

pub use generated::*;

/// Every message and service as an encoded `google.protobuf.FileDescriptorSet`, for reflection and for comparing releases.
pub const DESCRIPTORS: &[u8] = include_bytes!("../descriptors.bin");

/// The access token is a secret: nothing of the message is shown.
impl std::fmt::Debug for GetOpenIdUserInfoRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GetOpenIdUserInfoRequest")
            .finish_non_exhaustive()
    }
}

/// The target can hold an access token: nothing of the message is shown.
impl std::fmt::Debug for InvokeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InvokeRequest").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_a_secret_shows_nothing() {
        let token = GetOpenIdUserInfoRequest {
            access_token: Some("SomeT0kenHere".to_owned()),
            ..Default::default()
        };
        let any = InvokeRequest {
            target: "/x?access_token=SomeT0kenHere".into(),
            ..Default::default()
        };
        assert_eq!(format!("{token:?}"), "GetOpenIdUserInfoRequest { .. }");
        assert_eq!(format!("{any:?}"), "InvokeRequest { .. }");
    }
}
