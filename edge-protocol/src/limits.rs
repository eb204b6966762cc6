//! The sizes and ranges that a message keeps, each with its reason.

/// A command or event, encoded: what a broker and a small node can carry and hold many of.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// How deep arrays and maps nest in a message, the message itself being 1.
pub const MAX_DEPTH: usize = 16;
/// The length of an identifier; it becomes part of topics and store keys.
pub const MAX_ID_BYTES: usize = 64;
/// What an MQTT packet may weigh on the node's side: a command, its topic and its properties, with room.
pub const MAX_PACKET_BYTES: u32 = 256 * 1024;
/// The opaque label of a session.
pub const MAX_LABEL_BYTES: usize = 256;
/// The time between a session's deadline and its off time.
pub const MAX_GRACE_MS: u64 = 600_000;
/// How many warnings a session may ask for.
pub const MAX_WARNINGS: usize = 16;
/// The longest session, and the furthest that an extension moves one: beyond a year it is a typing error.
pub const MAX_SESSION_MS: u64 = 366 * 24 * 3_600_000;
/// The longest hold.
pub const MAX_HOLD_MS: u64 = 24 * 3_600_000;
/// How long after its issue a command may expire.
pub const MAX_COMMAND_LIFE_MS: u64 = 7 * 24 * 3_600_000;
/// When a powering command expires that names no expiry: it must not act late.
pub const POWERING_COMMAND_LIFE_MS: u64 = 60_000;
/// The result of a task, encoded as JSON.
pub const MAX_RESULT_BYTES: usize = 32 * 1024;
/// The retries that a task may ask for.
pub const MAX_RETRIES: u32 = 1_000;
/// The longest attempt, wait, power-off or backoff of a task.
pub const MAX_TASK_MS: u64 = 24 * 3_600_000;
/// The highest task priority.
pub const MAX_PRIORITY: u8 = 9;
/// The last instant that a message may name: the end of the year 9999, beyond which dates have no agreed form.
pub const MAX_INSTANT_MS: u64 = 253_402_300_799_999;
/// How late an occurrence of a schedule may run: as long as a command may wait.
pub const MAX_LATE_MS: u64 = MAX_COMMAND_LIFE_MS;
/// A cron expression: six fields with long lists fit.
pub const MAX_CRON_BYTES: usize = 256;
/// The name of a time zone; the longest in the IANA database has 32.
pub const MAX_TIMEZONE_BYTES: usize = 64;
/// The name of a script.
pub const MAX_SCRIPT_NAME_BYTES: usize = 128;
/// The reason of a rejection: it may quote what was sent, and must not outgrow an event.
pub const MAX_REASON_BYTES: usize = 512;
/// How deep the result of a task nests, itself being 1: the event and its body are around it.
pub const MAX_RESULT_DEPTH: usize = MAX_DEPTH - 2;
/// The type of a command; longer is none that any version knows.
pub const MAX_TYPE_BYTES: usize = 64;
