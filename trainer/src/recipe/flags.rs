//! Command line flags apart from their defaults. It knows no setting by name.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::Settings;

/// Settings of `trainer fit` that were typed. clap's defaults are left out, so that a file, or the
/// configuration of a resumed run, comes between the two.
#[derive(Clone, Debug)]
pub struct Flags {
    matches: ArgMatches,
    keys: Vec<String>,
}

impl Flags {
    /// Whether the flag, without its dashes, was typed.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|typed| typed == key)
    }

    /// The flags that were typed, without their dashes.
    pub(super) fn typed(&self) -> &[String] {
        &self.keys
    }

    /// Puts what was typed over `settings`, which may be all of them or a part.
    pub(super) fn apply(&self, settings: &mut impl FromArgMatches) {
        settings
            .update_from_arg_matches(&self.matches)
            .expect("values of the types that clap parsed, and none is required");
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Flags {
            matches: matches.clone(),
            keys: vec![],
        };
        for arg in arguments::<Settings>() {
            let id = arg.get_id().as_str();
            if matches.value_source(id) == Some(ValueSource::CommandLine) {
                flags.keys.push(key(&arg));
            } else {
                // A default that stays here would replace the value of the file in `apply`.
                let cleared = flags.matches.try_clear_id(id);
                cleared.expect("`augment_args` put it there");
            }
        }
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        // The command may hold flags that are no settings.
        let settings = arguments::<Settings>();
        let is_switch = |arg: &Arg| {
            matches!(arg.get_action(), ArgAction::SetTrue)
                && settings.iter().any(|own| own.get_id() == arg.get_id())
        };
        Settings::augment_args(command)
            .mut_args(|arg| if is_switch(&arg) { switch(arg) } else { arg })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// A flag that may also be typed as `--no-test=false`, against a file that says `no-test = true`.
fn switch(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .value_name("BOOL")
        .hide_possible_values(true)
}

/// The keys of a file that holds `T`: its flags without their dashes, in the order of the help.
pub(super) fn keys<T: Args>() -> Vec<String> {
    arguments::<T>().iter().map(key).collect()
}

/// `T` with nothing typed.
pub(super) fn defaults<T: Args>() -> T {
    let nothing: [&str; 0] = [];
    command::<T>()
        .try_get_matches_from(nothing)
        .and_then(|matches| T::from_arg_matches(&matches))
        .expect("every setting has a default or is optional")
}

fn arguments<T: Args>() -> Vec<Arg> {
    command::<T>().get_arguments().cloned().collect()
}

fn command<T: Args>() -> Command {
    T::augment_args(Command::new("settings").no_binary_name(true))
}

fn key(arg: &Arg) -> String {
    arg.get_long().unwrap_or_default().into()
}
