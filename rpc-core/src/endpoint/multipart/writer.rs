//! Writing media as Synapse writes it.

use std::fmt::Write as _;

use bytes::Bytes;

use super::PartHead;

/// Writes `head ‖ file ‖ tail`. The length of a body is the sum of the three lengths.
///
/// The shape is the one that Synapse's own parser reads, which takes the boundary verbatim: a token,
/// unquoted and last in the `Content-Type`; the first part with exactly one header; the second part's
/// `Content-Type` before its `Content-Disposition`, or its `Location` alone.
#[derive(Clone, Debug)]
pub struct MultipartWriter {
    boundary: String,
}

/// A header value with a control character: it could end the header and begin another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {header} has a control character")]
pub struct HeaderValueError {
    /// The header's name.
    pub header: &'static str,
}

impl MultipartWriter {
    /// A writer with a boundary of 128 random bits, which no file has in it.
    ///
    /// # Panics
    ///
    /// If the operating system has no random numbers.
    #[allow(clippy::new_without_default, reason = "each value differs")]
    pub fn new() -> Self {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the operating system has random numbers");
        Self {
            boundary: format!("{:032x}", u128::from_ne_bytes(random)),
        }
    }

    /// The `Content-Type` of the whole body.
    pub fn content_type(&self) -> String {
        format!("multipart/mixed; boundary={}", self.boundary)
    }

    /// All that stands before the file. `metadata` is a JSON object, `{}` as of Matrix 1.19.
    ///
    /// # Errors
    ///
    /// [`HeaderValueError`], if a header value has a control character.
    pub fn head(&self, metadata: &[u8], part: &PartHead) -> Result<Bytes, HeaderValueError> {
        let boundary = &self.boundary;
        let mut head =
            format!("\r\n--{boundary}\r\nContent-Type: application/json\r\n\r\n").into_bytes();
        head.extend_from_slice(metadata);
        let mut headers = format!("\r\n--{boundary}\r\n");
        match part {
            PartHead::Content {
                content_type,
                content_disposition,
            } => {
                write_header(&mut headers, "Content-Type", content_type.as_deref())?;
                write_header(
                    &mut headers,
                    "Content-Disposition",
                    content_disposition.as_deref(),
                )?;
            }
            PartHead::Location(url) => write_header(&mut headers, "Location", Some(url))?,
        }
        headers.push_str("\r\n");
        head.extend_from_slice(headers.as_bytes());
        Ok(Bytes::from(head))
    }

    /// All that stands behind the file.
    pub fn tail(&self) -> Bytes {
        Bytes::from(format!("\r\n--{}--\r\n", self.boundary))
    }
}

fn write_header(
    out: &mut String,
    header: &'static str,
    value: Option<&str>,
) -> Result<(), HeaderValueError> {
    let Some(value) = value else { return Ok(()) };
    if value
        .chars()
        .any(|character| character.is_control() && character != '\t')
    {
        return Err(HeaderValueError { header });
    }
    write!(out, "{header}: {value}\r\n").expect("writing to a string does not fail");
    Ok(())
}
