//! Showing a reply: JSON as it arrives, files as files.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use comity_core::{
    ServerName,
    call::{Blob, BlobSource, Body, ByteStream, EventStream, Part, Reply},
    error::CallError,
    json::Object,
};
use comity_http::Locations;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::{
    failure::{Exit, Failure},
    printable::{JsonText, pretty, put},
};

/// Most bytes of a reply without a form of its own that are held, to be shown as JSON.
const MAX_SHOWN: usize = 16 << 20;

/// Where a reply goes.
pub(super) struct Shown<'a> {
    pub(super) destination: &'a ServerName,
    /// On one line, exactly as it came.
    pub(super) json: bool,
    /// For the bytes of a file; `-` is standard output.
    pub(super) output: Option<&'a Path>,
    /// What fetches files that the server only points at.
    pub(super) locations: Locations,
}

impl Shown<'_> {
    /// Shows a reply to its end.
    pub(super) async fn show(&self, reply: Reply) -> Result<(), Failure> {
        match reply {
            Reply::Message(mut message) => self.object(message.content()),
            Reply::Events(events) => self.events(events).await,
            Reply::Blob(blob) => self.blob(blob).await,
            Reply::Body(body) => self.body(body).await,
        }
    }

    fn object(&self, object: &Object) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(object.text());
        if self.json {
            return line(&text);
        }
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            Failure::new(Exit::Output, format!("the reply cannot be shown: {error}"))
        })?;
        line(&pretty(&value))
    }

    /// One document, an element on each line, each written when it has arrived. Without its end the document is none.
    async fn events(&self, mut events: EventStream) -> Result<(), Failure> {
        let mut out = Document::new(self.json);
        let mut skipped = 0_u64;
        while let Some(part) = events.parts.next().await {
            let part = match part {
                Ok(part) => part,
                Err(error) => {
                    out.abort()?;
                    return Err(self.broke_off(&error));
                }
            };
            match part {
                Part::Array(array) => out.array(array)?,
                Part::Item { array, value, .. } => out.element(array, value.as_text())?,
                Part::Member { name, value } => out.member(&name, value.as_text())?,
                Part::Oversized {
                    array,
                    index,
                    bytes,
                } => {
                    skipped += 1;
                    eprintln!(
                        "comity call: {array}[{index}] was left out: {bytes} bytes, over the limit of one element"
                    );
                }
            }
        }
        out.end()?;
        match skipped {
            0 => Ok(()),
            n => Err(Failure::new(
                Exit::NoAnswer,
                format!("the reply was shown without {n} elements over the limit"),
            )),
        }
    }

    async fn blob(&self, blob: Blob) -> Result<(), Failure> {
        let from = match &blob.source {
            BlobSource::Location(url) => Some(url.split('?').next().unwrap_or_default().to_owned()),
            BlobSource::Here { .. } => None,
        };
        let blob = self
            .locations
            .follow(blob)
            .await
            .map_err(|error| Failure::of_call(self.destination, error))?;
        let metadata: Value =
            serde_json::from_slice(blob.metadata.text()).unwrap_or_else(|_| json!({}));
        let mut about = json!({ "metadata": metadata });
        if let BlobSource::Here {
            content_type,
            content_disposition,
        } = &blob.source
        {
            about["content_type"] = json!(content_type);
            about["content_disposition"] = json!(content_disposition);
        }
        if let Some(url) = from {
            about["location"] = json!(url);
        }
        self.file(blob.bytes, about).await
    }

    /// The reply of a call that no row knows: JSON is shown, anything else goes into a file.
    async fn body(&self, body: Body) -> Result<(), Failure> {
        let kind = body.content_type.clone().unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if self.output.is_none() && essence.eq_ignore_ascii_case("application/json") {
            let bytes = self.collect(body.bytes).await?;
            let text = String::from_utf8_lossy(&bytes);
            return match serde_json::from_str::<Value>(&text) {
                Ok(_) if self.json => line(&text),
                Ok(value) => line(&pretty(&value)),
                Err(error) => Err(Failure::new(
                    Exit::Answered,
                    format!(
                        "{} says it sends JSON, and it is none: {error}",
                        self.destination
                    ),
                )),
            };
        }
        if self.output.is_none() && (self.json || io::stdout().is_terminal()) {
            return Err(Failure::usage(format!("the reply is no JSON ({kind:?})"))
                .next("--output FILE keeps it; the call was made"));
        }
        let about = json!({ "content_type": body.content_type });
        self.file(body.bytes, about).await
    }

    async fn collect(&self, mut bytes: ByteStream) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        while let Some(chunk) = bytes.next().await {
            all.extend_from_slice(&chunk.map_err(|error| self.broke_off(&error))?);
            if all.len() > MAX_SHOWN {
                return Err(Failure::new(
                    Exit::Output,
                    format!("the reply is over {MAX_SHOWN} bytes, more than is shown"),
                )
                .next("--output FILE keeps a reply of any size"));
            }
        }
        Ok(all)
    }

    /// Writes bytes as they arrive. A file has its name only when it is whole.
    async fn file(&self, mut bytes: ByteStream, mut about: Value) -> Result<(), Failure> {
        let mut sink = Sink::open(self.output)?;
        let mut size = 0_u64;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| self.broke_off(&error))?;
            size += chunk.len() as u64;
            sink.write(&chunk)?;
        }
        if let Some(path) = sink.close()? {
            about["bytes"] = json!(size);
            about["file"] = json!(path);
            return match self.json {
                true => line(&about.to_string()),
                false => line(&pretty(&about)),
            };
        }
        Ok(())
    }

    fn broke_off(&self, error: &CallError) -> Failure {
        Failure::broke_off(self.destination, error)
    }
}

