//! `tidemill deploy` and `destroy` against an account on this machine.
//!
//! It builds the command with the feature `aws`, makes the stack, changes it, removes it with and without its data, and
//! looks into the account after each. Then everything that can go wrong before, while and after: each has to be told for
//! what it is, and to leave the account as it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::demo::tidemill;
use crate::ministack::{ENVIRONMENT, Ministack, install, without_variables};
use crate::python::interpreter_of;
use crate::step::{Place, WHOLE, cargo};

/// Machines in an ELF header.
const X86_64: u16 = 62;
const AARCH64: u16 = 183;

/// Variables of the environment and their values.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// Runs all of it.
///
/// # Errors
/// When the stack does not become what it should, or a mistake is not told for what it is.
pub fn run(place: &Place) -> Result<(), String> {
    install(place)?;
    let program = ["build", "--workspace", "--bin", "tidemill", "--features", WHOLE];
    cargo(place, &program)?;
    let scratch = place.scratch.join("deploy");
    fs::create_dir_all(&scratch).map_err(|why| format!("{}: {why}", scratch.display()))?;
    let files = Files::write(&scratch)?;
    let account = Account { place, ministack: Ministack::serve(place)?, files };
    let mut tried = Tried { account: &account, failures: Vec::new() };
    tried.mistakes();
    tried.life()?;
    tried.states()?;
    tried.terminals()?;
    tried.failures.iter().for_each(|failure| println!("FAILED {failure}"));
    if tried.failures.is_empty() { Ok(()) } else { Err(format!("{} of the above", tried.failures.len())) }
}

/// Stand-ins for the functions' program: no function is called here.
struct Files {
    program: PathBuf,
    changed: PathBuf,
    text: PathBuf,
}

impl Files {
    fn write(folder: &Path) -> Result<Files, String> {
        let write = |name: &str, bytes: Vec<u8>| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|why| format!("{}: {why}", path.display())).map(|()| path)
        };
        let elf = |machine: u16, text: &str| {
            let head = [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[3, 0], &machine.to_le_bytes()].concat();
            [head, text.as_bytes().repeat(1000)].concat()
        };
        Ok(Files {
            program: write("bootstrap", elf(X86_64, "one"))?,
            changed: write("changed", elf(AARCH64, "two"))?,
            text: write("text", b"#!/bin/sh\n".to_vec())?,
        })
    }
}

/// The account on this machine.
struct Account<'a> {
    place: &'a Place,
    ministack: Ministack,
    files: Files,
}

/// What a command said.
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Account<'_> {
    /// Runs `tidemill` with the account's variables, and nobody at its terminal.
    fn tidemill(&self, line: &str) -> Result<Told, String> {
        let mut command = Command::new(tidemill(self.place));
        self.ministack.point(&mut command);
        told(command.args(line.split_whitespace()).stdin(Stdio::null()))
    }

    /// `deploy` with a program.
    fn deploy(&self, program: &Path, line: &str) -> Result<Told, String> {
        self.tidemill(&format!("deploy --function {} {line}", program.display()))
    }

    /// Has something done to the account, or looks into it.
    fn script(&self, script: &str, arguments: &[&str]) -> Result<Told, String> {
        let mut command = Command::new(interpreter_of(self.place, ENVIRONMENT));
        self.ministack.point(&mut command);
        command.arg(self.place.root.join("tests/aws").join(script)).args(arguments);
        told(command.stdin(Stdio::null()))
    }

    /// What there is of a stack.
    fn there(&self, stack: &str) -> Result<Vec<String>, String> {
        let told = self.script("account.py", &["there", stack])?;
        if told.code != Some(0) {
            return Err(told.err);
        }
        Ok(told.out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    fn make(&self, state: &str, stack: &str) -> Result<(), String> {
        let told = self.script("account.py", &[state, stack])?;
        if told.code == Some(0) { Ok(()) } else { Err(format!("{state} {stack}: {}", told.err)) }
    }
}

/// What was tried, and what of it failed.
struct Tried<'a> {
    account: &'a Account<'a>,
    failures: Vec<String>,
}

