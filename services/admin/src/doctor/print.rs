//! A diagnosis for people: by part, the worst first, with a verdict as its last line. Pure: text in, text out.

use std::fmt::Write;

use super::diagnosis::{Diagnosis, Finding, Part, Severity, count};

/// Whether the text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    None,
    Ansi,
}

impl Colours {
    /// Colours on a terminal only, and not if the variable `NO_COLOR` is set to anything (no-color.org).
    pub(crate) fn of(is_terminal: bool, no_color: Option<&str>) -> Self {
        match is_terminal && no_color.is_none_or(str::is_empty) {
            true => Self::Ansi,
            false => Self::None,
        }
    }

    fn paint(self, text: &str, code: &str) -> String {
        match self {
            Self::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::None => text.to_owned(),
        }
    }

    fn of_severity(self, text: &str, severity: Severity) -> String {
        self.paint(
            text,
            match severity {
                Severity::Problem => "1;31",
                Severity::Warning => "1;33",
                Severity::Note => "36",
            },
        )
    }

    fn good(self, text: &str) -> String {
        self.paint(text, "32")
    }

    fn bold(self, text: &str) -> String {
        self.paint(text, "1")
    }
}

/// The whole text.
pub(crate) fn text(diagnosis: &Diagnosis, colours: Colours) -> String {
    let mut text = String::new();
    for part in &diagnosis.parts {
        add_part(&mut text, part, colours);
    }
    let _ = writeln!(text, "\n{}", verdict(diagnosis, colours));
    text
}

fn add_part(text: &mut String, part: &Part, colours: Colours) {
    let name = colours.bold(&format!("{:<12}", part.part));
    // Writing to a string cannot fail.
    let _ = match (&part.looked_at, &part.skipped) {
        (Some(looked_at), None) if part.findings.is_empty() => {
            writeln!(text, "{name}{} {looked_at}", colours.good("ok"))
        }
        (Some(looked_at), None) => writeln!(text, "{name}{looked_at}"),
        (Some(looked_at), Some(skipped)) => writeln!(text, "{name}{looked_at}; not all: {skipped}"),
        (None, skipped) => writeln!(text, "{name}not checked: {}", skipped.as_deref().unwrap_or_default()),
    };
    for finding in &part.findings {
        add_finding(text, finding, colours);
    }
}

fn add_finding(text: &mut String, finding: &Finding, colours: Colours) {
    let severity = colours.of_severity(&finding.severity.to_string(), finding.severity);
    let (about, what) = (colours.bold(&visible(&finding.about)), visible(&finding.what));
    let _ = writeln!(text, "  {severity} {about}: {what}");
    for (name, lines) in [("why", &finding.why), ("fix", &finding.fix)] {
        for (index, line) in lines.lines().enumerate() {
            let name = if index == 0 { name } else { "" };
            let _ = writeln!(text, "    {name:<4} {}", visible(line));
        }
    }
}

/// Without characters that a terminal obeys: texts come from servers and Redis, too.
fn visible(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

/// One line: whether all is well, else how much is not.
fn verdict(diagnosis: &Diagnosis, colours: Colours) -> String {
    let numbers = [
        (diagnosis.problems, "problem"),
        (diagnosis.warnings, "warning"),
        (diagnosis.notes, "note"),
    ];
    let found: Vec<_> = numbers
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, of)| count(*number, of))
        .collect();
    let unchecked = diagnosis.parts.iter().filter(|part| part.looked_at.is_none()).count();
    let mut line = match diagnosis.verdict {
        None if unchecked > 0 => "nothing is wrong in what was checked".to_owned(),
        None => "nothing is wrong".to_owned(),
        Some(Severity::Problem) => format!("something is wrong: {}", found.join(", ")),
        Some(_) => format!("nothing is broken: {}", found.join(", ")),
    };
    if unchecked > 0 {
        let _ = write!(line, "; {} not checked", count(unchecked, "part"));
    }
    match diagnosis.verdict {
        None => colours.good(&line),
        Some(severity) => colours.of_severity(&line, severity),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn diagnosis() -> Diagnosis {
        let finding = Finding::problem("redis-1", "nobody listens at 10.0.0.2:6379")
            .because("messages take other nodes")
            .fix("systemctl start redis\nredis-cli ping");
        let parts = vec![
            Part::new("redis", "2 nodes", vec![Finding::note("redis-0", "is old"), finding]),
            Part::new("clocks", "4 servers within 3 ms", Vec::new()),
            Part::skipped("kubernetes", "not in Kubernetes"),
        ];
        Diagnosis::new(Timestamp::UNIX_EPOCH, parts)
    }

    #[test]
    fn each_part_has_its_findings_below_it_and_the_verdict_is_the_last_line() {
        assert_eq!(
            text(&diagnosis(), Colours::None),
            "redis       2 nodes\n\
             \x20 problem redis-1: nobody listens at 10.0.0.2:6379\n\
             \x20   why  messages take other nodes\n\
             \x20   fix  systemctl start redis\n\
             \x20        redis-cli ping\n\
             \x20 note redis-0: is old\n\
             clocks      ok 4 servers within 3 ms\n\
             kubernetes  not checked: not in Kubernetes\n\
             \n\
             something is wrong: 1 problem, 1 note; 1 part not checked\n"
        );
    }

    #[test]
    fn what_a_redis_says_cannot_command_the_terminal() {
        let finding = Finding::note("a\nb", "\u{1b}[2Jgone\r").because("\u{7}why");
        let hostile = Diagnosis::new(Timestamp::UNIX_EPOCH, vec![Part::new("redis", "1 node", vec![finding])]);
        let text = text(&hostile, Colours::None);
        assert!(text.contains("note a b:  [2Jgone \n    why   why\n"), "{text:?}");
    }

    #[test]
    fn a_healthy_cluster_is_said_to_be_one() {
        let well = Diagnosis::new(
            Timestamp::UNIX_EPOCH,
            vec![Part::new("redis", "1 node, 9 checks", Vec::new())],
        );
        assert!(text(&well, Colours::None).ends_with("\nnothing is wrong\n"));
        let warned = vec![Part::new("redis", "1 node", vec![Finding::warning("a", "b")])];
        let warned = Diagnosis::new(Timestamp::UNIX_EPOCH, warned);
        assert!(text(&warned, Colours::None).ends_with("\nnothing is broken: 1 warning\n"));
    }

    #[test]
    fn colours_are_for_terminals_and_for_those_who_want_them() {
        assert_eq!(Colours::of(true, None), Colours::Ansi);
        assert_eq!(
            Colours::of(true, Some("")),
            Colours::Ansi,
            "an empty variable is as none"
        );
        assert_eq!(Colours::of(true, Some("1")), Colours::None);
        assert_eq!(Colours::of(false, None), Colours::None);
        assert!(text(&diagnosis(), Colours::Ansi).contains("\u{1b}[1;31mproblem\u{1b}[0m"));
        assert!(!text(&diagnosis(), Colours::None).contains('\u{1b}'));
    }
}