/// A JSON object that is written piece by piece.
struct Document {
    json: bool,
    members: u64,
    open: Option<(&'static str, u64)>,
}

impl Document {
    fn new(json: bool) -> Self {
        Self {
            json,
            members: 0,
            open: None,
        }
    }

    fn put(&self, text: &str) -> Result<(), Failure> {
        match self.json {
            true => put(text),
            false => put(&JsonText(text).to_string()),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), Failure> {
        self.close_array()?;
        let before = match (self.members, self.json) {
            (0, true) => "{",
            (_, true) => ",",
            (0, false) => "{\n  ",
            (_, false) => ",\n  ",
        };
        self.members += 1;
        let after = if self.json { ":" } else { ": " };
        self.put(&format!("{before}{}{after}", Value::from(name)))
    }

    fn array(&mut self, array: &'static str) -> Result<(), Failure> {
        self.name(array)?;
        self.open = Some((array, 0));
        self.put("[")
    }

    fn element(&mut self, array: &'static str, text: &str) -> Result<(), Failure> {
        if self.open.is_none_or(|(open, _)| open != array) {
            self.array(array)?;
        }
        let Some((_, count)) = &mut self.open else {
            return Ok(());
        };
        *count += 1;
        let before = match (*count, self.json) {
            (1, true) => "",
            (_, true) => ",",
            (1, false) => "\n    ",
            (_, false) => ",\n    ",
        };
        self.put(&format!("{before}{text}"))
    }

    fn close_array(&mut self) -> Result<(), Failure> {
        match self.open.take() {
            None => Ok(()),
            Some((_, count)) if count > 0 && !self.json => self.put("\n  ]"),
            Some(_) => self.put("]"),
        }
    }

    fn member(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        self.name(name)?;
        self.put(text)
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.close_array()?;
        self.put(match (self.members, self.json) {
            (0, _) => "{}\n",
            (_, true) => "}\n",
            (_, false) => "\n}\n",
        })
    }

    /// Leaves it unfinished, on a line of its own.
    fn abort(&mut self) -> Result<(), Failure> {
        self.put("\n")
    }
}

/// Where bytes go: standard output, or a file that is moved to its name at the end.
enum Sink {
    Standard,
    File {
        file: fs::File,
        part: PathBuf,
        path: PathBuf,
    },
}

impl Sink {
    fn open(output: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = output.filter(|path| path.as_os_str() != "-") else {
            return Ok(Self::Standard);
        };
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = fs::File::create(&part)
            .map_err(|error| Failure::output(&part.display().to_string(), &error))?;
        Ok(Self::File {
            file,
            part,
            path: path.to_owned(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Standard => io::stdout().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        }
        .map_err(|error| Failure::output("the reply", &error))
    }

    /// The file's name, if it is one.
    fn close(self) -> Result<Option<PathBuf>, Failure> {
        match self {
            Self::Standard => {
                let flushed = io::stdout().flush();
                flushed.map_err(|error| Failure::output("the reply", &error))?;
                Ok(None)
            }
            Self::File { file, part, path } => {
                let moved = file.sync_all().and_then(|()| fs::rename(&part, &path));
                moved.map_err(|error| Failure::output(&path.display().to_string(), &error))?;
                Ok(Some(path))
            }
        }
    }
}

fn line(text: &str) -> Result<(), Failure> {
    put(&format!("{text}\n"))
}
