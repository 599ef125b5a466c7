//! Runs programs: shows them, waits for them, and says which one failed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program with our own output; its failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let status = command.status().with_context(|| could_not_run(command))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Like [`run`], with all output on our error output.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    let status =
        command.stdout(std::io::stderr()).status().with_context(|| could_not_run(command))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a program and gives what it printed on its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| could_not_run(command))?;
    if !output.status.success() {
        bail!("`{}` ended with {}", shown(command), output.status);
    }
    String::from_utf8(output.stdout).context("the program printed no UTF-8")
}

/// Whether a program exists and succeeds; shows nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// What a program printed while it was shown, and whether it succeeded.
pub(crate) struct Watched {
    /// Standard output and error output, line by line.
    pub(crate) lines: Vec<String>,
    /// Its exit code was 0.
    pub(crate) success: bool,
}

/// Runs a program, shows what it prints, and keeps it for reading.
pub(crate) fn watch(command: &mut Command) -> Result<Watched> {
    println!("$ {}", shown(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| could_not_run(command))?;
    let stderr = child.stderr.take().expect("it is piped");
    let errors = std::thread::spawn(move || show(stderr));
    let mut lines = show(child.stdout.take().expect("it is piped"));
    lines.extend(errors.join().expect("showing lines does not panic"));
    let success = child.wait().with_context(|| could_not_run(command))?.success();
    Ok(Watched { lines, success })
}

fn show(stream: impl std::io::Read) -> Vec<String> {
    let mut lines = Vec::new();
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        println!("{line}");
        lines.push(line);
    }
    lines
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn could_not_run(command: &Command) -> String {
    format!("could not run `{}`; is it installed?", shown(command))
}