impl Tried<'_> {
    /// Holds what a command said against its exit code and the words it must have.
    fn hold(&mut self, what: &str, said: Result<Told, String>, code: i32, words: &[&str]) {
        let said = match said {
            Ok(said) => said,
            Err(why) => return self.failures.push(format!("{what}: {why}")),
        };
        println!("$ {what}\n{}", said.err.lines().map(|line| format!("  {line}\n")).collect::<String>());
        let text = format!("{}{}", said.out, said.err);
        let missing: Vec<&&str> = words.iter().filter(|word| !text.contains(**word)).collect();
        if said.code != Some(code) || !missing.is_empty() {
            self.failures
                .push(format!("{what}: exit code {:?}, wanted {code}; missing {missing:?} in\n{text}", said.code));
        }
    }

    /// Holds what is in the account against what there should be of each kind.
    fn holds(&mut self, what: &str, stack: &str, wanted: &[(&str, usize)]) -> Result<Vec<String>, String> {
        let there = self.account.there(stack)?;
        for (kind, count) in wanted {
            let found = there.iter().filter(|line| line.starts_with(&format!("{kind} "))).count();
            if found != *count {
                self.failures.push(format!("{what}: {found} of {kind}, wanted {count}: {there:?}"));
            }
        }
        Ok(there)
    }

    /// What is wrong before anything is called.
    fn mistakes(&mut self) {
        let files = &self.account.files;
        let program = format!("--function {}", files.program.display());
        let wrong = |option: &str| format!("deploy {program} --yes {option}");
        let cases: [(String, [&str; 3]); 9] = [
            (wrong("--express-zone us-east-1a"), ["TM0930", "us-east-1a", "use1-az4"]),
            (wrong("--retention-days 31"), ["TM0930", "--retention-days is `31`", "3653"]),
            (wrong("--budget-usd -1"), ["TM0930", "--budget-usd", "9999999"]),
            (wrong("--budget-email me"), ["TM0930", "--budget-email", "ops@example.com"]),
            (wrong("--kinesis 0"), ["TM0930", "--kinesis", "on-demand"]),
            (wrong("--repair-attempts 11"), ["TM0930", "--repair-attempts", "0 to 10"]),
            (wrong("--stack Tide_mill"), ["TM0930", "--stack", "a-z"]),
            (
                format!("deploy --yes --function {}", files.text.display()),
                ["TM0933", "no program for Linux", "bootstrap"],
            ),
            (format!("deploy {program}"), ["TM0943", "nobody to ask", "--yes"]),
        ];
        for (line, words) in cases {
            // Nobody answers there: had anything been called, that would be told instead.
            let mut command = Command::new(tidemill(self.account.place));
            without_variables(&mut command);
            command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("AWS_REGION", "us-east-1");
            command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
            let said = told(command.args(line.split_whitespace()).stdin(Stdio::null()));
            self.hold(&format!("tidemill {line}"), said, 2, &words);
        }
        let unheard = format!("deploy {program} --yes");
        let nobody = [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "none"),
            ("AWS_SHARED_CREDENTIALS_FILE", "none"),
        ];
        let somebody = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        let region = [("AWS_REGION", "us-east-1")];
        let dead = [("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
        let cases: [(&[Variables<'_>], i32, &[&str]); 3] = [
            (&[&nobody, &region], 2, &["TM0931", "no credentials", "aws sso login"]),
            (&[&nobody, &somebody], 2, &["TM0932", "--region"]),
            (&[&nobody, &somebody, &region, &dead], 1, &["TM0938", "STS does not answer", "AWS_ENDPOINT_URL"]),
        ];
        for (variables, code, words) in cases {
            let mut command = Command::new(tidemill(self.account.place));
            without_variables(&mut command);
            command.envs(variables.iter().flat_map(|some| some.iter().copied()));
            let said = told(command.args(unheard.split_whitespace()).stdin(Stdio::null()));
            self.hold(&format!("{variables:?} tidemill {unheard}"), said, code, words);
        }
    }

    /// A stack's life: made, left alone, changed, reduced to its data, made again, removed.
    fn life(&mut self) -> Result<(), String> {
        let (account, files) = (self.account, &self.account.files);
        let all = [("function", 6), ("queue", 2), ("table", 2), ("bucket", 2), ("stack", 2)];
        let made =
            ["+  EventsTable", "AWS::DynamoDB::Table", "Url", "https://", "tidemill-events", "tidemill --target"];
        self.hold("deploy", account.deploy(&files.program, "--yes"), 0, &made);
        self.holds("deployed", "tidemill", &all)?;
        self.hold(
            "deploy again",
            account.deploy(&files.program, "--yes"),
            0,
            &["nothing to change", "uploaded before"],
        );
        let changed = ["~  EngineFunction", "Url"];
        self.hold("deploy with a parameter", account.deploy(&files.program, "--yes --repair-attempts 5"), 0, &changed);
        self.hold("deploy without it", account.deploy(&files.program, "--yes"), 0, &["nothing to change"]);
        let other = ["for arm64", "~  ApiFunction", "\"change\":\"updated\"", "\"EventsTable\":\"tidemill-events\""];
        self.hold("deploy another program", account.deploy(&files.changed, "--yes --json"), 0, &other);
        account.make("fill", "tidemill")?;
        let data = ["table tidemill-events 1", "bucket tidemill-000000000000-us-east-1 1005"];
        self.hold(
            "destroy of another name",
            account.tidemill("destroy --yes tidemil"),
            2,
            &["TM0945", "nothing was removed"],
        );
        self.hold("destroy with nobody", account.tidemill("destroy"), 2, &["TM0943", "add --yes tidemill"]);
        self.held("not destroyed", &all, &data)?;
        let kept = ["kept  EventsTable", "-     EngineFunction", "removed all but the data"];
        self.hold("destroy --keep-data", account.tidemill("destroy --keep-data --yes tidemill"), 0, &kept);
        let rest = [("function", 0), ("queue", 0), ("table", 2), ("bucket", 1), ("stack", 1)];
        self.held("reduced", &rest, &data)?;
        self.hold(
            "destroy --keep-data again",
            account.tidemill("destroy --keep-data --yes tidemill"),
            0,
            &["kept  Bucket"],
        );
        self.hold("deploy onto the data", account.deploy(&files.program, "--yes"), 0, &["+  ApiFunction", "Url"]);
        self.held("made again", &all, &data)?;
        let gone = ["-  EventsTable", "1005 objects removed", "removed: stack tidemill"];
        self.hold("destroy", account.tidemill("destroy --yes tidemill"), 0, &gone);
        let nothing = [("function", 0), ("queue", 0), ("table", 0), ("bucket", 0), ("stack", 0)];
        self.holds("destroyed", "tidemill", &nothing)?;
        self.hold("destroy again", account.tidemill("destroy --yes tidemill"), 2, &["TM0941", "no stack `tidemill`"]);
        Ok(())
    }

    /// The same as [`Tried::holds`], and that nothing of the data changed.
    fn held(&mut self, what: &str, wanted: &[(&str, usize)], data: &[&str]) -> Result<(), String> {
        let there = self.holds(what, "tidemill", wanted)?;
        for line in data {
            if !there.iter().any(|found| found == line) {
                self.failures.push(format!("{what}: no `{line}` in {there:?}"));
            }
        }
        Ok(())
    }

    /// Stacks that cannot be changed now, or ever.
    fn states(&mut self) -> Result<(), String> {
        let account = self.account;
        let cases: [(&str, &str, i32, &[&str]); 4] = [
            ("busy", "b1", 1, &["TM0934", "`b1` is being changed (CREATE_IN_PROGRESS)", "wait"]),
            ("half-made", "h1", 1, &["TM0935", "ROLLBACK_COMPLETE", "tidemill destroy --stack h1"]),
            ("planned", "p1", 1, &["TM0935", "REVIEW_IN_PROGRESS", "tidemill destroy --stack p1"]),
            ("foreign", "f1", 2, &["TM0947", "none of tidemill's", "another --stack"]),
        ];
        for (state, stack, code, words) in cases {
            account.make(state, stack)?;
            let before = account.there(stack)?;
            let line = format!("--yes --stack {stack}");
            self.hold(&format!("deploy, {state}"), account.deploy(&account.files.program, &line), code, words);
            if account.there(stack)? != before {
                self.failures.push(format!("deploy, {state}: it changed {before:?}"));
            }
            let clears = ["half-made", "planned"].contains(&state);
            let (code, words) = if clears { (0, &["removed: stack"][..]) } else { (code, &words[..1]) };
            let destroyed = account.tidemill(&format!("destroy --stack {stack} --yes {stack}"));
            self.hold(&format!("destroy, {state}"), destroyed, code, words);
            let left = if clears { Vec::new() } else { before };
            if account.there(stack)? != left {
                self.failures.push(format!("destroy, {state}: {:?}, wanted {left:?}", account.there(stack)?));
            }
        }
        Ok(())
    }

    /// Questions, answered at a terminal.
    fn terminals(&mut self) -> Result<(), String> {
        let account = self.account;
        let (program, command) = (account.files.program.display().to_string(), tidemill(account.place));
        let command = command.display().to_string();
        let deploy = [&command, "deploy", "--stack", "t1", "--function", &program];
        let answer = |question: &str, answer: &str, line: &[&str]| {
            account.script("terminal.py", &[&[question, answer], line].concat())
        };
        let refused = ["EventsTable", "TM0944", "nothing was changed"];
        self.hold("deploy, answered no", answer("[y/N]", "n", &deploy), 1, &refused);
        self.holds("answered no", "t1", &[("function", 0), ("table", 0), ("bucket", 1), ("stack", 1)])?;
        self.hold("deploy, answered yes", answer("[y/N]", "y", &deploy), 0, &["Url", "https://"]);
        let destroy = [&command, "destroy", "--stack", "t1"];
        let question = "Type the stack's name";
        self.hold(
            "destroy, another name typed",
            answer(question, "t2", &destroy),
            2,
            &["TM0945", "nothing was removed"],
        );
        self.holds("another name typed", "t1", &[("function", 6), ("table", 2), ("bucket", 2), ("stack", 2)])?;
        self.hold("destroy, its name typed", answer(question, "t1", &destroy), 0, &["removed: stack t1"]);
        self.holds("its name typed", "t1", &[("function", 0), ("table", 0), ("bucket", 0), ("stack", 0)])?;
        Ok(())
    }
}

fn told(command: &mut Command) -> Result<Told, String> {
    let done = command.output().map_err(|why| format!("{}: {why}", command.get_program().display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Told { code: done.status.code(), out: text(&done.stdout), err: text(&done.stderr) })
}
