//! What the kit's trials came to, by binding, subject and case.

use std::collections::BTreeMap;

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// With the reason.
    Unsupported(String),
    Failed,
}

/// Cases by name.
pub(super) type Cases = BTreeMap<String, Outcome>;

/// By binding, then by subject: an operation, or any call.
pub(super) type Bindings = BTreeMap<String, BTreeMap<String, Cases>>;

/// Everything that was tried.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Of one binding.
    pub(super) bindings: Bindings,
    /// Of two that have to be the same.
    pub(super) pairs: Bindings,
}

impl Outcomes {
    /// Reads what `libtest-mimic` prints: `test <name> ... ok`.
    ///
    /// # Errors
    /// A line is not of that form, or there is none.
    pub(super) fn read(printed: &str) -> Result<Self, String> {
        let mut outcomes = Self::default();
        for line in printed.lines() {
            // `test result: ok. ..` has no such end.
            let Some((name, end)) = line
                .strip_prefix("test ")
                .and_then(|rest| rest.split_once(" ... "))
            else {
                continue;
            };
            let outcome = match end.trim() {
                "ok" => Outcome::Passed,
                "FAILED" => Outcome::Failed,
                end => Outcome::Unsupported(
                    end.strip_prefix("ignored (")
                        .and_then(|rest| rest.strip_suffix(')'))
                        .ok_or_else(|| format!("`{line}` ends neither in ok nor in FAILED"))?
                        .to_owned(),
                ),
            };
            let mut names = name.trim().splitn(3, ": ");
            let (Some(binding), Some(subject), Some(case)) =
                (names.next(), names.next(), names.next())
            else {
                return Err(format!("`{name}` is no case: binding, subject, case"));
            };
            let of = if binding.contains(" = ") {
                &mut outcomes.pairs
            } else {
                &mut outcomes.bindings
            };
            let subjects = of.entry(binding.to_owned()).or_default();
            let cases = subjects.entry(subject.to_owned()).or_default();
            cases.insert(case.to_owned(), outcome);
        }
        if outcomes.bindings.is_empty() {
            return Err(format!("the kit ran no case:\n{printed}"));
        }
        Ok(outcomes)
    }
}

/// How many cases passed, are not supported, and failed.
pub(super) fn counts(cases: &Cases) -> [usize; 3] {
    let count = |which: fn(&Outcome) -> bool| cases.values().filter(|one| which(one)).count();
    [
        count(|one| matches!(one, Outcome::Passed)),
        count(|one| matches!(one, Outcome::Unsupported(_))),
        count(|one| matches!(one, Outcome::Failed)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_a_line_is_read() {
        let printed = "\nrunning 4 tests\ntest a/1: SendJoin: smallest request   ... ok\n\
            test a/1: any call: nobody there ... ignored (the harness: no way)\n\
            test a/1: SendJoin: largest: x ... FAILED\n\
            test a/1 = b/1: SendJoin: the same errors ... ok\n\
            test result: FAILED. 2 passed; 1 failed\n";
        let outcomes = Outcomes::read(printed).unwrap();
        let cases = &outcomes.bindings["a/1"];
        assert_eq!(cases["SendJoin"]["smallest request"], Outcome::Passed);
        assert_eq!(cases["SendJoin"]["largest: x"], Outcome::Failed);
        let why = "the harness: no way".to_owned();
        assert_eq!(cases["any call"]["nobody there"], Outcome::Unsupported(why));
        assert_eq!(counts(&cases["SendJoin"]), [1, 0, 1]);
        assert_eq!(outcomes.pairs["a/1 = b/1"].len(), 1);
        assert!(Outcomes::read("running 0 tests\n").is_err());
        assert!(Outcomes::read("test a ... ok\n").is_err());
    }
}
