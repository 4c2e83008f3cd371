//! What is in an ephemeral event: the specification's examples and a real server's, hostile ones, and the law that reading changes nothing.

mod contents;
mod faults;
mod law;
mod origin;

use comity_core::{ServerName, event::edu::Edu, json::Value};

pub(crate) fn edu(text: &str) -> Edu {
    let value = Value::parse(text.to_owned().into(), usize::MAX).unwrap();
    Edu::judge(value).unwrap()
}

pub(crate) fn of_type(edu_type: &str, content: &str) -> Edu {
    edu(&format!(
        r#"{{"content":{content},"edu_type":"{edu_type}"}}"#
    ))
}

pub(crate) fn server(name: &str) -> ServerName {
    name.parse().unwrap()
}
