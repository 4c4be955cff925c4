//! `tidemill check`: reads definitions and says what is wrong with them. Changes nothing.

use std::path::PathBuf;

use clap::Args;

use crate::commands::plan::Planned;
use crate::definitions::{self, Finding};
use crate::failure::{Exit, Failure};
use crate::json::quoted;
use crate::render::number::counted;
use crate::session::Session;
use crate::terminal::Mark;

/// Check definitions without changing anything
#[derive(Debug, Args)]
pub struct Check {
    /// A definition file or a folder of them [default: the project's insights]
    path: Option<PathBuf>,
}

impl Check {
    /// Reads the files; where a store or a server exists, also against the events it has seen.
    pub async fn run(self, session: &Session) -> Result<(), Failure> {
        let terminal = &session.terminal;
        let project = session.project();
        let path = match (self.path, &project) {
            (Some(path), _) => path,
            (None, Ok(project)) => project.insights(),
            (None, Err(failure)) => return Err(failure.clone()),
        };
        let files = definitions::read(&path)?;
        let (mut names, mut findings) = definitions::check(&files);
        let is_seen = session.target != "local" || project.is_ok_and(|project| project.store().exists());
        if is_seen && !findings.iter().any(|finding| finding.is_error) {
            match known(session, &files).await {
                Ok(planned) => {
                    names = planned.insights.iter().map(|change| change.text_at("insight").to_owned()).collect();
                    findings = planned.findings;
                }
                Err(failure) => terminal.warn(&format!("not checked against the events: {}", failure.message)),
            }
        }
        report(session, files.len(), &names, &findings)
    }
}

/// The server's word, which knows the events there are.
async fn known(session: &Session, files: &[definitions::DefinitionFile]) -> Result<Planned, Failure> {
    Planned::ask(&session.client().await?, files).await
}

fn report(session: &Session, files: usize, names: &[String], findings: &[Finding]) -> Result<(), Failure> {
    let terminal = &session.terminal;
    let errors = findings.iter().filter(|finding| finding.is_error).count();
    if terminal.json {
        let finding = |finding: &Finding| {
            let severity = if finding.is_error { "error" } else { "warning" };
            format!("{{\"severity\":\"{severity}\",\"rendered\":{}}}", quoted(&finding.rendered))
        };
        let findings: Vec<String> = findings.iter().map(finding).collect();
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let (names, findings) = (names.join(","), findings.join(","));
        terminal.print(&format!("{{\"files\":{files},\"insights\":[{names}],\"diagnostics\":[{findings}]}}"))?;
    } else {
        show(session, findings);
    }
    if errors > 0 {
        terminal.say(&counted(errors as u64, "error"));
        return Err(Failure::silent(Exit::BadInput));
    }
    let checked = format!("{} in {}", counted(names.len() as u64, "insight"), counted(files as u64, "file"));
    terminal.say(&format!("{} {checked}", terminal.mark(Mark::Green, "ok")));
    Ok(())
}

/// Prints findings on stderr as they were rendered.
pub fn show(session: &Session, findings: &[Finding]) {
    for finding in findings {
        session.terminal.warn(&format!("{}\n", finding.rendered.trim_end()));
    }
}
