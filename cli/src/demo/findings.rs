//! What was proven and what differs, by checks that ran.

/// Collected while checks run.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) proven: Vec<String>,
    pub(crate) differences: Vec<String>,
    /// What nobody could check, and why.
    pub(crate) unchecked: Vec<String>,
}

impl Findings {
    /// One check over each transport: what it proved, or what differed. Transports that proved the same share a line.
    pub(crate) fn conclude(
        &mut self,
        results: impl IntoIterator<Item = (&'static str, Result<String, String>)>,
    ) {
        let mut claims: Vec<(String, Vec<&str>)> = Vec::new();
        for (transport, result) in results {
            match result {
                Err(why) => self.differences.push(format!("over {transport}: {why}")),
                Ok(claim) => match claims.iter_mut().find(|(known, _)| *known == claim) {
                    Some((_, transports)) => transports.push(transport),
                    None => claims.push((claim, vec![transport])),
                },
            }
        }
        for (claim, transports) in claims {
            self.proven
                .push(format!("{claim}, over {}", list(&transports)));
        }
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(items: &[&str]) -> String {
    match items {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_that_prove_the_same_share_a_line() {
        let mut findings = Findings::default();
        findings.conclude([
            ("a", Ok("it holds".to_owned())),
            ("b", Err("it is cut".to_owned())),
            ("c", Ok("it holds".to_owned())),
        ]);
        assert_eq!(findings.proven, ["it holds, over a and c"]);
        assert_eq!(findings.differences, ["over b: it is cut"]);
    }
}
