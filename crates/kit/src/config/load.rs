//! Reads the configuration from flags, environment and secret files.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Error, Parser};

/// The reason why no configuration was read.
#[derive(Debug)]
pub enum Stop {
    /// `--help` or `--version` was given; the text is to be printed.
    Asked(String),
    /// An error in one line. It names the variable and never shows a secret.
    Wrong(String),
}

/// Reads the configuration of this process.
pub fn load<C: Parser>() -> Result<C, Stop> {
    let mut command = C::command();
    let mut arguments: Vec<OsString> = env::args_os().collect();
    let known: Vec<Arg> = command.get_arguments().cloned().collect();
    for arg in &known {
        let Some(variable) = arg.get_env().map(OsStr::to_owned) else { continue };
        // Compose files and shells pass an unset variable on as an empty one.
        let set = env::var_os(&variable).is_some_and(|value| !value.is_empty());
        if !set {
            command = command.mut_arg(arg.get_id(), |arg| arg.env(Resettable::Reset));
        }
        if let (true, Some(flag)) = (is_secret(arg), arg.get_long()) {
            command = command.mut_arg(arg.get_id(), |arg| name_file(arg, &variable));
            if let Some(secret) = from_file(&variable, set)? {
                // Inserted first, because arguments after a subcommand belong to the subcommand.
                arguments.insert(1.min(arguments.len()), format!("--{flag}={secret}").into());
            }
        }
    }
    let parsed = command.try_get_matches_from(arguments);
    parsed.and_then(|mut matches| C::from_arg_matches_mut(&mut matches)).map_err(
        |error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Asked(error.to_string()),
            _ => Stop::Wrong(one_line(&error, &known)),
        },
    )
}

fn is_secret(arg: &Arg) -> bool {
    arg.is_hide_env_values_set()
}

fn name_file(arg: Arg, variable: &OsStr) -> Arg {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.help(format!("{help} [or in the file {}_FILE]", variable.display()))
}

/// Reads the secret from the file named by `<variable>_FILE`, if set.
fn from_file(variable: &OsStr, also_set: bool) -> Result<Option<String>, Stop> {
    let name = format!("{}_FILE", variable.display());
    let Some(path) = env::var_os(&name).filter(|path| !path.is_empty()) else { return Ok(None) };
    if also_set {
        return Err(Stop::Wrong(format!("{} and {name} are both set", variable.display())));
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| Stop::Wrong(format!("{name}: cannot read {}: {error}", path.display())))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Stop::Wrong(format!("{name}: {} is empty", path.display()))),
        secret => Ok(Some(secret.to_owned())),
    }
}

/// Shortens clap's error, which has several paragraphs and quotes values.
fn one_line(error: &Error, known: &[Arg]) -> String {
    let arguments = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => vec![argument.clone()],
        Some(ContextValue::Strings(arguments)) => arguments.clone(),
        _ => Vec::new(),
    };
    let found: Vec<&Arg> = arguments.iter().filter_map(|text| find(text, known)).collect();
    let names = found.iter().map(|arg| name(arg)).collect::<Vec<_>>().join(", ");
    let source = std::error::Error::source(error);
    let why = source.map(|source| format!(": {source}")).unwrap_or_default();
    match (error.kind(), error.get(ContextKind::InvalidValue)) {
        _ if found.is_empty() => {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
        (ErrorKind::MissingRequiredArgument, _) => {
            format!("missing {names}; --help explains every variable")
        }
        (ErrorKind::ArgumentConflict, _) => format!("{names} is given twice"),
        _ if found.iter().any(|arg| is_secret(arg)) => format!("{names} has an invalid value"),
        (_, Some(ContextValue::String(value))) => format!("{names}: invalid value {value:?}{why}"),
        _ => format!("{names}: invalid value{why}"),
    }
}

/// Finds the argument that clap writes as `--http-listen <HTTP_LISTEN>`.
fn find<'a>(text: &str, known: &'a [Arg]) -> Option<&'a Arg> {
    let flag = text.strip_prefix("--")?.split([' ', '=']).next()?;
    known.iter().find(|arg| arg.get_long() == Some(flag))
}

fn name(arg: &Arg) -> String {
    let flag = arg.get_long().unwrap_or_default();
    match arg.get_env() {
        Some(variable) => format!("{} (or --{flag})", variable.display()),
        None => format!("--{flag}"),
    }
}
