//! Bytes that a peer should not send, one by one.

use bytes::Bytes;
use comity_envelope::{Frame, RequestEnvelope};
use minicbor::{Encoder, encode};

type Out<'a> = &'a mut Encoder<Vec<u8>>;
type Written = Result<(), encode::Error<std::convert::Infallible>>;

fn cbor(write: impl FnOnce(Out<'_>) -> Written) -> Bytes {
    let mut out = Encoder::new(Vec::new());
    write(&mut out).unwrap();
    out.into_writer().into()
}

/// `{1: "GET", 2: "/", ..}` with `more` members.
fn request(more: u64, write: impl FnOnce(Out<'_>) -> Written) -> Bytes {
    cbor(|out| {
        out.map(2 + more)?.u8(1)?.str("GET")?.u8(2)?.str("/")?;
        write(out)
    })
}

fn refusal(bytes: &Bytes) -> String {
    RequestEnvelope::decode(bytes).unwrap_err().to_string()
}

#[test]
fn keys_that_nobody_knows_are_ignored() {
    let bytes = request(5, |out| {
        out.u16(1_000)?
            .map(1)?
            .str("a")?
            .array(2)?
            .null()?
            .f64(1.5)?;
        out.i8(-1)?.bytes(b"x")?;
        out.u64(u64::MAX)?.bool(true)?;
        out.u8(63)?.begin_array()?.u8(1)?.end()?;
        out.u8(12)?.tag(minicbor::data::Tag::new(1))?.u8(1)?;
        Ok(())
    });
    let read = RequestEnvelope::decode(&bytes).unwrap();
    assert_eq!((read.method.as_str(), read.target.as_str()), ("GET", "/"));
    let frame = cbor(|out| {
        out.map(2)?.u8(9)?.str("x")?.u8(3)?.bool(true)?;
        Ok(())
    });
    assert_eq!(Frame::decode(&frame).unwrap(), Frame::Complete);
}

#[test]
fn a_key_that_nobody_knows_is_there_once() {
    for key in [12, 63] {
        let bytes = request(2, |out| {
            out.u8(key)?.bool(true)?.u8(key)?.bool(false)?;
            Ok(())
        });
        assert!(refusal(&bytes).contains("twice"), "{key}");
    }
    // Those beyond are not compared, which bounds what is kept of them.
    let bytes = request(2, |out| {
        out.u8(64)?.bool(true)?.u8(64)?.bool(true)?;
        Ok(())
    });
    RequestEnvelope::decode(&bytes).unwrap();
}

#[test]
fn what_is_no_envelope_is_refused_by_name() {
    let cases = [
        (Bytes::new(), "the request envelope is malformed"),
        (
            Bytes::from_static(b"\x80"),
            "the request envelope is malformed",
        ),
        (
            Bytes::from_static(b"\xbf\xff"),
            "the request envelope is of indefinite length",
        ),
        (
            cbor(|out| {
                out.map(1)?.str("a")?.u8(1)?;
                Ok(())
            }),
            "the request envelope is malformed",
        ),
        (
            cbor(|out| {
                out.map(1)?.u8(1)?.str("GET")?;
                Ok(())
            }),
            "the target is missing",
        ),
        (
            cbor(|out| {
                out.map(1)?.u8(2)?.str("/")?;
                Ok(())
            }),
            "the method is missing",
        ),
        (
            request(1, |out| {
                out.u8(2)?.str("/")?;
                Ok(())
            }),
            "the request envelope has the key 2 twice",
        ),
        (
            request(1, |out| {
                out.u8(3)?.str("text")?;
                Ok(())
            }),
            "the content is malformed",
        ),
        (
            request(1, |out| {
                out.u8(3)?.begin_bytes()?.bytes(b"a")?.end()?;
                Ok(())
            }),
            "the content is of indefinite length",
        ),
        (
            request(1, |out| {
                out.u8(5)?.begin_str()?.str("a")?.end()?;
                Ok(())
            }),
            "the destination is of indefinite length",
        ),
        (
            request(1, |out| {
                out.u8(6)?.begin_array()?.end()?;
                Ok(())
            }),
            "the credentials is of indefinite length",
        ),
        (
            request(1, |out| {
                out.u8(7)?.i8(-1)?;
                Ok(())
            }),
            "the deadline is malformed",
        ),
        (
            request(0, |out| {
                out.u8(1)?;
                Ok(())
            }),
            "bytes follow the request envelope",
        ),
        (
            Bytes::from_static(b"\xa1\x01\x61\xff"),
            "the method is malformed",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(refusal(&bytes), expected, "{bytes:?}");
    }
}

#[test]
fn a_frame_is_exactly_one() {
    for bytes in [
        cbor(|out| {
            out.map(0)?;
            Ok(())
        }),
        cbor(|out| {
            out.map(1)?.u8(7)?.u8(1)?;
            Ok(())
        }),
        cbor(|out| {
            out.map(2)?.u8(2)?.bytes(b"x")?.u8(3)?.bool(true)?;
            Ok(())
        }),
    ] {
        let error = Frame::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("not exactly one"), "{error}");
    }
    let not_the_end = cbor(|out| {
        out.map(1)?.u8(3)?.bool(false)?;
        Ok(())
    });
    assert_eq!(
        Frame::decode(&not_the_end).unwrap_err().to_string(),
        "the end is missing"
    );
    let no_status = cbor(|out| {
        out.map(1)?.u8(1)?.map(0)?;
        Ok(())
    });
    assert_eq!(
        Frame::decode(&no_status).unwrap_err().to_string(),
        "the status is missing"
    );
    let status = cbor(|out| {
        out.map(1)?.u8(1)?.map(1)?.u8(1)?.u32(70_000)?;
        Ok(())
    });
    assert!(matches!(Frame::decode(&status).unwrap(), Frame::Head(head) if head.status == 502));
}

/// Lengths that are only announced cost nothing.
#[test]
fn a_length_that_does_not_come_allocates_nothing() {
    for bytes in [
        Bytes::from_static(b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"),
        Bytes::from_static(b"\xa1\x03\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"),
        Bytes::from_static(b"\xa1\x01\x7b\xff\xff\xff\xff\xff\xff\xff\xff"),
        Bytes::from_static(b"\xa1\x18\x3f\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
    ] {
        assert!(RequestEnvelope::decode(&bytes).is_err(), "{bytes:?}");
        assert!(Frame::decode(&bytes).is_err(), "{bytes:?}");
    }
}

/// Nesting that nobody knows is walked through without recursion, and no further than its limit.
#[test]
fn deep_nesting_that_nobody_knows_is_bounded() {
    let nested = |levels: usize| {
        request(1, |out| {
            out.u8(20)?;
            for _ in 0..levels {
                out.array(1)?;
            }
            out.null()?;
            Ok(())
        })
    };
    assert!(RequestEnvelope::decode(&nested(60_000)).is_ok());
    let refused = refusal(&nested(70_000));
    assert!(
        refused.contains("an unknown member") && refused.contains("limit of 65536"),
        "{refused}"
    );
}
