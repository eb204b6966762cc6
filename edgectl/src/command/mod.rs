//! The commands: what each takes, does and tells.

pub(crate) mod ca;
pub(crate) mod demo;

/// The arguments can't be understood (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// An input is not what it should be (`EX_DATAERR`).
pub(crate) const BAD_DATA: u8 = 65;
/// An input is not there or can't be read (`EX_NOINPUT`).
pub(crate) const NO_INPUT: u8 = 66;
/// Something that is needed can't be had (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// Something inside failed (`EX_SOFTWARE`).
pub(crate) const SOFTWARE: u8 = 70;
/// An output can't be made (`EX_CANTCREAT`).
pub(crate) const CANNOT_CREATE: u8 = 73;
/// Writing failed (`EX_IOERR`).
pub(crate) const IO_ERROR: u8 = 74;

/// What a command tells when it is done.
#[derive(Debug)]
pub(crate) struct Report {
    /// For a person.
    pub(crate) text: String,
    /// For a machine.
    pub(crate) json: serde_json::Value,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code, out of sysexits(3).
    pub(crate) code: u8,
    /// What is wrong and what to do.
    pub(crate) message: String,
}
