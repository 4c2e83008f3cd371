//! What was encoded is what is decoded.

use std::time::Duration;

use bytes::Bytes;
use comity_core::{call::TraceContext, endpoint::ReplyHead};
use comity_envelope::{Frame, RequestEnvelope};
use proptest::{collection::vec, option, prelude::*};

prop_compose! {
    fn requests()(
        method in "[A-Z]{1,8}",
        target in ".{0,40}",
        content in option::of(vec(any::<u8>(), 0..300)),
        (content_type, destination) in (option::of(".{0,20}"), option::of(".{0,20}")),
        (credentials, via) in (vec(".{0,40}", 0..4), vec(".{0,20}", 0..4)),
        deadline in option::of(any::<u64>()),
        (parent, state, from) in (option::of(".{0,20}"), option::of(".{0,20}"), option::of(".{0,20}")),
    ) -> RequestEnvelope {
        RequestEnvelope {
            method,
            target,
            content: content.map(Bytes::from),
            content_type,
            destination,
            credentials,
            deadline: deadline.map(Duration::from_millis),
            via,
            from,
            trace: TraceContext { parent, state },
        }
    }
}

prop_compose! {
    fn heads()(
        status in any::<u16>(),
        content_type in option::of(".{0,20}"),
        content_disposition in option::of(".{0,20}"),
        retry_after in option::of(".{0,20}"),
    ) -> Frame {
        Frame::Head(ReplyHead { status, content_type, content_disposition, retry_after })
    }
}

fn frames() -> impl Strategy<Value = Frame> {
    prop_oneof![
        heads(),
        vec(any::<u8>(), 0..300).prop_map(|data| Frame::Data(data.into())),
        Just(Frame::Complete),
        ".{0,40}".prop_map(Frame::Aborted),
    ]
}

proptest! {
    #[test]
    fn a_request_comes_out_as_it_went_in(request in requests()) {
        let bytes = request.encode().unwrap();
        prop_assert_eq!(RequestEnvelope::decode(&bytes).unwrap(), request);
    }

    #[test]
    fn a_frame_comes_out_as_it_went_in(frame in frames()) {
        prop_assert_eq!(Frame::decode(&frame.encode().unwrap()).unwrap(), frame);
    }

    /// Whatever a peer sends is refused or read, and what was read is something that can be sent.
    #[test]
    fn any_bytes_are_refused_or_read(bytes in vec(any::<u8>(), 0..200)) {
        refused_or_read(&bytes.into());
    }

    /// Bytes that were right but for a few are the harder ones.
    #[test]
    fn spoiled_bytes_are_refused_or_read(
        request in requests(),
        frame in frames(),
        spoils in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for bytes in [request.encode().unwrap(), frame.encode().unwrap()] {
            let mut bytes = bytes.to_vec();
            for (place, byte) in &spoils {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            let cut = cut.index(bytes.len() + 1);
            refused_or_read(&Bytes::copy_from_slice(&bytes[..cut]));
            refused_or_read(&bytes.into());
        }
    }
}

fn refused_or_read(bytes: &Bytes) {
    if let Ok(request) = RequestEnvelope::decode(bytes) {
        assert_eq!(
            RequestEnvelope::decode(&request.encode().unwrap()).unwrap(),
            request
        );
    }
    if let Ok(frame) = Frame::decode(bytes) {
        assert_eq!(Frame::decode(&frame.encode().unwrap()).unwrap(), frame);
    }
}

#[test]
fn nothing_secret_is_shown() {
    let request = RequestEnvelope {
        method: "GET".to_owned(),
        target: "/path?access_token=secret".to_owned(),
        credentials: vec!["X-Matrix secret".to_owned()],
        ..RequestEnvelope::default()
    };
    let shown = format!("{request:?}");
    assert!(
        shown.contains("/path") && !shown.contains("secret"),
        "{shown}"
    );
}
